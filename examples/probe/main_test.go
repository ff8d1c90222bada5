package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTheExitStatusSaysHowTheServerIs(t *testing.T) {
	release := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/bad", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/slow", func(http.ResponseWriter, *http.Request) { <-release })
	server := httptest.NewServer(mux)
	defer server.Close()
	defer close(release)
	gone := httptest.NewServer(mux)
	gone.Close()
	t.Setenv("HTTP_PROXY", gone.URL)

	for _, tt := range []struct {
		name, says string
		args       []string
		want       int
	}{
		{"a good answer", "", []string{server.URL + "/ok"}, exitGood},
		{"an engine that is not ready", "503", []string{server.URL + "/bad"}, exitBad},
		{"a redirect, even to a good answer", "302", []string{server.URL + "/moved"}, exitBad},
		{"a server that does not answer in time", "deadline", []string{"-timeout", "50ms", server.URL + "/slow"}, exitBad},
		{"a port where nobody listens", "refused", []string{gone.URL}, exitBad},
		{"no URL", "give one URL", nil, exitUsage},
		{"two URLs", "give one URL", []string{server.URL, server.URL}, exitUsage},
		{"an address that is no URL", "not a URL", []string{"127.0.0.1:9091"}, exitUsage},
		{"a flag that does not exist", "not defined", []string{"-nope", server.URL}, exitUsage},
		{"the question for help", "usage", []string{"-h"}, exitGood},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stderr strings.Builder
			got := run(t.Context(), tt.args, &stderr)
			if got != tt.want || !strings.Contains(stderr.String(), tt.says) {
				t.Errorf("got status %d and %q; want %d and %q", got, stderr.String(), tt.want, tt.says)
			}
			if tt.want == exitGood && tt.says == "" && stderr.Len() > 0 {
				t.Errorf("got %q from a good probe, want nothing", stderr.String())
			}
		})
	}
}
