package otlp

import (
	"context"
	"errors"
	"mime"
	"net"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// fate is what becomes of a batch after one attempt to export it.
type fate int

const (
	fateDelivered fate = iota // taken, but for verdict.rejected items
	fateRetry                 // try the same batch again later
	fateDoubt                 // the same, but not for ever: the batch itself may be the reason
	fateSplit                 // too large or one item spoils it: try each half
	fateDrop                  // refused for good
)

// verdict is the judgement of one attempt.
type verdict struct {
	fate     fate
	reason   string        // value of error.type if items are dropped, and cause for the reporter
	rejected int64         // items that the collector left out of a batch it took
	after    time.Duration // how long the collector asks to wait, 0 if it does not
	local    bool          // no collector was asked, so that trying smaller batches costs nobody anything
	err      error
}

// answer is what the HTTP client of the exporters saw of the last answer. The error texts of the
// exporters do not tell a status reliably, so it comes back through the context of the request.
type answer struct {
	asked      bool // a request was made
	status     int  // 0 when no answer came
	retryAfter time.Duration
	html       bool
}

type answerKey struct{}

func withAnswer(ctx context.Context) (context.Context, *answer) {
	a := &answer{}
	return context.WithValue(ctx, answerKey{}, a), a
}

// note records an answer for judge, if the request comes from one of our attempts.
func note(req *http.Request, resp *http.Response) {
	a, _ := req.Context().Value(answerKey{}).(*answer)
	if a == nil {
		return
	}
	*a = answer{asked: true}
	if resp == nil {
		return
	}
	a.status = resp.StatusCode
	a.retryAfter = parseRetryAfter(resp.Header.Get("Retry-After"))
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	a.html = media == "text/html"
}

// parseRetryAfter reads seconds or a date. What is neither, or lies in the past, is no wish at all.
func parseRetryAfter(v string) time.Duration {
	if n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64); err == nil {
		return time.Duration(min(max(n, 0), int64(maxRetryAfter/time.Second))) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return min(max(time.Until(t), 0), maxRetryAfter)
	}
	return 0
}

// judge decides the fate of a batch from the error of the exporter and the answer behind it.
func judge(err error, a *answer) verdict {
	if err == nil {
		if a.html {
			// A login page of a proxy answers 200 to everything: nothing was delivered.
			return verdict{
				fate: fateRetry, reason: reasonAnswer,
				err: errors.New("the collector's address answers with a web page: check OTEL_EXPORTER_OTLP_ENDPOINT and proxies"),
			}
		}
		return verdict{fate: fateDelivered}
	}
	code, isGRPC := grpcStatus(err)
	if n, ok := rejectedItems(err); ok && !isGRPC && (a.status == 0 || a.status/100 == 2) {
		return verdict{fate: fateDelivered, reason: reasonRejected, rejected: n, err: err}
	}
	switch {
	case isGRPC:
		return judgeGRPC(code, err)
	case a.status != 0:
		return judgeHTTP(a, err)
	case strings.Contains(err.Error(), "too large: exceeded"):
		return verdict{fate: fateSplit, reason: reasonTooLarge, err: err}
	case strings.Contains(err.Error(), "invalid UTF-8"), strings.Contains(err.Error(), "failed to marshal"):
		return verdict{fate: fateSplit, reason: reasonEncoding, err: err}
	}
	var network net.Error // what the HTTP client returns is one, and so is the end of a context
	switch {
	case errors.As(err, &network) && network.Timeout():
		return verdict{fate: fateRetry, reason: "timeout", err: err}
	case network != nil, a.asked:
		return verdict{fate: fateRetry, reason: "unreachable", err: err}
	}
	return verdict{fate: fateDoubt, reason: reasonExport, local: true, err: err}
}

func judgeHTTP(a *answer, err error) verdict {
	v := verdict{fate: fateDrop, reason: strconv.Itoa(a.status), after: a.retryAfter, err: err}
	switch a.status {
	case http.StatusRequestEntityTooLarge:
		v.fate = fateSplit
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		v.fate = fateRetry
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
	case http.StatusInternalServerError:
		v.fate = fateDoubt // a Collector says so too when it will never take the batch
	default:
		if a.status >= 500 {
			v.fate = fateRetry
		} else if a.status/100 == 2 {
			v.reason = reasonAnswer
		}
	}
	return v
}

// permanent names the gRPC codes after which the same batch would be refused again, as they are written
// in the gRPC specification.
var permanent = map[codes.Code]string{
	codes.InvalidArgument:    "INVALID_ARGUMENT",
	codes.NotFound:           "NOT_FOUND",
	codes.AlreadyExists:      "ALREADY_EXISTS",
	codes.PermissionDenied:   "PERMISSION_DENIED",
	codes.FailedPrecondition: "FAILED_PRECONDITION",
	codes.Unimplemented:      "UNIMPLEMENTED",
	codes.Unauthenticated:    "UNAUTHENTICATED",
}

func judgeGRPC(s *status.Status, err error) verdict {
	v := verdict{fate: fateRetry, reason: s.Code().String(), err: err}
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			v.after = min(max(info.GetRetryDelay().AsDuration(), 0), maxRetryAfter)
		}
	}
	if name, ok := permanent[s.Code()]; ok {
		v.fate, v.reason = fateDrop, name
	}
	switch {
	case s.Code() == codes.Internal && strings.Contains(s.Message(), "error while marshaling"):
		v.fate, v.reason = fateSplit, reasonEncoding
	case s.Code() == codes.Internal:
		v.fate, v.reason = fateDoubt, "INTERNAL"
	case s.Code() == codes.Unknown:
		v.fate, v.reason = fateDoubt, "UNKNOWN"
	case s.Code() == codes.ResourceExhausted && strings.Contains(s.Message(), "larger than max"):
		v.fate, v.reason = fateSplit, reasonTooLarge
	}
	return v
}

// grpcStatus finds the status of a gRPC answer in err.
func grpcStatus(err error) (*status.Status, bool) {
	var s interface{ GRPCStatus() *status.Status }
	if !errors.As(err, &s) {
		return nil, false
	}
	return s.GRPCStatus(), true
}

// rejectedItems finds the report of a partial success in err. Each exporter has its own copy of the type,
// in an internal package, so its exported field is read by name.
func rejectedItems(err error) (int64, bool) {
	if v := reflect.ValueOf(err); v.Kind() == reflect.Struct && v.Type().Name() == "PartialSuccess" {
		if f := v.FieldByName("RejectedItems"); f.IsValid() && f.CanInt() {
			return max(f.Int(), 0), true
		}
	}
	switch e := err.(type) { //nolint:errorlint // this is the walk that errors.As cannot do
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return rejectedItems(inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if n, ok := rejectedItems(inner); ok {
				return n, true
			}
		}
	}
	return 0, false
}
