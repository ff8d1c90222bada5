package wire

import (
	"bytes"
	"math/rand/v2"
	"mime/multipart"
	"reflect"
	"strings"
	"testing"
)

const transcriptionPath = "/v1/audio/transcriptions"

// formOf makes a form of fields, in pairs, and one file behind the first of them.
func formOf(t testing.TB, file []byte, fields ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(fields); i += 2 {
		if err := w.WriteField(fields[i], fields[i+1]); err != nil {
			t.Fatal(err)
		}
		if i == 0 && file != nil {
			part, err := w.CreateFormFile("file", "speech.wav")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := part.Write(file); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAudioRequests(t *testing.T) {
	sound := make([]byte, 100_000)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range sound {
		sound[i] = byte(random.Uint32())
	}
	copy(sound[500:], "\r\n--\r\n--"+strings.Repeat("\r\n", 50)) // almost a boundary
	all := formOf(t, sound, "language", "en", "model", "whisper", "stream", "true", "stream_include_usage", "1", "max_completion_tokens", "7", "seed", "-3",
		"top_k", "5", "temperature", "0.5", "top_p", " 0.9", "frequency_penalty", "0.1", "presence_penalty", "1e-1", "prompt", strings.Repeat("x", 2000))
	want := Request{
		Model: "whisper", Stream: true, IncludeUsage: true, MaxTokens: known(7), Seed: known(-3), TopK: known(5), Temperature: Float{0.5, true},
		TopP: Float{0.9, true}, FrequencyPenalty: Float{0.1, true}, PresencePenalty: Float{0.1, true}, Complete: true,
	}
	for _, n := range []int{0, 1, 7, 4096} {
		if got := requestOf(transcriptionPath, cuts(all, n)...); !reflect.DeepEqual(got, want) {
			t.Errorf("in pieces of %d bytes:\n got %+v\nwant %+v", n, got, want)
		}
	}
	if got := requestOf(transcriptionPath, all[:bytes.Index(all, []byte("0.5"))]); got.Model != "whisper" || !got.Stream || got.Complete || got.Temperature.Known {
		t.Errorf("cut in a value: got %+v, want what came before", got)
	}
}

func TestFormsOfEveryKind(t *testing.T) {
	field := func(header, value string) string { return header + "\r\n\r\n" + value + "\r\n" }
	const model = `Content-Disposition: form-data; name="model"`
	for name, c := range map[string]struct {
		body string
		want Request
	}{
		"one field":                        {"--B\r\n" + field(model, "m") + "--B--\r\n", Request{Model: "m", Complete: true}},
		"no line break at the end":         {"--B\r\n" + field(model, "m") + "--B--", Request{Model: "m", Complete: true}},
		"something behind the end":         {"--B\r\n" + field(model, "m") + "--B--\r\n--B\r\n" + field(model, "late") + "--B--", Request{Model: "m", Complete: true}},
		"spaces behind a boundary":         {"--B \t\r\n" + field(model, "m") + "--B \r\n" + field(`Content-Disposition: form-data; name="stream"`, "TRUE") + "--B--", Request{Model: "m", Stream: true, Complete: true}},
		"a value of several lines":         {"--B\r\n" + field(model, "a\r\n-b\r\n--c") + "--B--", Request{Model: "a\r\n-b\r\n--c", Complete: true}},
		"an empty value":                   {"--B\r\n" + field(model, "") + "--B--", Request{Complete: true}},
		"other headers":                    {"--B\r\n" + field("Content-Type: text/plain\r\ncontent-disposition: form-data; name=model\r\nX: y", "m") + "--B--", Request{Model: "m", Complete: true}},
		"the last of a name counts":        {"--B\r\n" + field(model, "a") + "--B\r\n" + field(model, "b") + "--B--", Request{Model: "b", Complete: true}},
		"a file of the name":               {"--B\r\n" + field(model+`; filename="m"`, "a") + "--B--", Request{Complete: true}},
		"a value that is a path":           {"--B\r\n" + field(model, `C:\new`) + "--B--", Request{Model: `C:\new`, Complete: true}},
		"a value that is not UTF-8":        {"--B\r\n" + field(model, "m\xff") + "--B--", Request{Model: "m\uFFFD", Complete: true}},
		"a number that is none":            {"--B\r\n" + field(`Content-Disposition: form-data; name="temperature"`, "NaN") + "--B--", Request{Complete: true}},
		"a header that is too long":        {"--B\r\n" + field(model+`; x="`+strings.Repeat("x", maxFormLine)+`"`, "m") + "--B--", Request{Complete: true}},
		"no end":                           {"--B\r\n" + field(model, "m") + "--B\r\n", Request{Model: "m"}},
		"no boundary":                      {field(model, "m"), Request{}},
		"a boundary that is too long":      {"--" + strings.Repeat("B", 71) + "\r\n" + field(model, "m"), Request{}},
		"a boundary of nothing":            {"--\r\n" + field(model, "m") + "----", Request{}},
		"JSON":                             {`{"model":"m"}`, Request{}},
		"nothing":                          {"", Request{}},
		"a boundary that begins the value": {"--B\r\n" + field(model, "a\r\n--BC") + "--B--", Request{Model: "a\r\n--BC", Complete: true}},
		"a boundary in a line of LF alone": {"--B\r\n" + field(model, "a\r\n--BC\n--B") + "--B--", Request{Model: "a\r\n--BC\n--B", Complete: true}},
		"two headers with a name":          {"--B\r\n" + field(model+"\r\nContent-Disposition: form-data; name=x", "a") + "--B--", Request{Model: "a", Complete: true}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{0, 1, 3} {
				if got := requestOf(transcriptionPath, cuts([]byte(c.body), n)...); !reflect.DeepEqual(got, c.want) {
					t.Errorf("in pieces of %d bytes:\n got %+v\nwant %+v", n, got, c.want)
				}
			}
		})
	}
}

func TestALargeFileNeedsNoMemory(t *testing.T) {
	r := Match("POST", transcriptionPath).NewRequestReader()
	r.Write([]byte("--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n"))
	piece := bytes.Repeat([]byte("\x00\x01\r\n--\xff"), 4096)
	if n := testing.AllocsPerRun(1000, func() { r.Write(piece) }); n != 0 {
		t.Errorf("got %v allocations for 28 kB of sound, want 0", n)
	}
	r.Write([]byte("\r\n--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--B--\r\n"))
	if r.End(); r.Request().Model != "m" || !r.Request().Complete {
		t.Errorf("got %+v, want the model", r.Request())
	}
}

// TestAudioAnswers reads samples in the form of vLLM's source, as none was recorded.
func TestAudioAnswers(t *testing.T) {
	chunk := func(content, rest string) string {
		return `{"id":"transcribe-1","object":"transcription.chunk","created":1,"model":"whisper","choices":[{"delta":{"content":"` + content + `"}` + rest + `}]}`
	}
	const usage = `{"id":"transcribe-1","object":"transcription.chunk","created":1,"model":"whisper","choices":[],"usage":{"prompt_tokens":104,"total_tokens":110,"completion_tokens":6}}`
	text := events(chunk(" Hello", ""), chunk(" world.", ""), chunk("", `,"finish_reason":"stop","stop_reason":null`))
	base := Facts{Streamed: true, ID: "transcribe-1", Model: "whisper", Contents: 2, FinishReasons: []string{"stop"}, Done: true}
	with, cut := base, base
	with.Usage = Usage{Input: known(104), Output: known(6)}
	cut.Done = false
	for name, c := range map[string]struct {
		body string
		want Facts
	}{
		"a stream":              {text + events(doneEvent), base},
		"a stream with usage":   {text + events(usage, doneEvent), with},
		"a stream that was cut": {text, cut},
		"a stream that failed": {
			events(`{"error": {"message": "no", "type": "InternalServerError", "param": null, "code": 500}}`, doneEvent),
			Facts{Streamed: true, Done: true, Err: &Error{"500"}},
		},
	} {
		if _, f := stream(transcriptionPath, c.body); !reflect.DeepEqual(f, c.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, f, c.want)
		}
	}
	for _, body := range []string{
		`{"text":" Hello world.","usage":{"type":"duration","seconds":3}}`, `{"text":" Hello world."}`,
		`{"duration":"2.9","language":"en","text":" Hello","segments":[{"id":0,"tokens":[50364],"text":" Hello"}],"words":null}`,
	} {
		for _, path := range []string{transcriptionPath, "/v1/audio/translations"} {
			if _, f := answerOf(path, 200, jsonBody, []byte(body)); !reflect.DeepEqual(f, Facts{}) {
				t.Errorf("%s: got %+v, want no tokens and nothing else", body, f)
			}
		}
	}
}

// FuzzForm compares with the standard library where both take the body for a form, and with itself in pieces.
func FuzzForm(f *testing.F) {
	f.Add(formOf(f, []byte("\r\n--\x00"), "model", "m", "stream", "true"), 30)
	f.Add([]byte("--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\na\r\n--B \r\n\r\n\r\n--B--"), 5)
	f.Fuzz(func(t *testing.T, body []byte, cut int) {
		got := requestOf(transcriptionPath, body)
		cut = min(max(cut, 0), len(body))
		for _, pieces := range [][][]byte{{body[:cut], body[cut:]}, cuts(body, 1)} {
			if again := requestOf(transcriptionPath, pieces...); !reflect.DeepEqual(again, got) {
				t.Fatalf("%q in pieces: got %+v, want %+v", body, again, got)
			}
		}
		if model := modelOf(body); model != "" && model != got.Model {
			t.Fatalf("%q: got the model %q, want %q", body, got.Model, model)
		}
	})
}

// modelOf reads the model with the standard library, "" if the body is not a usual form.
func modelOf(body []byte) string {
	first, rest, _ := bytes.Cut(body, []byte("\r\n"))
	boundary, ok := bytes.CutPrefix(first, []byte("--"))
	if !ok || len(boundary) == 0 || len(boundary) > maxBoundary || bytes.ContainsAny(boundary, "\n \t") || bytes.Contains(rest, append([]byte("\r\n--"), append(boundary, ' ')...)) {
		return ""
	}
	// Where the boundary is the beginning of something else, or lines end otherwise, readers may differ.
	if bytes.Count(body, boundary) != bytes.Count(body, append([]byte("\r\n--"), append(boundary, "\r\n"...)...))+2 || len(body) > maxFormLine {
		return ""
	}
	form, err := multipart.NewReader(bytes.NewReader(body), string(boundary)).ReadForm(1 << 20)
	if err != nil || len(form.Value["model"]) == 0 {
		return ""
	}
	model := form.Value["model"][len(form.Value["model"])-1]
	if len(model) > maxRaw {
		return ""
	}
	return strings.ToValidUTF8(model, "\uFFFD")
}
