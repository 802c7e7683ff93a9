package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/store/storetest"
	"github.com/hookloom/hookloom/workflows"
)

// asJSON is a delivery of trigger a.
func asJSON(body string) engine.Delivery {
	return engine.Delivery{Trigger: "a", Inlet: "webhook", Raw: []byte(body), Headers: map[string]string{"content-type": "application/json"}}
}

// TestOneRedactedPathIsMasked in the body, the query and the URL of what is stored; a path of a step alone masks no event.
func TestOneRedactedPathIsMasked(t *testing.T) {
	g := using(t, hooks, map[string]string{"w": "on: a\nsteps: [{stop: x}]\n"})
	for path, want := range map[string]string{"event.data.iban": "***", "event.query.iban": "***", "steps.s.output.iban": "DE89", "": "DE89"} {
		p := *g.Snapshot().Project
		p.History.Redact = nil
		if path != "" {
			x, err := workflows.ParseRedactPath(path)
			if err != nil {
				t.Fatal(err)
			}
			p.History.Redact = []workflows.RedactPath{x}
		}
		if err := g.Use(t.Context(), &p); err != nil {
			t.Fatal(err)
		}
		d := asJSON(`{"iban":"DE89"}`)
		d.Query = map[string]string{"iban": "DE89"}
		r := &engine.Refusal{URL: "/hooks/a?iban=DE89", Headers: d.Headers}
		g.MaskEvent(&d)
		g.MaskRefusal(r)
		body, query, whole := want, want, "/hooks/a?iban=DE89"
		if strings.HasPrefix(path, "event.query") {
			body = "DE89"
		} else {
			query = "DE89"
		}
		url := "/hooks/a?iban=" + strings.ReplaceAll(query, "*", "%2A")
		if url == whole {
			whole = ""
		}
		if got := string(d.Raw); got != `{"iban":"`+body+`"}` || fmt.Sprint(d.Query) != "map[iban:"+query+"]" {
			t.Errorf("%s: %s, %v", path, got, d.Query)
		}
		if r.URL != url || r.WholeURL != whole {
			t.Errorf("%s: %s, whole %s", path, r.URL, r.WholeURL)
		}
	}
}

