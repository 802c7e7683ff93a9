//go:build unix

package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/testsize"
)

// TestKillMinusNineLosesNoCallAndNoWait kills a real process under load whose runs call others, which
// emit the event that the caller waits for: each caller has one called run, its wait is ended by the
// event of that run, and each ends with what the called run gave.
func TestKillMinusNineLosesNoCallAndNoWait(t *testing.T) {
	realProcess(t)
	cycles := testsize.Of(t, "HOOKLOOM_KILLS", 8)
	out := newLedger(t)
	config := strings.Replace(hookConfig, "triggers: {", "triggers: {paid: {}, ", 1)
	post := "uses: http/post, retry: 3, with: {url: \"" + out.url + "/%s\", body: {n: \"${{ %s }}\"}}"
	p := newProject(t, map[string]string{"hookloom.yaml": config, ".env": hookEnv,
		"workflows/order.yaml": "on: hook\nsteps:\n  - {id: c, call: charge, with: {n: \"${{ event.key }}\"}, retry: 2}\n" +
			"  - {id: w, wait: {event: paid, key: \"${{ event.key }}\"}, timeout: 5m}\n  - {sleep: 20ms}\n" +
			"  - {" + fmt.Sprintf(post, "order", "event.key") + "}\noutput: \"${{ steps.c.output }} ${{ steps.w.output.data.n }}\"\n",
		"workflows/charge.yaml": "on: call\ninputs: {n: {type: string}}\nsteps:\n  - {" + fmt.Sprintf(post, "charge", "inputs.n") + "}\n" +
			"  - {uses: hookloom/emit, with: {trigger: paid, key: \"${{ inputs.n }}\", data: {n: \"${{ inputs.n }}\"}}}\noutput: ${{ inputs.n }}\n",
	})
	acked := newAcknowledged()
	p.killCycles(t, acked, cycles, 8)
	t.Logf("%d cycles, %d acknowledged", cycles, acked.count())
	checkCalls(t, p, acked.events)
	out.mu.Lock()
	defer out.mu.Unlock()
	sent := map[string]int{} // keys of each request
	for key, bodies := range out.bodies {
		if len(bodies) > 1 {
			t.Errorf("%s came with %d bodies", key, len(bodies))
		}
		for b := range bodies {
			sent[b]++
		}
	}
	for body, keys := range sent {
		if keys > 1 {
			t.Errorf("%s was sent by %d steps", body, keys)
		}
	}
}

// checkCalls checks that each acknowledged event has one run, with one called run.
func checkCalls(t *testing.T, p *project, acked map[string]string) {
	t.Helper()
	h := p.history(t)
	runs, called := map[string]int{}, map[string]int{}
	eachRun(t, h, func(r engine.RunItem, d *engine.RunDetail) {
		if r.Status != "succeeded" {
			t.Errorf("%s of %s is %s: %s", r.ID, r.Workflow, r.Status, r.Error)
		}
		if r.Workflow == "charge" {
			called[d.CalledBy]++
			return
		}
		runs[r.Event]++
		if want := fmt.Sprintf(`"%s %s"`, r.EventKey, r.EventKey); string(d.Output) != want || len(d.EndedBy) != 1 {
			t.Errorf("%s of %s ended with %s, expected %s; its wait was ended by %+v", r.ID, r.EventKey, d.Output, want, d.EndedBy)
		}
	})
	total := 0
	for caller, n := range called {
		if total++; n != 1 {
			t.Errorf("%s called %d runs", caller, n)
		}
	}
	if total != len(runs) {
		t.Errorf("%d runs called others, of %d", total, len(runs))
	}
	for key, id := range acked {
		if runs[id] != 1 {
			t.Errorf("%s (%s) has %d runs", key, id, runs[id])
		}
	}
	sound(t, h)
}

// killCycles starts the server, sends to it and kills it, again and again. Then it starts it once
// more, waits until all runs have ended, stops it, and returns how long that took.
func (p *project) killCycles(t *testing.T, acked *acknowledged, cycles, senders int) (idle time.Duration) {
	t.Helper()
	for c := range cycles {
		s := p.start(t)
		stop := p.senders(t, acked, senders, fmt.Sprint(c))
		time.Sleep(time.Duration(5+rand.IntN(400)) * time.Millisecond)
		s.kill()
		stop()
	}
	s := p.start(t)
	began := time.Now()
	p.idle(t)
	idle = time.Since(began).Round(time.Millisecond)
	s.stop(t)
	return idle
}

// eachRun reads all runs of a history with their details.
func eachRun(t *testing.T, h *store.History, see func(engine.RunItem, *engine.RunDetail)) {
	t.Helper()
	for q := (engine.Query{Limit: 1000}); ; {
		page, err := h.RunPage(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Items {
			id, err := engine.ParseRunID(r.ID)
			if err != nil {
				t.Fatal(err)
			}
			d, err := h.RunDetail(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			see(r, d)
		}
		if q.After = page.Next; q.After == "" {
			return
		}
	}
}

// sound fails the test if check finds rows that contradict each other.
func sound(t *testing.T, h *store.History) {
	t.Helper()
	found, err := h.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if len(f.Wrong) > 0 {
			t.Errorf("%s: %q", f.What, f.Wrong)
		}
	}
}
