package triggers

import (
	"net/http"

	"github.com/hookloom/hookloom/engine"
)

// servedResponse notes the status of a response and the events of its request, for traces.
type servedResponse struct {
	http.ResponseWriter
	status     int
	deliveries []*engine.Delivery
	receipts   []engine.Receipt
}

// Unwrap gives http.ResponseController the response below.
func (s *servedResponse) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (s *servedResponse) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

// served reports a request to Deps.Served if its events were stored. Requests that were refused
// have no trace: anybody can send them, and metrics count them.
func (h *Hooks) served(r *route, in *inbound, s *servedResponse) {
	if len(s.receipts) == 0 {
		return
	}
	out := engine.ServedRequest{Trigger: r.trigger.Name, Method: in.method, Route: r.webhook.Path, Path: r.keepPath(in.path),
		URL: in.publicURL, Status: max(s.status, http.StatusOK), Headers: s.deliveries[0].Headers, ReceivedAt: in.at}
	for _, x := range s.receipts {
		out.Events = append(out.Events, x.Event)
	}
	h.deps.Served(out)
}
