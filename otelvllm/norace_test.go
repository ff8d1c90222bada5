//go:build !race

package otelvllm_test

const raceEnabled = false
