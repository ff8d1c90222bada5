package engine

import "net/http"

// sameHost refuses redirects to another host, where a key or a question has no business.
func sameHost(then func(*http.Request, []*http.Request) error) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		if first := via[0].URL; req.URL.Host != first.Host || req.URL.Scheme != first.Scheme {
			return fail("redirect", "the answer is a redirect to another host, which is not followed")
		}
		if len(via) > 3 {
			return fail("redirect", "too many redirects")
		}
		if then != nil {
			return then(req, via)
		}
		return nil
	}
}
