package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/otelvllm/otelvllm-go/examples/gateway/sidecar"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

// tour sends requests and prints what was recorded of them.
type tour struct {
	out     io.Writer
	spans   *collector
	gateway *sidecar.Sidecar
	base    string
}

// stop is one request of the tour.
type stop struct {
	title, path, body, fault string
}

var stops = []stop{
	{
		"a streamed chat: the caller did not ask for token counts, and gets none; the trace has them", "/v1/chat/completions",
		`{"model":"` + model + `","stream":true,"max_tokens":48,"ignore_eos":true,"messages":[{"role":"user","content":"Why is my request slow?"}]}`, "",
	},
	{"a completion, not streamed", "/v1/completions", `{"model":"` + model + `","prompt":"Once upon a time","max_tokens":32,"ignore_eos":true}`, ""},
	{"embeddings", "/v1/embeddings", `{"model":"` + model + `","input":["one text","and another"]}`, ""},
}

var hanging = stop{
	"a chat whose engine hangs after some tokens", "/v1/chat/completions",
	`{"model":"` + model + `","stream":true,"max_tokens":400,"ignore_eos":true,"messages":[{"role":"user","content":"Count to a thousand"}]}`, "hang-decode",
}

// take sends each request and shows its trace; the last one while it hangs, too.
func (t *tour) take(ctx context.Context) error {
	for i, s := range stops {
		fmt.Fprintf(t.out, "%d. %s\n", i+1, s.title)
		id := newTraceID()
		if err := t.send(ctx, s, id); err != nil {
			return err
		}
		if err := t.show(ctx, id); err != nil {
			return err
		}
	}
	return t.hang(ctx, len(stops)+1)
}

// hang sends the request that hangs, waits for the finding, and then leaves.
func (t *tour) hang(ctx context.Context, number int) error {
	fmt.Fprintf(t.out, "%d. %s\n", number, hanging.title)
	id := newTraceID()
	caller, leave := context.WithCancel(ctx)
	defer leave()
	done := make(chan error, 1)
	go func() { done <- t.send(caller, hanging, id) }()

	finding, err := t.waitForFinding(ctx, done)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "   The request still hangs, and this has left already:\n")
	fmt.Fprintf(t.out, "     finding  %s\n     what     %s\n     remedy   %s\n", finding.Code, finding.Summary, wrap(finding.Remedy, 86, "              "))
	fmt.Fprintf(t.out, "     span     %s\n\n", t.spans.stallLine(id))
	fmt.Fprintln(t.out, "   Now the caller gives up:")
	leave()
	<-done //nolint:errcheck // the error is that we left
	return t.show(ctx, id)
}

// namingTime is how long a busy machine may take to read the engine often enough to name the cause.
const namingTime = 3 * time.Second

// waitForFinding returns the first finding of the watchdog that names a cause, or after a while the
// first one.
func (t *tour) waitForFinding(ctx context.Context, done <-chan error) (watchdog.Finding, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(5 * stallAfter)
	var first time.Time
	for {
		if f := t.gateway.Watchdog.Findings(); len(f) > 0 {
			if first.IsZero() {
				first = time.Now()
			}
			named := f[0].Code != watchdog.NoProgress && f[0].Code != watchdog.RequestStarved
			if named || time.Since(first) > namingTime {
				return f[0], nil
			}
		}
		select {
		case err := <-done:
			return watchdog.Finding{}, fmt.Errorf("the request that should hang ended: %w", err)
		case <-limit:
			return watchdog.Finding{}, fmt.Errorf("the hanging request was not found within %s", 5*stallAfter)
		case <-ctx.Done():
			return watchdog.Finding{}, ctx.Err()
		case <-tick.C:
		}
	}
}

// send makes one request and reads the whole answer.
func (t *tour) send(ctx context.Context, s stop, traceID string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.base+s.path, strings.NewReader(s.body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Traceparent", "00-"+traceID+"-"+traceID[:16]+"-01")
	if s.fault != "" {
		req.Header.Set("X-Fake-Fault", s.fault)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s: %s", s.path, resp.Status, answer)
	}
	return nil
}

// show prints the trace once its SERVER span has ended.
func (t *tour) show(ctx context.Context, id string) error {
	tree, err := t.spans.tree(ctx, id)
	if err != nil {
		return err
	}
	fmt.Fprintln(t.out, tree)
	return nil
}

func newTraceID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// wrap breaks a text into lines of at most width bytes, each but the first behind the indent.
func wrap(text string, width int, indent string) string {
	var b strings.Builder
	length := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case length == 0:
		case length+1+len(word) > width:
			b.WriteString("\n" + indent)
			length = 0
		default:
			b.WriteByte(' ')
			length++
		}
		b.WriteString(word)
		length += len(word)
	}
	return b.String()
}
