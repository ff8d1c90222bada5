package sim_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

// An engine is a handler. A wedged one looks healthy and answers nothing.
func Example() {
	engine := sim.New(sim.Config{})
	server := httptest.NewServer(engine)
	defer server.Close()
	client := http.Client{Timeout: 500 * time.Millisecond}
	complete := func() {
		res, err := client.Post(server.URL+"/v1/completions", "application/json",
			strings.NewReader(`{"prompt":"The queue is","max_tokens":4}`))
		if err != nil {
			fmt.Println("no answer")
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		fmt.Println(res.Status, strings.Contains(string(body), `"usage":{"prompt_tokens":4,"total_tokens":8,"completion_tokens":4`))
	}

	complete()
	engine.Fault(sim.Wedge)
	complete()
	health, err := client.Get(server.URL + "/health")
	if err == nil {
		fmt.Println("health", health.Status)
		health.Body.Close()
	}
	engine.Clear()
	complete()
	// Output:
	// 200 OK true
	// no answer
	// health 200 OK
	// 200 OK true
}
