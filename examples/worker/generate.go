package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
)

// worker lets an engine generate what jobs ask for.
type worker struct {
	probe      engine.Client
	client     openai.Client
	waitReady  time.Duration
	propagator propagation.TextMapPropagator
	logger     *slog.Logger

	mu    sync.Mutex
	model string // of jobs that name none; empty until the engine has told it
}

// newWorker returns a worker for the engine of c. The transport carries the trace into the engine
// and reads tokens and times from its answer.
func newWorker(c *config, p propagation.TextMapPropagator, logger *slog.Logger, opts ...otelvllm.Option) *worker {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.MaxIdleConnsPerHost = c.concurrency
	return &worker{
		probe: engine.Client{URL: c.engine},
		client: openai.NewClient(
			option.WithBaseURL(strings.TrimSuffix(strings.TrimRight(c.engine, "/"), "/v1")+"/v1"), option.WithAPIKey(c.apiKey),
			option.WithHTTPClient(&http.Client{Transport: otelvllm.NewTransport(base, opts...)}),
		),
		waitReady: c.waitReady, propagator: p, logger: logger, model: c.model,
	}
}

// work does one job: the request span, and in it engine_init and generation.
//
// A caller who waits (/runsync) sees the job in its own trace. A job that waited in the queue (/run)
// gets a trace of its own, with a link to the request that brought it: that one ended long ago, and
// the time between is the queue's.
func (w *worker) work(ctx context.Context, t *task, emit func(string)) (any, error) {
	info := otelvllm.Info{Operation: t.input.operation(), Model: t.input.Model, Route: "/run", Stream: true}
	if info.Model == "" {
		info.Model = w.ownModel()
	}
	origin := w.propagator.Extract(ctx, t.carrier)
	if t.sync {
		ctx, info.Route = origin, "/runsync"
	} else {
		info.Links = []trace.Link{trace.LinkFromContext(origin)}
	}
	var out output
	err := otelvllm.Request(ctx, info, func(ctx context.Context) error {
		trace.SpanFromContext(ctx).SetAttributes(semconv.MessagingMessageID(t.id))
		w.logger.InfoContext(ctx, "picked up", ids(ctx, t.id)...)
		if err := otelvllm.EngineInit(ctx, w.ready); err != nil {
			return err
		}
		return otelvllm.Generation(ctx, func(ctx context.Context, _ *otelvllm.Meter) (err error) {
			out, err = w.generate(ctx, &t.input, emit) // the transport tells the meter's part
			return err
		})
	})
	return out, forCaller(err)
}

// ids is what a log line of a job begins with.
func ids(ctx context.Context, job string) []any {
	sc := trace.SpanContextFromContext(ctx)
	return []any{"trace_id", sc.TraceID().String(), "span_id", sc.SpanID().String(), "job", job}
}

// ready waits until the engine says that it is ready, and asks it for its model if nobody named one.
func (w *worker) ready(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, w.waitReady)
	defer cancel()
	if err := w.probe.WaitReady(limit); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return &notReadyError{w.waitReady, err}
	}
	if w.ownModel() != "" {
		return nil
	}
	return w.learnModel(ctx)
}

func (w *worker) ownModel() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.model
}

func (w *worker) learnModel(ctx context.Context) error {
	models, err := w.client.Models.List(ctx)
	if err != nil {
		return err
	}
	if len(models.Data) == 0 {
		return errors.New("the engine serves no model")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.model = models.Data[0].ID
	return nil
}

// output is the "output" of a job.
type output struct {
	Text         string `json:"text"`
	FinishReason string `json:"finish_reason"` // the engine's own word
	Model        string `json:"model"`
	Usage        *usage `json:"usage"` // null if the engine did not tell
}

type usage struct {
	Input  int64 `json:"input_tokens"`
	Output int64 `json:"output_tokens"`
}

// generate sends the job to the engine. It always asks for a stream, whose progress shows while it
// runs; emit gets its parts if the job wants them.
func (w *worker) generate(ctx context.Context, in *input, emit func(string)) (out output, err error) {
	model := in.Model
	if model == "" {
		model = w.ownModel()
	}
	body, err := in.body(model)
	if err != nil {
		return out, err
	}
	var text strings.Builder
	part := func(s, finish string) {
		text.WriteString(s)
		if in.Stream && s != "" {
			emit(s)
		}
		if finish != "" {
			out.FinishReason = finish
		}
	}
	if in.Prompt != "" {
		err = w.complete(ctx, body, &out, part)
	} else {
		err = w.chat(ctx, body, &out, part)
	}
	out.Text = text.String()
	if err == nil && out.FinishReason == "" {
		err = errBroken
	}
	return out, err
}

func (w *worker) chat(ctx context.Context, body any, out *output, part func(s, finish string)) error {
	stream := w.client.Chat.Completions.NewStreaming(ctx, param.Override[openai.ChatCompletionNewParams](body))
	defer func() { _ = stream.Close() }()
	for stream.Next() {
		chunk := stream.Current()
		for _, choice := range chunk.Choices {
			part(choice.Delta.Content, choice.FinishReason)
		}
		out.told(chunk.Model, chunk.Usage, chunk.JSON.Usage.Valid())
	}
	return stream.Err()
}

func (w *worker) complete(ctx context.Context, body any, out *output, part func(s, finish string)) error {
	stream := w.client.Completions.NewStreaming(ctx, param.Override[openai.CompletionNewParams](body))
	defer func() { _ = stream.Close() }()
	for stream.Next() {
		chunk := stream.Current()
		for _, choice := range chunk.Choices {
			part(choice.Text, string(choice.FinishReason))
		}
		out.told(chunk.Model, chunk.Usage, chunk.JSON.Usage.Valid())
	}
	return stream.Err()
}

func (o *output) told(model string, u openai.CompletionUsage, known bool) {
	if model != "" {
		o.Model = model
	}
	if known {
		o.Usage = &usage{u.PromptTokens, u.CompletionTokens}
	}
}
