//go:build unix

package e2e

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
)

// journals are three records of the same period: what the client received, what the target
// received, and what the database contains.
type journals struct {
	// acked are the event ids of every 2xx that was read, by key.
	acked map[string]string
	// effects are the requests that the target received, by idempotency key.
	effects map[string]effect
	events  []engine.EventItem
	runs    []engine.RunItem
	steps   map[string][]engine.StepItem // by run
	// effectsPerRun is the number of steps of a run with external effects.
	effectsPerRun int
}

type effect struct {
	bodies []string
	came   int
}

func readJournals(ctx context.Context, db string) (*journals, error) {
	h, err := store.OpenHistory(db)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	j := &journals{effects: map[string]effect{}, steps: map[string][]engine.StepItem{}}
	for q := (engine.Query{Limit: 1000}); ; {
		page, err := h.Events(ctx, q)
		if err != nil {
			return nil, err
		}
		j.events = append(j.events, page...)
		if len(page) < q.Limit {
			break
		}
		q.After = page[len(page)-1].ID
	}
	for q := (engine.Query{Limit: 1000}); ; {
		page, err := h.Runs(ctx, q)
		if err != nil {
			return nil, err
		}
		j.runs = append(j.runs, page...)
		if len(page) < q.Limit {
			break
		}
		q.After = page[len(page)-1].ID
	}
	for _, r := range j.runs {
		id, err := engine.ParseRunID(r.ID)
		if err != nil {
			return nil, err
		}
		if j.steps[r.ID], err = h.Steps(ctx, id); err != nil {
			return nil, err
		}
	}
	return j, nil
}

// violations returns the contradictions in and between the journals.
func (j *journals) violations() []string {
	var out []string
	wrong := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	byKey := map[string]engine.EventItem{}
	for _, e := range j.events {
		if byKey[e.Key].ID != "" {
			wrong("key %s has two events", e.Key)
		}
		byKey[e.Key] = e
	}
	for _, key := range slices.Sorted(maps.Keys(j.acked)) {
		if e := byKey[key]; e.ID != j.acked[key] {
			wrong("acknowledged %s as %s, the database has %q", key, j.acked[key], e.ID)
		}
	}
	runsOf := map[string]int{}
	unknown, known := 0, map[string]bool{}
	for _, e := range j.events {
		known[e.ID] = true
	}
	for _, r := range j.runs {
		runsOf[r.Event]++
		if !known[r.Event] {
			wrong("run %s has no event", r.ID)
		}
		if !engine.RunStatus(r.Status).Ended() {
			wrong("run %s is %s at rest", r.ID, r.Status)
		} else if r.Status != string(engine.Succeeded) {
			wrong("run %s %s: %s", r.ID, r.Status, r.Error)
		}
		unknown += j.stepViolations(r, wrong)
	}
	for _, e := range j.events {
		if runsOf[e.ID] != 1 {
			wrong("event %s (%s) has %d runs", e.ID, e.Key, runsOf[e.ID])
		}
	}
	repeated := 0
	for _, key := range slices.Sorted(maps.Keys(j.effects)) {
		e := j.effects[key]
		if len(e.bodies) != 1 {
			wrong("idempotency key %s came with %d bodies", key, len(e.bodies))
		}
		repeated += e.came - 1
	}
	if repeated > unknown {
		wrong("%d calls were repeated, but only %d attempts were cut: a finished step was repeated", repeated, unknown)
	}
	if n := j.effectsPerRun * len(j.runs); len(j.effects) != n {
		wrong("%d effects of %d that %d runs have", len(j.effects), n, len(j.runs))
	}
	return out
}

func (j *journals) stepViolations(r engine.RunItem, wrong func(string, ...any)) (unknown int) {
	done := map[string]bool{}
	for _, s := range j.steps[r.ID] {
		if done[s.Path] {
			wrong("run %s: %s was attempted again after it had succeeded", r.ID, s.Path)
		}
		done[s.Path] = s.Status == "succeeded"
		if s.FinishedAt == nil {
			wrong("run %s: %s is still %s", r.ID, s.Path, s.Status)
		} else if s.FinishedAt.Before(s.StartedAt) {
			wrong("run %s: %s ended before it began", r.ID, s.Path)
		}
		if s.Status == "unknown" {
			unknown++
		}
	}
	return unknown
}

// ledger is the target, an HTTP server that records how often each idempotency key was received,
// and with which bodies.
type ledger struct {
	url    string
	mu     sync.Mutex
	bodies map[string]map[string]bool
	came   map[string]int
}

// newLedger starts a ledger, which ends with the test.
func newLedger(t *testing.T) *ledger {
	t.Helper()
	l := &ledger{bodies: map[string]map[string]bool{}, came: map[string]int{}}
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	l.url = server.URL
	return l
}

