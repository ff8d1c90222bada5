package sse_test

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/otelvllm/otelvllm-go/otelvllm/sse"
)

// A parser beside a copy: the stream passes unchanged, and the parser sees its events.
func Example() {
	upstream := strings.NewReader(": keep-alive\n\n" +
		"data: {\"content\":\"Hel\"}\n\n" +
		"data: {\"content\":\"lo\"}\n\n" +
		"data: [DONE]\n\n")

	events, comments := 0, 0
	p := sse.Parser{
		OnEvent:   func(sse.Event) { events++ },
		OnComment: func() { comments++ },
	}
	if _, err := io.Copy(os.Stdout, io.TeeReader(upstream, &p)); err != nil {
		fmt.Println(err)
	}
	fmt.Println("events:", events, "comments:", comments, "cut inside an event:", p.Pending())
	// Output:
	// : keep-alive
	//
	// data: {"content":"Hel"}
	//
	// data: {"content":"lo"}
	//
	// data: [DONE]
	//
	// events: 3 comments: 1 cut inside an event: false
}

// The pieces in which a stream arrives do not matter.
func ExampleParser_Write() {
	p := sse.Parser{OnEvent: func(e sse.Event) { fmt.Printf("%s: %s\n", e.Type, e.Data) }}
	for _, piece := range []string{"event: response.com", "pleted\nda", "ta: {}\n", "\n"} {
		_, _ = io.WriteString(&p, piece)
	}
	// Output: response.completed: {}
}
