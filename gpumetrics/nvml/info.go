package nvml

import (
	"fmt"
	"strings"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// versions are what all GPUs of a machine have in common.
func (s *session) versions() gpumetrics.Info {
	info := gpumetrics.Info{Vendor: "NVIDIA"}
	info.DriverVersion, _ = s.lib.text(callDriverVersion)
	info.LibraryVersion, _ = s.lib.text(callNVMLVersion)
	if cuda, r := s.lib.number(callCUDAVersion); r == retSuccess {
		info.RuntimeVersion = fmt.Sprintf("%d.%d", cuda[0]/1000, cuda[0]%1000/10)
	}
	return info
}

// describe asks a GPU for what does not change. What it does not tell stays empty or -1.
func describe(h handle, info gpumetrics.Info) gpumetrics.Info {
	info.Model = told(h, callName)
	info.Serial = told(h, callSerial)
	info.Firmware = told(h, callVBIOS)
	info.GSPFirmware = told(h, callGSPFirmware)
	info.PCIBusID = told(h, callPCIBusID)
	info.NUMANode, info.MIGGPUInstance, info.MIGComputeInstance = -1, -1, -1
	info.Links, info.Fans = -1, -1
	if n, r := h.number(callNUMANode, 0); r == retSuccess && n[0] < 1<<16 { // all ones: no node
		info.NUMANode = int(n[0])
	}
	if n, r := h.number(callArchitecture, 0); r == retSuccess {
		info.Architecture = architectures[n[0]]
	}
	if n, r := h.number(callComputeCapability, 0); r == retSuccess {
		info.ComputeCapability = fmt.Sprintf("%d.%d", n[0], n[1])
	}
	info.ECC = enabled(h, callECCMode)
	info.Persistence = enabled(h, callPersistence)
	info.MIGEnabled = enabled(h, callMIGMode) == "enabled"
	if n, r := h.number(callFans, 0); r == retSuccess && n[0] <= maxParts {
		info.Fans = int(n[0])
	}
	if links := linkCount(h, fieldLinkCount); links >= 0 {
		info.Links = links
	}
	return info
}

// maxParts bounds how many fans or links a GPU may have; the largest today has 36 links.
const maxParts = 72

// linkCount asks for a number of links, and returns -1 where it is not told.
func linkCount(h handle, id uint32) int {
	batch := []field{{id: id}}
	if r := h.fields(batch); r != retSuccess {
		return -1
	}
	n, bits, ok := batch[0].count()
	if !ok || bits == 0 || n > maxParts {
		return -1
	}
	return int(n)
}

func told(h handle, c call) string {
	s, r := h.text(c)
	if r != retSuccess {
		return ""
	}
	return strings.ToValidUTF8(strings.TrimSpace(s), "")
}

func enabled(h handle, c call) string {
	n, r := h.number(c, 0)
	switch {
	case r != retSuccess:
		return ""
	case n[0] == 1:
		return "enabled"
	default:
		return "disabled"
	}
}

// architectures are the names of nvmlDeviceArchitecture_t.
var architectures = map[uint64]string{
	2: "kepler", 3: "maxwell", 4: "pascal", 5: "volta", 6: "turing", 7: "ampere", 8: "ada", 9: "hopper",
	10: "blackwell", 13: "rubin",
}

// busID writes a PCI address as Linux does.
func busID(domain, bus, device uint32) string {
	return fmt.Sprintf("%04x:%02x:%02x.0", domain, bus, device)
}

// instance is one MIG instance of a GPU.
type instance struct {
	handle handle
	uuid   string
}

// instances lists the MIG instances of a GPU in the driver's order. Where one cannot be told, it
// says why.
func instances(h handle) ([]instance, ret) {
	count, r := h.number(callMIGMax, 0)
	if r != retSuccess {
		return nil, r
	}
	var list []instance
	for i := range int(min(count[0], maxParts)) {
		part, r := h.instance(i)
		if r == retNotFound || r == retInvalidArgument {
			continue // a place that no instance takes
		}
		if r != retSuccess {
			return list, r
		}
		uuid, r := part.text(callUUID)
		if r != retSuccess {
			return list, r
		}
		list = append(list, instance{part, uuid})
	}
	return list, retSuccess
}

// describeInstance says what an instance is. What it shares with its GPU it has from there.
func describeInstance(i instance, gpu gpumetrics.Info) gpumetrics.Info {
	info := gpu
	info.ID, info.Parent = i.uuid, gpu.ID
	info.Links, info.Fans, info.MIGEnabled = -1, -1, false
	if n, r := i.handle.number(callGPUInstance, 0); r == retSuccess {
		info.MIGGPUInstance = int(uint32(n[0]))
	}
	if n, r := i.handle.number(callComputeInstance, 0); r == retSuccess {
		info.MIGComputeInstance = int(uint32(n[0]))
	}
	if name := told(i.handle, callName); name != "" {
		info.Model = name
	}
	info.MIGProfile = profile(i.handle, info.Model)
	return info
}

// profile is the name of an instance's size, which newer drivers append to the product's name:
// "NVIDIA H100 80GB HBM3 MIG 1g.10gb".
func profile(h handle, model string) string {
	if _, name, ok := strings.Cut(model, " MIG "); ok {
		return name
	}
	n, r := h.number(callAttributes, 0)
	if r != retSuccess || n[0] == 0 {
		return ""
	}
	size := fmt.Sprintf("%dg.%dgb", n[0], (n[2]+1023)/1024)
	if n[1] != 0 && n[1] != n[0] {
		size = fmt.Sprintf("%dc.%s", n[1], size)
	}
	return size
}
