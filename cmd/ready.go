package cmd

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
)

// ready reports whether deliveries can be stored, and what needs attention.
func (s *server) ready() console.Readiness {
	x := console.Readiness{Err: cmp.Or(s.store.Err(), s.store.Full()), Draining: s.store.Draining()}
	if s.uneven.Load() { // this is public: neither names nor addresses
		x.Warnings = append(x.Warnings, "the nodes have different project files: hookloom nodes shows them")
	}
	if s.state.Load().Broken() {
		x.Warnings = append(x.Warnings, "the last reload failed: not all project files are in effect")
	}
	for _, f := range s.secrets.Load().Failures() {
		if f.Kept { // this is public: only the name of a source
			x.Warnings = append(x.Warnings, f.Source+" cannot be read: the previous secrets are used")
		}
	}
	if free, total, err := s.disk(); err == nil && engine.DiskLow(free, total) {
		x.Warnings = append(x.Warnings, "the disk is nearly full")
	}
	for _, a := range s.engine.OpenAlerts() {
		if a.Kind == engine.AlertBacklogOld {
			x.Warnings = append(x.Warnings, "the backlog is old: "+a.Message)
		}
	}
	return x
}

// withHealth serves /healthz, /readyz and approval links together with the hooks.
func (s *server) withHealth(h http.Handler) http.Handler {
	approvals := console.Approvals(s.engine, s.o.log)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/healthz", r.URL.Path == "/readyz":
			console.Health(w, r, s.ready)
		case strings.HasPrefix(r.URL.Path, console.ApprovePath):
			approvals.ServeHTTP(w, r)
		default:
			h.ServeHTTP(w, r)
		}
	})
}
