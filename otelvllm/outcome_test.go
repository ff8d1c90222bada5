package otelvllm

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"syscall"
	"testing"

	"github.com/otelvllm/otelvllm-go/otelvllm/internal/httpwrap"
	"github.com/otelvllm/otelvllm-go/otelvllm/internal/wire"
)

type typedError struct{}

func (typedError) Error() string     { return "the text is private" }
func (typedError) ErrorType() string { return "bad_job" }

func TestOutcomeFollowsFromTheEvidence(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	for _, tt := range []struct {
		name    string
		e       evidence
		outcome Outcome
		typ     string
	}{
		{"an answer that arrived whole is completed", evidence{answered: true, status: 200}, Completed, ""},
		{"a stream that told its end is completed", evidence{answered: true, status: 200, streamed: true, ended: true}, Completed, ""},
		{"a stream closed after its end is completed", evidence{answered: true, status: 200, streamed: true, ended: true, bodyErr: httpwrap.ErrClosed}, Completed, ""},
		{"a caller who leaves after the end of the stream changes nothing", evidence{answered: true, status: 200, streamed: true, ended: true, ctxErr: context.Canceled}, Completed, ""},
		{"a proxy that aborts because the caller left after the end of the stream changes nothing", evidence{answered: true, status: 200, streamed: true, ended: true, unwound: true, ctxErr: context.Canceled, bodyErr: context.Canceled}, Completed, ""},
		{"a panic after the end of a stream is a panic", evidence{answered: true, status: 200, streamed: true, ended: true, unwound: true}, Panicked, "panic"},
		{"a stream that ends without its end is truncated", evidence{answered: true, status: 200, streamed: true}, Truncated, "truncated"},
		{"a broken connection is truncated", evidence{answered: true, status: 200, bodyErr: io.ErrUnexpectedEOF}, Truncated, "truncated"},
		{"a proxy that aborts over a broken connection is truncated, not a panic", evidence{answered: true, status: 200, streamed: true, unwound: true, bodyErr: io.ErrUnexpectedEOF}, Truncated, "truncated"},
		{"a stream closed before its end was left by its caller", evidence{answered: true, status: 200, streamed: true, bodyErr: httpwrap.ErrClosed}, CallerLeft, "caller_left"},
		{"a cancelled context is a caller who left", evidence{answered: true, status: 200, streamed: true, bodyErr: context.Canceled, ctxErr: context.Canceled, ctxCause: context.Canceled}, CallerLeft, "caller_left"},
		{"a write that failed is a caller who left", evidence{answered: true, status: 200, writeErr: syscall.EPIPE}, CallerLeft, "caller_left"},
		{"a proxy that aborts because the caller left is no panic", evidence{answered: true, status: 200, unwound: true, writeErr: syscall.EPIPE}, CallerLeft, "caller_left"},
		{"a deadline is told from a cancellation", evidence{answered: true, status: 200, streamed: true, ctxErr: context.DeadlineExceeded}, Deadline, "deadline"},
		{"a cancellation caused by a deadline is a deadline", evidence{answered: true, status: 200, streamed: true, ctxErr: context.Canceled, ctxCause: fmt.Errorf("drained: %w", context.DeadlineExceeded)}, Deadline, "deadline"},
		{"an http.Client's timeout while reading is a deadline", evidence{answered: true, status: 200, bodyErr: &url.Error{Err: context.DeadlineExceeded}}, Deadline, "deadline"},
		{"4xx is rejected", evidence{answered: true, status: 404}, Rejected, "404"},
		{"5xx is failed", evidence{answered: true, status: 503}, Failed, "503"},
		{"an error event is failed though the status was 200", evidence{answered: true, status: 200, streamed: true, ended: true, engine: &wire.Error{Code: "500"}}, Failed, "500"},
		{"an error body counts by its status", evidence{answered: true, status: 400, engine: &wire.Error{Code: "BadRequestError"}}, Rejected, "400"},
		{"a refused connection is unreachable", evidence{sendErr: refused}, Unreachable, "connection_refused"},
		{"a refused connection stays unreachable when the proxy answers 502", evidence{sendErr: refused, answered: true, status: 502}, Unreachable, "connection_refused"},
		{"a reset connection is unreachable", evidence{sendErr: syscall.ECONNRESET}, Unreachable, "connection_reset"},
		{"a connection closed without an answer is a reset", evidence{sendErr: &url.Error{Err: io.EOF}}, Unreachable, "connection_reset"},
		{"a name that does not resolve is dns", evidence{sendErr: &net.OpError{Op: "dial", Err: &net.DNSError{}}}, Unreachable, "dns"},
		{"a bad certificate is tls", evidence{sendErr: x509.UnknownAuthorityError{}}, Unreachable, "tls"},
		{"a dial that timed out is connect_timeout", evidence{sendErr: &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}}, Unreachable, "connect_timeout"},
		{"an unknown failure to send is unreachable", evidence{sendErr: errors.New("odd")}, Unreachable, "unreachable"},
		{"a caller who leaves before the answer left", evidence{sendErr: context.Canceled, ctxErr: context.Canceled}, CallerLeft, "caller_left"},
		{"a deadline before the answer is a deadline", evidence{sendErr: context.DeadlineExceeded, ctxErr: context.DeadlineExceeded}, Deadline, "deadline"},
		{"a panic before an answer is a panic", evidence{unwound: true}, Panicked, "panic"},
		{"a panic in mid-stream is a panic though its body was closed", evidence{unwound: true, answered: true, status: 200, streamed: true, bodyErr: httpwrap.ErrClosed}, Panicked, "panic"},
		{"a handler that answered nothing is completed", evidence{answered: true, status: 200}, Completed, ""},
		{"a function's own error is failed", evidence{answered: true, fnErr: errors.New("private text")}, Failed, "_OTHER"},
		{"a function's typed error gives its type", evidence{answered: true, fnErr: fmt.Errorf("job: %w", typedError{})}, Failed, "bad_job"},
		{"a function's deadline is a deadline", evidence{answered: true, fnErr: context.DeadlineExceeded}, Deadline, "deadline"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			outcome, typ := tt.e.decide()
			if outcome != tt.outcome || typ != tt.typ {
				t.Errorf("got %s, %q; want %s, %q", outcome, typ, tt.outcome, tt.typ)
			}
		})
	}
}