// TestEventsEndRunsOfVersionsOfOtherNodes, each once, however often the rules are read.
func TestEventsEndRunsOfVersionsOfOtherNodes(t *testing.T) {
	s := &shares{Store: storetest.New(t).Store}
	ends := projectOf(t, map[string]string{"w": "on: a\ncancel_on: {event: b, key: event.key}\nsteps: [{sleep: 1h}]\n"})
	if err := over(s).Use(t.Context(), ends); err != nil {
		t.Fatal(err)
	}
	g := over(s)
	s.rules = func() (int64, []engine.Run, error) {
		return g.Rules() + 1, []engine.Run{{Workflow: "w", Version: ends.Workflows["w"].Version}}, nil
	}
	if err := g.Use(t.Context(), projectOf(t, map[string]string{"w": called})); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		d := engine.Delivery{Trigger: "b", Inlet: "webhook", Key: "k7"}
		keys := g.CancelsOf(&engine.Event{ID: 1, Delivery: d}, nil)
		if len(keys) != 1 || keys[0] != (engine.CancelKey{Trigger: "b", Rule: ends.Workflows["w"].Version + "/0", Key: "k7"}) {
			t.Errorf("%+v", keys)
		}
		if g.MarkUnsubscribed(&d); d.Unsubscribed || d.Rules != g.Rules() || d.Rules == 0 {
			t.Errorf("nothing reacts to what ends runs: %t, by rules %d", d.Unsubscribed, d.Rules)
		}
		if err := g.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRunHasTheSecretsThatItsWorkflowNames and that exist.
func TestRunHasTheSecretsThatItsWorkflowNames(t *testing.T) {
	g := using(t, hooks, map[string]string{"w": "on: a\nsteps: [{uses: act, with: {token: \"${{ secrets.TOKEN }} ${{ secrets.NONE }}\"}}]\n"})
	g.UseSecrets(func(name string) (string, bool) { return "value-of-" + name, name != "NONE" })
	rc := contextOf(t, g, &engine.Event{ID: 1, Delivery: asJSON(`{}`)})
	if got := fmt.Sprint(rc.State.Secrets); got != "map[TOKEN:value-of-TOKEN]" {
		t.Error(got)
	}
}

// TestCallInDoubtKeepsTheKeyOfItsFirstRun, unless that was a replay of a called run; other steps have the key of the run itself.
func TestCallInDoubtKeepsTheKeyOfItsFirstRun(t *testing.T) {
	g := using(t, hooks, map[string]string{"w": "on: [a, call]\nsteps: [{sleep: 1h}]\n"})
	began := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		inlet               workflows.Inlet
		replays             bool
		root, kept, replied string
	}{
		"a webhook":         {"webhook", false, engine.RunID(5).String(), engine.RunID(3).String(), engine.RunID(4).String()},
		"a call":            {workflows.InletCall, false, "the call", "the call", engine.RunID(4).String()},
		"a replay, carried": {workflows.InletCall, true, engine.RunID(5).String(), "the call", engine.RunID(4).String()},
	} {
		d := asJSON(`{}`)
		d.Inlet, d.Headers[KeyHeader] = c.inlet, "the call"
		rc := contextOf(t, g, &engine.Event{ID: 1, Delivery: d})
		rc.CarryOn(&engine.LoadedRun{Run: &engine.Run{ID: 1, Continues: 5}, FirstReplays: c.replays, FirstStarted: began,
			Kept: map[string]engine.KeptKey{"s": {Run: 3, Began: began.Add(time.Second)}, "r": {Run: 4, Replays: true}}})
		if rc.State.RunID != c.root || rc.KeyRun("s") != c.kept || rc.KeyRun("r") != c.replied || rc.KeyRun("other") != rc.KeyRoot() {
			t.Errorf("%s: %s, %s, %s, %s", name, rc.State.RunID, rc.KeyRun("s"), rc.KeyRun("r"), rc.KeyRun("other"))
		}
		k := rc.State.Kept["s"]
		if len(rc.State.Kept) != 2 || !k.Began.Equal(began.Add(time.Second)) || fmt.Sprint(k.Run) != fmt.Sprint(map[string]any{
			"attempt": 1, "id": "run_0000000000000003", "started_at": began, "test": false, "trigger": "a", "url": "run_0000000000000003",
			"workflow": "w"}) {
			t.Errorf("%s: %+v", name, k)
		}
	}
}

// gathers is a store with a batch whose events are given.
type gathers struct {
	Store
	events  map[engine.EventID]*engine.Event
	failing error
}

func (s *gathers) Gathered(context.Context, engine.RunID) (ids []engine.EventID, size int64, err error) {
	if s.failing != nil {
		return nil, 0, s.failing
	}
	for id := range engine.EventID(10) {
		if _, is := s.events[id]; is {
			ids = append(ids, id)
		}
	}
	return ids, 0, nil
}

func (s *gathers) Event(_ context.Context, id engine.EventID) (*engine.Event, error) {
	if ev := s.events[id]; ev != nil {
		return ev, nil
	}
	return nil, engine.ErrNotFound
}

