package dashboards

// energyPerToken is vllm.request.gpu.energy_per_token, whose unit is J/{token}.
const energyPerToken = "vllm_request_gpu_energy_per_token_joules"

func gpuLinkPanels() []panel {
	up := panel{title: "Links that are down", unit: "short", about: "One that is down slows every collective.", queries: []query{{
		expr: `count by (hw_parent) (hw_network_up{` + ofPart + `}) - sum by (hw_parent) (hw_network_up{` + ofPart + `})`, legend: "{{hw_parent}}",
	}}}
	speed := panel{title: "Speed of the slowest link", unit: "Bps", queries: []query{{expr: `min by (hw_parent) (hw_network_bandwidth_limit_bytes_per_second{` + ofPart + `})`, legend: "{{hw_parent}}"}}}
	lanes := one("PCIe lanes", "short", "nvidia_gpu_pcie_link_width", "{{hw_id}}", "Fewer than it has: seat the card or its riser again.")
	lanes.queries = append(lanes.queries, asTold("nvidia_gpu_pcie_link_width_limit", "has {{hw_id}}"))
	generation := one("PCIe generation", "short", "nvidia_gpu_pcie_link_generation_ratio", "{{hw_id}}", "An idle GPU lowers it.")
	generation.queries = append(generation.queries, asTold("nvidia_gpu_pcie_link_generation_limit_ratio", "highest {{hw_id}}"))
	return []panel{
		rateOf("Between GPUs", "Bps", "hw_network_io_bytes_total", "network_io_direction", "{{hw_id}} {{network_io_direction}}", "Near zero on busy GPUs of one engine: they spin in a collective."),
		up, speed,
		rateOf("PCIe", "Bps", "hw_gpu_io_bytes_total", "network_io_direction", "{{hw_id}} {{network_io_direction}}", ""),
		one("PCIe, as the driver samples it", "Bps", "nvidia_gpu_pcie_throughput_bytes_per_second", "{{hw_id}} {{network_io_direction}}", "Where it is asked for."),
		lanes, generation,
		where(one("Fabric: state", "short", "nvidia_gpu_fabric_state", "{{hw_id}} {{nvidia_gpu_fabric_state}}", ""), "", " == 1"),
		one("Fabric: checks", "bool", "nvidia_gpu_fabric_health_ratio", "{{hw_id}} {{nvidia_gpu_fabric_check}}", ""),
	}
}

func gpuRepairPanels() []panel {
	return []panel{
		rateOf("Errors", "ops", "hw_errors_total", "error_type", "{{hw_id}} {{error_type}}", "Memory (corrected, uncorrected), PCIe and links. A few corrected ones are normal; their rate matters."),
		rateOf("Memory errors by place", "ops", "nvidia_gpu_ecc_errors_total", "error_type, nvidia_gpu_memory_location", "{{hw_id}} {{error_type}} {{nvidia_gpu_memory_location}}", ""),
		one("Memory errors that the card remembers", "short", "nvidia_gpu_ecc_lifetime", "{{hw_id}} {{error_type}}", ""),
		one("Too many SRAM errors", "bool_yes_no", "nvidia_gpu_ecc_sram_threshold_exceeded", "{{hw_id}}", ""),
		one("Rows remapped", "short", "nvidia_gpu_memory_remapped_rows", "{{hw_id}} {{error_type}}", ""),
		one("A row waits to be remapped", "bool_yes_no", "nvidia_gpu_memory_remap_pending", "{{hw_id}}", "Reset the GPU when it suits."),
		one("A row could not be remapped", "bool_yes_no", "nvidia_gpu_memory_remap_failure", "{{hw_id}}", "Take the card out of service."),
		one("Banks by spare rows left", "short", "nvidia_gpu_memory_remap_banks", "{{hw_id}} {{nvidia_gpu_memory_remap_availability}}", ""),
		one("Retired pages", "short", "nvidia_gpu_memory_retired_pages", "{{hw_id}} {{nvidia_gpu_memory_retired_pages_cause}}", "Up to Volta and Turing."),
		one("A page waits to be retired", "bool_yes_no", "nvidia_gpu_memory_retired_pages_pending", "{{hw_id}}", ""),
	}
}

