package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Limits of a [Client] whose fields are zero.
const (
	DefaultTimeout    = 3 * time.Second
	DefaultMaxBytes   = 4 << 20
	DefaultMaxSamples = 50_000
)

// maxAnswer bounds the answers that are not metrics, in bytes.
const maxAnswer = 1 << 20

// maxModels bounds the names of models that are kept of one engine, maxName the length of a name in
// bytes.
const (
	maxModels = 64
	maxName   = 256
)

// Client asks one engine one question at a time. URL is required; zero values of the rest are
// usable. It is safe for concurrent use once its fields are set.
type Client struct {
	// URL is the engine's base URL, such as http://127.0.0.1:8000. A path of /v1 at its end is left
	// out, as the questions are asked beside it.
	URL string
	// HTTP sends the requests. Nil is a client like http.DefaultClient. Its redirects are followed on the
	// same host only.
	HTTP *http.Client
	// Timeout bounds one question, from sending it to the last byte of its answer. Zero means 3 s.
	Timeout time.Duration
	// MaxBytes bounds the body of /metrics. Zero means 4 MiB.
	MaxBytes int64
	// MaxSamples bounds the samples in it. Zero means 50,000.
	MaxSamples int

	host string // of the Host header, where the URL holds the address that a name resolved to
}

// Health asks /health and returns its status. An error means that there was no answer, or one that
// cannot be an engine's. Status 200 says that the API server answers, not that the engine works.
func (c *Client) Health(ctx context.Context) (status int, err error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	resp, err := c.get(ctx, "/health", "*/*")
	if err != nil {
		return 0, fmt.Errorf("ask for the health of the engine: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK && mediaType(resp) == "text/html" {
		return 0, fail("html", "ask for the health of the engine: the answer is a page, so it is not an engine's")
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, fmt.Errorf("ask for the health of the engine: %w", err)
	}
	return resp.StatusCode, nil
}

// Version asks /version and returns vLLM's version, such as "0.32.0".
func (c *Client) Version(ctx context.Context) (string, error) {
	var answer struct {
		Version string `json:"version"`
	}
	if err := c.getJSON(ctx, "/version", &answer); err != nil {
		return "", fmt.Errorf("ask for the version of the engine: %w", err)
	}
	return clean(answer.Version), nil
}

// Models asks /v1/models and returns the names that the engine serves, the model's own first, then
// its adapters; 64 names at most.
func (c *Client) Models(ctx context.Context) ([]string, error) {
	var answer struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := c.getJSON(ctx, "/v1/models", &answer); err != nil {
		return nil, fmt.Errorf("ask for the models of the engine: %w", err)
	}
	var names []string
	for _, m := range answer.Data {
		if m.ID != "" && len(names) < maxModels {
			names = append(names, clean(m.ID))
		}
	}
	return names, nil
}

// Load asks /load and returns the number of requests in the API server. It needs vLLM's
// --enable-server-load-tracking, without which it is always 0, and stays too high after some deaths
// of the engine.
func (c *Client) Load(ctx context.Context) (Value, error) {
	var answer struct {
		Load *float64 `json:"server_load"`
	}
	if err := c.getJSON(ctx, "/load", &answer); err != nil {
		return Value{}, fmt.Errorf("ask for the load of the engine: %w", err)
	}
	if answer.Load == nil || *answer.Load < 0 {
		return Value{}, nil
	}
	return known(*answer.Load), nil
}

// Paused asks /is_paused, which vLLM has with VLLM_SERVER_DEV_MODE=1 alone; elsewhere it is unknown,
// and so it is of an engine that does not answer.
func (c *Client) Paused(ctx context.Context) (Value, error) {
	var answer struct {
		Paused *bool `json:"is_paused"`
	}
	if err := c.getJSON(ctx, "/is_paused", &answer); err != nil {
		return Value{}, fmt.Errorf("ask whether the engine is paused: %w", err)
	}
	switch {
	case answer.Paused == nil:
		return Value{}, nil
	case *answer.Paused:
		return known(1), nil
	}
	return known(0), nil
}

// Scrape reads /metrics. It returns a whole snapshot or an error, never a part of one.
func (c *Client) Scrape(ctx context.Context) (*Snapshot, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	s, err := c.scrape(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the metrics of the engine: %w", err)
	}
	return s, nil
}

func (c *Client) scrape(ctx context.Context) (s *Snapshot, err error) {
	samples := c.MaxSamples
	if samples <= 0 {
		samples = DefaultMaxSamples
	}
	err = c.readMetrics(ctx, func(text io.Reader) error {
		s, err = parse(text, samples)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.Taken = time.Now()
	return s, nil
}

// readMetrics asks for /metrics as text and gives its body, bounded, to use.
func (c *Client) readMetrics(ctx context.Context, use func(io.Reader) error) error {
	// Text only: a negotiated protobuf body would be another parser. The trailing slash that some
	// servers redirect to leads to another format in vLLM, so there is none.
	resp, err := c.get(ctx, "/metrics", "text/plain;version=0.0.4, text/plain;q=0.5")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return statusFailure(resp)
	}
	switch media := mediaType(resp); media {
	case "text/html":
		return fail("html", "the answer is a page, so it is not an engine's")
	case "application/json", "application/vnd.google.protobuf":
		return fail("malformed", "the answer is %s, want text", media)
	}
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return fail("encoding", "the answer is compressed although that was not asked for")
	}
	limit := c.MaxBytes
	if limit <= 0 {
		limit = DefaultMaxBytes
	}
	if resp.ContentLength > limit {
		return fail("too_large", "the answer has %d bytes, more than %d", resp.ContentLength, limit)
	}
	return use(&cappedReader{r: resp.Body, left: limit, limit: limit})
}

// getJSON asks a question whose answer is a JSON object.
func (c *Client) getJSON(ctx context.Context, path string, into any) error {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	resp, err := c.get(ctx, path, "application/json")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return statusFailure(resp)
	}
	body, err := io.ReadAll(&cappedReader{r: resp.Body, left: maxAnswer, limit: maxAnswer})
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return &failure{"malformed", fmt.Errorf("decode the answer of %s: %w", path, err)}
	}
	return nil
}

