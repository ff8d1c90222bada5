package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// lookupEvery is how often a name is looked up, and lookupSoon how often while an engine behind it
	// fails or the look-up does. maxLookup bounds one.
	lookupEvery = 30 * time.Second
	lookupSoon  = 5 * time.Second
	maxLookup   = 3 * time.Second
	// lookupsToGone is how many look-ups must find no such name before its engines are gone.
	lookupsToGone = 3
	// maxMembers bounds the engines behind a name.
	maxMembers = 512
)

// The ways in which a name leads to engines. The zero value of a group's is none: a URL of one engine.
type lookup func(ctx context.Context, r Resolver, host, port string) ([]string, error)

// group is one target of the user's: an engine, or the engines behind a name. Only the loop of the
// monitor uses it, and the look-up while it runs.
type group struct {
	base        url.URL
	http        *http.Client
	wedgedAfter time.Duration
	resolve     lookup // nil for a URL of one engine

	byAddress map[string]*target
	empty     *target // stands for the name while it leads to no engine
	resolving bool
	last      time.Time // of the last look-up
	found     []string
	err       error
	failures  int // look-ups in succession that found no such name
}

var errTarget = errors.New("must be like http://host:8000, dns+http://name:8000 or dnssrv+http://name")

func newGroup(raw string, client *http.Client, wedgedAfter time.Duration) (*group, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errTarget // the error of Parse repeats the URL, which may hold a key
	}
	g := &group{base: *u, http: client, wedgedAfter: wedgedAfter, byAddress: make(map[string]*target)}
	how, scheme, found := strings.Cut(u.Scheme, "+")
	switch {
	case !found:
		scheme = u.Scheme
	case how == "dns":
		g.resolve = lookupAddresses
	case how == "dnssrv":
		g.resolve = lookupServices
	default:
		return nil, errTarget
	}
	if scheme != "http" && scheme != "https" || u.Hostname() == "" {
		return nil, errTarget
	}
	g.base.Scheme = scheme
	g.empty = &target{address: g.base.Host}
	g.empty.view.Store(&view{status: Status{Address: g.base.Host, State: Unknown, Age: -1}})
	if g.resolve == nil {
		g.member(g.address())
	}
	return g, nil
}

// address returns host:port of the URL.
func (g *group) address() string {
	return net.JoinHostPort(g.base.Hostname(), g.port())
}

func (g *group) port() string {
	switch port := g.base.Port(); {
	case port != "":
		return port
	case g.base.Scheme == "https":
		return "443"
	}
	return "80"
}

// members returns the engines of the group; never none.
func (g *group) members() []*target {
	if len(g.byAddress) == 0 {
		return []*target{g.empty}
	}
	all := make([]*target, 0, len(g.byAddress))
	for _, t := range g.byAddress {
		all = append(all, t)
	}
	return all
}

// member returns the engine at an address, and adds it if need be.
func (g *group) member(address string) *target {
	t := g.byAddress[address]
	if t == nil {
		t = newTarget(address, g.client(address), g.wedgedAfter)
		g.byAddress[address] = t
	}
	return t
}

// client returns a client for the engine at an address. Where that is an address that a name resolved
// to, the engine is still asked for by its name, which it may need to answer and to prove who it is.
func (g *group) client(address string) Client {
	u := g.base
	if g.resolve == nil {
		return Client{URL: u.String(), HTTP: g.http, Timeout: maxPoll}
	}
	u.Host = address
	c := Client{URL: u.String(), HTTP: g.http, Timeout: maxPoll}
	if ip, _, err := net.SplitHostPort(address); err != nil || !isIP(ip) {
		return c
	}
	c.host = g.base.Host
	if base, ok := g.http.Transport.(*http.Transport); ok && u.Scheme == "https" {
		transport := base.Clone()
		if transport.TLSClientConfig == nil {
			transport.TLSClientConfig = &tls.Config{}
		}
		transport.TLSClientConfig.ServerName = g.base.Hostname()
		own := *g.http
		own.Transport = transport
		c.HTTP = &own
	}
	return c
}

func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// nextLookup returns when the name is due.
func (g *group) nextLookup() time.Time {
	if g.last.IsZero() {
		return time.Time{}
	}
	failing := g.err != nil
	for _, t := range g.byAddress {
		failing = failing || t.view.Load().status.Err != ""
	}
	if failing {
		return g.last.Add(lookupSoon)
	}
	return g.last.Add(lookupEvery)
}

// lookup asks the resolver. apply makes use of the answer, on the loop of the monitor.
func (g *group) lookup(ctx context.Context, r Resolver) {
	ctx, cancel := context.WithTimeout(ctx, maxLookup)
	defer cancel()
	g.found, g.err = g.resolve(ctx, r, g.base.Hostname(), g.port())
	if g.err == nil && len(g.found) == 0 {
		g.err = &net.DNSError{Err: "the name has no address", Name: g.base.Hostname(), IsNotFound: true}
	}
	g.last = time.Now()
}

func (g *group) apply() {
	var dns *net.DNSError
	switch {
	case g.err == nil:
		g.failures = 0
		g.keep(g.found)
	case errors.As(g.err, &dns) && dns.IsNotFound:
		if g.failures++; g.failures >= lookupsToGone {
			g.keep(nil)
		}
	}
	// When the resolver itself fails, the engines that are known are asked as before.
	status := Status{Address: g.base.Host, State: Unknown, Age: -1}
	if g.err != nil {
		status.State, status.Err, status.Since = Down, "dns", g.last
		if before := g.empty.view.Load().status; before.State == Down {
			status.Since = before.Since
		}
	}
	g.empty.view.Store(&view{status: status})
}

// keep makes these addresses the members.
func (g *group) keep(addresses []string) {
	now := make(map[string]bool, len(addresses))
	for _, a := range addresses[:min(len(addresses), maxMembers)] {
		now[a] = true
		g.member(a)
	}
	for a, t := range g.byAddress {
		if !now[a] {
			delete(g.byAddress, a)
			if t.client.HTTP != g.http {
				t.client.HTTP.CloseIdleConnections()
			}
		}
	}
}

func (g *group) closeIdle() {
	g.http.CloseIdleConnections()
	for _, t := range g.byAddress {
		if t.client.HTTP != g.http {
			t.client.HTTP.CloseIdleConnections()
		}
	}
}

func lookupAddresses(ctx context.Context, r Resolver, host, port string) ([]string, error) {
	ips, err := r.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("look up the addresses of %s: %w", host, err)
	}
	addresses := make([]string, len(ips))
	for i, ip := range ips {
		addresses[i] = net.JoinHostPort(ip.Unmap().String(), port)
	}
	return addresses, nil
}

func lookupServices(ctx context.Context, r Resolver, host, _ string) ([]string, error) {
	_, services, err := r.LookupSRV(ctx, "", "", host)
	if err != nil {
		return nil, fmt.Errorf("look up the services of %s: %w", host, err)
	}
	addresses := make([]string, len(services))
	for i, s := range services {
		addresses[i] = net.JoinHostPort(strings.TrimSuffix(s.Target, "."), strconv.Itoa(int(s.Port)))
	}
	return addresses, nil
}

// newHTTPClient returns a client of its own connections. vLLM closes one that was idle for 5 s; ours
// are closed before, so that none is in use when that happens.
func newHTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: maxPoll}).DialContext,
		TLSHandshakeTimeout:    maxPoll,
		IdleConnTimeout:        4 * time.Second,
		MaxIdleConnsPerHost:    1,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
	}}
}