// ServeHTTP implements http.Handler.
func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the server was killed while sending
	}
	key := r.Header.Get("Idempotency-Key") + r.Header.Get("webhook-id")
	l.mu.Lock()
	if l.bodies[key] == nil {
		l.bodies[key] = map[string]bool{}
	}
	l.bodies[key][r.URL.Path+" "+string(body)] = true
	l.came[key]++
	l.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"id":1}`)) // a killed server shows in its own history
}

// keys returns the number of idempotency keys received.
func (l *ledger) keys() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.came)
}

// check compares the three journals, for a workflow with a number of calls.
func (l *ledger) check(t *testing.T, db string, acked *acknowledged, effectsPerRun int) {
	t.Helper()
	j, err := readJournals(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	j.acked, j.effectsPerRun = acked.events, effectsPerRun
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, bodies := range l.bodies {
		e := effect{came: l.came[key]}
		for b := range bodies {
			e.bodies = append(e.bodies, b)
		}
		j.effects[key] = e
	}
	violations := j.violations()
	for i, v := range violations {
		if i == 20 {
			t.Errorf("and %d more", len(violations)-i)
			break
		}
		t.Error(v)
	}
}

// TestTheLedgerFindsEachViolation tests the checker itself: each mutant is a ledger with one fault.
func TestTheLedgerFindsEachViolation(t *testing.T) {
	sound := func() *journals {
		at := engine.RunID(1 << 40).Time()
		later := at.Add(1)
		step := func(path, status string, attempt int) engine.StepItem {
			return engine.StepItem{Path: path, Status: status, Attempt: attempt, StartedAt: at, FinishedAt: &later}
		}
		return &journals{acked: map[string]string{"a": "evt_1", "b": "evt_2"}, effectsPerRun: 1,
			events: []engine.EventItem{{ID: "evt_1", Key: "a"}, {ID: "evt_2", Key: "b"}},
			runs:   []engine.RunItem{{ID: "run_1", Event: "evt_1", Status: "succeeded"}, {ID: "run_2", Event: "evt_2", Status: "succeeded"}},
			steps: map[string][]engine.StepItem{"run_1": {step("s", "succeeded", 1)},
				"run_2": {step("s", "unknown", 1), step("s", "succeeded", 2)}},
			effects: map[string]effect{"k1": {[]string{"x"}, 1}, "k2": {[]string{"y"}, 2}}}
	}
	if v := sound().violations(); len(v) > 0 {
		t.Fatalf("the sound ledger: %v", v)
	}
	for name, change := range map[string]func(*journals){
		"an acknowledged event is lost":       func(j *journals) { j.events, j.runs = j.events[:1], j.runs[:1] },
		"it has another id":                   func(j *journals) { j.acked["a"] = "evt_9" },
		"a key has two events":                func(j *journals) { j.events = append(j.events, engine.EventItem{ID: "evt_3", Key: "a"}) },
		"an event has no run":                 func(j *journals) { j.runs = j.runs[:1]; delete(j.effects, "k2") },
		"an event has two runs":               func(j *journals) { j.runs[1].Event = "evt_1" },
		"a run comes from nowhere":            func(j *journals) { j.runs[1].Event = "evt_7" },
		"a run is open at rest":               func(j *journals) { j.runs[0].Status = "running" },
		"a run failed":                        func(j *journals) { j.runs[0].Status = "failed" },
		"a finished step was attempted again": func(j *journals) { j.steps["run_1"] = append(j.steps["run_1"], j.steps["run_1"][0]) },
		"a finished call was made again":      func(j *journals) { j.effects["k1"] = effect{[]string{"x"}, 2} },
		"a key came with two bodies":          func(j *journals) { j.effects["k2"] = effect{[]string{"y", "z"}, 2} },
		"an effect is missing":                func(j *journals) { delete(j.effects, "k1") },
		"an effect has another key":           func(j *journals) { j.effects["k3"] = effect{[]string{"x"}, 1} },
		"a step is still open":                func(j *journals) { j.steps["run_1"][0].FinishedAt = nil },
		"a step ended before it began": func(j *journals) {
			f := j.steps["run_1"][0].StartedAt.Add(-1)
			j.steps["run_1"][0].FinishedAt = &f
		},
		"more was repeated than was cut":        func(j *journals) { j.effects["k2"] = effect{[]string{"y"}, 3} },
		"nothing is there but acknowledgements": func(j *journals) { j.events, j.runs, j.effects = nil, nil, nil },
	} {
		j := sound()
		change(j)
		if len(j.violations()) == 0 {
			t.Errorf("not seen: %s", name)
		}
	}
}
