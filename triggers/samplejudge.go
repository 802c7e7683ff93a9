package triggers

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/content"
	"github.com/hookloom/hookloom/workflows"
)

// JudgeSample verifies a signed sample as the server would, and returns the deliveries that it
// makes. Nothing is stored.
func JudgeSample(ctx context.Context, p *workflows.Project, trigger string, deps *Deps, order SampleOrder, now time.Time) (*Verdict,
	[]*engine.Delivery, error) {
	x, err := Sample(p, trigger, deps.Secret, order)
	if err != nil {
		return nil, nil, err
	}
	r, err := newRoute(p, p.Triggers[trigger], deps)
	if err != nil {
		return nil, nil, err
	}
	url := order.Base + x.Path
	if len(x.Query) > 0 {
		url += "?" + x.Query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, x.Method, url, bytes.NewReader(x.Body))
	if err != nil {
		return nil, nil, err
	}
	req.Header = x.Header.Clone()
	in := &inbound{method: req.Method, path: req.URL.Path, header: req.Header, query: content.ParseQuery(req.URL.RawQuery),
		publicURL: r.publicURL(req, sender{}), body: x.Body, at: now}
	in.prepare(r)
	return r.report(in, nil), r.verify(in).deliveries, nil
}
