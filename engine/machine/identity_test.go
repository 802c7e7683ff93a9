package machine_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/hookloom/hookloom/engine"
)

// TestAConflictingDeliveryIsAdmittedOnce makes it an event of its own with a run of its
// own, however many people say so.
func TestAConflictingDeliveryIsAdmittedOnce(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps: [{id: a, uses: test/act}]"})
	e, s, stop := w.start(nil)
	defer stop()
	ctx := context.Background()
	if _, err := e.Accept(ctx, delivery("k", `{"state":"building"}`)); err != nil {
		t.Fatal(err)
	}
	r, err := e.Accept(ctx, delivery("k", `{"state":"ready"}`))
	if err != nil || !r.Duplicate || !r.Conflict {
		t.Fatalf("%+v %v", r, err)
	}
	d, err := s.History.EventDetail(ctx, r.Event)
	if err != nil || len(d.Conflicting) != 1 {
		t.Fatalf("%+v %v", d, err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	events := map[engine.EventID]bool{}
	for range 20 {
		wg.Go(func() {
			got, err := e.AdmitConflict(ctx, d.Conflicting[0].ID, "ada")
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			events[got.Event] = true
		})
	}
	wg.Wait()
	settled(t, s, 2)
	if len(events) != 1 || events[r.Event] {
		t.Errorf("admitted as %v", events)
	}
	for id := range events {
		own, err := s.History.EventDetail(ctx, id)
		if err != nil || !strings.HasPrefix(own.Key, "k#conflict-") || len(own.RunItems) != 1 {
			t.Errorf("%+v %v", own, err)
		}
	}
	if d, err = s.History.EventDetail(ctx, r.Event); err != nil || d.Conflicting[0].Admitted == "" {
		t.Errorf("%+v %v", d, err)
	}
	if _, err := e.AdmitConflict(ctx, "cfl_999", "ada"); err == nil {
		t.Error("an unknown id is admitted")
	}
}
