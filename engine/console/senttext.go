package console

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine"
)

// SentRequestText writes a request like an HTTP message, for people.
func SentRequestText(r *engine.SentRequest) string {
	return strings.TrimRight(fmt.Sprintf("%s %s\n%s\n%s", r.Method, r.URL, sentHeaders(r.Headers), r.Body), "\n")
}

// SentResponseText writes a response like an HTTP message, for people. JSON is not changed.
func SentResponseText(r *engine.SentResponse) string {
	body := string(r.Body)
	var text string
	switch {
	case body == "null":
		body = ""
	case json.Unmarshal(r.Body, &text) == nil:
		body = text
	}
	return strings.TrimRight(fmt.Sprintf("%d %s\n%s\n%s", r.Status, http.StatusText(r.Status), sentHeaders(r.Headers), body), "\n ")
}

func sentHeaders(h map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(h)) {
		fmt.Fprintf(&b, "%s: %s\n", name, h[name])
	}
	return b.String()
}
