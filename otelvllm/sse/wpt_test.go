package sse_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/otelvllm/otelvllm-go/otelvllm/sse"
)

// wptCase is one of the web platform tests for EventSource.
type wptCase struct {
	Name        string      `json:"name"`
	ContentType string      `json:"content_type"`
	BodyHex     string      `json:"body_hex"`
	Events      [][2]string `json:"events"`
}

// sharedTestdata is the folder of recorded and third-party test data, which is not a part of this
// repository.
const sharedTestdata = "../../../shared/testdata"

func wptCases(t *testing.T) []wptCase {
	t.Helper()
	file := filepath.Join(sharedTestdata, "wpt-eventsource", "cases.json")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Skipf("the web platform tests are not here: %v", err)
	}
	var suite struct {
		Cases []wptCase `json:"cases"`
	}
	if err := json.Unmarshal(text, &suite); err != nil {
		t.Fatal(err)
	}
	if len(suite.Cases) < 17 {
		t.Fatalf("got %d cases, want at least 17", len(suite.Cases))
	}
	return suite.Cases
}

// TestWebPlatformCases runs each case whole, byte by byte, and cut at every place.
func TestWebPlatformCases(t *testing.T) {
	for _, c := range wptCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			stream, err := hex.DecodeString(c.BodyHex)
			if err != nil {
				t.Fatal(err)
			}
			check := func(cut string, at int, pieces ...[]byte) {
				var got [][2]string
				p := sse.Parser{OnEvent: func(e sse.Event) {
					typ := string(e.Type)
					if e.Type == nil {
						typ = "message"
					}
					got = append(got, [2]string{typ, string(e.Data)})
				}}
				if sse.IsEventStream(c.ContentType) {
					for _, piece := range pieces {
						p.Write(piece)
					}
				}
				if len(got) != len(c.Events) {
					t.Fatalf("%s %d: got %q, want %q", cut, at, got, c.Events)
				}
				for i, want := range c.Events {
					if got[i] != want {
						t.Fatalf("%s %d: event %d: got %q, want %q", cut, at, i, got[i], want)
					}
				}
			}
			check("whole", 0, stream)
			check("bytewise", 0, bytewise(stream)...)
			for at := range stream {
				check("cut at", at, stream[:at], stream[at:])
			}
		})
	}
}

func TestIsEventStream(t *testing.T) {
	for contentType, want := range map[string]bool{
		"text/event-stream":                      true,
		"text/event-stream;":                     true,
		"TEXT/Event-Stream ; charset=x":          true,
		" text/event-stream; charset=utf-8; x=y": true,
		"":                                       false,
		"text/event-streams":                     false,
		"application/json":                       false,
		"application/json; text/event-stream":    false,
		"x bogus":                                false,
	} {
		if got := sse.IsEventStream(contentType); got != want {
			t.Errorf("%q: got %v, want %v", contentType, got, want)
		}
	}
}
