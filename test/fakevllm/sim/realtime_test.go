package sim_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/simtest"
)

// listener is a caller of /v1/realtime.
type listener struct {
	t    *testing.T
	conn *websocket.Conn
}

type heard struct {
	Type, ID, Delta, Text, Error, Code string
	Usage                              *struct {
		Prompt     int `json:"prompt_tokens"`
		Total      int `json:"total_tokens"`
		Completion int `json:"completion_tokens"`
	}
}

func listen(t *testing.T, url string) *listener {
	t.Helper()
	conn, resp, err := websocket.Dial(t.Context(), url+"/v1/realtime", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body != nil {
		resp.Body.Close()
	}
	t.Cleanup(func() { conn.CloseNow() })
	l := &listener{t, conn}
	if got := l.next(); got.Type != "session.created" || !strings.HasPrefix(got.ID, "sess-") {
		t.Fatalf("got %+v, want the session", got)
	}
	return l
}

func (l *listener) say(format string, args ...any) {
	l.t.Helper()
	if err := l.conn.Write(l.t.Context(), websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		l.t.Fatal(err)
	}
}

// sound sends n pieces of 80 ms, each of the same byte.
func (l *listener) sound(n int, of byte) {
	l.t.Helper()
	l.say("%s", appendSound(n, of))
}

func appendSound(n int, of byte) string {
	return fmt.Sprintf(`{"type":"input_audio_buffer.append","audio":%q}`, base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune(of)), n*2560))))
}

func (l *listener) next() (m heard) {
	l.t.Helper()
	_, data, err := l.conn.Read(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		l.t.Fatalf("%v in %s", err, data)
	}
	return m
}

// answer reads deltas until the end of the answer.
func (l *listener) answer() (text string, end heard) {
	l.t.Helper()
	for {
		m := l.next()
		if m.Type != "transcription.delta" {
			return text, m
		}
		text += m.Delta
	}
}

func TestRealtimeTranscribesAsSoundComes(t *testing.T) {
	engine, url := simtest.Start(t, sim.Config{Model: "tiny", Timing: quick})
	l := listen(t, url)
	l.say(`{"type":"session.update","model":"tiny"}`)
	l.say(`{"type":"input_audio_buffer.commit"}`)
	l.sound(4, 'a')
	for text := ""; len(strings.Fields(text)) < 4; { // tokens that are ready together come together
		m := l.next()
		if m.Type != "transcription.delta" || m.Delta == "" {
			t.Fatalf("got %+v, want a word for each 80 ms", m)
		}
		text += m.Delta
	}
	l.sound(2, 0)
	if m := l.next(); m.Type != "transcription.delta" || m.Delta != "" {
		t.Fatalf("got %+v, want a delta without text for silence", m)
	}
	l.say(`{"type":"input_audio_buffer.commit","final":true}`)
	_, end := l.answer()
	if end.Type != "transcription.done" || end.Usage == nil || end.Usage.Completion != 7 || end.Usage.Prompt != 39 || end.Usage.Total != 46 || end.Text == "" {
		t.Fatalf("got %+v %+v, want the usage 39, 7", end, end.Usage)
	}

	l.sound(3, 'b') // before the answer is started
	l.say(`{"type":"input_audio_buffer.commit"}`)
	l.say(`{"type":"input_audio_buffer.commit","final":true}`)
	if text, end := l.answer(); end.Usage == nil || end.Usage.Completion != 4 || end.Text != text {
		t.Errorf("the second answer: got %+v", end)
	}
	metrics := string(engine.Metrics())
	for _, want := range []string{
		`vllm:prompt_tokens_total{engine="0",model_name="tiny"} 78.0`, `vllm:generation_tokens_total{engine="0",model_name="tiny"} 11.0`,
		"vllm:websocket_connections_active 1.0", "vllm:websocket_connections_total 1.0",
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}

func TestRealtimeRefusesInVLLMsWords(t *testing.T) {
	_, url := simtest.Start(t, sim.Config{Model: "tiny", Timing: quick})
	l := listen(t, url)
	for _, tt := range []struct{ say, code string }{
		{`nonsense`, "invalid_json"},
		{`{"type":"session.update"}`, "invalid_event"},
		{`{"type":"session.update","model":"other"}`, "model_not_found"},
		{`{"type":"input_audio_buffer.commit"}`, "model_not_validated"},
		{`{"type":"input_audio_buffer.append","audio":"?"}`, "invalid_audio"},
		{`{"type":"response.create"}`, "unknown_event"},
	} {
		l.say("%s", tt.say)
		if got := l.next(); got.Type != "error" || got.Code != tt.code || got.Error == "" {
			t.Errorf("%s: got %+v, want the error %s", tt.say, got, tt.code)
		}
	}
	resp, err := http.Get(url + "/v1/realtime")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("without an upgrade: got %d, want 404", resp.StatusCode)
	}
}

func TestRealtimeWaitsOutsideTheBatchForSound(t *testing.T) {
	engine, url := simtest.Start(t, sim.Config{Model: "tiny", Timing: quick})
	l := listen(t, url)
	l.say(`{"type":"session.update","model":"tiny"}`)
	l.say(`{"type":"input_audio_buffer.commit"}`)
	l.sound(1, 'a')
	l.next()
	const want = `vllm:num_requests_waiting_by_reason{engine="0",model_name="tiny",reason="deferred"} 1.0`
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(string(engine.Metrics()), want); {
		if time.Now().After(deadline) {
			t.Fatalf("/metrics lacks %s", want)
		}
		<-time.After(time.Millisecond)
	}
}

func TestFaultsOfRealtime(t *testing.T) {
	for _, tt := range []struct {
		kind  sim.Kind
		code  string               // of the error event
		close websocket.StatusCode // of the close frame; -1: none
	}{
		{kind: sim.ErrorEvent, code: "processing_error"},
		{kind: sim.Dead, code: "processing_error", close: -1},
		{kind: sim.Truncate, close: -1},
		{kind: sim.Reset, close: -1},
		{kind: sim.EndEarly, close: websocket.StatusNormalClosure},
	} {
		t.Run(string(tt.kind), func(t *testing.T) {
			engine, url := simtest.Start(t, sim.Config{Model: "tiny", Timing: quick})
			l := listen(t, url)
			l.say(`{"type":"session.update","model":"tiny"}`)
			engine.Fault(tt.kind)
			for _, m := range []string{`{"type":"input_audio_buffer.commit"}`, appendSound(6, 'a')} {
				_ = l.conn.Write(t.Context(), websocket.MessageText, []byte(m)) // the connection may be gone
			}
			if tt.code != "" {
				if _, end := l.answer(); end.Code != tt.code {
					t.Errorf("got %+v, want the error %s", end, tt.code)
				}
			}
			if tt.close == 0 {
				return
			}
			for {
				if _, _, err := l.conn.Read(t.Context()); err != nil {
					if got := websocket.CloseStatus(err); got != tt.close {
						t.Errorf("got %v, want the close code %d", err, tt.close)
					}
					return
				}
			}
		})
	}
}
