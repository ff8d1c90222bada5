package backends

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

const (
	tierSize  = 3
	chunkSize = 500
)

// tiers are agents that send to gateways that sample, each of which has a backend of its own, so that a test sees which
// of them a trace went through.
type tiers struct {
	agents   []sender
	gateways []*Collector
	sinks    []*Sink
}

func startTiers(t *testing.T) *tiers {
	t.Helper()
	tt := new(tiers)
	var addresses []string
	for range tierSize {
		sink := StartSink(t)
		gateway := StartCollector(t, map[string]string{
			"OTELCOL_TRACES_ENDPOINT": sink.GRPC, "OTELCOL_DECISION_WAIT": "30s", "OTELCOL_DECISION_WAIT_AFTER_ROOT": "2s",
		}, "gateway.yaml")
		tt.sinks, tt.gateways = append(tt.sinks, sink), append(tt.gateways, gateway)
		addresses = append(addresses, fmt.Sprintf("%q", gateway.GRPC))
	}
	for range tierSize {
		agent := StartCollector(t, map[string]string{
			"OTELCOL_GATEWAYS": "[" + strings.Join(addresses, ",") + "]",
		}, "agent.yaml", "agent-loadbalancing.yaml")
		tt.agents = append(tt.agents, newSender(t, agent.GRPC))
	}
	return tt
}

// send sends the early or the late spans of a chunk. The three hosts of a trace have an agent each, and which one
// changes with the chunk.
func (tt *tiers) send(t *testing.T, chunk []*planned, late bool) {
	t.Helper()
	for host := range tierSize {
		agent := tt.agents[(host+chunk[0].chunk)%tierSize]
		if err := agent.send(t.Context(), chunk, host, late); err != nil {
			t.Fatalf("send to an agent: %v", err)
		}
	}
}

// arrival is what came of one trace.
type arrival struct {
	spans, twice int
	gateways     []int // that exported spans of it
	missing      []string
}

func (tt *tiers) arrival(p *planned) arrival {
	var a arrival
	seen, names := map[pcommon.SpanID]bool{}, map[string]bool{}
	for i, sink := range tt.sinks {
		spans := sink.Spans(p.id)
		if len(spans) > 0 {
			a.gateways = append(a.gateways, i)
		}
		for _, s := range spans {
			if seen[s.ID] {
				a.twice++
			}
			seen[s.ID], names[s.Name] = true, true
		}
	}
	a.spans = len(seen)
	for host := range p.late {
		for _, name := range append(append([]string(nil), p.early[host]...), p.late[host]...) {
			if !names[name] {
				a.missing = append(a.missing, name)
			}
		}
	}
	return a
}

