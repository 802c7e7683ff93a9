package actions

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// This file implements follow: true. A service that answers 202 does the work later and gives in
// Location the URL where the result can be requested (RFC 9110, 15.3.3; Operation-Location is
// Microsoft's, REST API Guidelines, "Long-running operations").

const (
	// firstLook and longestLook limit the interval between requests if the service does not set it
	// by Retry-After.
	firstLook, longestLook = time.Second, 30 * time.Second
)

// followed polls an operation until its status is no longer 202, or ctx ends. The request's
// credential is sent, so only the same origin is polled.
func followed(ctx context.Context, client *http.Client, o order, r *reply) (*reply, error) {
	began, pause := time.Now().Add(-r.took), firstLook
	for r.status == http.StatusAccepted {
		next, err := operationOf(o, r)
		if err != nil {
			return nil, err
		}
		wait := retryAfter(r.header.Get("Retry-After"), time.Now())
		if wait == 0 {
			wait, pause = pause, min(2*pause, longestLook)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, errors.Join(&plan.Error{Message: "the operation was still running when the step timed out; raise timeout: of the step",
				Code: "timeout", Status: r.status, Retryable: true}, engine.ErrUnanswered)
		}
		look := o
		look.method, look.url, look.body, look.parts = http.MethodGet, next, nil, nil
		look.header = o.header.Clone()
		for _, name := range []string{"Content-Type", "Idempotency-Key", "Traceparent"} {
			look.header.Del(name)
		}
		if r, err = send(ctx, client, look); err != nil {
			return nil, errors.Join(err, engine.ErrUnanswered) // the operation itself has begun
		}
		if r.status != http.StatusAccepted && plan.RetryableStatus(r.status) && ctx.Err() == nil {
			r.status = http.StatusAccepted // the status of a poll says nothing about the operation
			r.header = http.Header{"Location": {next}, "Retry-After": r.header.Values("Retry-After")}
		}
		o.method, o.url = http.MethodGet, next
	}
	r.took = time.Since(began)
	return r, nil
}

// operationOf returns the URL of the operation: the one in the last response, or else the same URL
// again.
func operationOf(o order, r *reply) (string, error) {
	raw := r.header.Get("Operation-Location")
	if raw == "" {
		raw = r.header.Get("Location")
	}
	if raw == "" && o.method == http.MethodGet {
		return o.url, nil
	}
	base, err := url.Parse(o.url)
	if err != nil || raw == "" {
		return "", plan.Permanent("bad_answer", "follow: the response is 202 but has no Location header for the result")
	}
	to, err := base.Parse(raw)
	if err != nil || to.User != nil {
		return "", plan.Permanent("bad_answer", "follow: the Location header of the response is not a valid URL")
	}
	if origin(to) != origin(base) {
		return "", plan.Permanent("bad_answer",
			"follow: the result is at another origin, where the request's credential is not sent; request it "+
				"in a step of its own")
	}
	return to.String(), nil
}
