package gpumetrics

// XIDInfo says what one of NVIDIA's error codes means and what NVIDIA says to do.
type XIDInfo struct {
	Code int
	Name string
	// Action is one of "ignore", "restart_app", "reset_gpu", "restart_machine", "restart_vm",
	// "check_link" (look at the cable, switch or neighbour first), "follow_workflow" (NVIDIA's
	// catalogue has steps to take) and "look_up" for codes that are not in this table.
	Action string
}

// actions are the values that Action can have.
var actions = []string{"ignore", "restart_app", "reset_gpu", "restart_machine", "restart_vm", "check_link", "follow_workflow", "look_up"}

// XID returns what is known of a code.
func XID(code int) XIDInfo {
	for _, x := range xids {
		if x.Code == code {
			return x
		}
	}
	return XIDInfo{Code: code, Name: "unknown", Action: "look_up"}
}

// xids is in the order of codes. Names and actions are those of NVIDIA's catalogue, in fewer words.
var xids = []XIDInfo{
	{13, "graphics engine exception", "restart_app"},
	{31, "memory page fault", "restart_app"},
	{43, "channel stopped after an error of the program", "ignore"},
	{45, "channels removed while a program ended", "follow_workflow"},
	{46, "GPU stopped processing", "reset_gpu"},
	{48, "uncorrectable memory error", "follow_workflow"},
	{62, "internal micro-controller halted", "reset_gpu"},
	{63, "page retired or row remapped", "ignore"},
	{64, "page retirement or row remapping failed", "reset_gpu"},
	{69, "graphics engine class error", "restart_app"},
	{74, "NVLink error", "check_link"},
	{79, "GPU has fallen off the bus", "restart_machine"},
	{80, "corrupted data sent to the GPU", "restart_app"},
	{92, "many correctable memory errors", "ignore"},
	{94, "contained memory error", "restart_app"},
	{95, "uncontained memory error", "reset_gpu"},
	{109, "context switch timed out", "reset_gpu"},
	{110, "security fault", "reset_gpu"},
	{119, "GSP firmware does not answer", "reset_gpu"},
	{120, "GSP firmware error", "reset_gpu"},
	{121, "link to the CPU (C2C) corrected an error", "ignore"},
	{136, "link training failed", "reset_gpu"},
	{137, "NVLink fault of a peer reached this GPU", "ignore"},
	{140, "unrecovered memory error", "reset_gpu"},
	{143, "GPU initialization failed", "reset_gpu"},
	{144, "NVLink: SAW error", "check_link"},
	{145, "NVLink: RLW error", "check_link"},
	{146, "NVLink: TLW error", "check_link"},
	{147, "NVLink: TREX error", "check_link"},
	{148, "NVLink: NVLPW_CTRL error", "check_link"},
	{149, "NVLink: NETIR error", "check_link"},
	{150, "NVLink: MSE error", "check_link"},
	{151, "key rotation failed", "restart_vm"},
	{154, "the action that the driver asks for has changed", "follow_workflow"},
	{155, "NVLink: software-defined error", "reset_gpu"},
	{156, "resource retired", "reset_gpu"},
	{157, "resource retirement failed", "ignore"},
	{158, "GPU fatal time-out", "reset_gpu"},
	{160, "channel retirement failed", "ignore"},
}

// expectedXIDs have a series from the start, since a rate cannot see a counter that begins with 1.
var expectedXIDs = []int{13, 31, 43, 45, 48, 63, 64, 74, 79, 94, 95, 119, 120, 145, 149, 154}

// fatalXIDs mean that the GPU computes nothing more before it is reset or the machine restarts.
func fatalXID(code int) bool {
	switch XID(code).Action {
	case "reset_gpu", "restart_machine":
		return true
	default:
		return false
	}
}

// brokenDriverXID tells of codes after which calls for any GPU of the machine have been seen to hang.
func brokenDriverXID(code int) bool { return code == 79 || code == 119 }
