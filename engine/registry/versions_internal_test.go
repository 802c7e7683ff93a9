package registry

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/store/storetest"
	"github.com/hookloom/hookloom/workflows"
)

// shares is a store of several nodes some of whose calls fail.
type shares struct {
	Store
	rules    func() (int64, []engine.Run, error)
	allUses  []error // of the next calls
	saveUses error
}

func (s *shares) Shared() bool { return true }

func (s *shares) Rules(ctx context.Context) (int64, []engine.Run, error) {
	if s.rules == nil {
		return s.Store.Rules(ctx)
	}
	return s.rules()
}

func (s *shares) AllUses(ctx context.Context) ([]engine.VersionUses, error) {
	if len(s.allUses) > 0 {
		err := s.allUses[0]
		if s.allUses = s.allUses[1:]; err != nil {
			return nil, err
		}
	}
	return s.Store.AllUses(ctx)
}

func (s *shares) SaveUses(ctx context.Context, u engine.VersionUses) error {
	if s.saveUses != nil {
		return s.saveUses
	}
	return s.Store.SaveUses(ctx, u)
}

// over is a registry of another node over a store.
func over(s Store) *Registry {
	return New(Options{Store: s, Redactor: &redact.Redactor{}, Log: slog.New(slog.DiscardHandler), RunURL: engine.RunID.String})
}

const (
	caller = "on: a\nsteps: [{call: b}]\n"
	called = "on: [call, manual]\nsteps: [{stop: x}]\n"
)

// projectOf is a project with workflows.
func projectOf(t *testing.T, flows map[string]string) *workflows.Project {
	t.Helper()
	return using(t, hooks, flows).Snapshot().Project
}

