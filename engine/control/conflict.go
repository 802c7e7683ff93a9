package control

import (
	"context"
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// AdmitConflict makes a conflicting delivery a separate event and runs it, once however often it is
// requested. who is stored with the event.
func (ctl *Control) AdmitConflict(ctx context.Context, id, who string) (engine.Receipt, error) {
	c, err := ctl.o.Store.Conflict(ctx, id)
	if err != nil {
		return engine.Receipt{}, err
	}
	d := c.Delivery
	if c.Size > 0 && len(d.Raw) == 0 {
		return engine.Receipt{}, fmt.Errorf("the body of %s was not stored: it was too large, or is older than history.bodies", id)
	}
	_, n, _ := strings.Cut(c.ID, "_")
	d.Key, d.Dedupe = c.Key+"#conflict-"+n, workflows.DefaultDedupe
	d.Flag = "admitted by " + who + ": a later delivery of " + c.Event.String() + " with different content"
	r, err := ctl.o.Machine.Accept(ctx, d)
	if err != nil {
		return r, err
	}
	if err := ctl.o.Store.ConflictAdmitted(ctx, id, r.Event); err != nil {
		return r, fmt.Errorf("recording that %s was admitted: %w", id, err)
	}
	return r, nil
}
