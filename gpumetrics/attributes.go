package gpumetrics

import "go.opentelemetry.io/otel/attribute"

// ScopeName is the name of the instrumentation scope of this package's metrics.
const ScopeName = "github.com/otelvllm/otelvllm-go/gpumetrics"

// Attribute keys that say which GPU, or which part of one. hw.* are those of the conventions for
// hardware, version 1.43; process.* those of the conventions for processes.
const (
	keyID     = attribute.Key("hw.id")
	keyName   = attribute.Key("hw.name")
	keyParent = attribute.Key("hw.parent")
	keyVendor = attribute.Key("hw.vendor")
	keyModel  = attribute.Key("hw.model")
	keySerial = attribute.Key("hw.serial_number")
	keyDriven = attribute.Key("hw.driver_version")
	keyBIOS   = attribute.Key("hw.firmware_version")
	keyState  = attribute.Key("hw.state")
	keyPID    = attribute.Key("process.pid")
	keyVPID   = attribute.Key("process.vpid")
	keyRole   = attribute.Key("vllm.role")
	keyRank   = attribute.Key("vllm.rank")

	keyIndex      = attribute.Key("nvidia.gpu.index")
	keyPCI        = attribute.Key("nvidia.gpu.pci.bus_id")
	keyNUMA       = attribute.Key("nvidia.gpu.numa.node")
	keyArch       = attribute.Key("nvidia.gpu.architecture")
	keyCapability = attribute.Key("nvidia.gpu.compute_capability")
	keyLibrary    = attribute.Key("nvidia.gpu.nvml.version")
	keyRuntime    = attribute.Key("nvidia.gpu.cuda.version")
	keyGSP        = attribute.Key("nvidia.gpu.gsp.version")
	keyECC        = attribute.Key("nvidia.gpu.ecc.mode")
	keyProfile    = attribute.Key("nvidia.mig.profile")
	keyGI         = attribute.Key("nvidia.mig.gi_id")
	keyCI         = attribute.Key("nvidia.mig.ci_id")
	keyDriver     = attribute.Key("nvidia.gpu.driver.state")
	keyTier       = attribute.Key("nvidia.gpu.sampler.tier")
	keyCode       = attribute.Key("nvidia.xid.code")
	keyAction     = attribute.Key("nvidia.xid.action")
)

// ownKeys are the attribute keys of the metrics that the monitor makes itself.
var ownKeys = []struct {
	metric int
	keys   []attribute.Key
}{
	{statusMetric, []attribute.Key{keyID, keyName, keyParent, keyType, keyState}},
	{upMetric, []attribute.Key{keyID, keyName, keyParent}},
	{infoMetric, []attribute.Key{
		keyID, keyName, keyParent, keyVendor, keyModel, keySerial, keyDriven, keyBIOS, keyIndex, keyPCI, keyNUMA, keyArch,
		keyCapability, keyLibrary, keyRuntime, keyGSP, keyECC, keyProfile, keyGI, keyCI,
	}},
	{driverMetric, []attribute.Key{keyDriver}},
	{xidMetric, []attribute.Key{keyID, keyName, keyCode, keyAction}},
	{xidTimeMetric, []attribute.Key{keyID, keyName, keyCode, keyAction}},
	{processMetric, []attribute.Key{keyID, keyName, keyParent, keyPID, keyVPID, keyRole, keyRank}},
	{ageMetric, []attribute.Key{keyID, keyName, keyParent}},
	{wedgedMetric, []attribute.Key{keyID, keyName, keyParent}},
	{inFlightMetric, []attribute.Key{keyID, keyName}},
	{slowMetric, []attribute.Key{keyID, keyName}},
	{errorsMetric, []attribute.Key{keyID, keyName, keyParent, keyError}},
	{durationMetric, []attribute.Key{keyID, keyName, keyParent, keyTier}},
	{unsettledMetric, []attribute.Key{keyError}},
}

// wholeKeys are the keys whose values are whole numbers.
var wholeKeys = []attribute.Key{keyPID, keyVPID, keyIndex, keyNUMA, keyGI, keyCI, keyCode}

// identity returns the attributes that every data point of a device has.
func identity(i *Info) attrs {
	a := attrs{keyID.String(i.ID)}
	if i.Model != "" {
		a = append(a, keyName.String(i.Model))
	}
	if i.Parent != "" {
		a = append(a, keyParent.String(i.Parent))
	}
	return a
}

// infoAttributes returns all that is known of a device.
func infoAttributes(i *Info, serial bool) attrs {
	a := identity(i)
	text := func(k attribute.Key, v string) {
		if v != "" {
			a = append(a, k.String(v))
		}
	}
	number := func(k attribute.Key, v int) {
		if v >= 0 {
			a = append(a, k.Int(v))
		}
	}
	text(keyVendor, i.Vendor)
	text(keyModel, i.Model)
	if serial {
		text(keySerial, i.Serial)
	}
	text(keyDriven, i.DriverVersion)
	text(keyBIOS, i.Firmware)
	number(keyIndex, i.Index)
	text(keyPCI, i.PCIBusID)
	number(keyNUMA, i.NUMANode)
	text(keyArch, i.Architecture)
	text(keyCapability, i.ComputeCapability)
	text(keyLibrary, i.LibraryVersion)
	text(keyRuntime, i.RuntimeVersion)
	text(keyGSP, i.GSPFirmware)
	text(keyECC, i.ECC)
	text(keyProfile, i.MIGProfile)
	if i.Parent != "" {
		number(keyGI, i.MIGGPUInstance)
		number(keyCI, i.MIGComputeInstance)
	}
	return a
}

// partIdentity returns the attributes of a part of a device, such as "nvlink" or "nvlink/3".
func partIdentity(i *Info, part string) attrs {
	a := attrs{keyID.String(i.ID + "/" + part)}
	if i.Model != "" {
		a = append(a, keyName.String(i.Model))
	}
	return append(a, keyParent.String(i.ID))
}
