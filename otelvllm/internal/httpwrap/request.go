package httpwrap

import (
	"net/http"
	"strings"
)

// giveBack puts on the outer request what the handler has found on its copy of it, where others
// look for it there: net/http deletes the temporary files of the multipart form; a middleware
// outside reads the pattern and path values that a mux inside has found.
//
// Nothing else is brought back, since looking at a field that a goroutine of the handler may still
// write would be a race which was not there before.
func giveBack(outer, inner *http.Request) {
	if outer == inner {
		return
	}
	if outer.MultipartForm != inner.MultipartForm {
		outer.Form, outer.PostForm, outer.MultipartForm = inner.Form, inner.PostForm, inner.MultipartForm
	}
	if inner.Pattern == "" {
		return
	}
	outer.Pattern = inner.Pattern
	for name := range wildcards(inner.Pattern) {
		if v := inner.PathValue(name); v != outer.PathValue(name) {
			outer.SetPathValue(name, v)
		}
	}
}

// wildcards yields the names between the braces of a pattern of http.ServeMux, "id" and "path" in
// "/a/{id}/{path...}/{$}", or of a router with the same notation, "id" in "/a/{id:[0-9]+}".
func wildcards(pattern string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for {
			_, rest, found := strings.Cut(pattern, "{")
			if !found {
				return
			}
			name, after, found := strings.Cut(rest, "}")
			if !found {
				return
			}
			pattern = after
			name, _, _ = strings.Cut(strings.TrimSuffix(name, "..."), ":")
			if name != "" && name != "$" && !yield(name) {
				return
			}
		}
	}
}
