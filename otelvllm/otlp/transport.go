package otlp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// transports are the HTTP transports of the exporters, kept so that Shutdown can close what is idle.
type transports []*http.Transport

// client makes the HTTP client of a signal from its timeout and certificates, which the exporters would
// read themselves if they had no client given. With gRPC it only checks them.
func (t *transports) client(signal string) (*http.Client, error) {
	config, err := tlsConfig(signal)
	if err != nil {
		return nil, err
	}
	// Not http.DefaultTransport: a program may have wrapped it, to trace what goes through it.
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSClientConfig: config,
		DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext, TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConns: 4, IdleConnTimeout: 90 * time.Second,
	}
	*t = append(*t, transport)
	timeout := 10 * time.Second
	if _, v := envOTLP(signal, "TIMEOUT"); v != "" {
		if n, err := strconv.Atoi(v); err == nil {
			timeout = time.Duration(n) * time.Millisecond
		}
	}
	return &http.Client{Transport: noting{transport}, Timeout: timeout}, nil
}

func (t *transports) closeIdle() {
	for _, transport := range *t {
		transport.CloseIdleConnections()
	}
}

// noting tells the queue what the collector answered.
type noting struct{ http.RoundTripper }

func (n noting) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := n.RoundTripper.RoundTrip(req)
	note(req, resp)
	return resp, err
}

// tlsConfig reads the certificates of a signal, nil when none are set.
func tlsConfig(signal string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	set := false
	if variable, file := envOTLP(signal, "CERTIFICATE"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", variable, err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: %s has no PEM certificate in it", variable, file)
		}
		set = true
	}
	variable, certificate := envOTLP(signal, "CLIENT_CERTIFICATE")
	keyVariable, key := envOTLP(signal, "CLIENT_KEY")
	switch {
	case certificate == "" && key == "":
	case certificate == "":
		return nil, errors.New(keyVariable + " needs OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE beside it")
	case key == "":
		return nil, errors.New(variable + " needs OTEL_EXPORTER_OTLP_CLIENT_KEY beside it")
	default:
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", variable, err)
		}
		config.Certificates, set = []tls.Certificate{pair}, true
	}
	if !set {
		return nil, nil
	}
	return config, nil
}