func gpuRarePanels() []panel {
	bar := one("BAR1", "bytes", "nvidia_gpu_bar1_usage_bytes", "{{hw_id}}", "The window through which the host sees the memory.")
	bar.queries = append(bar.queries, query{expr: `nvidia_gpu_bar1_limit_bytes{` + ofGPU + `}`, legend: "size {{hw_id}}"})
	protected := one("Protected memory", "bytes", "nvidia_gpu_memory_protected_usage_bytes", "{{hw_id}}", "Of confidential computing.")
	protected.queries = append(protected.queries, asTold("nvidia_gpu_memory_protected_limit_bytes", "size {{hw_id}}"))
	return []panel{
		share(where(one("Coders, JPEG, optical flow", "", "hw_gpu_utilization_ratio", "{{hw_id}} {{hw_gpu_task}}", ""), `hw_gpu_task!="general"`, "")),
		share(where(one("Tensor cores, by pipe", "", "nvidia_gpu_tensor_utilization_ratio", "{{hw_id}} {{nvidia_gpu_tensor_pipe}}", ""), `nvidia_gpu_tensor_pipe!="any"`, "")),
		share(one("Graphics or compute engine", "", "nvidia_gpu_graphics_utilization_ratio", "{{hw_id}}", "")),
		share(one("Occupancy", "", "nvidia_gpu_sm_occupancy_ratio", "{{hw_id}}", "")),
		share(one("Floating point", "", "nvidia_gpu_fp_utilization_ratio", "{{hw_id}} {{nvidia_gpu_fp_precision}}", "")),
		share(one("Matrix instructions stalled", "", "nvidia_gpu_mma_stall_utilization_ratio", "{{hw_id}}", "")),
		bar, protected,
		one("Power of module and memory", "watt", "nvidia_gpu_power_draw_watts", "{{hw_id}} {{nvidia_gpu_power_scope}}", ""),
		one("Limits of power", "watt", "nvidia_gpu_power_limit_watts", "{{hw_id}} {{nvidia_gpu_power_limit_kind}}", ""),
		one("Factor of the limit on peak current", "percentunit", "nvidia_gpu_power_edpp_ratio", "{{hw_id}}", ""),
		one("Persistence", "bool_on_off", "nvidia_gpu_persistence", "{{hw_id}}", "Off: the first program waits seconds for the driver."),
		one("Confidential computing", "bool_on_off", "nvidia_gpu_confidential_compute", "{{hw_id}}", ""),
		one("Parts of divided GPUs", "short", "nvidia_gpu_mig_instances", "{{hw_id}}", ""),
		{
			title: "What they are", kind: kindTable, w: 24, h: 11, none: "no GPU is read", sortBy: "Number", queries: []query{{expr: `nvidia_gpu_info_ratio{` + ofGPU + `}`}},
			columns: []column{
				{"hw_id", "GPU", "", nil, nil},
				{"hw_name", "Model", "", nil, nil},
				{"instance", "Instance", "", nil, nil},
				{"nvidia_gpu_index", "Number", "", nil, nil},
				{"nvidia_gpu_pci_bus_id", "PCI", "", nil, nil},
				{"hw_driver_version", "Driver", "", nil, nil},
				{"nvidia_gpu_cuda_version", "CUDA", "", nil, nil},
				{"hw_firmware_version", "VBIOS", "", nil, nil},
				{"nvidia_gpu_ecc_mode", "ECC", "", nil, nil},
				{"nvidia_mig_profile", "MIG", "", nil, nil},
			},
		},
	}
}

func gpuSamplerPanels() []panel {
	took := quantileOf(0.95, "nvidia_gpu_sampler_duration_seconds", "hw_id, nvidia_gpu_sampler_tier", ofGPU)
	return []panel{
		one("Age of the readings", "s", "nvidia_gpu_sampler_age_seconds", "{{hw_id}}", ""),
		one("A driver call does not return", "bool_yes_no", "nvidia_gpu_sampler_wedged_ratio", "{{hw_id}}", "For five seconds or more."),
		one("The present driver call lasts", "s", "nvidia_gpu_sampler_inflight_duration_seconds", "{{hw_id}}", ""),
		{title: "Readings take, p95", unit: "s", queries: []query{{expr: took, legend: "{{hw_id}} {{nvidia_gpu_sampler_tier}}"}}},
		{title: "Slow readings", unit: "ops", queries: []query{{expr: `sum by (hw_id) (rate(nvidia_gpu_sampler_slow_total{` + ofGPU + `}[$__rate_interval]))`, legend: "{{hw_id}}"}}},
		rateOf("Readings that failed", "ops", "nvidia_gpu_sampler_errors_total", "error_type", "{{hw_id}} {{error_type}}", ""),
		{title: "Since the driver last answered the wait for events", unit: "s", queries: []query{{expr: `nvidia_gpu_sampler_event_age_seconds{` + ofInstance + `}`, legend: "{{instance}}"}}},
	}
}
