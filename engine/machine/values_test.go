package machine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
)

// inside returns a world with the actions that stay inside, as they are.
func inside(t testing.TB, config string, flows map[string]string) *world {
	t.Helper()
	catalog := actions.Catalog().With(specs["test/act"])
	w := newWorld(t, nil)
	w.project = projectWith(t, config, flows, catalog)
	w.actions = actions.Executors(actions.Options{})
	return w
}

func valueOf(t *testing.T, s database, ref engine.ValueRef) string {
	t.Helper()
	item, err := s.Value(context.Background(), ref, time.Now())
	if errors.Is(err, engine.ErrNotFound) {
		return "none"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(item.Value)
}

const counting = `on: hook
steps:
  - {id: n, uses: store/increment, with: {key: "count ${{ event.data.who }}", by: 2}}
  - {uses: store/set, with: {key: last, value: {who: "${{ event.data.who }}", n: "${{ steps.n.output }}"}, scope: project}}
  - {id: old, uses: store/get, with: {key: last, scope: project}}
  - {id: gone, uses: store/delete, with: {key: nothing}}
output: ${{ [steps.n.output, steps.old.output.n, steps.gone.output] }}
`

// TestStoredValuesAreReadByLaterRuns, also of the next process; each scope is its own.
func TestStoredValuesAreReadByLaterRuns(t *testing.T) {
	w := inside(t, "", map[string]string{"w": counting})
	w.onFile()
	for i := range 3 {
		e, s, stop := w.start(nil)
		if _, err := e.Accept(context.Background(), delivery(fmt.Sprint(i), `{"who": "ada"}`)); err != nil {
			t.Fatal(err)
		}
		settled(t, s, i+1)
		id := stands(t, s, engine.Succeeded)
		if got, want := output(t, s, id), fmt.Sprintf("succeeded [%d,%d,null] ", 2*i+2, 2*i+2); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if i == 2 {
			for ref, want := range map[engine.ValueRef]string{{Workflow: "w", Key: "count ada"}: "6", {Key: "count ada"}: "none",
				{Key: "last"}: `{"n":6,"who":"ada"}`, {Workflow: "w", Key: "last"}: "none"} {
				if got := valueOf(t, s, ref); got != want {
					t.Errorf("%+v: %s, want %s", ref, got, want)
				}
			}
			if n := count(t, w.path, "SELECT count(*) FROM kept_writes"); n != 0 {
				t.Errorf("%d notes of writes of runs that have succeeded are left", n)
			}
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestIncrementIsAppliedOnceWhereverACrashOccurs fails each commit in turn: the count is
// always that of the events, and an emitted event is one.
func TestIncrementIsAppliedOnceWhereverACrashOccurs(t *testing.T) {
	flows := map[string]string{
		"w": "on: hook\nsteps:\n  - {uses: store/increment, with: {key: n}}\n  - {uses: hookloom/emit, with: {trigger: paid, data: {n: " +
			"1}}}\n  - {uses: hookloom/emit, with: {trigger: loose, key: k, data: {n: 1}}}\n  - {uses: store/increment, with: {key: n}}\n",
		"p": "on: paid\nsteps: [{uses: store/increment, with: {key: got, scope: project}}]",
		"l": "on: loose\nsteps: [{uses: store/increment, with: {key: loose, scope: project}}]",
	}
	for crash := 1; ; crash++ {
		w := inside(t, "  paid: {}\n  loose: {webhook: {auth: none, dedupe: \"off\"}}\n", flows)
		var crashed atomic.Bool
		e, s, stop := w.start(func(n int) error {
			if n >= crash {
				crashed.Store(true)
				return errCrash
			}
			return nil
		})
		_, err := e.Accept(context.Background(), delivery("k", `{}`))
		if err == nil && !crashed.Load() {
			for end := time.Now().Add(time.Minute); time.Now().Before(end) && !crashed.Load(); time.Sleep(2 * time.Millisecond) {
				if counts, err := s.History.Counts(context.Background()); err == nil && counts.Open == 0 && counts.Inbox == 0 &&
					len(runsIn(t, s.History)) == 3 {
					break
				}
			}
		}
		_ = stop()
		e, s, stop = w.start(nil)
		if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
			t.Fatal(err)
		}
		settled(t, s, 3)
		if n, got, loose := valueOf(t, s, engine.ValueRef{Workflow: "w", Key: "n"}), valueOf(t, s, engine.ValueRef{Key: "got"}),
			valueOf(t, s, engine.ValueRef{Key: "loose"}); n != "2" || got != "1" || loose != "1" {
			t.Errorf("crash at write %d: n is %s, paid came %s times, loose %s times", crash, n, got, loose)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if !crashed.Load() {
			if crash < 12 {
				t.Errorf("only %d writes were tried", crash)
			}
			return
		}
	}
}

// TestValuesExpireAndCompareBeforeTheyAreSet: each row is a write to the same
// key, a minute after the one before.
func TestValuesExpireAndCompareBeforeTheyAreSet(t *testing.T) {
	w := inside(t, "", map[string]string{"w": counting})
	w.onFile()
	_, s, stop := w.start(nil)
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	at := time.Now().UTC().Truncate(time.Second)
	set, add, del := engine.ValueSet, engine.ValueIncrement, engine.ValueDelete
	for i, c := range []struct {
		change engine.ValueChange
		want   string
	}{
		{engine.ValueChange{Kind: add, Add: 5, TTL: 150 * time.Second}, "5"},
		{engine.ValueChange{Kind: add, Add: -1, TTL: time.Hour}, "4"}, // its end stays
		{engine.ValueChange{Kind: add, Add: 1}, "5"},                  // after 2 minutes
		{engine.ValueChange{Kind: add, Add: 1}, "1"},                  // after 3 it is a new one
		{engine.ValueChange{Kind: set, Value: `"a"`, Expect: "null"}, "conflict: expected nothing, found 1"},
		{engine.ValueChange{Kind: set, Value: `"a"`, Expect: "1"}, `"a"`},
		{engine.ValueChange{Kind: add, Add: 1}, `not_a_number: the project's key "k" is "a", but only whole numbers can be incremented`},
		{engine.ValueChange{Kind: del, Expect: `"b"`}, `conflict: expected "b", found "a"`},
		{engine.ValueChange{Kind: del}, `"a"`},
		{engine.ValueChange{Kind: del}, `null`},
		{engine.ValueChange{Kind: set, Value: "9223372036854775807", TTL: 30 * time.Second}, "9223372036854775807"},
		{engine.ValueChange{Kind: set, Value: "9223372036854775807", Expect: "null"}, "9223372036854775807"}, // a minute later there is none
		{engine.ValueChange{Kind: add, Add: 1}, "too_large: the sum does not fit into 64 bits"},
	} {
		c.change.Key, c.change.By, c.change.Now, c.change.MaxKeys, c.change.MaxBytes = "k", "test", at.Add(time.Duration(i)*time.Minute), 10, 1000
		next, err := s.ChangeValue(context.Background(), c.change)
		got := next.Result
		if next.Refused != nil {
			got = next.Refused.Code + ": " + strings.TrimPrefix(next.Refused.Message, `the project's key "k": `)
		}
		if err != nil || got != c.want {
			t.Errorf("write %d: %s, %v; want %s", i, got, err, c.want)
		}
	}
}

// TestTheStoreIsBoundedInKeysAndBytes: what has ended gives way, and the sums are right
// whatever was done.
func TestTheStoreIsBoundedInKeysAndBytes(t *testing.T) {
	w := inside(t, "", map[string]string{"w": counting})
	w.onFile()
	_, s, stop := w.start(nil)
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	now := time.Now()
	write := func(key, value string, ttl time.Duration, after time.Duration) string {
		t.Helper()
		c := engine.ValueChange{ValueRef: engine.ValueRef{Key: key}, Kind: engine.ValueSet, Value: value, TTL: ttl, Now: now.Add(after),
			MaxKeys: 2, MaxBytes: 20}
		if value == "" {
			c.Kind = engine.ValueDelete
		}
		next, err := s.ChangeValue(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		if next.Refused != nil {
			return next.Refused.Code
		}
		return "kept"
	}
	for i, c := range []struct {
		key, value string
		ttl, after time.Duration
		want       string
	}{
		{"a", "12345", time.Minute, 0, "kept"}, {"b", "1", 0, 0, "kept"}, {"c", "1", 0, 0, "store_full"}, {"b", "123456789012", 0, 0, "kept"},
		{"b", "1234567890123", 0, 0, "kept"},
		{"b", "12345678901234", 0, 0, "store_full"}, {"a", "1", time.Minute, 0, "kept"}, {"b", "12345678901234", 0, 0, "kept"},
		{"c", "1", 0, 2 * time.Minute, "kept"},
		{"b", "", 0, 0, "kept"}, {"d", "1", 0, 2 * time.Minute, "kept"},
	} {
		if got := write(c.key, c.value, c.ttl, c.after); got != c.want {
			t.Errorf("write %d of %s: %s, want %s", i, c.key, got, c.want)
		}
		if n := count(t, w.path, `SELECT count(*) FROM kept_size WHERE keys = (SELECT count(*) FROM kept_values) AND bytes = (SELECT `+
			`coalesce(sum(length(key) + length(value)), 0) FROM kept_values)`); n != 1 {
			t.Fatalf("after write %d: the sums of keys and bytes are not those of the values", i)
		}
	}
	if n, err := s.Prune(context.Background(), engine.PruneOrder{Now: now.Add(time.Hour), DefaultDedupe: time.Hour}); err != nil ||
		n.Values != 0 {
		t.Errorf("%+v %v", n, err)
	}
	write("e", "1", time.Minute, 0)
	if n, err := s.Prune(context.Background(), engine.PruneOrder{Now: now.Add(time.Hour), DefaultDedupe: time.Hour}); err != nil ||
		n.Values != 0 {
		t.Errorf("what was refused: %+v %v", n, err)
	}
}

// TestAChainOfEmittedEventsEnds with a message that names it.
func TestAChainOfEmittedEventsEnds(t *testing.T) {
	w := inside(t, "  ping: {}\n  pong: {}\n", map[string]string{
		"start": "on: hook\nsteps: [{uses: hookloom/emit, with: {trigger: ping, data: {n: 0}}}]",
		"a": "on: ping\nsteps: [{id: e, uses: hookloom/emit, with: {trigger: pong, type: back, key: \"${{ event.id }}\", data: " +
			"\"${{ event.data }}\"}}]",
		"b": "on: {pong: {events: [back]}}\nsteps: [{id: e, uses: hookloom/emit, with: {trigger: ping, data: {n: \"${{ event.data.n + 1 }}\"}}}]",
	})
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	items := settled(t, s, 11)
	if len(items) != 11 || items[0].Status != "failed" ||
		!strings.Contains(items[0].Error, "a chain of events is at most 10 deep, and this one is start -> a -> b -> a -> b -> a -> b -> a -> b "+
			"-> a -> b; end it with a when: or if: that stops holding") {
		t.Errorf("%d runs, the last: %s %s", len(items), items[0].Status, items[0].Error)
	}
	d, err := s.History.EventDetail(context.Background(), eventOf(t, items[0].Event))
	if err != nil || d.EmittedBy == nil || d.EmittedBy.Run != items[1].ID || d.EmittedBy.Workflow != "a" || d.EmittedBy.Step != "e" ||
		d.Inlet != "emit" || string(d.Body) != `{"n":4}` {
		t.Errorf("%+v %+v %v", d.EmittedBy, d.EventItem, err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestSenderCannotSetTheDepthOfAChain by a header: it would end what is no chain, or
// let one go on for ever; a call does not hand it on.
func TestSenderCannotSetTheDepthOfAChain(t *testing.T) {
	for _, header := range []string{"99;99;evil", "-1000;-1000;evil"} {
		w := inside(t, "  ping: {}\n", map[string]string{
			"start":  "on: hook\nsteps: [{call: called}]",
			"called": "on: call\nsteps: [{uses: hookloom/emit, with: {trigger: ping, data: {n: 0}}}]",
			"again":  "on: ping\nsteps: [{uses: hookloom/emit, with: {trigger: ping, data: {n: 0}}}]",
		})
		e, s, stop := w.start(nil)
		d := delivery("k", `{}`)
		d.Headers["x-chain"] = header
		if _, err := e.Accept(context.Background(), d); err != nil {
			t.Fatal(err)
		}
		items := settled(t, s, 12)
		if len(items) != 12 || items[0].Status != "failed" || !strings.Contains(items[0].Error, "this one is called -> again -> ") {
			t.Errorf("%s: %d runs, the last: %s %s", header, len(items), items[0].Status, items[0].Error)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAChainThroughBatchesEnds also where each batch begins with an event from outside.
func TestAChainThroughBatchesEnds(t *testing.T) {
	w := inside(t, "  ping: {}\n",
		map[string]string{"b": "on: [hook, ping]\nbatch: {size: 2, wait: 10m}\nsteps: [{sleep: 100ms}, {uses: hookloom/emit, with: {trigger: " +
			"ping, data: {n: 0}}}]"})
	e, s, stop := w.start(nil)
	for i := range 14 {
		send(t, e, fmt.Sprint(i), "a")
		for deadline := time.Now().Add(time.Minute); i > 0 && time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
			items, err := s.History.Runs(context.Background(), engine.Query{Limit: 100})
			if err != nil {
				t.Fatal(err)
			}
			if slices.ContainsFunc(items, func(r engine.RunItem) bool {
				return r.Status == "failed" && strings.Contains(r.Error, "at most 10 deep")
			}) {
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(items) >= i && items[0].Status != "queued" {
				break // the batch is at its sleep: the next event opens another one
			}
		}
	}
	t.Error("the chain went on")
	_ = stop()
}

func eventOf(t *testing.T, id string) engine.EventID {
	t.Helper()
	out, err := engine.ParseEventID(id)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
