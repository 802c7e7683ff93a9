package machine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows/value"
)

// Value implements Inside.
func (ex *execution) Value(ctx context.Context, project bool, key string) (any, bool, error) {
	item, err := ex.e.o.Store.Value(ctx, ex.valueRef(project, key), time.Now())
	if errors.Is(err, engine.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	v, err := value.DecodeJSON(item.Value)
	return v, err == nil, err
}

func (ex *execution) valueRef(project bool, key string) engine.ValueRef {
	if project {
		return engine.ValueRef{Key: key}
	}
	return engine.ValueRef{Workflow: ex.run.Workflow, Key: key}
}

// ChangeValue implements Inside.
func (ex *execution) ChangeValue(_ context.Context, in engine.Input, project bool, c engine.ValueChange) (any, error) {
	c.ValueRef = ex.valueRef(project, c.Key)
	c.Op, c.Run, c.By = in.Key, ex.run.ID, ex.run.ID.String()
	ex.wrote.Store(true)
	return ex.e.changeValue(c, in.Redact)
}

// changeValue writes as soon as the store can.
func (e *Engine) changeValue(c engine.ValueChange, redact func(string) string) (any, error) {
	if err := c.Check(redact); err != nil {
		return nil, err
	}
	c.MaxKeys, c.MaxBytes = engine.MaxKeptKeys, engine.MaxKeptBytes
	var next engine.ValueNext
	err := e.store(func() (err error) {
		c.Now = time.Now()
		// Whether it is written must be known, also when the attempt's time is over.
		next, err = e.o.Store.ChangeValue(context.WithoutCancel(e.work), c)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, engine.ErrUnanswered)
	}
	if next.Refused != nil {
		return nil, next.Refused
	}
	return value.DecodeJSON([]byte(next.Result))
}

// SetValue and DeleteValue are what people do.
func (e *Engine) SetValue(ctx context.Context, c engine.ValueChange) (engine.ValueItem, error) {
	if p := e.project.Load(); c.Workflow != "" && p.Workflows[c.Workflow] == nil {
		return engine.ValueItem{}, fmt.Errorf("workflow %q: %w", c.Workflow, engine.ErrNotFound)
	}
	c.Kind = engine.ValueSet
	if _, err := e.changeByHand(ctx, c); err != nil {
		return engine.ValueItem{}, err
	}
	return e.o.Store.Value(ctx, c.ValueRef, time.Now())
}

// DeleteValue removes a value; it returns ErrNotFound when there is none.
func (e *Engine) DeleteValue(ctx context.Context, c engine.ValueChange) error {
	if _, err := e.o.Store.Value(ctx, c.ValueRef, time.Now()); err != nil {
		return fmt.Errorf("key %q: %w", c.Key, err)
	}
	c.Kind = engine.ValueDelete
	_, err := e.changeByHand(ctx, c)
	return err
}

func (e *Engine) changeByHand(ctx context.Context, c engine.ValueChange) (engine.ValueNext, error) {
	return engine.ChangeValueIn(ctx, e.o.Store, c, e.everyRun.Text)
}
