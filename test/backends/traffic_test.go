package backends

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// planned is a trace that a test makes: what happened in it and which spans it has.
type planned struct {
	id    pcommon.TraceID
	kind  string
	chunk int
	// early are the spans that leave while the request runs, late all others, by the host that they leave from: that
	// of the caller, of the gateway and of the engine.
	early, late [3][]string
}

// spans is how many spans the trace has.
func (p *planned) spans() (n int) {
	for i := range p.late {
		n += len(p.early[i]) + len(p.late[i])
	}
	return n
}

// kindOf says what happens in the nth of all traces: in ten of a hundred something that a person will look for.
func kindOf(n int) string {
	switch n % 100 {
	case 0, 1:
		return "stalled"
	case 2, 3, 4:
		return "failed"
	case 5, 6:
		return "slow"
	case 7, 8:
		return "missed objective"
	case 9:
		return "late first token"
	default:
		return "plain"
	}
}

// plan makes n traces in chunks of size. The same seed makes the same traces.
func plan(n, size int, seed uint64) (chunks [][]*planned) {
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // the traces are to be the same in each run
	for i := range n {
		p := &planned{kind: kindOf(i), chunk: i / size}
		binary.BigEndian.PutUint64(p.id[:8], random.Uint64())
		binary.BigEndian.PutUint64(p.id[8:], random.Uint64())
		p.early[1] = []string{"first_token"}
		if p.kind == "stalled" {
			p.early[1] = append(p.early[1], "stall")
		}
		p.late = [3][]string{{"ask"}, {"POST /v1/chat/completions", "chat tiny", "generation", "decode", "POST"}, {"llm_request"}}
		if i%size == 0 {
			chunks = append(chunks, nil)
		}
		chunks[len(chunks)-1] = append(chunks[len(chunks)-1], p)
	}
	return chunks
}

// fill makes one span of the trace.
func (p *planned) fill(span ptrace.Span, host int, name string) {
	end, took := time.Now(), 2*time.Second
	if p.kind == "slow" && host < 2 && name != "first_token" {
		took = 90 * time.Second
	}
	span.SetTraceID(p.id)
	var id pcommon.SpanID
	copy(id[:4], p.id[:4])
	binary.BigEndian.PutUint32(id[4:], crc32.ChecksumIEEE([]byte(name)))
	span.SetSpanID(id)
	if name != "ask" { // the root
		span.SetParentSpanID(pcommon.SpanID{1})
	}
	span.SetName(name)
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(end.Add(-took)))
	span.SetEndTimestamp(pcommon.NewTimestampFromTime(end))
	if name == "stall" {
		span.Attributes().PutStr("vllm.stall.cause", "engine_wedged")
	}
	if name != "chat tiny" {
		return
	}
	a := span.Attributes()
	a.PutStr("gen_ai.operation.name", "chat")
	a.PutDouble("vllm.request.time_to_first_token", 0.25)
	a.PutBool("vllm.request.slo.met", true)
	switch p.kind {
	case "stalled":
		span.Events().AppendEmpty().SetName("stall")
	case "failed":
		span.Status().SetCode(ptrace.StatusCodeError)
	case "missed objective":
		a.PutBool("vllm.request.slo.met", false)
	case "late first token":
		a.PutDouble("vllm.request.time_to_first_token", 12.5)
	}
}

// sender sends spans to a Collector over gRPC.
type sender struct{ client ptraceotlp.GRPCClient }

func newSender(t *testing.T, address string) sender {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return sender{ptraceotlp.NewGRPCClient(conn)}
}

// send exports the early or the late spans that leave from one host.
func (s sender) send(ctx context.Context, chunk []*planned, host int, late bool) error {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", []string{"caller", "gateway", "vllm"}[host])
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	for _, p := range chunk {
		names := p.early[host]
		if late {
			names = p.late[host]
		}
		for _, name := range names {
			p.fill(spans.AppendEmpty(), host, name)
		}
	}
	if spans.Len() == 0 {
		return nil
	}
	_, err := s.client.Export(ctx, ptraceotlp.NewExportRequestFromTraces(td))
	return err
}
