package wire

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestRecordedAnswers compares what recorded answers of vLLM 0.32 tell with what is in them, read by hand.
func TestRecordedAnswers(t *testing.T) {
	seconds := func(ms float64) Float { return Float{Value: ms / 1000, Known: true} }
	checkRecordings(t, map[string]Facts{
		"chat": {
			ID: "chatcmpl-req-chat-1", Model: "tiny", FinishReasons: []string{"length"},
			Usage:   Usage{Input: known(15), Output: known(12), Cached: known(0), CacheWrite: known(0)},
			Timings: Timings{seconds(0.05618499972115387), seconds(70.9683190002579), seconds(297.9856560000371)},
		},
		"chat-n2": {
			ID: "chatcmpl-81f0ee779446864d", Model: "tiny", FinishReasons: []string{"length", "length"},
			Usage: Usage{Input: known(15), Output: known(24), Cached: known(0), CacheWrite: known(0)},
		},
		"chat-tool-named": {
			ID: "chatcmpl-8d6f8a57da8b3187", Model: "tiny", FinishReasons: []string{"stop"},
			Usage:   Usage{Input: known(219), Output: known(54), Cached: known(0), CacheWrite: known(128)},
			Timings: Timings{seconds(4.3954799998573435), seconds(22.941808000268793), seconds(493.0504999997538)},
		},
		"chat-stream": {
			Streamed: true, ID: "chatcmpl-9131ccc27705d291", Model: "tiny", FinishReasons: []string{"length"}, Contents: 7, Done: true,
		},
		"chat-stream-usage": {
			Streamed: true, ID: "chatcmpl-a33491026e0b3926", Model: "tiny", FinishReasons: []string{"length"}, Contents: 9, Done: true,
			Usage:   Usage{Input: known(15), Output: known(12), Cached: known(0), CacheWrite: known(0)},
			Timings: Timings{seconds(0.045125000269763405), seconds(8.814542999971309), seconds(85.161386999971)},
		},
		"chat-stream-n2": {
			Streamed: true, ID: "chatcmpl-b0020a260bff38b7", Model: "tiny", FinishReasons: []string{"length", "length"}, Contents: 8, Done: true,
			Usage: Usage{Input: known(15), Output: known(10), Cached: known(0), CacheWrite: known(0)},
		},
		"kill-engine-chat-stream": {
			Streamed: true, ID: "chatcmpl-9b58a598789b851e", Model: "tiny", FinishReasons: []string{""}, Contents: 38, Done: true,
			Err: &Error{"500"},
		},
		"err-bad-schema-stream": {Streamed: true, Done: true, Err: &Error{"400"}},
		"completion": {
			ID: "cmpl-aa7e8c5dffb3480d", Model: "tiny", FinishReasons: []string{"length"},
			Usage:   Usage{Input: known(5), Output: known(12), Cached: known(0)},
			Timings: Timings{seconds(0.03418400001464761), seconds(9.077032999812218), seconds(53.67065200016441)},
		},
		"completion-n2": {
			ID: "cmpl-b851fa82888109db", Model: "tiny", FinishReasons: []string{"length", "length"},
			Usage: Usage{Input: known(5), Output: known(6), Cached: known(0)},
		},
		"completion-stream-usage": {
			Streamed: true, ID: "cmpl-a4977c9ad93c3d59", Model: "tiny", FinishReasons: []string{"length"}, Contents: 10, Done: true,
			Usage:   Usage{Input: known(5), Output: known(12), Cached: known(0)},
			Timings: Timings{seconds(0.034032999792543706), seconds(6.683814000098209), seconds(56.74319999980071)},
		},
		"err-401":            {Err: &Error{"engine_error"}},
		"err-no-model":       {Err: &Error{"404"}},
		"err-bad-json":       {Err: &Error{"400"}},
		"err-503-queue-chat": {Err: &Error{"503"}},
		"err-chat-on-embed":  {Err: &Error{"engine_error"}},
		"kill-engine-chat":   {Err: &Error{"500"}},
	})
}

// checkRecordings compares what recorded answers tell, however they are cut, with what is in them, read by hand.
func checkRecordings(t *testing.T, recordings map[string]Facts) {
	t.Helper()
	for name, want := range recordings {
		t.Run(name, func(t *testing.T) {
			rec := record(t, name)
			for _, n := range []int{0, 1, 7, 100} {
				_, got := answerOf(rec.path, rec.status, rec.header, cuts(rec.body, n)...)
				if !reflect.DeepEqual(got, want) {
					t.Errorf("in pieces of %d bytes:\n got %+v\nwant %+v", n, got, want)
				}
			}
		})
	}
}

// likeOpenAI are the endpoints that the reference knows.
var likeOpenAI = map[string]bool{chatPath: true, completionPath: true, embeddingPath: true}

// TestRecordedAnswersReadAsWithEncodingJSON reads every recorded answer of the three endpoints a second way.
func TestRecordedAnswersReadAsWithEncodingJSON(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(sharedData(t, "vllm-live"), "*.http"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	read := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".http")
		if _, err := os.Stat(strings.TrimSuffix(file, ".http") + ".request"); err != nil {
			continue
		}
		rec := record(t, name)
		if !likeOpenAI[rec.path] || rec.status != 200 {
			continue
		}
		read++
		var wantSeen Seen
		var want Facts
		if strings.HasPrefix(rec.header.Get("Content-Type"), "text/event-stream") {
			wantSeen, want = referenceStream(rec.path, rec.body)
		} else {
			want = referenceBody(rec.path, rec.body)
		}
		for _, n := range []int{0, 1, 13, 1000} {
			seen, got := answerOf(rec.path, rec.status, rec.header, cuts(rec.body, n)...)
			if seen != wantSeen || !reflect.DeepEqual(got, want) {
				t.Errorf("%s in pieces of %d bytes:\n got %+v %+v\nwant %+v %+v", name, n, seen, got, wantSeen, want)
			}
		}
	}
	if read < 30 {
		t.Errorf("read %d recordings, want 30 or more", read)
	}
	t.Logf("%d recordings", read)
}

// TestRecordedRequests reads the parameters of recorded requests.
func TestRecordedRequests(t *testing.T) {
	for name, want := range map[string]Request{
		"chat":              {Model: "tiny", MaxTokens: known(12), Complete: true},
		"chat-n2":           {Model: "tiny", MaxTokens: known(12), Choices: known(2), Complete: true},
		"chat-stream":       {Model: "tiny", MaxTokens: known(12), Stream: true, Complete: true},
		"chat-stream-usage": {Model: "tiny", MaxTokens: known(12), Stream: true, IncludeUsage: true, Complete: true},
		"completion-n2":     {Model: "tiny", MaxTokens: known(3), Choices: known(2), Complete: true},
		"embeddings-base64": {Model: "tiny", EncodingFormats: []string{"base64"}, Complete: true},
	} {
		rec := record(t, name)
		for _, n := range []int{0, 1, 5} {
			got := requestOf(rec.path, cuts(rec.request, n)...)
			got.maxTokens = Int{}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s in pieces of %d bytes:\n got %+v\nwant %+v", name, n, got, want)
			}
		}
	}
}