// TestBatchHasAllItsEvents in order, the first one first, masks what each of them hides, and continues the longest chain.
func TestBatchHasAllItsEvents(t *testing.T) {
	const batch = "batch: {key: event.data.k, wait: 1m, size: 5}\n"
	g := using(t, hooks, map[string]string{"w": "on: a\n" + batch + "steps: [{stop: x}]\n", "v": "on: a\nsteps: [{stop: x}]\n"})
	emitted := func(id engine.EventID, chain string) *engine.Event {
		ev := &engine.Event{ID: id, Delivery: asJSON(fmt.Sprintf(`{"k":%d}`, id))}
		ev.Inlet, ev.Headers[ChainHeader], ev.Hidden = "emit", chain, []string{fmt.Sprintf("hidden-%d", id)}
		return ev
	}
	first := emitted(1, "1;2;first")
	stripped := emitted(4, "")
	stripped.Stripped = true
	away := errors.New("the database is away")
	for name, c := range map[string]struct {
		s           gathers
		seen, chain string
		says        string
	}{
		"alone": {gathers{}, "1", "1;2;first", ""},
		"three": {gathers{events: map[engine.EventID]*engine.Event{2: emitted(2, "3;2;as long"), 3: emitted(3, "0;3;longer")}}, "1 2 3",
			"0;3;longer", ""},
		"two": {gathers{events: map[engine.EventID]*engine.Event{2: emitted(2, "3;2;as long")}}, "1 2", "1;2;first", ""},
		"one is old": {gathers{events: map[engine.EventID]*engine.Event{4: stripped}}, "", "",
			"event evt_0000000000000004, which is in the batch, was pruned"},
		"one is gone": {gathers{events: map[engine.EventID]*engine.Event{5: nil}}, "", "",
			"event evt_0000000000000005 of the batch: " + engine.ErrNotFound.Error()},
		"no answer": {gathers{failing: away}, "", "", "looking for the events of batch run_0000000000000009: the database is away"},
	} {
		s := c.s
		s.Store = g.o.Store
		h := over(&s)
		h.project.Store(g.Snapshot())
		rc, err := h.ContextOf(t.Context(), g.Snapshot().Workflows["w"], first, &engine.Run{ID: 1, Workflow: "w"}, 9)
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(name, err)
		}
		var seen []string
		for _, e := range rc.State.Events {
			k := fmt.Sprint(e.(map[string]any)["data"].(map[string]any)["k"])
			if seen = append(seen, k); rc.Masker().Text("hidden-"+k) != "***" {
				t.Errorf("%s: what event %s hides is not masked", name, k)
			}
		}
		if got := strings.Join(seen, " "); got != c.seen || rc.Chain().String() != c.chain {
			t.Errorf("%s: %q, %s", name, got, rc.Chain())
		}
		rc, err = h.ContextOf(t.Context(), g.Snapshot().Workflows["v"], first, &engine.Run{ID: 1, Workflow: "v"}, 9)
		if err != nil || rc.State.Events != nil {
			t.Errorf("%s: a run of one event has %v, %v", name, rc.State.Events, err)
		}
	}
}

// TestEventJoinsOthersByItsKey, which is masked where the run masks it; the rest is what the workflow says.
func TestEventJoinsOthersByItsKey(t *testing.T) {
	g := using(t, hooks, map[string]string{"w": "on: a\nbatch: {key: event.data.k, wait: 1m, size: 5}\nsteps: [{stop: x}]\n"})
	for body, want := range map[string]string{`{"k":"k7"}`: "k7", `{"k":"my-secret-key"}`: "***", `{"k":{"no":7}}`: "error"} {
		ev := &engine.Event{ID: 1, Delivery: asJSON(body)}
		ev.Hidden = []string{"my-secret-key"}
		got, err := contextOf(t, g, ev).Gathering()
		if want == "error" {
			if err == nil || got != nil {
				t.Errorf("%s: %+v", body, got)
			}
			continue
		}
		if err != nil || got.Kind != workflows.Batch || got.Key != want || got.Wait != time.Minute || got.Size != 5 ||
			got.Bytes < int64(len(body)) {
			t.Errorf("%s: %+v %v", body, got, err)
		}
	}
}

