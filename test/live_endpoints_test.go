//go:build live

package test

import (
	"os"
	"testing"
)

// liveEndpointGateway is a gateway in front of the real engine at OTELVLLM_LIVE_ENGINE.
func liveEndpointGateway(t *testing.T) *endpointGateway {
	t.Helper()
	base := os.Getenv("OTELVLLM_LIVE_ENGINE")
	if base == "" {
		t.Skip("OTELVLLM_LIVE_ENGINE is not set to the base URL of a running vLLM")
	}
	return newEndpointGateway(t, base)
}

func TestLiveEveryEndpointIsReadAsTheTableSays(t *testing.T) {
	checkEndpoints(t, liveEndpointGateway(t))
}

func TestLiveTokenCountsAreTheEnginesOwn(t *testing.T) { checkCounts(t, liveEndpointGateway(t), 240) }
