package machine_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/storetest"
	"github.com/hookloom/hookloom/engine/testsize"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// target stands for the outside: it notes every request by idempotency key.
type target struct {
	mu   sync.Mutex
	seen map[string][]string // key -> bodies
	do   func(in engine.Input, nth int) (any, error)
}

func (g *target) Do(ctx context.Context, in engine.Input) (any, error) {
	g.mu.Lock()
	body, err := value.EncodeJSON(in.With)
	if err != nil {
		g.mu.Unlock()
		return nil, err
	}
	g.seen[in.Key] = append(g.seen[in.Key], string(body))
	n := len(g.seen[in.Key])
	g.mu.Unlock()
	if g.do != nil {
		return g.do(in, n)
	}
	return map[string]any{"n": 1}, nil
}

func (g *target) calls() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, b := range g.seen {
		n += len(b)
	}
	return n
}

var specs = map[string]*workflows.ActionSpec{
	"test/act": {Name: "test/act", SideEffects: true, Inputs: []workflows.ActionInput{{Name: "n", Type: "any"}}},
	"log":      {Name: "log", Inputs: []workflows.ActionInput{{Name: "message", Type: "string"}}},
}

func project(t testing.TB, flows map[string]string) *workflows.Project {
	t.Helper()
	return projectWith(t, "", flows, workflows.NewActions(specs, nil))
}

// projectWith has more triggers, as lines of triggers:, and other actions.
func projectWith(t testing.TB, triggers string, flows map[string]string, catalog *workflows.Actions) *workflows.Project {
	t.Helper()
	dir := t.TempDir()
	config := "triggers:\n  hook: {webhook: {auth: none}}\n  back: {webhook: {auth: none}}\n" + triggers
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("hookloom.yaml", config)
	for id, text := range flows {
		if strings.HasSuffix(id, ".yaml") { // another file than a workflow's
			write(id, text)
			continue
		}
		write("workflows/"+id+".yaml", text)
	}
	p, mistakes := workflows.Load(dir, workflows.Catalog{Actions: catalog}, nil)
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	return p
}

// world is one database with the target outside of it.
type world struct {
	// before is done once the project is in use and nothing runs yet.
	before  func(*machine.Engine)
	t       testing.TB
	project *workflows.Project
	target  *target
	options machine.Options
	// open opens the database.
	open storetest.Open
	// storeOptions are those of onFile, but for its faults.
	storeOptions store.Options
	// act carries out test/act in place of the target.
	act engine.Action
	// actions are there besides.
	actions map[string]engine.Action
	// store wraps the engine's store, when it is set.
	store func(engine.Store) engine.Store
	// ownRows reports whether the test writes runs by SQL, which are not in the feed.
	ownRows bool
	// feedBegan is the end of the feed before the first run.
	feedBegan *engine.Cursor
	// path is the file of onFile.
	path string
	// log is where the action log writes; nowhere when it is nil.
	log *slog.Logger
}

// newWorld has a database of the kind that HOOKLOOM_TEST_DATABASE names.
func newWorld(t testing.TB, flows map[string]string) *world {
	return &world{t: t, open: storetest.Fresh(t), project: project(t, flows), target: &target{seen: map[string][]string{}}}
}

// newFileWorld is newWorld with onFile.
func newFileWorld(t testing.TB, flows map[string]string) *world {
	w := newWorld(t, flows)
	w.onFile()
	return w
}

// onFile makes the database the SQLite file w.path, for tests that read or change its rows by SQL, or
// read the bytes of the file.
func (w *world) onFile() {
	w.path = filepath.Join(w.t.TempDir(), "x.db")
	w.open = func(fault func(int) error) (storetest.Opened, error) {
		o := w.storeOptions
		o.Fault = fault
		s, err := store.Open(context.Background(), w.path, o)
		if err != nil {
			return storetest.Opened{}, err
		}
		h := s.History()
		wrong := func(ctx context.Context) (out []string, err error) {
			found, err := h.Check(ctx)
			for _, f := range found {
				for _, row := range f.Wrong {
					out = append(out, f.What+": "+row)
				}
			}
			return out, err
		}
		return storetest.Opened{Store: s, History: h, Wrong: wrong, Close: s.Close}, nil
	}
}