func TestCleanMakesAnyStringSafeToExport(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain text stays", "Qwen/Qwen3-8B", "Qwen/Qwen3-8B"},
		{"invalid UTF-8 is replaced", "a\xffb", "a\uFFFDb"},
		{"control characters become spaces", "a\n\x1b[31mb", "a  [31mb"},
		{"a long text is cut", "aaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaa"},
		{"a cut falls between characters", "aaaaaaaaa\u00e9\u00e9", "aaaaaaaaa"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := clean(tt.in, 10); tt.in != "Qwen/Qwen3-8B" && got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got := clean("Qwen/Qwen3-8B", 20); got != "Qwen/Qwen3-8B" {
				t.Errorf("got %q, want it unchanged", got)
			}
		})
	}
}

func TestFault_F01_F02_F04_JunkModelNamesShareOneLabel(t *testing.T) {
	l := newLabels([]string{"pinned"})
	for i := range 100_000 {
		if got := l.label(fmt.Sprint("junk-", i)); got != labelOther {
			t.Fatalf("got label %q for an unconfirmed name, want %q", got, labelOther)
		}
	}
	l.confirm("real")
	for i := range 1000 {
		l.confirm(fmt.Sprint("confirmed-", i))
	}
	for _, name := range []string{"pinned", "real"} {
		if got := l.label(name); got != name {
			t.Errorf("got label %q, want %q", got, name)
		}
	}
	if len(l.models) != maxModels {
		t.Errorf("got %d confirmed names, want %d", len(l.models), maxModels)
	}
	if got := l.label("confirmed-999"); got != labelOther {
		t.Errorf("got label %q for a name past the limit, want %q", got, labelOther)
	}
	l.confirm("bad\xff")
	if l.known("bad\xff") {
		t.Error("an invalid name was confirmed")
	}
	if got := l.label(""); got != "" {
		t.Errorf("got label %q for no name, want none", got)
	}
}
