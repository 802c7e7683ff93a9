package machine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// TestAKeptAttemptHasTheKeyOfTheRunThatMadeIt: over a chain of replays, each attempt of a run's page has
// the key that its call was sent with, or says that the run which made it was pruned.
func TestAKeptAttemptHasTheKeyOfTheRunThatMadeIt(t *testing.T) {
	w := newFileWorld(t, map[string]string{"w": `on: hook
steps:
  - {id: a, uses: test/act, retry: {max: 1, delay: 1ms}, with: {n: 1}}
  - {id: each, foreach: "[1, 2]", as: x, uses: test/act, with: {n: "${{ x }}"}}
  - {id: b, uses: test/act, retry: 0, with: {n: 2}}
  - {id: c, uses: test/act, retry: 0, with: {n: 3}}`})
	var s sent
	failing := map[string]int{"a": 1, "b": 1, "c": 2}
	w.target.do = func(in engine.Input, _ int) (any, error) {
		s.note(in)
		s.mu.Lock()
		defer s.mu.Unlock()
		if failing[in.Path]--; failing[in.Path] >= 0 {
			return nil, &plan.Error{Message: "no", Code: "status", Status: 503, Retryable: true}
		}
		return nil, nil
	}
	e, st, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	runs := []engine.RunID{parseRun(t, settled(t, st, 1)[0].ID)}
	for i, from := range []string{"failed", "failed", "failed", "start", "failed"} {
		if from == "start" {
			failing["c"] = 1
		}
		r, err := e.ReplayRun(context.Background(), runs[i], engine.ReplayOrder{From: from})
		if err != nil {
			t.Fatal(err)
		}
		settled(t, st, i+2)
		runs = append(runs, r.Run)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// The first run makes a and each, the second b, the third nothing, the fourth c, the fifth all but c.
	for i, want := range []string{"a:0 a:0 b:0 each/0:0 each/1:0", "a:0 b:1 c:1 each/0:0 each/1:0", "a:0 b:1 c:2 each/0:0 each/1:0",
		"a:0 b:1 c:3 each/0:0 each/1:0", "a:4 b:4 c:4 each/0:4 each/1:4", "a:4 b:4 c:5 each/0:4 each/1:4"} {
		checkOrigins(t, w, runs, i, want, &s)
	}
	w.exec(t, fmt.Sprintf("DELETE FROM steps WHERE run_id = %d", int64(runs[0])))
	w.exec(t, fmt.Sprintf("DELETE FROM runs WHERE id = %d", int64(runs[0])))
	checkOrigins(t, w, runs, 2, "a:pruned b:1 c:2 each/0:pruned each/1:pruned", &s)
}

// checkOrigins checks which runs made the attempts of one, and that their keys were sent.
func checkOrigins(t *testing.T, w *world, runs []engine.RunID, at int, want string, s *sent) {
	t.Helper()
	o, err := w.open(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	d, err := o.History.RunDetail(context.Background(), runs[at])
	if err != nil {
		t.Fatal(err)
	}
	var made []string
	for i := range d.Steps {
		x, by := &d.Steps[i], fmt.Sprint(at)
		if x.Kept {
			by = "pruned"
		}
		for n, id := range runs {
			if id.String() == x.KeptFrom {
				by = fmt.Sprint(n)
			}
		}
		if x.Path == "each" || x.Path == "each/foreach" {
			continue
		}
		made = append(made, x.Path+":"+by)
		found := by == "pruned"
		for _, k := range s.keys[x.Path] {
			found = found || k == d.IdempotencyKey(x)
		}
		if !found {
			t.Errorf("run %d: no call of %s was sent with the key that is shown", at, x.Path)
		}
	}
	slices.Sort(made)
	if got := strings.Join(made, " "); got != want {
		t.Errorf("run %d: %s, want %s", at, got, want)
	}
}
