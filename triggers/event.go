package triggers

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// maxSplit is the number of events that one request can become.
const maxSplit = 10_000

// eventsOf returns the events of a verified request: one, or with split one for each
// element of a list. It never fails: a body that cannot be read or split becomes one event
// with a flag.
func (r *route) eventsOf(in *inbound) []*engine.Delivery {
	if r.preset != nil && r.preset.BodyFromToken {
		in.becomeClaims()
	}
	body, raw, unreadable := in.content()
	d := &engine.Delivery{Trigger: r.trigger.Name, Inlet: workflows.InletWebhook,
		Type: r.trigger.Name, Time: in.at, ReceivedAt: in.at, Method: in.method,
		Path:    r.keepPath(in.path),
		Headers: keepHeaders(in.header, r.hide), Query: r.keepQuery(in.query), Raw: r.maskTokens(raw), DataExpr: r.data, Dedupe: r.dedupe}
	if contentType := in.contentType(); contentType != "" || d.Headers["content-type"] != "" {
		d.Headers["content-type"] = contentType // the event is read again as it was read here
	}
	env := &expr.Env{Names: in.names(d, body), Now: r.localTime(in.at)}
	if r.list != nil && unreadable == nil {
		ds, err := r.split(d, in, body, env)
		if err == nil {
			return ds
		}
		unreadable = err
	}
	r.identify(d, env, in, raw, "")
	d.ContentSum = r.contentSum(in, env)
	r.checkData(d, in, env, body, unreadable)
	d.NotReadable(unreadable)
	return []*engine.Delivery{d}
}

// split makes an event of each element of a list.
func (r *route) split(d *engine.Delivery, in *inbound, body any, env *expr.Env) ([]*engine.Delivery, error) {
	v, err := r.list.Eval(env)
	if err != nil {
		return nil, fmt.Errorf("split: %w", err)
	}
	items, ok := v.([]any)
	if !ok { // also where it is not there: what is proved is kept
		return nil, fmt.Errorf("split: %s did not give a list", r.list.Text)
	}
	if len(items) > maxSplit {
		return nil, fmt.Errorf("split: %d elements; %d at most", len(items), maxSplit)
	}
	out := make([]*engine.Delivery, len(items))
	equal := map[string]int{}
	for i, item := range items {
		if out[i], err = r.element(*d, in, body, item, equal); err != nil {
			return nil, fmt.Errorf("split: element %d: %w", i, err)
		}
	}
	return out, nil
}

// element makes the event of one element of a list. Only its data is stored as body, so
// that a long list is not stored once per element. Its key is what the preset or key:
// reads from it, else it is made of the id of the list and the content of the element.
// equal counts the elements of equal content.
func (r *route) element(d engine.Delivery, in *inbound, body, item any, equal map[string]int) (*engine.Delivery, error) {
	names := in.names(&d, body)
	names["item"] = item
	data := item
	if e := r.webhook.Data; e != nil {
		var err error
		if data, err = e.Eval(&expr.Env{Names: names, Now: r.localTime(in.at)}); err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
	}
	raw, err := value.EncodeJSON(data)
	if err != nil {
		return nil, err
	}
	d.Raw, d.DataExpr = r.maskTokens(raw), ""
	d.Headers = maps.Clone(d.Headers)
	d.Headers["content-type"] = "application/json"
	list, wholeIsList := body.([]any)
	written := len(r.webhook.Key) > 0
	if !written && wholeIsList && len(list) > 0 {
		// The expressions of a preset are written for a list of one element.
		names["body"] = []any{item}
	}
	content := raw
	if item, err := value.EncodeJSON(item); err == nil {
		content = item
	}
	nth := equal[string(content)]
	equal[string(content)]++
	r.identify(&d, &expr.Env{Names: names, Now: r.localTime(in.at)}, in, content, fmt.Sprintf("%x#%d", sha256.Sum256(content), nth))
	r.checkSchema(&d, in, data)
	if d.Identity == engine.ByHeader || d.Identity == engine.ByProvider && !wholeIsList && !r.keyOfItem {
		d.Key = splitKey(d.Key, content, nth) // the provider's id is that of the whole list
	}
	return &d, nil
}

// localTime converts a time to the zone that now() shows.
func (r *route) localTime(at time.Time) time.Time {
	if r.zone == nil {
		return at.UTC()
	}
	return at.In(r.zone)
}
