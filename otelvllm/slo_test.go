package otelvllm

import (
	"slices"
	"testing"
	"time"
)

func TestSLOJudgesWhatApplies(t *testing.T) {
	slo := SLO{TimeToFirstToken: time.Second, TimePerOutputToken: 50 * time.Millisecond, Total: 10 * time.Second}
	stream := Call{
		Outcome: Completed, Stream: true, Duration: 2 * time.Second, TimeToFirstToken: 500 * time.Millisecond,
		Usage: Usage{Output: Tokens{N: 101, Known: true}},
	}
	with := func(change func(*Call)) Call { c := stream; change(&c); return c }
	for _, tt := range []struct {
		name string
		slo  SLO
		call Call
		want []verdict
	}{
		{"a good stream meets all", slo, stream, []verdict{{"time_to_first_token", true}, {"time_per_output_token", true}, {"total", true}, {"all", true}}},
		{"a late first token misses one and all", slo, with(func(c *Call) { c.TimeToFirstToken = 1500 * time.Millisecond }), []verdict{{"time_to_first_token", false}, {"time_per_output_token", true}, {"total", true}, {"all", false}}},
		{"slow tokens miss one and all", slo, with(func(c *Call) { c.Duration = 9 * time.Second }), []verdict{{"time_to_first_token", true}, {"time_per_output_token", false}, {"total", true}, {"all", false}}},
		{"exactly the limit is met", SLO{Total: 2 * time.Second}, stream, []verdict{{"total", true}, {"all", true}}},
		{"an answer that is not streamed has a total alone", slo, with(func(c *Call) { c.Stream = false }), []verdict{{"total", true}, {"all", true}}},
		{"a failed request meets nothing", slo, with(func(c *Call) { c.Outcome = Failed }), []verdict{{"time_to_first_token", false}, {"time_per_output_token", false}, {"total", false}, {"all", false}}},
		{"a rejected request does not count", slo, with(func(c *Call) { c.Outcome = Rejected }), nil},
		{"a request whose caller left does not count", slo, with(func(c *Call) { c.Outcome = CallerLeft }), nil},
		{"no promise, no verdict", SLO{}, stream, nil},
		{"unknown token counts leave their objective out", slo, with(func(c *Call) { c.Usage = Usage{} }), []verdict{{"time_to_first_token", true}, {"total", true}, {"all", true}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.slo.judge(&tt.call); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
