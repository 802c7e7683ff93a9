package console

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/hookloom/hookloom/engine"
)

// Readiness is the response of /readyz.
type Readiness struct {
	// Err makes the server not ready: deliveries cannot be stored.
	Err error
	// Draining makes the server not ready too: it stops soon, and still accepts deliveries.
	Draining bool
	// Warnings are part of a ready response. They must not be confidential: the hooks address
	// serves /readyz too.
	Warnings []string
}

// Health serves /healthz, which is 200 while the process runs, and /readyz, which is 200 while it
// can store: {"status":"ok"}, with "warnings" if something needs attention.
func Health(w http.ResponseWriter, r *http.Request, ready func() Readiness) {
	answer := struct {
		Status   string   `json:"status"`
		Reason   string   `json:"reason,omitempty"`
		Warnings []string `json:"warnings,omitempty"`
	}{Status: "ok"}
	status := http.StatusOK
	if r.URL.Path == "/readyz" {
		x := ready()
		answer.Warnings = x.Warnings
		if x.Draining {
			answer.Status, answer.Reason, status = "draining", "this node stops soon", http.StatusServiceUnavailable
		}
		if x.Err != nil {
			answer.Status, status = "not ready", http.StatusServiceUnavailable
			answer.Reason = "the database cannot store events: the server's log says why" // errors contain names of files and hosts
			if errors.Is(x.Err, engine.ErrFull) {
				answer.Reason = "the disk is full: deliveries are answered 503 until there is space"
			}
		}
	}
	b, err := json.Marshal(answer)
	if err != nil {
		status, b = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // on failure the client has disconnected
}
