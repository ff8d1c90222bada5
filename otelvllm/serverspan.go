package otelvllm

import (
	"net"
	"net/http"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// endServerSpan ends the SERVER span by the rules of the HTTP conventions v1.43: 5xx is an error,
// 4xx is not.
func (s *serverCall) endServerSpan(returned bool) {
	name, route := method(s.request.Method), ""
	if s.live != nil {
		route = s.live.endpoint.Route(s.live.call.Route)
	} else {
		route = routeOf(s.request)
	}
	known := make([]attribute.KeyValue, 0, 2)
	if route != "" {
		name += " " + route
		known = append(known, semconv.HTTPRoute(route))
	}
	if s.status > 0 {
		known = append(known, semconv.HTTPResponseStatusCode(s.status))
	}
	s.span.SetName(name)
	s.span.SetAttributes(known...)
	switch {
	case s.status >= 500:
		s.span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(s.status)))
		s.span.SetStatus(codes.Error, "")
	case !returned && s.live != nil:
		if s.live.call.Outcome.bad() { // not a caller who left, over whom a proxy aborts too
			s.span.SetAttributes(semconv.ErrorTypeKey.String(s.live.call.ErrorType))
			s.span.SetStatus(codes.Error, string(s.live.call.Outcome))
		}
	case !returned && s.request.Context().Err() == nil:
		s.span.SetAttributes(semconv.ErrorTypeKey.String(string(Panicked)))
		s.span.SetStatus(codes.Error, string(Panicked))
	}
	s.span.End()
}

// routeOf returns the pattern of the ServeMux that served r, without its method; empty if none did.
func routeOf(r *http.Request) string {
	_, path, ok := strings.Cut(r.Pattern, " ")
	if !ok {
		path = r.Pattern
	}
	return clean(strings.TrimSpace(path), maxText)
}

// method returns m if it is one of the methods of the HTTP conventions, else their word for any
// other: a stranger must not mint span names.
func method(m string) string {
	switch m {
	case "":
		return http.MethodGet
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace, "QUERY":
		return m
	}
	return "_OTHER"
}

// serverAttributes describes a request by the HTTP conventions v1.43. The query is left out: it can
// hold keys.
func serverAttributes(r *http.Request) []attribute.KeyValue {
	kvs := make([]attribute.KeyValue, 0, 8)
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	kvs = append(kvs, semconv.HTTPRequestMethodKey.String(method(r.Method)), semconv.URLPath(clean(r.URL.Path, maxText)), semconv.URLScheme(scheme))
	if host, port := hostPort(r.Host, scheme); host != "" {
		kvs = append(kvs, semconv.ServerAddress(host), semconv.ServerPort(port))
	}
	if ip, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		kvs = append(kvs, semconv.ClientAddress(ip))
	}
	if ua := r.UserAgent(); ua != "" {
		kvs = append(kvs, semconv.UserAgentOriginal(clean(ua, maxText)))
	}
	if _, version, ok := strings.Cut(r.Proto, "/"); ok {
		kvs = append(kvs, semconv.NetworkProtocolVersion(version))
	}
	return kvs
}

// hostPort splits a host with an optional port; the scheme gives the port if there is none.
func hostPort(hostport, scheme string) (host string, port int) {
	host, p, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if port, err = strconv.Atoi(p); err != nil {
		port = 80
		if scheme == "https" {
			port = 443
		}
	}
	return clean(strings.Trim(host, "[]"), maxLabel), port
}
