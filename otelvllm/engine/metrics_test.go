package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/embedded"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// points returns every data point as "name{attributes} value", sorted.
func points(t *testing.T, reader sdkmetric.Reader) (all []string) {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &rm); err != nil {
		t.Fatal(err)
	}
	add := func(name string, attributes attribute.Set, value any) {
		var labels []string
		for _, kv := range attributes.ToSlice() {
			labels = append(labels, string(kv.Key)+"="+kv.Value.String())
		}
		all = append(all, fmt.Sprintf("%s{%s} %v", name, strings.Join(labels, ","), value))
	}
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					add(m.Name, p.Attributes, p.Value)
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					add(m.Name, p.Attributes, p.Value)
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					add(m.Name, p.Attributes, p.Value)
				}
			default:
				t.Errorf("%s: got data %T", m.Name, data)
			}
		}
	}
	slices.Sort(all)
	return all
}

func wantPoints(t *testing.T, reader sdkmetric.Reader, want string) {
	t.Helper()
	if got := strings.Join(points(t, reader), "\n"); got != strings.TrimSpace(want) {
		t.Errorf("got\n%s\n\nwant\n%s", got, strings.TrimSpace(want))
	}
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stop := newWorld("h:1")
		defer stop()
		e := w.engines["h:1"]
		tell := func(started string, tokens string) {
			e.set(func(e *scripted) {
				at := `{engine="0",model_name="m"`
				e.metrics = "process_start_time_seconds " + started +
					"\nvllm:num_requests_running" + at + "} 3\nvllm:num_requests_waiting" + at + "} 2\n" +
					"vllm:num_requests_waiting_by_reason" + at + `,reason="capacity"} 2` + "\nvllm:num_requests_waiting_by_reason" + at + `,reason="deferred"} 0` +
					"\nvllm:kv_cache_usage_perc" + at + "} 0.25\nvllm:num_preemptions_total" + at + "} " + tokens +
					"\nvllm:generation_tokens_total" + at + "} " + tokens + "\nvllm:engine_sleep_state" + at + `,sleep_state="awake"} 1` + "\n"
			})
		}
		reader := sdkmetric.NewManualReader()
		mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
		m := NewMonitor([]string{"http://h:1"}, WithHTTPClient(w.client()), WithMeterProvider(mp))
		wantPoints(t, reader, "")
		tell("1", "1000")
		end := runs(t, m)
		after(time.Second)
		tell("1", "1007")
		after(6 * time.Second)
		tell("2", "5")
		after(6 * time.Second)
		at := "server.address=h,server.port=1,vllm.engine.rank=0,vllm.model=m"
		age := only(t, m).Age.Seconds()
		wantPoints(t, reader, strings.ReplaceAll(fmt.Sprintf(`
vllm.engine.asleep{AT} 0
vllm.engine.generation_tokens{AT} 12
vllm.engine.scrape.age{server.address=h,server.port=1} %v
vllm.engine.up{server.address=h,server.port=1} 1
vllm.kv_cache.utilization{AT} 0.25
vllm.scheduler.preemptions{AT} 12
vllm.scheduler.requests{AT,vllm.request.state=running} 3
vllm.scheduler.requests{AT,vllm.request.state=waiting} 2
vllm.scheduler.waiting{AT,vllm.wait.reason=capacity} 2
vllm.scheduler.waiting{AT,vllm.wait.reason=deferred} 0
`, age), "AT", at))
		e.set(func(e *scripted) { e.refuses = true })
		after(30 * time.Second)
		age = only(t, m).Age.Seconds()
		wantPoints(t, reader, fmt.Sprintf("vllm.engine.scrape.age{server.address=h,server.port=1} %v\nvllm.engine.up{server.address=h,server.port=1} 0", age))
		end()
		wantPoints(t, reader, "")
	})
}

func TestMetricsOfAVanishedReplicaGoAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stop := newWorld("10.0.0.1:8000", "10.0.0.2:8000")
		defer stop()
		w.names["vllm"] = ips("10.0.0.1", "10.0.0.2")
		reader := sdkmetric.NewManualReader()
		m := NewMonitor([]string{"dns+http://vllm:8000"}, WithHTTPClient(w.client()), WithResolver(w),
			WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))
		defer runs(t, m)()
		after(time.Second)
		both := strings.Join(points(t, reader), "\n")
		if !strings.Contains(both, "10.0.0.1") || !strings.Contains(both, "10.0.0.2") {
			t.Fatalf("got\n%s\nwant both engines", both)
		}
		w.set(func() { w.names["vllm"] = ips("10.0.0.2") })
		after(31 * time.Second)
		if left := strings.Join(points(t, reader), "\n"); strings.Contains(left, "10.0.0.1") || !strings.Contains(left, "10.0.0.2") {
			t.Errorf("got\n%s\nwant the second engine only", left)
		}
	})
}

// observer takes observations and does nothing with them.
type observer struct {
	embedded.Observer
	n int
}

func (o *observer) ObserveInt64(metric.Int64Observable, int64, ...metric.ObserveOption) { o.n++ }

func (o *observer) ObserveFloat64(metric.Float64Observable, float64, ...metric.ObserveOption) { o.n++ }

// TestTheCallbackAllocatesNothing also shows that it neither waits nor asks: the engines are not there.
func TestTheCallbackAllocatesNothing(t *testing.T) {
	m := NewMonitor([]string{"http://a:1", "http://b:1"})
	for _, target := range m.targets() {
		target.machine.next(observation{inFlight: -1, health: 200, snapshot: parseText(t, text(1, 2, 3))})
		target.publish(time.Now())
	}
	o := &observer{}
	allocs := testing.AllocsPerRun(100, func() {
		if err := m.observe(context.Background(), o); err != nil {
			t.Error(err)
		}
	})
	if allocs != 0 || o.n == 0 {
		t.Errorf("got %v allocations for %d observations, want none for some", allocs, o.n)
	}
}
