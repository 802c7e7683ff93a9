package actions

import (
	"context"
	"net/url"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file implements pages: of http/ actions: the pagination of connectors, with the step's own
// request.

// list reads the pages of a list. The body of the reply is the list of all items; more reports
// whether it was cut off.
func (a httpAction) list(ctx context.Context, in engine.Input, o order, accepted func(int) bool) (r *reply, more bool, err error) {
	pages, err := workflows.ParsePages(in.With["pages"])
	if err != nil {
		return nil, false, plan.Permanent("invalid_request", "%v", err)
	}
	for _, other := range []string{"save", "follow", "cache"} {
		if on, _ := in.With[other].(bool); on {
			return nil, false, plan.Permanent("invalid_request", "pages and %s: true are mutually exclusive", other)
		}
	}
	if in.With["max_response"] == nil {
		o.limit = value.MaxSize
	}
	if in.With["idempotency_key"] == nil {
		o.header.Del("Idempotency-Key") // with the same key, a service would return the first page each time
	}
	conn, err := a.linked(in, o)
	if err != nil {
		return nil, false, err
	}
	k := &call{in: in, outbound: a.outbound, connector: &workflows.Connector{}, action: &workflows.ConnectorAction{Pages: pages},
		connection: conn, accepted: accepted,
		tolerated: func(status int) bool { return accepted(status) && !success(status) }}
	began := time.Now()
	w, err := k.walk(ctx, o, pages.MaxItems)
	if err != nil {
		return nil, false, err
	}
	w.last.took = time.Since(began)
	if !k.tolerated(w.last.status) {
		w.last.body = w.items
	}
	return w.last, w.more, nil
}

// linked returns the connection that links to further pages must match: the step's, or without one
// the origin of the first request, because the step's credential is sent with each request.
func (a httpAction) linked(in engine.Input, o order) (*connection, error) {
	conn, err := pick(in, value.Shown(in.With["connection"]))
	if err != nil {
		return nil, err
	}
	if conn.base == "" {
		u, err := url.Parse(o.url)
		if err != nil {
			return nil, plan.Permanent("invalid_request", "the URL cannot be read")
		}
		conn.base = origin(u)
	}
	if auth, ok := in.With["auth"].(map[string]any); ok {
		if q, ok := auth["query"].(map[string]any); ok {
			conn.auth = &workflows.Auth{QueryName: value.Shown(q["name"])}
		}
	}
	return conn, nil
}
