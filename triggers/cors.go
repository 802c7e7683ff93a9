package triggers

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// cors answers browsers that ask whether a page may post to a trigger
// (https://fetch.spec.whatwg.org/#http-cors-protocol).
type cors struct {
	any     bool
	origins map[string]bool
	methods string
}

// newCORS compiles the origins of a trigger; nil if it has none.
func newCORS(origins, methods []string) *cors {
	if len(origins) == 0 {
		return nil
	}
	c := &cors{any: slices.Contains(origins, "*"), origins: map[string]bool{}, methods: strings.Join(methods, ", ")}
	for _, o := range origins {
		c.origins[o] = true
	}
	return c
}

// headerNames are the headers that a browser may request to send.
var headerNames = regexp.MustCompile(`^[A-Za-z0-9!#$%&'*+.^_|~, -]{1,1000}$`)

// preflight reports whether a request is a CORS preflight, and whether its origin is
// allowed. It may be called on nil.
func (c *cors) preflight(req *http.Request) (is, allowed bool) {
	origin := req.Header.Get("Origin")
	if c == nil || origin == "" {
		return false, false
	}
	is = req.Method == http.MethodOptions && req.Header.Get("Access-Control-Request-Method") != ""
	return is, c.any || c.origins[strings.ToLower(origin)]
}

// serve sets the CORS headers and answers a preflight. It reports whether the request is
// answered.
func (c *cors) serve(w http.ResponseWriter, req *http.Request) bool {
	origin := req.Header.Get("Origin")
	if origin == "" {
		return false
	}
	is, allowed := c.preflight(req)
	hd := w.Header()
	hd.Add("Vary", "Origin")
	if allowed {
		hd.Set("Access-Control-Allow-Origin", origin)
		if c.any {
			hd.Set("Access-Control-Allow-Origin", "*")
		}
	}
	if !is {
		return false
	}
	if !allowed {
		answer(w, http.StatusForbidden, reply{Error: "origin not allowed"})
		return true
	}
	hd.Set("Access-Control-Allow-Methods", c.methods)
	if names := req.Header.Get("Access-Control-Request-Headers"); headerNames.MatchString(names) {
		hd.Set("Access-Control-Allow-Headers", names)
		hd.Add("Vary", "Access-Control-Request-Headers")
	}
	hd.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}
