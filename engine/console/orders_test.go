package console_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
)

func (o *operator) ReplayRun(ctx context.Context, of engine.RunID, r engine.ReplayOrder) (engine.Replayed, error) {
	run, err := o.Replay(ctx, of, r.From, r.Version, r.By)
	return engine.Replayed{Run: run}, err
}

func (o *operator) Switch(ctx context.Context, x engine.SwitchOrder) (engine.Switched, error) {
	return engine.Switched{}, o.SetEnabled(ctx, x.Workflow, x.On, x.By)
}

func (o *operator) DecideAgain(context.Context, engine.EventID, string, bool, string) (engine.Again, error) {
	return engine.Again{}, nil
}

func (o *operator) Undecided(context.Context, engine.EventID) ([]string, error) { return nil, nil }

func (o *operator) Forecast(context.Context, engine.Selection) (*engine.Forecast, error) {
	return &engine.Forecast{}, nil
}

func (o *operator) StartBatch(_ context.Context, s engine.Selection, _ int, _ string) (*engine.Batch, error) {
	o.asked = append(o.asked, "batch of "+s.Trigger)
	return &engine.Batch{ID: engine.BatchID(9).String(), State: engine.BatchRunning, Selection: s}, nil
}

func (o *operator) ChangeBatch(_ context.Context, id engine.BatchID, to string) (*engine.Batch, error) {
	return &engine.Batch{ID: id.String(), State: to}, nil
}

func (o *operator) Batches(context.Context) ([]engine.Batch, error) { return nil, nil }

func (o *operator) Batch(_ context.Context, id engine.BatchID) (*engine.Batch, error) {
	return &engine.Batch{ID: id.String(), State: engine.BatchRunning, By: script, Reason: script}, nil
}

func (o *operator) BeginOrder(_ context.Context, key string, digest []byte) (engine.Order, error) {
	if o.orders == nil {
		o.orders = map[string]*engine.Order{}
	}
	if had := o.orders[key]; had != nil {
		out := *had
		out.Known, out.Same = true, bytes.Equal(o.digests[key], digest)
		return out, nil
	}
	o.orders[key], o.digests = &engine.Order{At: time.Now()}, map[string][]byte{key: digest}
	return engine.Order{}, nil
}

func (o *operator) EndOrder(_ context.Context, key string, x engine.Order) error {
	*o.orders[key] = x
	if x.Status == 0 {
		delete(o.orders, key)
	}
	return nil
}

// TestRequestWithAnIdempotencyKeyRunsOnce checks that the same request again gets the first response,
// that another one with the same key is refused, and that a failed one may be retried.
func TestRequestWithAnIdempotencyKeyRunsOnce(t *testing.T) {
	c, op := made(t, console.Options{Loopback: true})
	post := func(path, key, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", "http://127.0.0.1"+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", key)
		r.Header.Set(console.ClientHeader, "1")
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		return w
	}
	first, again := post("/api/v1/workflows/w/fire", "k1", `{"why":"x"}`), post("/api/v1/workflows/w/fire", "k1", `{"why":"x"}`)
	if first.Code != 202 || again.Code != 202 || first.Body.String() != again.Body.String() ||
		again.Header().Get("Idempotent-Replayed") != "true" || len(op.asked) != 1 {
		t.Errorf("%d %s, then %d %s, asked %q", first.Code, first.Body, again.Code, again.Body, op.asked)
	}
	if w := post("/api/v1/workflows/w/fire", "k1", `{"why":"y"}`); w.Code != http.StatusUnprocessableEntity || len(op.asked) != 1 {
		t.Errorf("another order: %d %s", w.Code, w.Body)
	}
	for range 2 {
		if w := post("/api/v1/workflows/none/fire", "k2", `{}`); w.Code != 404 {
			t.Errorf("an order that fails: %d %s", w.Code, w.Body)
		}
	}
	if len(op.asked) != 3 {
		t.Errorf("an order that failed was not tried again: %q", op.asked)
	}
	if w := post("/api/v1/workflows/w/fire", strings.Repeat("k", 300), `{}`); w.Code != 400 {
		t.Errorf("a long key: %d", w.Code)
	}
}
