package triggers

import (
	"errors"
	"fmt"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file validates received data against the trigger's schema, before anything is masked, since
// a masked number is a text.

// checkData validates the only event of a request. An event whose body cannot be read is invalid.
func (r *route) checkData(d *engine.Delivery, in *inbound, env *expr.Env, body any, unreadable error) {
	switch {
	case r.webhook.Schema == nil:
	case unreadable != nil:
		r.invalid(d, in, errors.New("its body cannot be read"))
	case r.dataExpr != nil:
		data, err := r.dataExpr.Eval(env)
		if err != nil {
			r.invalid(d, in, fmt.Errorf("data: %w", err))
			return
		}
		r.checkSchema(d, in, data)
	default:
		r.checkSchema(d, in, body)
	}
}

// checkSchema validates the data of an event.
func (r *route) checkSchema(d *engine.Delivery, in *inbound, data any) {
	if r.webhook.Schema != nil {
		r.invalid(d, in, r.webhook.Schema.Check(data))
	}
}

// invalid records that an event does not match. Types that the trigger does not accept are not
// validated.
func (r *route) invalid(d *engine.Delivery, in *inbound, why error) {
	if why == nil || !workflows.MatchType(r.webhook.Events, d.Type) {
		return
	}
	if in.invalid == nil {
		in.invalid = why
	}
	d.NotFitting(why, r.webhook.Schema.OnInvalid == workflows.DeadLetter)
}

// checkItems validates the items of a poll. There is no sender to answer, so an item that a webhook
// would refuse becomes a dead letter.
func (p *poller) checkItems(rows []row) {
	rule := p.poll.Schema
	if rule == nil {
		return
	}
	for _, r := range rows {
		if r.delivery.Partial {
			continue // its data was not requested: the event is known
		}
		data, err := value.DecodeJSON(r.delivery.Raw)
		if err == nil {
			err = rule.Check(data)
		}
		r.delivery.NotFitting(err, rule.OnInvalid != workflows.MarkInvalid)
	}
}
