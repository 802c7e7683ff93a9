package runner

import (
	"context"
	"errors"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows/value"
)

// Value implements Inside.
func (ex *Execution) Value(ctx context.Context, project bool, key string) (any, bool, error) {
	item, err := ex.rn.store.Value(ctx, ex.valueRef(project, key), time.Now())
	if errors.Is(err, engine.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	v, err := value.DecodeJSON(item.Value)
	return v, err == nil, err
}

func (ex *Execution) valueRef(project bool, key string) engine.ValueRef {
	if project {
		return engine.ValueRef{Key: key}
	}
	return engine.ValueRef{Workflow: ex.Run.Workflow, Key: key}
}

// ChangeValue implements Inside.
func (ex *Execution) ChangeValue(_ context.Context, in engine.Input, project bool, c engine.ValueChange) (any, error) {
	c.ValueRef = ex.valueRef(project, c.Key)
	c.Op, c.Run, c.By = in.Key, ex.Run.ID, ex.Run.ID.String()
	ex.wrote.Store(true)
	return ex.rn.changeValue(c, in.Redact)
}

// changeValue writes as soon as the store accepts it.
func (rn *Runner) changeValue(c engine.ValueChange, redact func(string) string) (any, error) {
	if err := c.Check(redact); err != nil {
		return nil, err
	}
	c.MaxKeys, c.MaxBytes = engine.MaxKeptKeys, engine.MaxKeptBytes
	var next engine.ValueNext
	err := rn.store.Retry(func() (err error) {
		c.Now = time.Now()
		// Whether it is written must be known, even after the attempt's timeout.
		next, err = rn.store.ChangeValue(context.WithoutCancel(rn.work), c)
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
