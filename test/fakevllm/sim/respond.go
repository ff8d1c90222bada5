package sim

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// apiError is an error body as vLLM sends it.
type apiError struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    int     `json:"code"`

	syntax bool // the body is no JSON
}

func errDead() *apiError {
	return &apiError{
		Type: "InternalServerError", Code: http.StatusInternalServerError,
		Message: "EngineCore encountered an issue. See stack trace (above) for the root cause.",
	}
}

func errBusy() *apiError {
	return &apiError{
		Type: "Service Unavailable", Code: http.StatusServiceUnavailable,
		Message: "The engine is currently busy and cannot accept new requests. Please try again later or on a different instance.",
	}
}

// errValue is a value that the engine does not take. The parameter stands in the message too.
func errValue(param, value, message string) *apiError {
	at := "(parameter=" + param
	if value != "" {
		at += ", value=" + value
	}
	return &apiError{Message: message + " " + at + ")", Type: "BadRequestError", Param: &param, Code: http.StatusBadRequest}
}

// errInvalid is a body that is not of the endpoint's form.
func errInvalid(loc, what string) *apiError {
	err := &apiError{Message: "1 validation error:\n  " + what, Type: "Bad Request", Code: http.StatusBadRequest}
	if loc != "" {
		err.Param = &loc
	}
	return err
}

func writeError(w http.ResponseWriter, err *apiError) {
	writeJSON(w, err.Code, errorsOf(w).body(err))
}

// encode returns JSON as vLLM writes it: compact, and with <, > and & as they are.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("sim: cannot encode an answer: " + err.Error()) // only a mistake in this package
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body := encode(v)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body) // the client may have left
}

// number is a JSON number that always looks like a float: 1.0, not 1.
type number float64

func (n number) MarshalJSON() ([]byte, error) { return []byte(pythonFloat(float64(n))), nil }

// pythonFloat formats as Python does.
func pythonFloat(f float64) string {
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if exp := strings.IndexByte(s, 'e'); exp >= 0 && f != 0 {
		if a := abs(f); a >= 1e-4 && a < 1e16 {
			s = strconv.FormatFloat(f, 'f', -1, 64)
		}
	}
	if !strings.ContainsAny(s, ".eIN") {
		s += ".0"
	}
	return s
}

func abs(f float64) float64 { return max(f, -f) }

// null is a JSON null where a nil json.RawMessage means that the key is absent.
var null = json.RawMessage("null")

type detail struct {
	Detail string `json:"detail"`
}

func serveNotFound(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusNotFound, detail{"Not Found"})
}

func notAllowed(methods map[string]route) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		var allow []string
		for m := range methods {
			allow = append(allow, m)
		}
		slices.Sort(allow)
		w.Header().Set("Allow", strings.Join(allow, ", "))
		writeJSON(w, http.StatusMethodNotAllowed, detail{"Method Not Allowed"})
	}
}

// reset breaks the connection off without an answer.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0) // a reset, not an end
	}
	conn.Close()
}

// countingWriter keeps what http_requests_total and its sisters need to know about an answer.
type countingWriter struct {
	http.ResponseWriter
	status int
	errors Dialect // whose errors the answer may hold
}

func (w *countingWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