func (c *Client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.Timeout > 0 {
		return context.WithTimeout(ctx, c.Timeout)
	}
	return context.WithTimeout(ctx, DefaultTimeout)
}

// get sends a GET. The body of the answer is not decompressed: nothing that is compressed is asked for.
func (c *Client) get(ctx context.Context, path, accept string) (*http.Response, error) {
	base, err := url.Parse(c.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fail("bad_url", "the engine's URL must be like http://host:8000")
	}
	base.Path = strings.TrimSuffix(strings.TrimSuffix(base.Path, "/"), "/v1") + path
	base.RawPath, base.RawQuery, base.Fragment = "", "", ""
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.String(), nil)
	if err != nil {
		return nil, &failure{"bad_url", err}
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "otelvllm")
	req.Host = c.host
	client := http.Client{}
	if c.HTTP != nil {
		client = *c.HTTP
	}
	client.CheckRedirect = sameHost(client.CheckRedirect)
	return client.Do(req)
}

func statusFailure(resp *http.Response) error {
	return fail(statusWord(resp.StatusCode), "the answer has status %d, want 200", resp.StatusCode)
}

func statusWord(status int) string {
	if status >= 100 && status <= 599 {
		return "status_" + strconv.Itoa(status)
	}
	return "status_other"
}

func mediaType(resp *http.Response) string {
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")) // "" if there is none
	return media
}

// clean bounds a name that an engine tells, and makes it valid UTF-8.
func clean(name string) string {
	if len(name) > maxName {
		name = name[:maxName]
	}
	return strings.ToValidUTF8(name, "\uFFFD")
}

// cappedReader fails when there is more to read than a limit.
type cappedReader struct {
	r           io.Reader
	left, limit int64
}

func (c *cappedReader) Read(p []byte) (int, error) {
	if int64(len(p)) > c.left+1 {
		p = p[:c.left+1]
	}
	n, err := c.r.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return n - 1, fail("too_large", "the answer has more than %d bytes", c.limit)
	}
	return n, err
}
