package otlp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

func throttled(code codes.Code, d time.Duration) error {
	s, err := status.New(code, "slow down").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(d)})
	if err != nil {
		panic(err)
	}
	return s.Err()
}

func TestJudge(t *testing.T) {
	failed := errors.New("failed to send to http://localhost: (body: 413 400 partial success)")
	tests := map[string]struct {
		err    error
		answer answer
		want   verdict
	}{
		"no error":               {nil, answer{status: 200}, verdict{fate: fateDelivered}},
		"no error, no HTTP":      {nil, answer{}, verdict{fate: fateDelivered}},
		"a web page":             {nil, answer{status: 200, html: true}, verdict{fate: fateRetry, reason: reasonAnswer}},
		"refused connection":     {errRefused, answer{asked: true}, verdict{fate: fateRetry, reason: "unreachable"}},
		"timeout":                {context.DeadlineExceeded, answer{asked: true}, verdict{fate: fateRetry, reason: "timeout"}},
		"400":                    {failed, answer{status: 400}, verdict{fate: fateDrop, reason: "400"}},
		"408":                    {failed, answer{status: 408}, verdict{fate: fateRetry, reason: "408"}},
		"413":                    {failed, answer{status: 413}, verdict{fate: fateSplit, reason: "413"}},
		"429 with a wish":        {failed, answer{status: 429, retryAfter: time.Second}, verdict{fate: fateRetry, reason: "429", after: time.Second}},
		"500":                    {failed, answer{status: 500}, verdict{fate: fateDoubt, reason: "500"}},
		"502":                    {failed, answer{status: 502}, verdict{fate: fateRetry, reason: "502"}},
		"522 of a CDN":           {failed, answer{status: 522}, verdict{fate: fateRetry, reason: "522"}},
		"not by HTTP nor gRPC":   {errors.New("json: unsupported value: NaN"), answer{}, verdict{fate: fateDoubt, reason: reasonExport, local: true}},
		"connection cut":         {io.ErrUnexpectedEOF, answer{asked: true}, verdict{fate: fateRetry, reason: "unreachable"}},
		"cannot be encoded":      {errors.New("failed to marshal request body in protobuf: x"), answer{}, verdict{fate: fateSplit, reason: reasonEncoding}},
		"501":                    {failed, answer{status: 501}, verdict{fate: fateDrop, reason: "501"}},
		"302":                    {failed, answer{status: 302}, verdict{fate: fateDrop, reason: "302"}},
		"200 with a broken body": {failed, answer{status: 200}, verdict{fate: fateDrop, reason: reasonAnswer}},
		"partial success": {
			fmt.Errorf("x: %w", errors.Join(PartialSuccess{RejectedItems: 4})),
			answer{status: 200},
			verdict{fate: fateDelivered, reason: reasonRejected, rejected: 4},
		},
		"partial success below zero": {PartialSuccess{RejectedItems: -4}, answer{}, verdict{fate: fateDelivered, reason: reasonRejected}},
		"exporter's own size limit":  {errors.New("request body too large: exceeded 1 bytes"), answer{}, verdict{fate: fateSplit, reason: reasonTooLarge}},
		"protobuf refuses the text":  {errors.New("string field contains invalid UTF-8"), answer{}, verdict{fate: fateSplit, reason: reasonEncoding}},

		"gRPC unavailable":           {status.Error(codes.Unavailable, ""), answer{}, verdict{fate: fateRetry, reason: "Unavailable"}},
		"gRPC unavailable, a wish":   {throttled(codes.Unavailable, time.Minute), answer{}, verdict{fate: fateRetry, reason: "Unavailable", after: time.Minute}},
		"gRPC exhausted, huge wish":  {throttled(codes.ResourceExhausted, time.Hour), answer{}, verdict{fate: fateRetry, reason: "ResourceExhausted", after: maxRetryAfter}},
		"gRPC exhausted, below zero": {throttled(codes.ResourceExhausted, -time.Hour), answer{}, verdict{fate: fateRetry, reason: "ResourceExhausted"}},
		"gRPC too large": {
			status.Error(codes.ResourceExhausted, "grpc: received message larger than max (5 vs. 4)"),
			answer{},
			verdict{fate: fateSplit, reason: reasonTooLarge},
		},
		"gRPC invalid":         {status.Error(codes.InvalidArgument, ""), answer{}, verdict{fate: fateDrop, reason: "INVALID_ARGUMENT"}},
		"gRPC unauthenticated": {fmt.Errorf("traces export: %w", status.Error(codes.Unauthenticated, "")), answer{}, verdict{fate: fateDrop, reason: "UNAUTHENTICATED"}},
		"gRPC denied":          {status.Error(codes.PermissionDenied, ""), answer{}, verdict{fate: fateDrop, reason: "PERMISSION_DENIED"}},
		"gRPC unimplemented":   {status.Error(codes.Unimplemented, ""), answer{}, verdict{fate: fateDrop, reason: "UNIMPLEMENTED"}},
		"gRPC internal":        {status.Error(codes.Internal, "oops"), answer{}, verdict{fate: fateDoubt, reason: "INTERNAL"}},
		"gRPC unknown":         {status.Error(codes.Unknown, "oops"), answer{}, verdict{fate: fateDoubt, reason: "UNKNOWN"}},
		"gRPC marshalling": {
			status.Error(codes.Internal, "grpc: error while marshaling: string field contains invalid UTF-8"),
			answer{},
			verdict{fate: fateSplit, reason: reasonEncoding},
		},
		"gRPC error beside a partial success": {
			errors.Join(PartialSuccess{RejectedItems: 1}, status.Error(codes.Unavailable, "")),
			answer{},
			verdict{fate: fateRetry, reason: "Unavailable"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := judge(test.err, &test.answer)
			if test.err != nil && got.err == nil {
				t.Error("the verdict does not carry the error")
			}
			got.err = nil
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
