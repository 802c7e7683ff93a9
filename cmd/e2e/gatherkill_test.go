//go:build unix

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/testsize"
)

// TestKillMinusNineLosesNoGatheredEvent kills a real process under load whose workflows collect
// events, cancel runs and run finally steps: each event is in exactly one run of a debounce and of
// a batch, and each cancelled run has run its finally.
func TestKillMinusNineLosesNoGatheredEvent(t *testing.T) {
	realProcess(t)
	cycles := testsize.Of(t, "HOOKLOOM_KILLS", 8)
	out := newLedger(t)
	p := gatherProject(t, out.url)
	acked := newAcknowledged()
	p.killCycles(t, acked, cycles, 8)
	t.Logf("%d cycles, %d acknowledged", cycles, len(acked.events))
	checkGathered(t, p, acked.events)
	out.mu.Lock()
	defer out.mu.Unlock()
	for key, bodies := range out.bodies {
		if len(bodies) > 1 {
			t.Errorf("%s came with %d bodies", key, len(bodies))
		}
	}
}

func gatherProject(t *testing.T, sink string) *project {
	t.Helper()
	post := "uses: http/post, with: {url: \"" + sink + "/%s\", body: {n: \"${{ event.key }}\"}}"
	return hookProject(t, map[string]string{
		"last": "on: hook\ndebounce: {key: event.data.n % 7, wait: 40ms, max: 150ms}\nsteps: [{" + fmt.Sprintf(post, "last") + "}]\n",
		"all": "on: hook\nbatch: {key: event.data.n % 5, size: 10, wait: 100ms}\nconcurrency: {limit: 4, max_queue: 1000000}\n" +
			"steps: [{uses: http/post, with: {url: \"" + sink + "/all\", body: {keys: \"${{ map(events, .key) }}\"}}}]\n",
		// Every event cancels the run of the previous one with the same remainder, unless it has
		// ended.
		"ended": "on: hook\nwhen: event.data.n % 3 == 0\ncancel_on: {event: hook, key: event.data.n % 2}\nsteps: [{sleep: 30ms}]\n" +
			"finally: [{" + fmt.Sprintf(post, "ended") + "}]\n",
	})
}

// checkGathered checks that each event is in exactly one run of each collecting workflow.
func checkGathered(t *testing.T, p *project, acked map[string]string) {
	t.Helper()
	h := p.history(t)
	in := map[string]int{} // workflow and event
	ended := 0
	eachRun(t, h, func(r engine.RunItem, d *engine.RunDetail) {
		in[r.Workflow+" "+r.Event]++
		for _, ev := range d.Events {
			in[r.Workflow+" "+ev]++
		}
		switch {
		case r.Workflow == "ended" && r.Status == "cancelled":
			ended++
			if n := len(d.Steps); n == 0 && d.StartedAt != nil || n > 0 && !strings.HasPrefix(d.Steps[n-1].Path, "finally/") {
				t.Errorf("%s was cancelled without its finally: %+v", r.ID, d.Steps)
			}
		case r.Status != "succeeded":
			t.Errorf("%s of %s %s: %s", r.ID, r.Workflow, r.Status, r.Error)
		}
	})
	for key, id := range acked {
		for _, w := range []string{"last", "all"} {
			if n := in[w+" "+id]; n != 1 {
				t.Errorf("%s (%s) is in %d runs of %s", key, id, n, w)
			}
		}
	}
	if ended == 0 {
		t.Error("no run was ended by an event")
	}
	sound(t, h)
}
