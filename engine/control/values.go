package control

import (
	"context"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// SetValue and DeleteValue execute changes by people.
func (ctl *Control) SetValue(ctx context.Context, c engine.ValueChange) (engine.ValueItem, error) {
	if p := ctl.o.Registry.Snapshot(); c.Workflow != "" && p.Workflows[c.Workflow] == nil {
		return engine.ValueItem{}, fmt.Errorf("workflow %q: %w", c.Workflow, engine.ErrNotFound)
	}
	c.Kind = engine.ValueSet
	if _, err := ctl.changeByHand(ctx, c); err != nil {
		return engine.ValueItem{}, err
	}
	return ctl.o.Store.Value(ctx, c.ValueRef, time.Now())
}

// DeleteValue removes a value; it returns ErrNotFound if there is none.
func (ctl *Control) DeleteValue(ctx context.Context, c engine.ValueChange) error {
	if _, err := ctl.o.Store.Value(ctx, c.ValueRef, time.Now()); err != nil {
		return fmt.Errorf("key %q: %w", c.Key, err)
	}
	c.Kind = engine.ValueDelete
	_, err := ctl.changeByHand(ctx, c)
	return err
}

func (ctl *Control) changeByHand(ctx context.Context, c engine.ValueChange) (engine.ValueNext, error) {
	return engine.ChangeValueIn(ctx, ctl.o.Store, c, ctl.o.Registry.EveryRun().Text)
}
