package test

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/simtest"
)

// speech is a form with ten tokens' worth of sound.
func speech(t *testing.T, fields ...string) (contentType string, body []byte) {
	t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	for i := 0; i < len(fields); i += 2 {
		if err := form.WriteField(fields[i], fields[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	file, err := form.CreateFormFile("file", "speech.wav")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(make([]byte, 10*2560)); err != nil {
		t.Fatal(err)
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	return form.FormDataContentType(), b.Bytes()
}

// TestSpeechIsCountedWhereTheEngineTells sends sound through the gateway. A form is not changed, so usage is exact only
// where its own field asks for it.
func TestSpeechIsCountedWhereTheEngineTells(t *testing.T) {
	_, base := simtest.Start(t, sim.Config{Model: "tiny", Timing: sim.Timing{Step: time.Millisecond}})
	g := newEndpointGateway(t, base)
	for _, tt := range []struct {
		path, operation string
		fields          []string
		answer          string
		output          int64 // -1: not known
	}{
		{"/v1/audio/transcriptions", "transcription", nil, `"usage":{"type":"duration","seconds":1}`, -1},
		{"/v1/audio/transcriptions", "transcription", []string{"stream", "true"}, `"object":"transcription.chunk"`, -1},
		{"/v1/audio/transcriptions", "transcription", []string{"stream", "true", "stream_include_usage", "true"}, `"completion_tokens":10`, 10},
		{"/v1/audio/translations", "translation", nil, `"text":"`, -1},
		{"/v1/audio/translations", "translation", []string{"stream", "true", "stream_include_usage", "true"}, `"object":"translation.chunk"`, 10},
	} {
		contentType, body := speech(t, append([]string{"model", "tiny"}, tt.fields...)...)
		resp, err := http.Post(g.front+tt.path, contentType, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		call := <-g.calls
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(answer), tt.answer) {
			t.Errorf("%s %v: got %d, %v, %s", tt.path, tt.fields, resp.StatusCode, err, answer)
		}
		streamed := len(tt.fields) > 0
		if call.Operation != tt.operation || call.Model != "tiny" || call.Stream != streamed || call.Outcome != otelvllm.Completed || streamed != (call.Chunks > 0) {
			t.Errorf("%s %v: got %+v", tt.path, tt.fields, call)
		}
		if got := call.Usage.Output; got.Known != (tt.output >= 0) || got.Known && got.N != tt.output {
			t.Errorf("%s %v: got %+v output tokens, want %d", tt.path, tt.fields, got, tt.output)
		}
	}
	contentType, _ := speech(t)
	resp, err := http.Post(g.front+"/v1/audio/transcriptions", contentType, strings.NewReader("no form"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if call := <-g.calls; resp.StatusCode != http.StatusBadRequest || call.Outcome != otelvllm.Rejected {
		t.Errorf("without a file: got %d, %s", resp.StatusCode, call.Outcome)
	}
}
