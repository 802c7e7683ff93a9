package triggers

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// ParseUnverified returns the event that a webhook would make of a body, without verifying
// the sender, for tests and previews. If split is used it is the first element.
func ParseUnverified(p *workflows.Project, trigger string, body any, header map[string]string, now time.Time) (*engine.Delivery, error) {
	t := p.Triggers[trigger]
	if t == nil || t.Webhook == nil {
		return nil, fmt.Errorf("trigger %q has no webhook inlet", trigger)
	}
	raw, err := value.EncodeJSON(body)
	if err != nil {
		return nil, fmt.Errorf("encoding the body: %w", err)
	}
	r := newReader(p, t, &Deps{}, map[string]string{})
	r.wanted()
	in := &inbound{method: http.MethodPost, path: t.Webhook.Path, header: http.Header{"Content-Type": {"application/json"}},
		body: raw, at: now}
	for k, v := range header {
		in.header.Set(k, v)
	}
	in.prepare(r)
	in.mediaTypes = nil // the body is JSON here, whatever the provider sends
	ds := r.eventsOf(in)
	if len(ds) == 0 {
		return nil, fmt.Errorf("trigger %s: split returned no element", trigger)
	}
	if flag := ds[0].Flag; strings.HasPrefix(flag, engine.UnreadableFlag) {
		return nil, fmt.Errorf("trigger %s: %s", trigger, flag)
	}
	return ds[0], nil
}
