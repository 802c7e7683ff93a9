package triggers

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"regexp"
	"strings"
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
	r.typeAndTime(d, env)
	r.identify(d, env, in, raw, "")
	d.ContentSum = r.contentSum(in, env)
	r.checkData(d, in, env, body, unreadable)
	d.NotReadable(unreadable)
	if in.whole && in.reserved == 0 && unreadable == nil && !in.claimed && len(raw) > 0 && &d.Raw[0] == &raw[0] {
		d.Body, d.Decoded, d.Text = body, true, in.text // raw is what is stored, and not masked
	}
	return []*engine.Delivery{d}
}

// split makes an event of each element of a list.
func (r *route) split(d *engine.Delivery, in *inbound, body any, env *expr.Env) ([]*engine.Delivery, error) {
	v, err := r.list.Eval(env)
	if err != nil {
		return nil, fmt.Errorf("split: %w", err)
	}
	items, ok := v.([]any)
	if !ok { // also if it is missing: a verified delivery is kept
		return nil, fmt.Errorf("split: %s did not return a list", r.list.Text)
	}
	if len(items) > maxSplit {
		return nil, fmt.Errorf("split: %d elements; %d at most", len(items), maxSplit)
	}
	out := make([]*engine.Delivery, len(items))
	equal, withList := map[string]int{}, r.withList(body)
	for i, item := range items {
		if out[i], err = r.element(*d, in, body, item, equal, withList); err != nil {
			return nil, fmt.Errorf("split: element %d: %w", i, err)
		}
	}
	return out, nil
}

// element makes the event of one element of a list. Only its data is stored as body, so a long list
// is not stored once per element. The trigger or the preset determines its key and type; without a
// key, the key consists of the id of the list and the content of the element. equal counts the
// elements of equal content; withList is that of the body.
func (r *route) element(d engine.Delivery, in *inbound, body, item any, equal map[string]int,
	withList func([]any) any) (*engine.Delivery, error) {
	names := &expr.Env{Names: in.names(&d, body), Now: r.localTime(in.at)}
	names.Names["item"] = item
	data := item
	if e := r.webhook.Data; e != nil {
		var err error
		if data, err = e.Eval(names); err != nil {
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
	content := raw
	if item, err := value.EncodeJSON(item); err == nil {
		content = item
	}
	nth := equal[string(content)]
	equal[string(content)]++
	// The expressions of a preset expect a list; here it contains only this element.
	alone := withName(names, "body", withList([]any{item}))
	typed, keyed := alone, alone
	if r.webhook.EventType != nil {
		typed = names
	}
	if len(r.webhook.Key) > 0 {
		keyed = names
	}
	r.typeAndTime(&d, typed)
	r.identify(&d, keyed, in, content, fmt.Sprintf("%x#%d", sha256.Sum256(content), nth))
	r.checkSchema(&d, in, data)
	if d.Identity == engine.ByHeader || d.Identity == engine.ByProvider && r.ofWholeList(d.Key, alone, withList) {
		d.Key = splitKey(d.Key, content, nth)
	}
	return &d, nil
}

// listPath matches a split that names a list in the body, or the text of one.
var listPath = regexp.MustCompile(`^(?:fromJSON\(body\.([A-Za-z_][A-Za-z0-9_]*)\)|body((?:\??\.[A-Za-z_][A-Za-z0-9_]*)*))$`)

// withList returns a function that gives the body with another list in the place of the one
// that is split; the body itself if split does not name its place. What the function gives holds
// until its next call: a body of many fields is copied once, not for each element.
func (r *route) withList(body any) func(list []any) any {
	m := listPath.FindStringSubmatch(r.list.Text)
	if m == nil {
		return func([]any) any { return body }
	}
	path := strings.FieldsFunc(m[1]+m[2], func(c rune) bool { return c == '.' || c == '?' })
	if len(path) == 0 {
		return func(list []any) any { return list }
	}
	name := path[len(path)-1]
	whole := replaced(body, path, nil)
	inside := whole
	for _, k := range path[:len(path)-1] {
		of, _ := inside.(map[string]any)
		inside = of[k]
	}
	place, ok := inside.(map[string]any)
	if !ok {
		return func([]any) any { return body }
	}
	return func(list []any) any {
		place[name] = list
		if m[1] != "" { // a text in a form
			text, err := value.EncodeJSON(list)
			if err != nil {
				return body
			}
			place[name] = string(text)
		}
		return whole
	}
}

// replaced returns a copy of a value with another value at a path.
func replaced(in any, path []string, with any) any {
	if len(path) == 0 {
		return with
	}
	m, ok := in.(map[string]any)
	if !ok {
		return in
	}
	m = maps.Clone(m)
	m[path[0]] = replaced(m[path[0]], path[1:], with)
	return m
}

// ofWholeList reports whether a preset's key is the id of the whole list: it is the same for
// a list without elements.
func (r *route) ofWholeList(key string, env *expr.Env, withList func([]any) any) bool {
	whole, err := r.eventKey(withName(withName(env, "item", nil), "body", withList([]any{})))
	return err == nil && whole == key
}

// withName returns an environment in which a name has another value.
func withName(env *expr.Env, name string, v any) *expr.Env {
	names := maps.Clone(env.Names)
	names[name] = v
	return &expr.Env{Names: names, Now: env.Now}
}

// localTime converts a time to the zone that now() shows.
func (r *route) localTime(at time.Time) time.Time {
	if r.zone == nil {
		return at.UTC()
	}
	return at.In(r.zone)
}
