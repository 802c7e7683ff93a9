package backtest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file compares the HTTP requests of steps whose connector file changed: equal inputs can then
// make different requests. The action builds both requests, and sends nothing.

// maxSent is the largest body of a request that is compared, in bytes.
const maxSent = 1 << 20

// sentField is the field of the request that a connector builds; the other fields are inputs.
const sentField = "request"

// Previewer is an action that can build the request of an attempt without sending it. The actions
// of connectors are.
type Previewer interface {
	// Preview returns the first request and the first most bytes of its body. The request is nil if
	// there is none; err then says why.
	Preview(ctx context.Context, in engine.Input, most int64) (r *http.Request, body []byte, err error)
}

// sent builds the request of an attempt, by the names of its parts.
func (b *run) sent(s *simulation, d plan.Due) map[string]any {
	a, ok := b.o.Actions[engine.ActionName(d.Step)].(Previewer)
	if !ok {
		return nil
	}
	in := b.input(d)
	in.Key, in.Preview = "IDEMPOTENCY-KEY", placeholder("")
	r, body, err := a.Preview(s.ctx, in, maxSent)
	if r == nil {
		return map[string]any{"problem": fmt.Sprint("it cannot be made: ", err)}
	}
	out := map[string]any{"method": r.Method, "url": r.URL.Scheme + "://" + r.URL.Host + r.URL.EscapedPath(), "query": values(r.URL.Query()),
		"headers": values(url.Values(r.Header))}
	if len(body) == 0 {
		return out
	}
	out["body"] = string(body)
	switch media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); {
	case media == "application/x-www-form-urlencoded":
		if form, err := url.ParseQuery(string(body)); err == nil {
			out["body"] = values(form)
		}
	case media == "application/json" || strings.HasSuffix(media, "+json"):
		if v, err := value.DecodeJSON(body); err == nil {
			out["body"] = v
		}
	}
	return out
}

// values returns parameters as data: one text, or a list of them.
func values(of url.Values) map[string]any {
	out := make(map[string]any, len(of))
	for name, list := range of {
		if out[name] = any(list[0]); len(list) > 1 {
			all := make([]any, len(list))
			for i, x := range list {
				all[i] = x
			}
			out[name] = all
		}
	}
	return out
}

// connectorOf returns the connector of a call; nil if its action is built in.
func connectorOf(c *call) *workflows.Connector {
	if c.step == nil || c.step.Spec == nil {
		return nil
	}
	return c.step.Spec.Connector
}

// otherConnector reports whether two calls are of one action in two texts of its connector.
func otherConnector(b, c *call) bool {
	x, y := connectorOf(b), connectorOf(c)
	return b.action == c.action && x != nil && y != nil && x.Version != y.Version
}

// sentDiffers lists the differences of two requests whose connector changed.
func sentDiffers(b, c *call) []FieldChange {
	if !otherConnector(b, c) || b.sent == nil || c.sent == nil {
		return nil
	}
	moved := c.began.Sub(b.began)
	return differences(sentField, b.request(), c.request(), func(x, y any) bool { return sameMoment(x, y, moved) })
}

// request returns what sent does, built once.
func (c *call) request() map[string]any {
	if c.made == nil {
		c.made = c.sent()
	}
	return c.made
}

// readsDifferently reports whether the connectors of two calls make different results of the
// response to the first, which failed or not.
func readsDifferently(b, c *call, failed bool) bool {
	if !otherConnector(b, c) {
		return false
	}
	x, y := b.step.Spec.Action, c.step.Spec.Action
	if failed && !sameErrors(connectorOf(b).Errors, connectorOf(c).Errors) {
		return true
	}
	return x.Parse != y.Parse || !x.Output.Same(y.Output) || !sameRules(x, y)
}

func sameRules(x, y *workflows.ConnectorAction) bool {
	fails := slices.EqualFunc(x.Fail, y.Fail, func(a, b workflows.FailRule) bool {
		return textOf(a.When) == textOf(b.When) && a.Code == b.Code && a.Message.Same(b.Message) && a.Retryable == b.Retryable
	})
	already := slices.EqualFunc(x.Already, y.Already, func(a, b workflows.AlreadyRule) bool {
		return textOf(a.When) == textOf(b.When) && a.Output.Same(b.Output)
	})
	return fails && already && samePages(x.Pages, y.Pages)
}

func samePages(x, y *workflows.ConnectorPages) bool {
	if x == nil || y == nil {
		return x == y
	}
	return textOf(x.Items) == textOf(y.Items) && textOf(x.Total) == textOf(y.Total) && x.Max == y.Max && x.MaxItems == y.MaxItems
}

func sameErrors(x, y *workflows.ConnectorErrors) bool {
	if x == nil || y == nil {
		return x == y
	}
	same := func(a, b []workflows.ErrorRule) bool {
		return slices.EqualFunc(a, b, func(a, b workflows.ErrorRule) bool {
			return slices.Equal(a.Statuses, b.Statuses) && textOf(a.Body) == textOf(b.Body) && textOf(a.After) == textOf(b.After) &&
				a.Code == b.Code && a.Message.Same(b.Message)
		})
	}
	return textOf(x.Message) == textOf(y.Message) && same(x.Wait, y.Wait) && same(x.Retry, y.Retry) && same(x.Permanent, y.Permanent)
}
