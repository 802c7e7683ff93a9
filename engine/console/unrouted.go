package console

import (
	"net/http"
	"strings"
)

// This file responds to API requests that no handler matches, in the form of the API's other
// errors.

const apiPrefix = "/api/"

// foreignOrigin refuses a request from another site's page.
func foreignOrigin(w http.ResponseWriter, r *http.Request) {
	const text = "the request comes from the page of another site: Origin does not match Host. " +
		"A proxy in front must pass the Host header on unchanged"
	if strings.HasPrefix(r.URL.Path, apiPrefix) {
		problem(w, http.StatusForbidden, text)
		return
	}
	http.Error(w, text, http.StatusForbidden)
}

// routed serves the routes, and responds with JSON to an API request with a wrong method.
func routed(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" || !strings.HasPrefix(r.URL.Path, apiPrefix) {
			mux.ServeHTTP(w, r)
			return
		}
		said := unsent{header: http.Header{}}
		h.ServeHTTP(&said, r)
		if said.status != http.StatusMethodNotAllowed {
			mux.ServeHTTP(w, r)
			return
		}
		allowed := said.header.Get("Allow")
		w.Header().Set("Allow", allowed)
		problem(w, said.status, "this call is made with "+strings.ReplaceAll(allowed, ", ", " or ")+", not with "+r.Method)
	})
}

// unsent discards the response of a handler.
type unsent struct {
	header http.Header
	status int
}

func (u *unsent) Header() http.Header         { return u.header }
func (u *unsent) Write(b []byte) (int, error) { return len(b), nil }
func (u *unsent) WriteHeader(status int)      { u.status = status }
