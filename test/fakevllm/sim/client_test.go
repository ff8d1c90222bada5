package sim_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

// client talks to an engine the way the tests need it.
type client struct {
	t    *testing.T
	http *http.Client
}

const base = "http://engine"

func (c client) request(ctx context.Context, method, path, body string) *http.Request {
	c.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return req
}

func (c client) do(method, path, body string) (*http.Response, error) {
	c.t.Helper()
	return c.http.Do(c.request(c.t.Context(), method, path, body))
}

// read posts and returns status, body and what the transport said.
func (c client) read(method, path, body string) (status int, text string, err error) {
	c.t.Helper()
	res, err := c.do(method, path, body)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

// usage is the part of an answer that the tests count with.
type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Details    *struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

// stream is what came of one stream.
type stream struct {
	begin   time.Time
	headers time.Time
	times   []time.Time // of the events with content
	text    string
	finish  []string
	usage   *usage
	failure string // data of an error event
	done    bool
	err     error // of the transport
	status  int
	id      string
}

// open posts a request for a stream and reads it to its end.
func (c client) open(ctx context.Context, path, body string) (s stream) {
	c.t.Helper()
	s.begin = time.Now()
	res, err := c.http.Do(c.request(ctx, http.MethodPost, path, body))
	if err != nil {
		s.err = err
		return s
	}
	defer res.Body.Close()
	s.status, s.headers = res.StatusCode, time.Now()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		switch {
		case !ok:
		case data == "[DONE]":
			s.done = true
		case strings.HasPrefix(data, `{"error"`):
			s.failure = data
		default:
			s.event(c.t, data)
		}
	}
	s.err = lines.Err()
	return s
}

func (s *stream) event(t *testing.T, data string) {
	t.Helper()
	var e struct {
		ID      string `json:"id"`
		Choices []struct {
			Text  string `json:"text"`
			Delta struct {
				Content string `json:"content"`
			} `json:"delta"`
			Finish string `json:"finish_reason"`
		} `json:"choices"`
		Usage *usage `json:"usage"`
	}
	if err := json.Unmarshal([]byte(data), &e); err != nil {
		t.Errorf("event %s: %v", data, err)
	}
	s.id = e.ID
	for _, c := range e.Choices {
		if text := c.Text + c.Delta.Content; text != "" {
			s.text += text
			s.times = append(s.times, time.Now())
		}
		if c.Finish != "" {
			s.finish = append(s.finish, c.Finish)
		}
	}
	if e.Usage != nil {
		s.usage = e.Usage
	}
}

// first is the time to the first content.
func (s stream) first() time.Duration {
	if len(s.times) == 0 {
		return -1
	}
	return s.times[0].Sub(s.begin)
}

// chat returns the body of a streamed chat whose answer has n tokens.
func chat(content string, n int) string {
	return fmt.Sprintf(`{"messages":[{"role":"user","content":%q}],"max_tokens":%d,"ignore_eos":true,"stream":true,"stream_options":{"include_usage":true}}`, content, n)
}

// promptTokens is how many tokens chat's prompt has.
func promptTokens(content string) int { return 5 + sim.CountTokens(content) }

// metric returns the sum of a series over its labels; want are label pairs that have to be there.
func metric(t *testing.T, text []byte, name string, want ...string) float64 {
	t.Helper()
	sum, found := 0.0, false
	for _, line := range strings.Split(string(text), "\n") {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		for _, label := range want {
			ok = ok && strings.Contains(rest, label)
		}
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			t.Errorf("series %s: %v", line, err)
		}
		sum, found = sum+v, true
	}
	if !found {
		t.Errorf("no series %s with %q", name, want)
	}
	return sum
}

// wasCut says whether a stream ended without its last chunk.
func (s stream) wasCut() bool { return errors.Is(s.err, io.ErrUnexpectedEOF) }

// whole posts a request for an answer in one piece and returns what a stream would have told.
func whole(t *testing.T, c client, path, body string) (s stream) {
	t.Helper()
	s.begin = time.Now()
	status, text, err := c.read(http.MethodPost, path, body)
	s.status, s.err = status, err
	if err != nil || status != http.StatusOK {
		s.failure = text
		return s
	}
	s.event(t, text)
	return s
}
