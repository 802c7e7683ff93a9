package machine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/hookloom/hookloom/engine"
)

// awayStore is a store whose database is away for the first four reads of each kind, as during a failover:
// between the write that takes up a run and the reads that follow.
type awayStore struct {
	engine.Store
	// on is set once the runs wait; the others count the reads of each kind since.
	on     atomic.Bool
	loads  atomic.Int32
	events atomic.Int32
	texts  atomic.Int32
	batch  atomic.Int32
}

func (s *awayStore) away(n *atomic.Int32) bool { return s.on.Load() && n.Add(1) <= 4 }

func (s *awayStore) LoadRun(ctx context.Context, id engine.RunID) (*engine.LoadedRun, error) {
	r, err := s.Store.LoadRun(ctx, id)
	if err == nil && r.Run.Status == engine.Running && s.away(&s.loads) {
		return nil, engine.ErrBusy
	}
	return r, err
}

func (s *awayStore) Event(ctx context.Context, id engine.EventID) (*engine.Event, error) {
	if s.away(&s.events) {
		return nil, engine.ErrBusy
	}
	return s.Store.Event(ctx, id)
}

func (s *awayStore) Version(ctx context.Context, version string) (string, error) {
	if s.away(&s.texts) {
		return "", engine.ErrBusy
	}
	return s.Store.Version(ctx, version)
}

func (s *awayStore) Gathered(ctx context.Context, id engine.RunID) ([]engine.EventID, int64, error) {
	if s.away(&s.batch) {
		return nil, 0, engine.ErrBusy
	}
	return s.Store.Gathered(ctx, id)
}

// TestRunLoadedDuringADatabaseOutageContinues: no read after the write that marks it as running
// may leave it without anyone who executes it, or fail it.
func TestRunLoadedDuringADatabaseOutageContinues(t *testing.T) {
	w := newWorld(t, map[string]string{
		"one":   "on: hook\nsteps:\n  - {id: ok, wait: {approval: go}}\n  - {uses: test/act}\n  - {call: other}\n",
		"many":  "on: hook\nbatch: {size: 2, wait: 1h}\nsteps:\n  - {id: ok, wait: {approval: go}}\n  - {uses: test/act}\n",
		"other": "on: call\nsteps: [{uses: test/act}]\n"})
	away := &awayStore{}
	w.store = func(s engine.Store) engine.Store { away.Store = s; return away }
	e, s, stop := w.start(nil)
	for _, key := range []string{"a", "b"} {
		if _, err := e.Accept(context.Background(), delivery(key, `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	waiting := func() (ids []engine.RunID) {
		page, err := s.History.RunPage(context.Background(), engine.Query{Status: "waiting", WaitsFor: "approval"})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Items {
			ids = append(ids, parseRun(t, r.ID))
		}
		return ids
	}
	eventually(t, "three runs wait", func() bool { return len(waiting()) == 3 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// The next process has no version in memory.
	e, s, stop = w.start(nil)
	ids := waiting()
	away.on.Store(true)
	for _, id := range ids {
		var err error
		for range 9 { // it reads the batch, too
			_, err = e.Answer(context.Background(), id, engine.Response{Path: "ok", Verdict: "approve", By: "ada"})
			if !errors.Is(err, engine.ErrBusy) {
				break
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range settled(t, s, 5) {
		if r.Status != string(engine.Succeeded) {
			t.Errorf("%s of %s %s: %s", r.ID, r.Workflow, r.Status, r.Error)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if away.loads.Load() < 3 || away.batch.Load() < 4 {
		t.Errorf("%d runs and %d batches were read: nothing failed", away.loads.Load(), away.batch.Load())
	}
}
