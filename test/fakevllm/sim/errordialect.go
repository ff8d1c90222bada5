package sim

import (
	"fmt"
	"net/http"
)

// flatError is the body of an error as vLLM sent it up to 0.10.0.
type flatError struct {
	Object  string  `json:"object"`
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    int     `json:"code"`
}

// rustError is an error as the front end in Rust tells it: its code is a word.
type rustError struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    string  `json:"code"`
}

func (err *apiError) flat() flatError {
	return flatError{"error", err.Message, err.Type, err.Param, err.Code}
}

func (err *apiError) rust() rustError {
	kind := "invalid_request_error"
	if err.Code >= http.StatusInternalServerError {
		kind = "server_error"
	}
	code := kind
	switch {
	case err.Code == http.StatusNotFound:
		code = "model_not_found"
	case err.Type == "Bad Request" && err.syntax:
		code = "json_parse_error"
	}
	return rustError{err.Message, kind, err.Param, code}
}

// errorsOf returns whose errors the engine behind w has.
func errorsOf(w http.ResponseWriter) Dialect {
	if c, ok := w.(*countingWriter); ok {
		return c.errors
	}
	return DialectNew
}

// body is the error as the body of an answer.
func (d Dialect) body(err *apiError) any {
	type wrapped struct {
		Error any `json:"error"`
	}
	switch d {
	case DialectV0, DialectV1:
		return err.flat()
	case DialectRust:
		return wrapped{err.rust()}
	case DialectNew:
	}
	return wrapped{err}
}

// frame is the error as an event of a stream, where, unlike elsewhere, Python's vLLM puts spaces between.
func (d Dialect) frame(err *apiError) []byte {
	param := "null"
	if err.Param != nil {
		param = string(encode(*err.Param))
	}
	switch d {
	case DialectRust:
		return encode(d.body(err))
	case DialectV0, DialectV1:
		return fmt.Appendf(nil, `{"error": {"object": "error", "message": %s, "type": %s, "param": %s, "code": %d}}`,
			encode(err.Message), encode(err.Type), param, err.Code)
	case DialectNew:
	}
	return fmt.Appendf(nil, `{"error": {"message": %s, "type": %s, "param": %s, "code": %d}}`,
		encode(err.Message), encode(err.Type), param, err.Code)
}
