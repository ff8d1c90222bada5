package nvml

import "strings"

// moduleVersion returns the version of the driver's kernel module, or nothing where it is not told.
func moduleVersion(read func(path string) ([]byte, error)) string {
	if text, err := read("/sys/module/nvidia/version"); err == nil {
		if v := strings.TrimSpace(string(text)); isVersion(v) {
			return v
		}
	}
	// NVRM version: NVIDIA UNIX x86_64 Kernel Module  590.48.01  Mon Dec  8 12:00:00 UTC 2025
	// NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  590.48.01  Release Build ...
	text, err := read("/proc/driver/nvidia/version")
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for word := range strings.FieldsSeq(line) {
		if isVersion(word) {
			return word
		}
	}
	return ""
}

// isVersion tells whether s is two or more numbers with points between them.
func isVersion(s string) bool {
	parts := strings.Split(s, ".")
	for _, part := range parts {
		if part == "" || strings.Trim(part, "0123456789") != "" {
			return false
		}
	}
	return len(parts) > 1
}

// libraryVersion returns the driver's version that an NVML version such as "13.590.48.01" is of.
func libraryVersion(nvml string) string {
	if _, v, ok := strings.Cut(nvml, "."); ok && isVersion(v) {
		return v
	}
	return ""
}

// differ tells whether two versions are known and not the same.
func differ(module, library string) bool { return module != "" && library != "" && module != library }