// TestAProjectIsNotUsedIfItsVersionsAreNotStored: its runs could not continue after a restart.
func TestAProjectIsNotUsedIfItsVersionsAreNotStored(t *testing.T) {
	away := errors.New("the database is away")
	p := projectOf(t, map[string]string{"w": caller, "b": called})
	for name, c := range map[string]struct {
		s    shares
		want error
	}{"all goes well": {}, "reading what is stored": {shares{allUses: []error{away}}, away}, "storing": {shares{saveUses: away}, away},
		"reading again": {shares{allUses: []error{nil, away}}, away}} {
		s := c.s
		s.Store = storetest.New(t).Store
		g := over(&s)
		if err := g.Use(t.Context(), p); !errors.Is(err, c.want) || (g.Snapshot() != nil) != (c.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestACalledWorkflowHasTheVersionThatItsCallerBeganWith, also when the project has another one or none.
func TestACalledWorkflowHasTheVersionThatItsCallerBeganWith(t *testing.T) {
	g := using(t, hooks, map[string]string{"w": caller, "b": called})
	first := g.Snapshot()
	run := &engine.Run{ID: engine.RunID(g.NextID()), Workflow: "w", Version: first.Workflows["w"].Version}
	for name, flows := range map[string]map[string]string{"the same": nil, "another": {"w": caller, "b": called + "output: x\n"},
		"none": {"w": "on: a\n" + "steps: [{stop: x}]\n"}} {
		p := first.Project
		if flows != nil {
			p = projectOf(t, flows)
		}
		if err := g.Use(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		w, err := g.Callee(t.Context(), run, nil, "b")
		if err != nil || w == nil || w.Version != first.Workflows["b"].Version {
			t.Errorf("%s: %+v %v", name, w, err)
		}
		if w, err := g.Callee(t.Context(), run, nil, "none"); err == nil || !strings.Contains(err.Error(), "no longer exists") {
			t.Errorf("%s: a workflow that never was: %+v %v", name, w, err)
		}
	}
}

// TestAVersionOfAnotherNodeIsFound, and an error of the store is no answer.
func TestAVersionOfAnotherNodeIsFound(t *testing.T) {
	away := errors.New("the database is away")
	s := storetest.New(t).Store
	one, other := over(&shares{Store: s}), &shares{Store: s}
	two := over(other)
	if err := two.Use(t.Context(), projectOf(t, map[string]string{"w": "on: a\nsteps: [{stop: x}]\n"})); err != nil {
		t.Fatal(err)
	}
	p := projectOf(t, map[string]string{"w": caller, "b": called})
	if err := one.Use(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	run := &engine.Run{ID: engine.RunID(two.NextID()), Workflow: "w", Version: p.Workflows["w"].Version}
	other.allUses = []error{away}
	if w, err := two.Version(t.Context(), run, run.ID); !errors.Is(err, away) {
		t.Errorf("%+v %v", w, err)
	}
	if w, err := two.Version(t.Context(), run, run.ID); err != nil || w == nil || w.Version != run.Version {
		t.Errorf("%+v %v", w, err)
	}
}

// TestWhatAnotherNodeHasSwitchedOffIsInForce after a refresh, and so are the waits of the versions that it has loaded.
func TestWhatAnotherNodeHasSwitchedOffIsInForce(t *testing.T) {
	const waits = "on: a\nsteps: [{wait: {event: d, key: \"${{ event.key }}\"}, timeout: 1h}]\n"
	s := &shares{Store: storetest.New(t).Store}
	earlier := projectOf(t, map[string]string{"w": waits})
	if err := over(s).Use(t.Context(), earlier); err != nil {
		t.Fatal(err)
	}
	g := over(s)
	if err := g.Use(t.Context(), projectOf(t, map[string]string{"w": "on: a\nsteps: [{stop: x}]\n"})); err != nil {
		t.Fatal(err)
	}
	if err := s.Store.(engine.Store).SetSwitch(t.Context(), engine.Switch{Workflow: "w"}, false); err != nil {
		t.Fatal(err)
	}
	s.rules = func() (int64, []engine.Run, error) {
		return g.Rules() + 1, []engine.Run{{Workflow: "w", Version: "gone"}, {Workflow: "w", Version: earlier.Workflows["w"].Version}}, nil
	}
	if err := g.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if off := g.SwitchedOff(); len(off) != 1 || !g.Awaited("d") {
		t.Errorf("off: %+v, runs may wait for d: %t", off, g.Awaited("d"))
	}
}

// TestTriggersThatAreGoneAreNamed: a run that waits for an event of one would wait for ever.
func TestTriggersThatAreGoneAreNamed(t *testing.T) {
	g := using(t, hooks, map[string]string{"w": "on: a\nsteps: [{wait: {event: d, key: \"${{ event.key }}\"}, timeout: 1h}]\n"})
	w := g.Snapshot().Workflows["w"]
	if gone := g.GoneTriggers(w); len(gone) != 0 {
		t.Errorf("%v", gone)
	}
	p := *g.Snapshot().Project
	p.Triggers = map[string]*workflows.Trigger{"a": p.Triggers["a"]}
	g.project.Store(&Snapshot{Project: &p})
	if gone := g.GoneTriggers(w); len(gone) != 1 || !gone["d"] {
		t.Errorf("%v", gone)
	}
}

// TestAnOrderStartsOneWorkflow, by its name; that of a run's end is recorded as disabled while the workflow is off.
func TestAnOrderStartsOneWorkflow(t *testing.T) {
	g := using(t, hooks, map[string]string{"w": called, "v": called}, engine.Switch{Workflow: "w"})
	for _, c := range []struct {
		d    engine.Delivery
		want string
		off  engine.Outcome
	}{
		{engine.Delivery{Inlet: workflows.InletManual, Trigger: "v"}, "v", ""},
		{engine.Delivery{Inlet: workflows.InletManual, Trigger: "w"}, "w", ""},
		{engine.Delivery{Inlet: workflows.InletWorkflowRun, Trigger: "v", Only: "w"}, "w", engine.Disabled},
		{engine.Delivery{Inlet: workflows.InletWorkflowRun, Trigger: "w", Only: "v"}, "v", ""},
		{engine.Delivery{Inlet: workflows.InletManual, Trigger: "none"}, "", ""},
	} {
		list := g.Snapshot().Listeners(&c.d)
		if len(list) > 1 || (len(list) == 1) != (c.want != "") || c.want != "" && (list[0].Workflow.ID != c.want || list[0].Off != c.off) {
			t.Errorf("%+v: %+v", c.d, list)
		}
	}
}

// TestABodyInAnotherCharsetSaysSoAfterItIsMasked: what is stored is UTF-8, and its type must say so.
func TestABodyInAnotherCharsetSaysSoAfterItIsMasked(t *testing.T) {
	path, err := workflows.ParseRedactPath("event.data.iban")
	if err != nil {
		t.Fatal(err)
	}
	r := &redact.Redactor{}
	r.Set([]string{"s3cret-token"})
	for name, fields := range map[string]*redact.Fields{"s3cret-token": nil, "DE89": redact.NewFields([]workflows.RedactPath{path}, nil)} {
		g := &Registry{o: Options{Redactor: r}}
		g.project.Store(&Snapshot{Project: &workflows.Project{}, fields: fields})
		var raw []byte
		for _, unit := range utf16.Encode([]rune(`{"iban":"` + name + `"}`)) {
			raw = append(raw, byte(unit), byte(unit>>8))
		}
		d := &engine.Delivery{Headers: map[string]string{"content-type": "application/json; charset=utf-16le"}, Raw: raw, DataExpr: "body"}
		if g.MaskEvent(d); string(d.Raw) != `{"iban":"***"}` || strings.Contains(d.Headers["content-type"], "16") {
			t.Errorf("%s: %q as %s", name, d.Raw, d.Headers["content-type"])
		}
	}
}

// TestARunsSlotIsThatOfItsWorkflow: what the limits say, with the groups of the event.
func TestARunsSlotIsThatOfItsWorkflow(t *testing.T) {
	long := strings.Repeat("x", maxGroup)
	for rate, want := range map[string]struct {
		drop  bool
		group string
		fails bool
	}{
		"{limit: 1, per: 1h}": {},
		"{limit: 1, per: 1h, on_full: drop, group: \"${{ event.data.g }}\"}":   {true, "g7", false},
		"{limit: 1, per: 1h, on_full: queue, group: \"${{ event.data.g }}x\"}": {false, "g7x", false},
		"{limit: 1, per: 1h, group: \"${{ event.data.none.name }}\"}":          {fails: true},
		"{limit: 1, per: 1h, group: \"${{ event.data.empty }}\"}":              {},
		"{limit: 1, per: 1h, group: \"${{ event.data.long }}\"}":               {group: long},
		"{limit: 1, per: 1h, group: \"${{ event.data.long }}x\"}":              {fails: true},
	} {
		g := using(t, hooks, map[string]string{"w": "on: a\nrate: " + rate + "\nsteps: [{stop: x}]\n"})
		ev := &engine.Event{ID: 1, Delivery: engine.Delivery{Trigger: "a", Inlet: "webhook",
			Raw:     []byte(`{"g": "g7", "empty": null, "long": "` + long + `"}`),
			Headers: map[string]string{"content-type": "application/json"}}}
		s, err := contextOf(t, g, ev).SlotRequest()
		if (err != nil) != want.fails || !want.fails && (s.RateDrop != want.drop || s.RateGroup != want.group || s.RateLimit != 1) {
			t.Errorf("%s: %+v %v", rate, s, err)
		}
	}
}

// TestACalledRunSendsTheKeysOfItsCall, and a replay of it new ones.
func TestACalledRunSendsTheKeysOfItsCall(t *testing.T) {
	ev := &engine.Event{Delivery: engine.Delivery{Inlet: workflows.InletCall, Headers: map[string]string{KeyHeader: "the call"}}}
	for repeats, want := range map[engine.RunID]string{0: "the call", 1: engine.RunID(7).String()} {
		rc := &RunContext{Event: ev, Run: &engine.Run{ID: 7, Repeats: repeats}}
		if got := rc.KeyRoot(); got != want {
			t.Errorf("of a run that repeats %d: %q, want %q", repeats, got, want)
		}
	}
}

func TestWithoutASourceThereIsNoSecret(t *testing.T) {
	if v, ok := over(storetest.New(t).Store).Secret("TOKEN"); v != "" || ok {
		t.Errorf("%q %t", v, ok)
	}
}

// TestADecisionIsMadeAgainOnceTheRulesAreRead, and not after another error.
func TestADecisionIsMadeAgainOnceTheRulesAreRead(t *testing.T) {
	away := errors.New("the database is away")
	s := &shares{Store: storetest.New(t).Store}
	g := over(s)
	if err := g.Current(t.Context(), func() error { return nil }); err != nil {
		t.Errorf("without a project: %v", err)
	}
	if err := g.Use(t.Context(), projectOf(t, map[string]string{"w": called})); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		first, read, want error
		calls             int
	}{{nil, nil, nil, 1}, {away, nil, away, 1}, {engine.ErrRules, nil, nil, 2}, {engine.ErrRules, away, away, 1}} {
		s.rules = func() (int64, []engine.Run, error) { return g.Rules() + 1, nil, c.read }
		calls := 0
		err := g.Current(t.Context(), func() error {
			if calls++; calls == 1 {
				return c.first
			}
			return nil
		})
		if !errors.Is(err, c.want) || calls != c.calls {
			t.Errorf("%v, %v: decided %d times, %v", c.first, c.read, calls, err)
		}
	}
	if err := over(s).Use(t.Context(), g.Snapshot().Project); !errors.Is(err, away) {
		t.Errorf("a project is used although the rules cannot be read: %v", err)
	}
}

func TestIdsContinueAfterThoseOfTheStore(t *testing.T) {
	const last = int64(1) << 61
	if id := over(&numbered{Store: storetest.New(t).Store, last: last}).NextID(); int64(id) <= last {
		t.Errorf("%d after %d", id, last)
	}
}

// TestCalledRunUsesTheFilesOfItsFirstCaller, and a replay of it those of its own time.
func TestCalledRunUsesTheFilesOfItsFirstCaller(t *testing.T) {
	first := engine.RunID(1 << 40)
	for _, c := range []struct {
		inlet   workflows.Inlet
		header  string
		repeats engine.RunID
		want    engine.RunID
	}{{workflows.InletCall, first.String(), 0, first}, {workflows.InletCall, first.String(), 3, 7}, {workflows.InletCall, "none", 0, 7},
		{"webhook", first.String(), 0, 7}} {
		ev := &engine.Event{Delivery: engine.Delivery{Inlet: c.inlet, Headers: map[string]string{AsOfHeader: c.header}}}
		if got := AsOf(&engine.Run{ID: 7, Repeats: c.repeats}, ev); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
	if got := AsOf(&engine.Run{ID: 7}, nil); got != 7 {
		t.Errorf("without an event: %s", got)
	}
}

// TestContinuedRunSeesTheTimeAndTheIdsOfTheFirst, but for a time that is not known.
func TestContinuedRunSeesTheTimeAndTheIdsOfTheFirst(t *testing.T) {
	g := using(t, hooks, map[string]string{"w": "on: a\nsteps: [{stop: x}]\n"})
	began := time.Now().Add(-time.Hour)
	for _, c := range []struct {
		continues engine.RunID
		first     time.Time
		same      bool
	}{{5, began, true}, {5, time.Time{}, false}, {0, began, false}} {
		rc := contextOf(t, g, &engine.Event{ID: 1, Delivery: engine.Delivery{Trigger: "a", Inlet: "webhook"}})
		now, own := rc.State.StartedAt, rc.State.RunID
		rc.CarryOn(&engine.LoadedRun{Run: &engine.Run{ID: 1, Continues: c.continues}, FirstStarted: c.first})
		want := now
		if c.same {
			want = began
		}
		if !rc.State.StartedAt.Equal(want) || (rc.State.RunID == own) != (c.continues == 0) {
			t.Errorf("%+v: started at %v, ids of %s", c, rc.State.StartedAt, rc.State.RunID)
		}
	}
}

func TestRunWithoutANameOfItsGroupHasNoSlot(t *testing.T) {
	g := using(t, hooks, map[string]string{"w": "on: a\nconcurrency: {limit: 1, group: \"${{ event.data.none.name }}\"}\n" +
		"steps: [{stop: x}]\n"})
	ev := &engine.Event{ID: 1, Delivery: engine.Delivery{Trigger: "a", Inlet: "webhook", Raw: []byte(`{}`),
		Headers: map[string]string{"content-type": "application/json"}}}
	if s, err := contextOf(t, g, ev).SlotRequest(); err == nil || !strings.Contains(err.Error(), "concurrency.group") {
		t.Errorf("%+v %v", s, err)
	}
}

// numbered is a store whose last id is given.
type numbered struct {
	Store
	last int64
}

func (s *numbered) LastID() int64 { return s.last }
