package nvml

import (
	"errors"
	"fmt"
	"strings"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// open loads and initialises the library and lists the devices. It runs on a goroutine of its own
// and may hang in any of its driver calls.
func (s *source) open() (*session, error) {
	if module := s.version(); differ(module, s.mapped) {
		return nil, mismatch(module, s.mapped)
	}
	lib, err := s.initialise()
	if err != nil {
		return nil, err
	}
	session := newSession(s.config, lib)
	if version, r := lib.text(callNVMLVersion); r == retSuccess {
		s.mapped = libraryVersion(version)
	}
	if err := session.enumerate(); err != nil {
		lib.shutdown()
		return nil, err
	}
	return session, nil
}

// initialise opens the first library that can be loaded.
func (s *source) initialise() (library, error) {
	for _, path := range s.candidates {
		lib := s.libs[path]
		if lib == nil {
			var err error
			if lib, err = s.load(path); err != nil {
				return nil, err
			}
			s.libs[path] = lib
		}
		switch r := lib.open(); r {
		case retSuccess:
			return lib, nil
		case retNoLibrary: // the next one
		default:
			return nil, s.unavailable(r)
		}
	}
	return nil, s.unavailable(retNoLibrary)
}

// unavailable tells people what a failed nvmlInit means.
func (s *source) unavailable(r ret) error {
	e := &gpumetrics.UnavailableError{State: gpumetrics.DriverFailed}
	switch r {
	case retNoLibrary:
		e.State = gpumetrics.DriverLibraryNotFound
		where := s.candidates[0]
		if n := len(s.candidates) - 1; n > 0 {
			where += fmt.Sprintf(", and in %d folders where it usually is", n)
		}
		e.Text = fmt.Sprintf("NVIDIA's library was not found (looked for %s); install the driver, or in a container "+
			"let NVIDIA_DRIVER_CAPABILITIES contain utility", where)
	case retDriverNotLoaded, retUninitialized:
		e.State = gpumetrics.DriverNotLoaded
		e.Text = "NVIDIA's kernel module is not loaded; load it with modprobe nvidia"
	case retMismatch:
		return mismatch(s.version(), s.mapped)
	case retNoPermission:
		e.State = gpumetrics.DriverNoPermission
		e.Text = "this process may not use NVIDIA's driver; let it open /dev/nvidiactl and /dev/nvidia*"
	case retNoGPU:
		e.State = gpumetrics.DriverNoDevices
		e.Text = "NVIDIA's driver has no GPU; give the container one, or look for it with lspci"
	default:
		e.Text = fmt.Sprintf("nvmlInit failed with %s; see dmesg for NVRM messages", r.text())
	}
	return e
}

// mismatch is the error of a library that does not fit the kernel module.
func mismatch(module, library string) error {
	text := "NVIDIA's library and kernel module have different versions"
	switch {
	case differ(module, library):
		text += fmt.Sprintf(" (%s and %s)", library, module)
	case module != "":
		text += fmt.Sprintf(" (the module has %s)", module)
	}
	return &gpumetrics.UnavailableError{
		State: gpumetrics.DriverMismatch, Terminal: true,
		Text: text + ", as after a driver upgrade; load the module that fits, or reboot, and restart this process: it keeps the library it has",
	}
}

// enumerate lists the GPUs and their MIG instances. A GPU that does not even tell its UUID is left
// out, and the others go on.
func (s *session) enumerate() error {
	count, r := s.lib.number(callCount)
	if r != retSuccess {
		return failed("nvmlDeviceGetCount", r)
	}
	versions := s.versions()
	s.driver, s.count = versions.DriverVersion, count[0]
	var problem error
	for i := range int(min(count[0], maxGPUs)) {
		h, r := s.lib.gpu(i)
		if r != retSuccess {
			problem = errors.Join(problem, fmt.Errorf("GPU %d: %s", i, r.text()))
			continue
		}
		if err := s.add(h, i, versions); err != nil {
			problem = errors.Join(problem, fmt.Errorf("GPU %d: %w", i, err))
		}
	}
	switch {
	case len(s.devices) > 0:
		return nil
	case problem != nil:
		return &gpumetrics.UnavailableError{
			State: gpumetrics.DriverFailed,
			Text:  "no GPU answers; see dmesg for Xid messages: " + strings.ReplaceAll(problem.Error(), "\n", ", "),
		}
	default:
		return &gpumetrics.UnavailableError{
			State: gpumetrics.DriverNoDevices,
			Text:  "NVIDIA's driver has no GPU; give the container one, or look for it with lspci",
		}
	}
}

// maxGPUs bounds what an absurd count can cost. NVML itself has room for far fewer.
const maxGPUs = 256

func failed(function string, r ret) error {
	return &gpumetrics.UnavailableError{
		State: gpumetrics.DriverFailed, Text: fmt.Sprintf("%s failed with %s; see dmesg for NVRM messages", function, r.text()),
	}
}

// add adds a GPU and its instances.
func (s *session) add(h handle, index int, versions gpumetrics.Info) error {
	uuid, r := h.text(callUUID)
	if r != retSuccess || uuid == "" {
		return errors.New(r.text())
	}
	info := describe(h, versions)
	info.ID, info.Index = uuid, index
	gpu := newDevice(s, h, nil, info)
	s.devices = append(s.devices, gpu)
	if !info.MIGEnabled {
		return nil
	}
	parts, _ := instances(h) // one that cannot be listed now is found when the GPU is sampled
	for _, instance := range parts {
		part := newDevice(s, instance.handle, gpu, describeInstance(instance, info))
		gpu.instances = append(gpu.instances, part.info.ID)
		s.devices = append(s.devices, part)
	}
	return nil
}