// file opens the history of onFile.
func (w *world) file() *store.History {
	w.t.Helper()
	h, err := store.OpenHistory(w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := h.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return h
}

// start opens the database and runs the engine; stop ends both.
func (w *world) start(fault func(int) error) (e *machine.Engine, s database, stop func() error) {
	w.t.Helper()
	o, err := w.open(fault)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.feedBegan == nil {
		at, err := o.History.FeedEnd(context.Background())
		if err != nil {
			w.t.Fatal(err)
		}
		w.feedBegan = &at
	}
	e, stop = w.runOver(o.Store, func() error {
		if !w.ownRows {
			checkFeed(w.t, o.History, *w.feedBegan)
		}
		return o.Close()
	})
	return e, opened(o), stop
}

// runOver runs the engine over a store; stop ends both, the store by end.
func (w *world) runOver(s engine.Store, end func() error) (e *machine.Engine, stop func() error) {
	w.t.Helper()
	o := w.options
	o.Store, o.Grace = s, cmp.Or(w.options.Grace, 200*time.Millisecond)
	if w.store != nil {
		o.Store = w.store(s)
	}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	o.Actions = map[string]engine.Action{"test/act": w.target, "log": actions.Executors(actions.Options{Log: w.log})["log"]}
	for name, a := range w.actions {
		if o.Actions[name] == nil {
			o.Actions[name] = a
		}
	}
	if w.act != nil {
		o.Actions["test/act"] = w.act
	}
	o.LinkKey = func() ([]byte, error) { return []byte("a key that is not in the database"), nil }
	o.Secrets = func(string) (string, bool) { return "", false }
	e = machine.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	if err := e.Use(ctx, w.project); err != nil {
		cancel()
		return e, func() error { return errors.Join(err, end()) }
	}
	if w.before != nil {
		w.before(e)
	}
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	return e, func() error {
		cancel()
		err := <-ended
		return errors.Join(err, end())
	}
}

func delivery(key, body string) *engine.Delivery {
	now := time.Now().UTC()
	return &engine.Delivery{Trigger: "hook", Inlet: "webhook", Key: key, Type: "t", Time: now, ReceivedAt: now, Raw: []byte(body),
		Headers: map[string]string{"content-type": "application/json"}, Dedupe: time.Hour}
}

// settled waits until no run is open and nothing waits to be matched.
func settled(t testing.TB, s database, runs int) []engine.RunItem {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		// The list is read first: a run that begins after it must not count as ended.
		items, err := s.History.Runs(context.Background(), engine.Query{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		counts, err := s.History.Counts(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if counts.Open == 0 && counts.Inbox == 0 && len(items) >= runs {
			if items, err = s.History.Runs(context.Background(), engine.Query{Limit: 1000}); err != nil {
				t.Fatal(err)
			}
			return items // as they ended
		}
		time.Sleep(5 * time.Millisecond)
	}
	counts, err := s.History.Counts(context.Background())
	items, errItems := s.History.Runs(context.Background(), engine.Query{Limit: 1000})
	var open []engine.RunItem
	for _, r := range items {
		if r.FinishedAt == nil {
			open = append(open, r)
		}
	}
	t.Fatalf("runs are still open, or there are too few: %+v, %d of %d runs, open: %+v (%v)", counts, len(items), runs, open,
		errors.Join(err, errItems))
	return nil
}

const threeSteps = `on: hook
when: event.data.ok
steps:
  - {id: a, uses: test/act, with: {n: "${{ event.key }} ${{ uuid() }} ${{ now() }}"}}
  - {uses: log, with: {message: between}}
  - switch: event.type
    cases: {t: [{id: b, uses: test/act, with: {n: "${{ steps.a.output.n }}"}}]}
  - {foreach: "[1, 2]", max_parallel: 2, uses: test/act, with: {n: "${{ event.key }} ${{ item }} ${{ now() }}"}}
  - sleep: 5ms
  - parallel:
      - {id: p, uses: test/act}
      - steps: [{uses: test/act}, {uses: test/act}]
  - {id: c, uses: test/act, retry: {max: 2, delay: 1ms}}
output: done
`

var errCrash = errors.New("the power is gone")

// TestACrashAtAnyWriteLosesNothing fails the n-th commit, and all after it, for
// every n of a scenario; then opens the database again and checks what was
// promised: acknowledged events have run, finished steps were not repeated, a
// repeated call carried the same key and the same bytes.
func TestACrashAtAnyWriteLosesNothing(t *testing.T) {
	t.Run("short way", func(t *testing.T) { crashAtAnyWrite(t, nil) })
	t.Run("long way", func(t *testing.T) { crashAtAnyWrite(t, viaInbox) })
}

func crashAtAnyWrite(t *testing.T, way func(engine.Store) engine.Store) {
	for n := 1; ; n += testsize.Of(t, "HOOKLOOM_FAULTSTEP", 1) {
		w := newWorld(t, map[string]string{"w": threeSteps, "skips": "on: hook\nwhen: false\nsteps: [{stop: x}]"})
		w.store = way
		w.target.do = func(in engine.Input, nth int) (any, error) {
			if in.Path == "c" && nth == 1 {
				return nil, &plan.Error{Message: "busy", Code: "http_status", Status: 503, Retryable: true}
			}
			return map[string]any{"n": 1}, nil
		}
		crashed := false
		var mu sync.Mutex
		e, _, stop := w.start(func(i int) error {
			mu.Lock()
			defer mu.Unlock()
			if i >= n {
				crashed = true
				return errCrash
			}
			return nil
		})
		acked := map[string]bool{}
		for i := range 4 {
			key := fmt.Sprint("k", i)
			if _, err := e.Accept(context.Background(), delivery(key, `{"ok":true}`)); err == nil {
				acked[key] = true
			}
			time.Sleep(2 * time.Millisecond)
		}
		time.Sleep(15 * time.Millisecond)
		if os.Getenv(storetest.Database) == "postgres" {
			time.Sleep(100 * time.Millisecond) // its commits take longer: the crash must reach the last ones too
		}
		if err := stop(); err != nil && !errors.Is(err, errCrash) && !strings.Contains(err.Error(), "power") {
			t.Fatalf("n=%d: %v", n, err)
		}
		before := w.target.snapshot()
		_, s, stop2 := w.start(nil)
		runs := settled(t, s, len(acked))
		w.check(n, s, runs, acked, before)
		if err := stop2(); err != nil {
			t.Fatalf("n=%d: %v", n, err)
		}
		mu.Lock()
		over := !crashed
		mu.Unlock()
		if over {
			if n < 12 {
				t.Errorf("only %d writes were tried", n)
			}
			return
		}
	}
}

func (g *target) snapshot() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := map[string]int{}
	for k, v := range g.seen {
		out[k] = len(v)
	}
	return out
}

// check holds the invariants after a crash at the n-th write.
func (w *world) check(n int, s database, runs []engine.RunItem, acked map[string]bool, before map[string]int) {
	w.t.Helper()
	if wrong, err := s.wrong(context.Background()); err != nil || len(wrong) > 0 {
		w.t.Errorf("n=%d: %v, %v", n, wrong, err)
	}
	stored := map[string]string{}
	for _, ev := range eventsIn(w.t, s.History) {
		if stored[ev.Key] != "" {
			w.t.Errorf("n=%d: %s is there twice", n, ev.Key)
		}
		stored[ev.Key] = ev.ID
	}
	byEvent := map[string]int{}
	for _, r := range runs {
		byEvent[r.Event]++
		if r.Status != "succeeded" {
			w.t.Errorf("n=%d: run %s %s: %s", n, r.ID, r.Status, r.Error)
		}
		id, err := engine.ParseRunID(r.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		d, err := s.History.RunDetail(context.Background(), id)
		if err != nil {
			w.t.Fatal(err)
		}
		succeeded := map[string]int{}
		for _, st := range d.Steps {
			if st.Status == "succeeded" {
				succeeded[st.Path]++
			}
			if st.FinishedAt == nil {
				w.t.Errorf("n=%d: %s is still %s", n, st.Path, st.Status)
			}
		}
		for p, k := range succeeded {
			if k != 1 {
				w.t.Errorf("n=%d: step %s of %s succeeded %d times", n, p, r.ID, k)
			}
		}
	}
	for key := range acked {
		if stored[key] == "" {
			w.t.Errorf("n=%d: acknowledged %s is lost", n, key)
		} else if byEvent[stored[key]] != 1 {
			w.t.Errorf("n=%d: %s has %d runs", n, key, byEvent[stored[key]])
		}
	}
	w.target.mu.Lock()
	defer w.target.mu.Unlock()
	for key, bodies := range w.target.seen {
		for _, b := range bodies[1:] {
			if b != bodies[0] {
				w.t.Errorf("n=%d: %s came with two bodies: %s and %s", n, key, bodies[0], b)
			}
		}
		// One request, one more for the busy first try of c, one more for the crash.
		if len(bodies) > 3 {
			w.t.Errorf("n=%d: %s came %d times", n, key, len(bodies))
		}
	}
}
