package actions

import (
	"context"
	"net/http"
	"time"

	"github.com/hookloom/hookloom/actions/auth"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// maxAsked is the maximum size in bytes of a response to a poll.
const maxAsked = 32 << 20

// askTimeout limits one request of a poll.
const askTimeout = 60 * time.Second

// Ask returns the function that polls use for requests: it takes the keys of with: of http/request,
// and returns the output and the raw bytes. source provides the tokens of connections; nil if they
// have none.
func Ask(connections map[string]*workflows.Connection, secret func(string) (string, bool), client *http.Client,
	source *auth.Source) func(context.Context, map[string]any) (map[string]any, error) {
	return func(ctx context.Context, with map[string]any) (map[string]any, error) {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		a := httpAction{outbound: outbound{client, source}}
		o, accepted, err := a.order(engine.Input{With: with, Connections: connections, Secret: secret})
		if err != nil {
			return nil, err
		}
		client, done, err := route(engine.Input{With: with, Connections: connections}, client, &o)
		if err != nil {
			return nil, err
		}
		defer done()
		o.most = maxAsked
		if o.limit = min(o.limit, maxAsked); with["max_response"] == nil {
			o.limit = maxAsked
		}
		r, err := send(ctx, client, o)
		if err != nil {
			return nil, err
		}
		if err := checkStatus(r, accepted); err != nil {
			return nil, err
		}
		out := r.names()
		out["url"], out["bytes"] = r.url, r.size
		return out, nil
	}
}
