package machine_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/testsize"
)

// TestPoisonIsContained: among many good events are some that break something, one in
// a hundred: an expression, an action, the decoder, a target that never accepts, a
// huge field. Each ends with a cause, as a dead letter or as a decision; the good
// ones all succeed, once, and the engine goes on. HOOKLOOM_POISON sets how many
// events there are.
func TestPoisonIsContained(t *testing.T) {
	events := testsize.Of(t, "HOOKLOOM_POISON", 3000)
	kinds := map[string]struct {
		body string
		want string // in the cause
	}{
		"rule":    {`{"poison": "rule", "n": "seven"}`, ""},
		"input":   {`{"poison": "input", "n": 1}`, "expression"},
		"panic":   {`{"poison": "panic", "n": 1}`, "panic"},
		"refused": {`{"poison": "refused", "n": 1}`, "http_status"},
		"deep":    {strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), ""},
		"huge":    {`{"poison": "huge", "n": 1, "field": "` + strings.Repeat("x", 10<<20) + `"}`, ""},
	}
	names := []string{"rule", "input", "panic", "refused", "deep", "huge"}
	w := newWorld(t, map[string]string{"w": "on: hook\nwhen: event.data.n >= 0\nsteps:\n" +
		"  - {id: a, uses: test/act, with: {n: \"${{ event.key }} ${{ event.data.poison == 'input' ? event.data.none.deeper : " +
		"event.data.poison " +
		"}}\"}, retry: 2}\n"})
	var mu sync.Mutex
	done := map[string]int{}
	w.target.do = func(in engine.Input, _ int) (any, error) {
		key, kind, _ := strings.Cut(fmt.Sprint(in.With["n"]), " ")
		switch kind {
		case "panic":
			panic("poison")
		case "refused":
			return nil, &plan.Error{Message: "no", Code: "http_status", Status: 400}
		}
		mu.Lock()
		done[key]++
		mu.Unlock()
		return nil, nil
	}
	e, s, stop := w.start(nil)
	poison := map[string]string{} // key -> kind
	for i := range events {
		key, body := fmt.Sprint("good-", i), `{"n": 1}`
		if i%100 == 50 {
			kind := names[(i/100)%len(names)]
			key, body = fmt.Sprint("bad-", i), kinds[kind].body
			if kind == "huge" && i > 20_000 {
				body = `{"n": "x"}` // a few hundred of 10 MB would only fill the disk
				kind = "rule"
			}
			poison[key] = kind
		}
		if _, err := e.Accept(context.Background(), delivery(key, body)); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool {
		c, err := s.History.Counts(context.Background())
		return err == nil && c.Open == 0 && c.Inbox == 0
	})
	outcomes := map[string]int{}
	q := engine.Query{Limit: 1000, Ascending: true}
	for {
		list, err := s.History.Events(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range list {
			kind, bad := poison[ev.Key]
			switch {
			case !bad && done[ev.Key] != 1:
				t.Errorf("%s was done %d times", ev.Key, done[ev.Key])
			case bad:
				outcomes[kind+": "+causeOf(t, s.History, ev)]++
			}
		}
		if len(list) < q.Limit {
			break
		}
		q.After = list[len(list)-1].ID
	}
	for _, kind := range names {
		found := ""
		for o := range outcomes {
			if strings.HasPrefix(o, kind+": ") {
				found += o
			}
		}
		if found == "" || !strings.Contains(found, kinds[kind].want) || strings.HasSuffix(found, ": ") {
			t.Errorf("%s has no cause: %q", kind, found)
		}
	}
	t.Logf("%d events, %d poisoned, each with a cause; the others ran once", events, len(poison))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// causeOf is why an event did not run well: the dead letter's code, or the decision's
// outcome with its reason.
func causeOf(t *testing.T, h interface {
	EventDetail(context.Context, engine.EventID) (*engine.EventDetail, error)
}, ev engine.EventItem) string {
	t.Helper()
	id, err := engine.ParseEventID(ev.ID)
	if err != nil {
		t.Fatal(err)
	}
	d, err := h.EventDetail(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.RunItems) > 0 {
		if r := d.RunItems[0]; r.Status != "succeeded" {
			return "dead letter, " + r.ErrorCode
		}
		return "succeeded"
	}
	for _, x := range d.Decisions {
		if x.Reason != "" {
			return x.Outcome + ", " + x.Reason
		}
	}
	return ""
}
