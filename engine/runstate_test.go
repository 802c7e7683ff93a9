package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/workflows"
)

// TestOpenRunSaysWhenItGoesOn checks the text for each state of an open run.
func TestOpenRunSaysWhenItGoesOn(t *testing.T) {
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	zone := time.FixedZone("", 2*3600)
	waiting := func(output string, calls ...engine.CalledItem) engine.RunDetail {
		return engine.RunDetail{RunItem: engine.RunItem{ID: "run_1", Status: "waiting", DueAt: &at}, Calls: calls,
			Steps: []engine.StepItem{{Path: "s", Status: "waiting", Output: []byte(output)}}}
	}
	holders := []engine.SlotHolder{{Run: "run_2", Status: "running", Since: time.Now().Add(-time.Minute)}, {Run: "run_3", Status: "waiting",
		Since: time.Now().Add(-time.Hour), GoesOn: "soon"}}
	for name, c := range map[string]struct {
		d    engine.RunDetail
		want string
	}{
		"running": {engine.RunDetail{RunItem: engine.RunItem{Status: "running"}}, ""},
		"ended":   {engine.RunDetail{RunItem: engine.RunItem{Status: "succeeded"}}, ""},
		"queued":  {engine.RunDetail{RunItem: engine.RunItem{Status: "queued"}}, ""},
		"due":     {engine.RunDetail{RunItem: engine.RunItem{Status: "queued", DueAt: &at}}, "2026-05-01 12:00:00.000+02:00"},
		"a retry": {engine.RunDetail{RunItem: engine.RunItem{Status: "running", DueAt: &at}}, "2026-05-01 12:00:00.000+02:00"},
		"in doubt": {engine.RunDetail{RunItem: engine.RunItem{ID: "run_1", Status: "waiting"}},
			"when the attempt in doubt is answered: hookloom approve run_1 --review resend, done or fail"},
		"held": {engine.RunDetail{RunItem: engine.RunItem{Status: "queued", Workflow: "w"}, Held: true},
			"when its workflow is switched on: hookloom enable w"},
		"a batch": {engine.RunDetail{RunItem: engine.RunItem{Status: "queued"}, Gathering: &engine.GatheringItem{Kind: workflows.Batch,
			DueAt: at, Events: 3}},
			"2026-05-01 12:00:00.000+02:00, or when the batch is full; it has 3 so far"},
		"a debounce": {engine.RunDetail{RunItem: engine.RunItem{Status: "queued"},
			Gathering: &engine.GatheringItem{Kind: workflows.Debounce, DueAt: at, Events: 2}},
			"2026-05-01 12:00:00.000+02:00, or later if another event with its key comes (debounce); there are 2 so far"},
		"a slot": {engine.RunDetail{RunItem: engine.RunItem{Status: "queued"}, Queue: &engine.QueueItem{AtWork: 4, Ahead: 1, Holders: holders}},
			"when a slot is free: 4 running, 1 ahead of it; run_2 has had a slot for 1m0s (running); run_3 has had a slot for 1h0m0s " +
				"(waiting, continues soon); and 2 more"},
		"the slot": {engine.RunDetail{RunItem: engine.RunItem{Status: "queued"}, Queue: &engine.QueueItem{AtWork: 1, Holders: holders[:1]}},
			"when a slot is free: 1 running, 0 ahead of it; run_2 has had the slot for 1m0s (running)"},
		"two slots": {engine.RunDetail{RunItem: engine.RunItem{Status: "queued"}, Queue: &engine.QueueItem{AtWork: 2, Holders: holders}},
			"when a slot is free: 2 running, 0 ahead of it; run_2 has had a slot for 1m0s (running); run_3 has had a slot for 1h0m0s " +
				"(waiting, continues soon)"},
		"an approval by events": {waiting(`{"approval": "Go?", "any": [{"event": "back", "key": "x"}, {"key": "y"}]}`),
			"with the event of back whose key is x, or when it is answered: hookloom approve run_1 --step s"},
		"an event, until": {waiting(`{"event": "back", "key": "x", "until": "2026-05-01T10:00:00Z"}`),
			"with the event of back whose key is x, else the step fails at 2026-05-01 12:00:00.000+02:00"},
		"a called run": {waiting(`{"workflow": "other"}`, engine.CalledItem{Step: "t", Run: "run_8"}, engine.CalledItem{Step: "s"},
			engine.CalledItem{Step: "s", Run: "run_9"}), "when run_9 of other ends"},
		"a call without a run": {waiting(`{"workflow": "other", "until": "2026-05-01T10:00:00Z"}`),
			"when the run of other ends, else the step fails at 2026-05-01 12:00:00.000+02:00"},
		"a sleep":   {waiting(`{}`), "2026-05-01 12:00:00.000+02:00"},
		"no output": {waiting(`{`), "2026-05-01 12:00:00.000+02:00"},
	} {
		if got := c.d.GoesOn(zone); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestCallsInDoubtAreThoseWithoutAnAnswer checks which calls may have taken effect.
func TestCallsInDoubtAreThoseWithoutAnAnswer(t *testing.T) {
	step := func(status, failure string) engine.StepItem {
		return engine.StepItem{Path: "s", Status: status, Error: []byte(failure)}
	}
	for name, c := range map[string]struct {
		steps []engine.StepItem
		kept  []string
		want  string
	}{
		"none":                         {nil, nil, "map[]"},
		"unknown":                      {[]engine.StepItem{step("unknown", "")}, nil, "map[s:true]"},
		"answered later":               {[]engine.StepItem{step("unknown", ""), step("succeeded", "")}, nil, "map[]"},
		"skipped later":                {[]engine.StepItem{step("unknown", ""), step("skipped", "")}, nil, "map[]"},
		"failed with an answer":        {[]engine.StepItem{step("unknown", ""), step("failed", `{"status": 500}`)}, nil, "map[]"},
		"failed without an answer":     {[]engine.StepItem{step("unknown", ""), step("failed", `{"code": "timeout"}`)}, nil, "map[s:true]"},
		"failed, in doubt":             {[]engine.StepItem{step("failed", `{"in_doubt": true}`)}, nil, "map[s:true]"},
		"in doubt with an answer":      {[]engine.StepItem{step("failed", `{"in_doubt": true, "status": 500}`)}, nil, "map[s:true]"},
		"waiting":                      {[]engine.StepItem{step("unknown", ""), step("waiting", "")}, nil, "map[s:true]"},
		"the keys of an earlier run":   {nil, []string{"t"}, "map[t:true]"},
		"those of an answered attempt": {[]engine.StepItem{step("succeeded", "")}, []string{"s", "t"}, "map[t:true]"},
	} {
		d := engine.RunDetail{Steps: c.steps, KeptKeys: c.kept}
		if got := fmt.Sprint(d.InDoubt()); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestKeyOfAStepIsThatOfItsFirstRun checks which run and call the idempotency key of a step is derived from.
func TestKeyOfAStepIsThatOfItsFirstRun(t *testing.T) {
	kept := map[string]engine.KeptKey{"s": {Run: 9}}
	headers := map[string]string{engine.CallKeyHeader: "hl_call"}
	for name, c := range map[string]struct {
		repeats string
		inlet   string
		kept    map[string]engine.KeptKey
		headers map[string]string
		root    string
	}{
		"a run":                      {"", "webhook", nil, headers, "run_1"},
		"a replay":                   {"run_0", "webhook", nil, headers, "run_1"},
		"a replay from a step":       {"run_0", "webhook", kept, headers, engine.RunID(9).String()},
		"a called run":               {"", string(workflows.InletCall), nil, headers, "hl_call"},
		"a called run of older":      {"", string(workflows.InletCall), nil, nil, "run_1"},
		"the replay of a called run": {"run_0", string(workflows.InletCall), nil, headers, "run_1"},
		"a step of a called run":     {"run_0", string(workflows.InletCall), kept, headers, "hl_call"},
		"a step of a replayed call": {"run_0", string(workflows.InletCall), map[string]engine.KeptKey{"s": {Run: 9, Replays: true}},
			headers, engine.RunID(9).String()},
		"a key of another step's run": {"", "webhook", map[string]engine.KeptKey{"t": {Run: 9}}, headers, "run_1"},
	} {
		d := engine.RunDetail{RunItem: engine.RunItem{ID: "run_1", Repeats: c.repeats}, EventItem: engine.EventItem{Inlet: engine.Inlet(c.inlet)},
			Keys: engine.RunKeys{Instance: "i", Kept: c.kept, EventHeaders: c.headers}}
		if got := d.IdempotencyKey(&engine.StepItem{Path: "s"}); got != engine.IdempotencyKey("i", c.root, "s") {
			t.Errorf("%s: %s is not derived from %s", name, got, c.root)
		}
	}
}

// TestEventJoinsAGathering checks when a gathering is due after another event.
func TestEventJoinsAGathering(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	at := func(s int) time.Time { return now.Add(time.Duration(s) * time.Second) }
	debounce := engine.Gathering{Kind: workflows.Debounce, Wait: 10 * time.Second, Max: 30 * time.Second}
	batch := engine.Gathering{Kind: workflows.Batch, Wait: 10 * time.Second, Size: 3, Bytes: 5}
	for name, c := range map[string]struct {
		g    engine.Gathering
		s    engine.GatherState
		want engine.Joined
	}{
		"debounce":         {debounce, engine.GatherState{Kind: workflows.Debounce, First: at(-5)}, engine.Joined{Due: at(10)}},
		"the longest":      {debounce, engine.GatherState{Kind: workflows.Debounce, First: at(-25)}, engine.Joined{Due: at(5)}},
		"just the longest": {debounce, engine.GatherState{Kind: workflows.Debounce, First: at(-20)}, engine.Joined{Due: at(10)}},
		"another kind": {debounce, engine.GatherState{Kind: workflows.Batch, First: at(-5)}, engine.Joined{Refused: true, Due: now,
			Full: true}},
		"batch":          {batch, engine.GatherState{Kind: workflows.Batch, First: at(-5), Events: 1}, engine.Joined{Due: at(5)}},
		"the last of it": {batch, engine.GatherState{Kind: workflows.Batch, First: at(-5), Events: 2}, engine.Joined{Due: now, Full: true}},
		"full of bytes": {batch, engine.GatherState{Kind: workflows.Batch, First: at(-5), Bytes: engine.MaxGathered - 5},
			engine.Joined{Due: at(5)}},
		"too many bytes": {batch, engine.GatherState{Kind: workflows.Batch, First: at(-5), Bytes: engine.MaxGathered - 4},
			engine.Joined{Refused: true, Due: now, Full: true}},
		"bytes of debounces": {debounce, engine.GatherState{Kind: workflows.Debounce, First: at(0), Bytes: engine.MaxGathered * 2},
			engine.Joined{Due: at(10)}},
	} {
		if got := c.g.Join(c.s, now); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	if due := batch.Begin(now); !due.Equal(at(10)) {
		t.Errorf("it begins until %v", due)
	}
}

// TestOldSecretIsSafeToDrop checks the advice about the secrets of a trigger.
func TestOldSecretIsSafeToDrop(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	ago := func(hours int) time.Time { return now.Add(-time.Duration(hours) * time.Hour) }
	use := func(secret string, first, last, n int) engine.SecretUse {
		return engine.SecretUse{Trigger: "hook", Secret: secret, FirstAt: ago(first), LastAt: ago(last), Count: int64(n)}
	}
	other := use("A", 0, 0, 9)
	other.Trigger = "other"
	for name, c := range map[string]struct {
		names []string
		uses  []engine.SecretUse
		want  string
	}{
		"one":       {[]string{"A"}, []engine.SecretUse{use("A", 500, 400, 3)}, "A 3 400; "},
		"none used": {[]string{"A", "B"}, []engine.SecretUse{other}, "A 0; B 0; "},
		"quiet": {[]string{"A", "B"}, []engine.SecretUse{use("A", 500, 80, 3), use("B", 200, 8, 2)},
			"A 3 80 safe to remove: not used for 3 days, while another secret was; B 2 8; "},
		"not so long": {[]string{"A", "B"}, []engine.SecretUse{use("A", 500, 79, 3), use("B", 200, 8, 2)}, "A 3 79; B 2 8; "},
		"never used": {[]string{"A", "B"}, []engine.SecretUse{use("B", 80, 8, 2)},
			"A 0 safe to remove: never used, while another secret has been used for days; B 2 8; "},
		"new":       {[]string{"A", "B"}, []engine.SecretUse{use("B", 79, 8, 2)}, "A 0; B 2 8; "},
		"both used": {[]string{"A", "B"}, []engine.SecretUse{use("B", 500, 8, 2), use("A", 80, 8, 1)}, "A 1 8; B 2 8; "},
		"no names":  {nil, []engine.SecretUse{use("B", 79, 8, 2)}, ""},
	} {
		got := ""
		for _, s := range engine.SecretStates("hook", c.names, c.uses, now) {
			got += fmt.Sprint(s.Secret, " ", s.Count)
			if s.LastAt != nil {
				got += fmt.Sprint(" ", int(now.Sub(*s.LastAt).Hours()))
			}
			got += strings.TrimRight(" "+s.Advice, " ") + "; "
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// runs answers which runs exist.
type runs map[engine.RunID]error

func (r runs) Run(_ context.Context, id engine.RunID) (*engine.Run, error) {
	if err, ok := r[id]; ok {
		return &engine.Run{ID: id}, err
	}
	return nil, fmt.Errorf("run %s: %w", id, engine.ErrNotFound)
}

// TestFilesOfDeletedRunsAreRemoved checks which folders are swept, and that a store which fails removes nothing.
func TestFilesOfDeletedRunsAreRemoved(t *testing.T) {
	project := t.TempDir()
	dir := filepath.Join(project, "files")
	for _, name := range []string{engine.RunID(1).String(), engine.RunID(2).String(), "run_own", "own"} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, name), 0o700), os.WriteFile(filepath.Join(dir, name, "f"), []byte("abc"),
			0o600)); err != nil {
			t.Fatal(err)
		}
	}
	left := func() (out []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			out = append(out, e.Name())
		}
		return out
	}
	kept := files.New(project, 1<<20)
	broken := errors.New("broken")
	if _, _, err := engine.SweepFiles(t.Context(), kept, runs{1: broken}); !errors.Is(err, broken) ||
		!strings.HasPrefix(err.Error(), "removing files of deleted runs: ") || len(left()) != 4 {
		t.Errorf("a failing store: %v, %v", err, left())
	}
	if n, size, err := engine.SweepFiles(t.Context(), kept, runs{1: nil}); err != nil || n != 1 || size != 3 ||
		fmt.Sprint(left()) != "[own run_0000000000000001 run_own]" {
		t.Errorf("%d files, %d bytes, %v; left are %v", n, size, err, left())
	}
	if n, size, err := engine.SweepFiles(t.Context(), nil, runs{}); err != nil || n != 0 || size != 0 {
		t.Errorf("without files: %d, %d, %v", n, size, err)
	}
}

// TestEventThatCannotBeReplayedSaysWhy checks the refusals, and small facts of states.
func TestEventThatCannotBeReplayedSaysWhy(t *testing.T) {
	at := time.Unix(5, 0)
	later := time.Unix(9, 0)
	for want, e := range map[string]*engine.Event{
		"<nil>": {ID: 1, Delivery: engine.Delivery{Inlet: "webhook"}},
		"event evt_0000000000000001 cannot be replayed: its body was pruned (history: bodies)": {ID: 1, Stripped: true},
		"event evt_0000000000000001 is the call of run run_7: replay that run": {ID: 1,
			Delivery: engine.Delivery{Inlet: workflows.InletCall, Headers: map[string]string{"x-called-by": "run_7"}}},
	} {
		if got := fmt.Sprint(e.CanReplay()); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	ev := &engine.Event{Delivery: engine.Delivery{ReceivedAt: at}}
	if got := (&engine.Run{CreatedAt: later}).WaitsFrom(ev); !got.Equal(at) {
		t.Errorf("a run waits from %v", got)
	}
	if got := (&engine.Run{CreatedAt: later, Repeats: 3}).WaitsFrom(ev); !got.Equal(later) {
		t.Errorf("a replay waits from %v", got)
	}
	for _, c := range []struct {
		free, total int64
		want        bool
	}{{512<<20 - 1, 1 << 30, true}, {512 << 20, 1 << 30, false}, {1<<30 - 1, 20 << 30, true}, {1 << 30, 20 << 30, false},
		{5<<30 - 1, 1 << 40, true}, {5 << 30, 1 << 40, false}} {
		if got := engine.DiskLow(c.free, c.total); got != c.want {
			t.Errorf("%d of %d bytes are free: %t", c.free, c.total, got)
		}
	}
	i := engine.RunItem{ID: "run_1", Status: "failed", FinishedAt: &at, DueAt: &at, Error: "e", ErrorStep: "s", ErrorCode: "c",
		Host: "h", WaitsFor: "w"}
	if same := i.As(engine.Failed); same.Error != "e" || same.FinishedAt == nil {
		t.Errorf("as it is: %+v", same)
	}
	if got := fmt.Sprintf("%+v", i.As(engine.Running)); got != fmt.Sprintf("%+v", engine.RunItem{ID: "run_1", Status: "running"}) {
		t.Errorf("as it was: %s", got)
	}
	st := engine.InletState{Failures: 2, Error: "e", Cursor: []byte("c")}
	if h := st.Health("poll"); h.Inlet != "poll" || h.Failures != 2 || h.Error != "e" || h.Cursor != "c" || h.AskedAt != nil || h.OKAt != nil {
		t.Errorf("never asked: %+v", h)
	}
	st.AskedAt, st.OKAt = at, later
	if h := st.Health("poll"); h.AskedAt == nil || !h.AskedAt.Equal(at) || h.OKAt == nil || !h.OKAt.Equal(later) {
		t.Errorf("asked: %+v", h)
	}
	if (engine.EventWait{Trigger: "a", Key: "k"}).Same(engine.EventWait{Trigger: "a", Key: "l"}) ||
		(engine.EventWait{Trigger: "a", Key: "k"}).Same(engine.EventWait{Trigger: "b", Key: "k"}) ||
		!(engine.EventWait{Trigger: "a", Key: "k"}).Same(engine.EventWait{Trigger: "a", Key: "k", From: at}) {
		t.Error("waits are the same by trigger and key")
	}
	if n := (engine.Bucket{Runs: 9, Failed: 1, Cancelled: 2, Open: 3}).Succeeded(); n != 3 {
		t.Errorf("%d runs succeeded", n)
	}
	if n := (engine.Bucket{Runs: 1, Failed: 2}).Succeeded(); n != 0 {
		t.Errorf("%d runs succeeded", n)
	}
	for got, want := range map[string]string{
		(&engine.OffError{Workflow: "w"}).Error():                         "workflow w is switched off; hookloom enable w switches it on",
		(&engine.HasEnded{Run: 1, Status: engine.Failed}).Error():         "run run_0000000000000001 has ended as failed",
		(&engine.ReplayedError{As: 2}).Error():                            "it was already replayed as run_0000000000000002",
		(&engine.NotAnswered{Reason: "no"}).Error():                       "no",
		(&engine.HeldError{Why: "why"}).Error():                           "why",
		(&engine.DroppedError{Reason: "full"}).Error():                    "full",
		(&engine.KeyError{Node: "n"}).Error()[:47]:                        `this node has another key than node "n", so nei`,
		engine.HeldDestination("shop"):                                    "connection shop",
		engine.DestinationOf("https://a.example:443", "/x"):               "https://a.example:443",
		fmt.Sprint(errors.Is(&engine.HasEnded{}, engine.ErrStale)):        "true",
		fmt.Sprint("not ", errors.Is(&engine.HasEnded{}, engine.ErrFull)): "not false",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestDoneStepsAreThoseWithTheSameEffect checks which steps of an earlier run a new version takes over.
func TestDoneStepsAreThoseWithTheSameEffect(t *testing.T) {
	w := &workflows.Workflow{Steps: []*workflows.Step{{Key: "send", Uses: "http/post", Spec: &workflows.ActionSpec{SideEffects: true}},
		{Key: "read", Uses: "http/get", Spec: &workflows.ActionSpec{}}, {Key: "other", Uses: "http/post"}, {Key: "called", Call: "w"}}}
	var got []string
	for _, d := range engine.DoneIn(w, []engine.DoneStep{{Path: "send", Action: "http/post"}, {Path: "send", Action: "http/put"},
		{Path: "read", Action: "http/get"}, {Path: "other", Action: "http/post"}, {Path: "called", Action: "call"},
		{Path: "called", Action: "http/post"}, {Path: "gone", Action: "call"}, {Path: "send", Action: "call"}}) {
		got = append(got, d.Path+" "+d.Action)
	}
	if s := strings.Join(got, ", "); s != "send http/post, called call" {
		t.Error(s)
	}
}

// leaser answers whether a lease is held.
type leaser struct {
	held bool
	err  error
}

func (l leaser) Lease(context.Context, string) (bool, error) { return l.held, l.err }

// TestNodeLeadsOnlyIfItsLeaseIsKnown checks that a store which fails makes no node lead.
func TestNodeLeadsOnlyIfItsLeaseIsKnown(t *testing.T) {
	broken := errors.New("broken")
	for l, want := range map[leaser]bool{{true, nil}: true, {false, nil}: false, {true, broken}: false, {false, broken}: false} {
		if got := engine.Leads(t.Context(), l, "polls"); got != want {
			t.Errorf("%+v: %t", l, got)
		}
	}
}
