package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// maxEmittedData is the largest data of an emitted event, in bytes of JSON.
const maxEmittedData = 1 << 20

// Emit implements Inside.
func (ex *Execution) Emit(_ context.Context, in engine.Input, o engine.Emission) (any, error) {
	c := ex.Chain().With(ex.Run.Workflow, 0, 1)
	if c.Emits > registry.MaxEmits {
		return nil, registry.ChainTooDeep(o.Trigger, c)
	}
	o.Op, o.Run, o.Path = in.Key, ex.Run.ID, in.Path
	d, err := ex.rn.emission(o, in.Redact)
	if err != nil {
		return nil, err
	}
	d.Headers = map[string]string{"content-type": "application/json", "x-emitted-by": ex.Run.ID.String(), registry.ChainHeader: c.String()}
	ex.rn.reg.MarkUnsubscribed(d)
	ex.rn.reg.MaskEvent(d)
	id := engine.EventID(ex.rn.reg.NextID())
	d.Key = cmp.Or(d.Key, o.Op)
	var r engine.Receipt
	var again bool
	err = ex.rn.reg.Current(ex.rn.work, func() error {
		ex.rn.reg.MarkUnsubscribed(d)
		return ex.rn.store.Retry(func() (err error) {
			// Whether it is stored must be known, even after the attempt's timeout.
			r, again, err = ex.rn.store.Emit(context.WithoutCancel(ex.rn.work), id, d, o)
			return err
		})
	})
	if err != nil {
		return nil, errors.Join(err, engine.ErrUnanswered)
	}
	if !again {
		ex.rn.o.Arrivals.Accepted(d, r)
	}
	return map[string]any{"event": r.Event.String(), "trigger": o.Trigger, "key": d.Key, "duplicate": r.Duplicate}, nil
}

// emission makes the delivery of an event.
func (rn *Runner) emission(o engine.Emission, redact func(string) string) (*engine.Delivery, error) {
	p := rn.reg.Snapshot()
	t := p.Triggers[o.Trigger]
	if t == nil {
		return nil, registry.UnknownTrigger(o.Trigger)
	}
	raw, err := value.EncodeJSON(o.Data)
	switch {
	case err != nil:
		return nil, &plan.Error{Code: "invalid_input", Message: "data: " + err.Error()}
	case len(raw) > maxEmittedData:
		return nil, &plan.Error{Code: "too_large",
			Message: fmt.Sprintf("data has %d bytes, at most %s are emitted; emit less of it, such as the id by which the rest "+
				"can be fetched", len(raw), workflows.SizeText(maxEmittedData))}
	case len(o.Key) > maxEventKey || len(o.Type) > maxEventKey:
		return nil, &plan.Error{Code: "too_large",
			Message: fmt.Sprintf("key has %d bytes and type %d, at most %d of each are kept; use sha256(...) of what is long",
				len(o.Key), len(o.Type), maxEventKey)}
	case redact != nil && (redact(string(raw)) != string(raw) || redact(o.Key+"\n"+o.Type) != o.Key+"\n"+o.Type):
		return nil, &plan.Error{Code: "secret",
			Message: "the event contains a secret or a credential, and events must not store any: use ${{ secrets.NAME }} where it is needed"}
	}
	if _, err := value.DecodeJSON(raw); err != nil {
		return nil, &plan.Error{Code: "too_large", Message: "data: " + err.Error()}
	}
	now := time.Now().UTC()
	d := &engine.Delivery{Trigger: o.Trigger, Inlet: "emit", Key: workflows.ShortKey(o.Key),
		Type: cmp.Or(o.Type, o.Trigger), Time: now, ReceivedAt: now, Raw: raw, Query: map[string]string{}, Dedupe: t.Dedupe()}
	if o.Key != "" {
		d.Identity = engine.ByKey
	}
	return d, nil
}

// maxEventKey is the longest key or type of an emitted event, in bytes.
const maxEventKey = 1024