// TestASlotHasAllThatItsWorkflowSays: both limits, with their groups masked.
func TestASlotHasAllThatItsWorkflowSays(t *testing.T) {
	const flow = "on: a\nconcurrency: {limit: 3, group: \"c-${{ event.data.g }}\", on_full: queue, stale: event.data.at, " +
		"max_queue: 9}\n" +
		"rate: {limit: 7, per: 1h, group: \"r-${{ event.data.g }}\"}\nsteps: [{stop: x}]\n"
	g := using(t, hooks, map[string]string{"w": flow})
	for body, want := range map[string]string{
		`{"g":"g1","at":12}`:              "w 3 c-g1 9 12 7 1h0m0s r-g1",
		`{"g":"my-secret-group","at":12}`: "w 3 c-*** 9 12 7 1h0m0s r-***",
		`{"g":"g1","at":true}`:            "concurrency.stale: it is bool",
		`{"g":"g1","at":null}`:            "concurrency.stale: it is nil",
		`{"g":{"no":7},"at":1}`:           `w 3 c-{"no":7} 9 1 7 1h0m0s r-{"no":7}`,
	} {
		ev := &engine.Event{ID: 1, Delivery: asJSON(body)}
		ev.Hidden = []string{"my-secret-group"}
		p, err := contextOf(t, g, ev).SlotRequest()
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprintf("%s %d %s %d %v %d %v %s", p.Workflow, p.Limit, p.Group, p.MaxQueue, p.Stale, p.RateLimit, p.RatePer, p.RateGroup)
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}

// opens is a store with open runs.
type opens struct {
	Store
	awaited []string
	open    []engine.Run
	fails   [2]error
}

func (s *opens) Awaited(context.Context) ([]string, error) { return s.awaited, s.fails[0] }

func (s *opens) OpenVersions(context.Context) ([]engine.Run, error) { return s.open, s.fails[1] }

// TestEventsReachTheWaitsOfOpenRuns: those that wait, and those of earlier versions that may wait later.
func TestEventsReachTheWaitsOfOpenRuns(t *testing.T) {
	wait := func(trigger string) string {
		return "on: a\nsteps: [{wait: {event: " + trigger + ", key: \"${{ event.key }}\"}, timeout: 1h}]\n"
	}
	s := &opens{Store: storetest.New(t).Store, awaited: []string{"c"}}
	earlier := projectOf(t, map[string]string{"w": wait("d"), "gone": wait("b")})
	if err := over(s).Use(t.Context(), earlier); err != nil {
		t.Fatal(err)
	}
	g := over(s)
	if err := g.Use(t.Context(), projectOf(t, map[string]string{"w": called})); err != nil {
		t.Fatal(err)
	}
	s.open = []engine.Run{{ID: 1, Workflow: "w", Version: g.Snapshot().Workflows["w"].Version}, {ID: 2, Workflow: "w", Version: "unknown"},
		{ID: 3, Workflow: "w", Version: earlier.Workflows["w"].Version}, {ID: 4, Workflow: "gone", Version: earlier.Workflows["gone"].Version}}
	away := errors.New("the database is away")
	for _, fails := range [][2]error{{away, nil}, {nil, away}} {
		s.fails = fails
		if err := g.AwaitOpen(t.Context()); !errors.Is(err, away) || g.Awaited("d") {
			t.Errorf("%v: %v", fails, err)
		}
	}
	s.fails = [2]error{}
	if err := g.AwaitOpen(t.Context()); err != nil {
		t.Fatal(err)
	}
	for trigger, want := range map[string]bool{"a": false, "b": true, "c": true, "d": true} {
		if g.Awaited(trigger) != want {
			t.Errorf("runs may wait for %s: %t", trigger, !want)
		}
	}
}

// TestAVersionIsCompiledOnce, also one that another node has loaded, and its callee is the one that it was stored with.
func TestAVersionIsCompiledOnce(t *testing.T) {
	s := storetest.New(t).Store
	one, two := over(&shares{Store: s}), over(&shares{Store: s})
	if err := two.Use(t.Context(), projectOf(t, map[string]string{"w": called})); err != nil {
		t.Fatal(err)
	}
	p := projectOf(t, map[string]string{"w": caller, "b": called})
	if err := one.Use(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	run := &engine.Run{ID: engine.RunID(two.NextID()), Workflow: "w", Version: p.Workflows["w"].Version}
	w, err := two.Version(t.Context(), run, run.ID)
	again, err2 := two.Version(t.Context(), run, run.ID)
	if err != nil || err2 != nil || w == nil || w != again {
		t.Errorf("%p %v, %p %v", w, err, again, err2)
	}
	if own, err := one.Version(t.Context(), run, run.ID); err != nil || own != p.Workflows["w"] {
		t.Errorf("the version of the project is compiled again: %v", err)
	}
	b, err := two.Callee(t.Context(), run, nil, "b")
	if err != nil || b.Version != p.Workflows["b"].Version {
		t.Errorf("%+v %v", b, err)
	}
	ev := &engine.Event{ID: 1, Delivery: engine.Delivery{Trigger: "b", Inlet: workflows.InletCall, Only: "b",
		Headers: map[string]string{VersionHeader: b.Version, AsOfHeader: run.ID.String()}}}
	list, err := two.ListenersTo(t.Context(), two.Snapshot(), ev)
	if err != nil || len(list) != 1 || list[0].Workflow != b || list[0].Start.Kind != "manual" {
		t.Errorf("%+v %v", list, err)
	}
	for _, header := range []string{VersionHeader, AsOfHeader} {
		bad := *ev
		bad.Headers = maps.Clone(ev.Headers)
		bad.Headers[header] = "none"
		if list, err := two.ListenersTo(t.Context(), two.Snapshot(), &bad); err == nil {
			t.Errorf("%s: %+v", header, list)
		}
	}
	ev.Only, ev.Headers = "w", nil
	if list, err := two.ListenersTo(t.Context(), two.Snapshot(), ev); err != nil || len(list) != 1 || list[0].Workflow.ID != "w" {
		t.Errorf("without a version: %+v %v", list, err)
	}
}

// TestAProjectIsPublishedByItsUser, who may refuse it, with the rules that it was made with.
func TestAProjectIsPublishedByItsUser(t *testing.T) {
	no := errors.New("the listeners cannot be opened")
	s := &shares{Store: storetest.New(t).Store, rules: func() (int64, []engine.Run, error) { return 5, nil, nil }}
	g := over(s)
	var refuse error
	g.o.OnUse = func(_ context.Context, l *Snapshot, publish func()) error {
		if g.Snapshot() == l {
			t.Error("the project is in use before it is published")
		}
		if refuse == nil {
			publish()
		}
		return refuse
	}
	p := projectOf(t, map[string]string{"w": called})
	refuse = no
	if err := g.Use(t.Context(), p); !errors.Is(err, no) || g.Snapshot() != nil || g.Rules() != 0 {
		t.Errorf("%v, rules %d", err, g.Rules())
	}
	refuse = nil
	if err := g.Use(t.Context(), p); err != nil || g.Snapshot().Project != p || g.Rules() != 5 {
		t.Errorf("%v, rules %d", err, g.Rules())
	}
	before := g.Snapshot()
	for _, c := range []struct {
		changed bool
		err     error
	}{{false, nil}, {true, no}, {true, nil}} {
		err := g.Reload(t.Context(), func(l *Snapshot) (bool, error) { return c.changed && l == before, c.err })
		if loaded := g.Snapshot() != before; !errors.Is(err, c.err) || loaded != (c.changed && c.err == nil) {
			t.Errorf("%+v: %v, loaded again: %t", c, err, loaded)
		}
	}
}

// TestErrorsOfEmitNameTheirTrigger, and the way that led to it.
func TestErrorsOfEmitNameTheirTrigger(t *testing.T) {
	deep := ChainTooDeep("t", Chain{Names: "a -> b"})
	if deep.Code != "chain_too_deep" || !strings.Contains(deep.Message, "trigger t gets no event: a chain of events is at most 10 deep, "+
		"and this one is a -> b") {
		t.Errorf("%+v", deep)
	}
	if e := UnknownTrigger("t"); e.Code != "unknown_trigger" || e.Message != `no trigger is named "t"` {
		t.Errorf("%+v", e)
	}
}

// TestEventsWaitForTheEndOfAHold only while one is in force.
func TestEventsWaitForTheEndOfAHold(t *testing.T) {
	for _, holding := range []bool{false, true} {
		g := &Registry{o: Options{Redactor: &redact.Redactor{}}}
		l := &Snapshot{holding: holding}
		g.project.Store(l)
		p, done := g.Deciding()
		if free := g.turning.TryLock(); free == holding || p != l {
			t.Errorf("holding: %t, a hold can end: %t", holding, free)
		} else if free {
			g.turning.Unlock()
		}
		done()
		if turned, err := g.WithoutDecisions(func() (bool, error) { return !g.turning.TryRLock(), nil }); !turned || err != nil {
			t.Errorf("holding: %t, decisions are made while a hold ends: %v", holding, err)
		}
	}
}