// settle waits until no more spans come.
func (tt *tiers) settle(t *testing.T) {
	t.Helper()
	const enough = 6 * time.Second // more than the pause before a Collector tries again
	began := time.Now()            // what was sent last need not have come anywhere yet, so earlier quiet says nothing
	err := eventually(func() error {
		for i, sink := range tt.sinks {
			if traces, quiet := sink.Quiet(); min(quiet, time.Since(began)) < enough {
				return fmt.Errorf("gateway %d still sends, %d traces so far", i, traces)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTwoTiersKeepWholeTracesAndEveryOneThatMatters(t *testing.T) {
	tt := startTiers(t)
	chunks := plan(20_000, chunkSize, 1)
	started := time.Now()
	for i, chunk := range chunks {
		tt.send(t, chunk, false)
		if i > 0 {
			tt.send(t, chunks[i-1], true) // a request's end comes well after its first token
		}
	}
	tt.send(t, chunks[len(chunks)-1], true)
	sent := time.Since(started)
	tt.settle(t)

	kept, all, byGateway := map[string]int{}, map[string]int{}, [tierSize]int{}
	for _, chunk := range chunks {
		for _, p := range chunk {
			a := tt.arrival(p)
			all[p.kind]++
			if a.spans == 0 {
				continue
			}
			kept[p.kind]++
			byGateway[a.gateways[0]]++
			if a.spans != p.spans() || a.twice > 0 || len(a.gateways) != 1 {
				t.Errorf("a %s trace: got %d spans (%d of them twice) from gateways %v, want %d from one; missing %v",
					p.kind, a.spans, a.twice, a.gateways, p.spans(), a.missing)
			}
		}
	}
	for kind, n := range all {
		if kind != "plain" && kept[kind] != n {
			t.Errorf("%s traces: got %d of %d, want all", kind, kept[kind], n)
		}
	}
	// A binomial distribution: five deviations to either side.
	n, share := float64(all["plain"]), 0.1
	if got, want, width := float64(kept["plain"]), n*share, 5*math.Sqrt(n*share*(1-share)); math.Abs(got-want) > width {
		t.Errorf("plain traces: got %v of %v, want %v give or take %.0f", got, n, want, width)
	}
	for i, n := range byGateway {
		if n == 0 {
			t.Errorf("gateway %d kept no trace", i)
		}
	}
	t.Logf("sent 20,000 traces in %v; kept %v of %v; by gateway %v", sent.Round(time.Millisecond), kept, all, byGateway)
}

// A gateway that is killed loses the spans it holds undecided, and nothing else: what it had decided is on its disk, and
// what comes while it is away waits in the agents.
func TestAKilledGatewayLosesOnlyWhatItHadNotDecided(t *testing.T) {
	tt := startTiers(t)
	chunks := plan(6_000, chunkSize, 2)
	victim, half := 1, len(chunks)/2
	for i, chunk := range chunks {
		tt.send(t, chunk, false)
		if i == half {
			// The early spans of this chunk are all that any gateway holds undecided.
			time.Sleep(3 * time.Second)
			tt.gateways[victim].Kill()
		}
		tt.send(t, chunk, true)
		if i == half+2 {
			tt.gateways[victim].Start(t)
		}
	}
	tt.settle(t)

	lost, bound, total := 0, 0, 0
	for _, chunk := range chunks {
		for _, p := range chunk {
			if p.kind == "plain" {
				continue
			}
			total++
			a := tt.arrival(p)
			atVictim := len(a.gateways) == 1 && a.gateways[0] == victim
			if p.chunk == half && atVictim && p.kind != "stalled" {
				bound++
			}
			if len(a.missing) == 0 {
				continue
			}
			lost++
			if p.chunk != half || !atVictim || p.kind == "stalled" || strings.Join(a.missing, ",") != "first_token" {
				t.Errorf("a %s trace of chunk %d lacks %v, exported by gateways %v; only the first_token of traces that gateway %d "+
					"had not decided when it was killed (chunk %d) may be lost", p.kind, p.chunk, a.missing, a.gateways, victim, half)
			}
		}
	}
	if lost == 0 || lost > bound {
		t.Errorf("got %d traces that lack a span, want some, and at most the %d that the gateway held", lost, bound)
	}
	t.Logf("of %d traces to be kept, %d lack their first span; the killed gateway held %d undecided", total, lost, bound)
}

// A request may outlast what the second tier remembers of it: its last spans come when its first are decided and gone.
func TestTheSecondTierKeepsWhatComesLate(t *testing.T) {
	sink := StartSink(t)
	gateway := StartCollector(t, map[string]string{
		"OTELCOL_TRACES_ENDPOINT": sink.GRPC, "OTELCOL_MAX_TRACES": "50", "OTELCOL_DECISION_WAIT": "1s", "OTELCOL_SAMPLE_PERCENT": "0",
	}, "gateway.yaml")
	to := newSender(t, gateway.GRPC)
	send := func(chunk []*planned, host int, late bool) {
		t.Helper()
		if err := to.send(t.Context(), chunk, host, late); err != nil {
			t.Fatal(err)
		}
	}
	chunk := plan(100, 100, 5)[0]
	stalled, failed, others := chunk[0:1], chunk[2:3], chunk[10:]
	send(stalled, 1, false)
	send(others, 1, true) // more than it remembers
	send(failed, 1, false)
	time.Sleep(3 * time.Second) // it is let go
	send(stalled, 2, true)      // has no reason in itself
	send(failed, 1, true)
	err := eventually(func() error {
		if got, want := len(sink.Spans(stalled[0].id)), len(stalled[0].early[1])+len(stalled[0].late[2]); got != want {
			return fmt.Errorf("a trace kept for its stall: got %d spans, want %d, the late one too", got, want)
		}
		if got, want := len(sink.Spans(failed[0].id)), len(failed[0].late[1]); got != want {
			return fmt.Errorf("a trace that failed after it was let go: got %d spans, want the %d late ones", got, want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if traces, _ := sink.Quiet(); traces != 2 {
		t.Errorf("got %d traces, want 2", traces)
	}
}
