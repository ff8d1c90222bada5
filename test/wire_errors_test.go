package test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/simtest"
)

// TestErrorsOfEveryGenerationAreRead has engines of every generation refuse a request, and fail in the middle of a stream.
func TestErrorsOfEveryGenerationAreRead(t *testing.T) {
	for _, tt := range []struct {
		dialect            sim.Dialect
		name               string
		refused, malformed string // what the bodies hold
		event, code        string // what the event of a stream holds, and the code that is read from it
	}{
		{
			dialect: sim.DialectNew, name: "today", refused: `{"error":{"message":"The model`, malformed: `"type":"Bad Request"`,
			event: `data: {"error": {"message": "Internal server error", "type": "InternalServerError", "param": null, "code": 500}}`, code: "500",
		},
		{
			dialect: sim.DialectV0, name: "up to 0.10.0", refused: `{"object":"error","message":"The model`, malformed: `{"object":"error",`,
			event: `data: {"error": {"object": "error", "message": "Internal server error", "type": "InternalServerError", "param": null, "code": 500}}`, code: "500",
		},
		{
			dialect: sim.DialectRust, name: "in Rust", refused: `"type":"invalid_request_error","param":"model","code":"model_not_found"}}`, malformed: `"code":"json_parse_error"}}`,
			event: `data: {"error":{"message":"Internal server error","type":"server_error","param":null,"code":"server_error"}}`, code: "server_error",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake, base := simtest.Start(t, sim.Config{Model: "tiny", Errors: tt.dialect, Timing: sim.Timing{Step: time.Millisecond}})
			g := newEndpointGateway(t, base)
			post := func(body string) (string, otelvllm.Call) {
				t.Helper()
				resp, err := http.Post(g.front+"/v1/completions", "application/json", strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				answer, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				return string(answer), <-g.calls
			}
			if answer, call := post(`{"model":"nope","prompt":"a"}`); !strings.Contains(answer, tt.refused) || call.Outcome != otelvllm.Rejected || call.ErrorType != "404" {
				t.Errorf("a model that does not exist: got %s, %q for %s", call.Outcome, call.ErrorType, answer)
			}
			if answer, call := post(`{"model":`); !strings.Contains(answer, tt.malformed) || call.Outcome != otelvllm.Rejected || call.ErrorType != "400" {
				t.Errorf("no JSON: got %s, %q for %s", call.Outcome, call.ErrorType, answer)
			}
			fake.Fault(sim.ErrorEvent)
			if answer, call := post(`{"model":"tiny","prompt":"a","stream":true,"max_tokens":9,"ignore_eos":true}`); !strings.Contains(answer, tt.event) || call.Outcome != otelvllm.Failed || call.ErrorType != tt.code {
				t.Errorf("an error event: got %s, %q for %s", call.Outcome, call.ErrorType, answer)
			}
		})
	}
}
