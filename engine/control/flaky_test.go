package control_test

import (
	"context"
	"errors"
	"time"

	"github.com/hookloom/hookloom/engine"
)

func (f *flaky) LoadRun(ctx context.Context, id engine.RunID) (*engine.LoadedRun, error) {
	r, err := f.Store.LoadRun(ctx, id)
	if err == nil && f.loaded != nil {
		f.loaded(r)
	}
	return r, err
}

func (f *flaky) Event(ctx context.Context, id engine.EventID) (*engine.Event, error) {
	if f.event != nil {
		if err := f.event(id); err != nil {
			return nil, err
		}
	}
	return f.Store.Event(ctx, id)
}

func (f *flaky) HeldEvents(ctx context.Context, workflow string, limit int) ([]engine.EventID, error) {
	if f.held != nil {
		f.held()
	}
	return f.Store.HeldEvents(ctx, workflow, limit)
}

func (f *flaky) Replay(ctx context.Context, r engine.Replay) (due time.Time, inDoubt int, err error) {
	if f.replay != nil {
		f.replay(r)
	}
	return f.Store.Replay(ctx, r)
}

func (f *flaky) ChangeBatch(ctx context.Context, id engine.BatchID, from []string, to, reason string, now time.Time) (bool, error) {
	if f.changing != nil {
		f.changing()
	}
	return f.Store.ChangeBatch(ctx, id, from, to, reason, now)
}

func (f *flaky) DoneSteps(ctx context.Context, event engine.EventID, workflow string) ([]engine.DoneStep, error) {
	if f.done != nil {
		if err := f.done(); err != nil {
			return nil, err
		}
	}
	return f.Store.DoneSteps(ctx, event, workflow)
}

func (f *flaky) Audit(ctx context.Context, a engine.AuditEntry) error {
	if f.audited != nil {
		f.audited(a)
	}
	return f.Store.Audit(ctx, a)
}

func (f *flaky) Missed(ctx context.Context, workflow string) (engine.Switched, error) {
	s, err := f.Store.Missed(ctx, workflow)
	return s, errors.Join(err, f.missed)
}
