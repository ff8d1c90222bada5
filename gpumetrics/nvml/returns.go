package nvml

import "strconv"

// ret is what a function of NVML returned (nvmlReturn_t). NVML's own texts are not asked for: that
// would be another call into a library that may be in a bad state.
type ret int32

const (
	retSuccess         ret = 0
	retUninitialized   ret = 1
	retInvalidArgument ret = 2
	retNotSupported    ret = 3
	retNoPermission    ret = 4
	retNotFound        ret = 6
	retInsufficient    ret = 7
	retDriverNotLoaded ret = 9
	retTimeout         ret = 10
	retIRQ             ret = 11
	retNoLibrary       ret = 12
	retNoFunction      ret = 13
	retLost            ret = 15
	retResetRequired   ret = 16
	retOS              ret = 17
	retMismatch        ret = 18
	retInUse           ret = 19
	retMemory          ret = 20
	retNoData          ret = 21
	retArgumentVersion ret = 25
	retDeprecated      ret = 26
	retNotReady        ret = 27
	retNoGPU           ret = 28
	retUnknown         ret = 999

	// The following are this package's own.

	// retPanic: go-nvml's wrapper panicked.
	retPanic ret = -1
	// retAbsurd: the driver said success and told what cannot be.
	retAbsurd ret = -2
	// retBusy: another GPU's call that may not run beside this one has not returned.
	retBusy ret = -3
)

var retNames = map[ret]string{
	retSuccess: "NVML_SUCCESS", retUninitialized: "NVML_ERROR_UNINITIALIZED", retInvalidArgument: "NVML_ERROR_INVALID_ARGUMENT",
	retNotSupported: "NVML_ERROR_NOT_SUPPORTED", retNoPermission: "NVML_ERROR_NO_PERMISSION", 5: "NVML_ERROR_ALREADY_INITIALIZED",
	retNotFound: "NVML_ERROR_NOT_FOUND", retInsufficient: "NVML_ERROR_INSUFFICIENT_SIZE", 8: "NVML_ERROR_INSUFFICIENT_POWER",
	retDriverNotLoaded: "NVML_ERROR_DRIVER_NOT_LOADED", retTimeout: "NVML_ERROR_TIMEOUT", retIRQ: "NVML_ERROR_IRQ_ISSUE",
	retNoLibrary: "NVML_ERROR_LIBRARY_NOT_FOUND", retNoFunction: "NVML_ERROR_FUNCTION_NOT_FOUND", 14: "NVML_ERROR_CORRUPTED_INFOROM",
	retLost: "NVML_ERROR_GPU_IS_LOST", retResetRequired: "NVML_ERROR_RESET_REQUIRED", retOS: "NVML_ERROR_OPERATING_SYSTEM",
	retMismatch: "NVML_ERROR_LIB_RM_VERSION_MISMATCH", retInUse: "NVML_ERROR_IN_USE", retMemory: "NVML_ERROR_MEMORY",
	retNoData: "NVML_ERROR_NO_DATA", 22: "NVML_ERROR_VGPU_ECC_NOT_SUPPORTED", 23: "NVML_ERROR_INSUFFICIENT_RESOURCES",
	24: "NVML_ERROR_FREQ_NOT_SUPPORTED", retArgumentVersion: "NVML_ERROR_ARGUMENT_VERSION_MISMATCH",
	retDeprecated: "NVML_ERROR_DEPRECATED", retNotReady: "NVML_ERROR_NOT_READY", retNoGPU: "NVML_ERROR_GPU_NOT_FOUND",
	29: "NVML_ERROR_INVALID_STATE", 30: "NVML_ERROR_RESET_TYPE_NOT_SUPPORTED", retUnknown: "NVML_ERROR_UNKNOWN",
	retPanic: "panic", retAbsurd: "implausible", retBusy: "busy",
}

// String returns the name in nvml.h. A number that it does not have is "_OTHER": the name is the
// value of an attribute, so there must be few.
func (r ret) String() string {
	if name, ok := retNames[r]; ok {
		return name
	}
	return "_OTHER"
}

// text is String for people, with the number where there is no name.
func (r ret) text() string {
	if _, ok := retNames[r]; ok {
		return r.String()
	}
	return "NVML error " + strconv.Itoa(int(r))
}

// class says what a return value means for what is done next.
type class uint8

const (
	// classOK: the answer counts.
	classOK class = iota
	// classNever: this GPU, driver or mode does not have it.
	classNever
	// classDenied: this process may not ask; maybe later.
	classDenied
	// classLater: no answer this time.
	classLater
	// classSick: no answer and a bad sign; several in a row are a reason to leave the GPU alone.
	classSick
	// classLost: the driver has lost the GPU.
	classLost
	// classLibrary: the library must be closed and opened.
	classLibrary
)

func (r ret) class() class {
	switch r {
	case retSuccess:
		return classOK
	case retNotSupported, retNoFunction, retArgumentVersion, retInvalidArgument, retDeprecated, 22:
		return classNever
	case retNoPermission:
		return classDenied
	case retLost, retNoGPU, retResetRequired, retOS:
		return classLost
	case retUninitialized, retDriverNotLoaded, retNoLibrary, retMismatch:
		return classLibrary
	case retUnknown, retMemory, retIRQ, retPanic:
		return classSick
	default:
		return classLater
	}
}
