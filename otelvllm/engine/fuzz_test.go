package engine

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// FuzzParse shows that whatever an engine tells, what is made of it is bounded and possible, is the
// same however the bytes are cut, and is what the parser alone makes of the text.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"metrics_v0.txt", "metrics_v1.txt", "metrics_new.txt", "metrics_new_single.txt", "metrics_new_rust.txt"} {
		f.Add(excerpt(testdata(f, "vllm-metrics/"+name)))
	}
	f.Add(text(1, 2, 3))
	f.Add("vllm:prompt_tokens_total{a=\"\\\"}\\\\\"} 5 7 # {x=\"y\"} 1\r\n# EOF\nrest")
	f.Add("vllm:lora_requests_info{waiting_lora_adapters=\"a\"} 1e9\nvllm:cache_config_info{num_gpu_blocks=\"None\",block_size=\"16\"} 1\n")
	f.Add("{\"quoted\"} 1\nvllm:time_to_first_token_seconds_bucket{le=\"NaN\"} 1\nvllm:time_to_first_token_seconds_count 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 8<<10 {
			return
		}
		s, err := parse(strings.NewReader(text), 2000)
		cut, cutErr := parse(iotest.OneByteReader(strings.NewReader(text)), 2000)
		if !reflect.DeepEqual(s, cut) || Reason(err) != Reason(cutErr) {
			t.Errorf("cut into bytes: got %+v, %v, want %+v, %v", cut, cutErr, s, err)
		}
		if err != nil {
			if Reason(err) == "unreachable" {
				t.Errorf("got %v, which has no reason", err)
			}
			return
		}
		checkPossible(t, s)
		checkAgainstParser(t, text, s)
	})
}

// excerpt returns the wanted lines of a text, of histograms a few only, so that a fuzzer need not move
// what does not matter.
func excerpt(text []byte) string {
	var kept strings.Builder
	buckets := 0
	for line := range strings.Lines(string(text)) {
		name, _ := cutName([]byte(line))
		if strings.HasSuffix(string(name), suffixOfBuckets) {
			buckets++
		}
		if wanted[string(name)] && (buckets < 8 || !strings.HasSuffix(string(name), suffixOfBuckets)) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

func checkPossible(t *testing.T, s *Snapshot) {
	t.Helper()
	if len(s.Ranks) > maxRanks {
		t.Errorf("got %d ranks, want at most %d", len(s.Ranks), maxRanks)
	}
	for i := range s.Ranks {
		r := &s.Ranks[i]
		if len(r.Rank) > maxName+2 || len(r.Model) > maxName+2 {
			t.Errorf("got names of %d and %d bytes, want at most %d", len(r.Rank), len(r.Model), maxName)
		}
		for j := range rows {
			v := *rows[j].field(r)
			if math.IsNaN(v.V) || math.IsInf(v.V, 0) || v.V < 0 || rows[j].share && v.V > 1 || !v.Known && v.V != 0 {
				t.Errorf("%v: got %+v", rows[j].names, v)
			}
		}
	}
	for _, h := range []Histogram{s.TimeToFirstToken, s.InterTokenLatency, s.QueueTime} {
		for _, q := range []float64{0, 0.5, 0.99, 1} {
			if v := h.Quantile(q); math.IsNaN(v.V) || math.IsInf(v.V, 0) || !v.Known && v.V != 0 {
				t.Errorf("quantile %v of %+v: got %+v", q, h, v)
			}
		}
	}
}

// checkAgainstParser compares one counter and one gauge with what the parser makes of the whole text,
// where it accepts that.
func checkAgainstParser(t *testing.T, text string, s *Snapshot) {
	t.Helper()
	if strings.Contains(text, "# EOF") {
		return // what follows is not read, which the parser does not know
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		return
	}
	want := Value{}
	for _, m := range unique(families["vllm:generation_tokens_total"], true) {
		v := m.GetUntyped().GetValue() + m.GetCounter().GetValue() + m.GetGauge().GetValue()
		if v >= 0 && v <= maxCount && m.Histogram == nil && m.Summary == nil {
			want = want.plus(Value{v, true})
		}
	}
	if got := s.Sum(func(r *Rank) Value { return r.GenerationTokens }); got.Known != want.Known || math.Abs(got.V-want.V) > 1e-6*want.V {
		t.Errorf("generation tokens: got %v, want %v as the parser", got, want)
	}
}

// FuzzMachine shows that a machine of any observations in any order stays within its states and that
// its totals never go back.
func FuzzMachine(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x06\x07"))
	f.Add([]byte("aaaabbbbccccdddd"))
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 200 {
			return
		}
		kinds := []func(n float64) observation{
			func(n float64) observation { return works(1, n) },
			func(n float64) observation { return works(0, n).with(1) },
			func(n float64) observation { return tells(rankText("0", n, 1) + rankText("1", 0, n)) },
			func(n float64) observation { return tells(strings.Replace(text(n, 1, n), "m", "x", 1)) },
			func(float64) observation { return refused() },
			func(float64) observation { return silent() },
			func(n float64) observation { return answers(500 + int(n)) },
			func(float64) observation { return asleep() },
		}
		m := newMachine("h:1", DefaultWedgedAfter)
		last := map[rankKey]float64{}
		at := m.status.Since
		for _, b := range script {
			at = at.Add(DefaultInterval)
			o := kinds[b%8](float64(b / 8))
			o.at = at
			if o.snapshot != nil {
				o.snapshot.Taken = at
			}
			m.next(o)
			for key, of := range m.totals.ranks {
				if of[totalGeneration].sum < last[key] {
					t.Fatalf("the total of %v went from %v to %v", key, last[key], of[totalGeneration].sum)
				}
				last[key] = of[totalGeneration].sum
			}
			s := m.status
			if s.State == Unknown || s.State == Wedged && s.FrozenSince.IsZero() || len(s.FrozenRanks) > 0 && s.FrozenSince.IsZero() || s.Since.After(at) {
				t.Fatalf("got %+v", s)
			}
		}
	})
}
