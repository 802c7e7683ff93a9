//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/hookloom/hookloom/engine/testsize"
)

// nodesConfig has the triggers of the cluster's projects.
const nodesConfig = "triggers:\n  hook: {webhook: {auth: none, key: body.id}}\n  bank: {webhook: {auth: none, key: body.id}}\n" +
	"egress: {allow: [127.0.0.1]}\n"

// orderFlows are a workflow with calls, a wait for an event, and one run at a time of each customer. It
// posts to URL/first, URL/called and URL/second.
func orderFlows(target string) map[string]string {
	post := `uses: http/post, with: {url: "` + target + `/%s", body: {id: "${{ %s }}"}}, retry: 20`
	return map[string]string{"hookloom.yaml": nodesConfig,
		"workflows/order.yaml": "on: hook\nconcurrency: {group: \"${{ event.data.customer }}\", limit: 1}\nsteps:\n" +
			"  - {id: first, " + fmt.Sprintf(post, "first", "event.key") + "}\n" +
			"  - {id: paid, wait: {event: bank, key: \"pay-${{ event.key }}\"}, timeout: 1h}\n" +
			"  - {id: called, call: notify, with: {id: \"${{ event.key }}\"}}\n" +
			"  - {id: second, " + fmt.Sprintf(post, "second", "event.key") + "}\n",
		"workflows/notify.yaml": "on: call\ninputs: {id: {type: string}}\nsteps:\n" +
			"  - {id: send, " + fmt.Sprintf(post, "called", "inputs.id") + "}\n"}
}

// customers send orders and their payments, one after another each, until the returned function is
// called; it waits until all are acknowledged.
func (c *nodeSet) customers(t *testing.T, a *acknowledged, n int) (stop func() (orders int64)) {
	var ended atomic.Bool
	var orders atomic.Int64
	var all sync.WaitGroup
	for customer := range n {
		all.Go(func() {
			for i := 0; !ended.Load(); i++ {
				key := fmt.Sprintf("o-%d-%d", customer, i)
				if !c.postUntilAccepted(t, a, c.hookURL("hook"), key, fmt.Sprintf(`{"id":%q,"customer":"c%d"}`, key, customer)) ||
					!c.postUntilAccepted(t, a, c.hookURL("bank"), "pay-"+key, fmt.Sprintf(`{"id":"pay-%s"}`, key)) {
					return
				}
				orders.Add(1)
				time.Sleep(time.Duration(200+rand.IntN(300)) * time.Millisecond)
			}
		})
	}
	return func() int64 {
		ended.Store(true)
		all.Wait()
		return orders.Load()
	}
}

// effectOf names what a step does at the ledger.
func effectOf(s engine.StepItem) string {
	var in struct {
		URL  string          `json:"url"`
		Body json.RawMessage `json:"body"`
	}
	u := &url.URL{}
	if json.Unmarshal(s.Input, &in) == nil {
		u, _ = url.Parse(in.URL) // it was requested
	}
	return u.Path + " " + string(in.Body)
}

// clusterViolations compares what senders were told, the database and the ledger.
func clusterViolations(j *journals, acked map[string]string, l *ledger) []string {
	var out []string
	wrong := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	byKey := map[string]engine.EventItem{}
	for _, e := range j.events {
		if e.Key != "" && byKey[e.Trigger+e.Key].ID != "" {
			wrong("key %s has two events", e.Key)
		}
		byKey[e.Trigger+e.Key] = e
	}
	for _, key := range slices.Sorted(maps.Keys(acked)) {
		trigger := "hook"
		if strings.HasPrefix(key, "pay-") {
			trigger = "bank"
		}
		if e := byKey[trigger+key]; e.ID != acked[key] {
			wrong("acknowledged %s as %s, the database has %q", key, acked[key], e.ID)
		}
	}
	runs, unknown, done := map[string]int{}, map[string]int{}, map[string]int{}
	replayed := map[string]bool{}
	for _, r := range j.runs {
		replayed[r.Repeats] = replayed[r.Repeats] || r.Repeats != ""
	}
	for _, r := range j.runs {
		// A run that was executing in four processes that were killed is a dead letter, which
		// replayTooOftenKilled has replayed.
		again := strings.Contains(r.Error, oftenKilled) && (replayed[r.ID] || r.Workflow == "notify")
		if !again {
			runs[r.Workflow]++
		}
		if r.Status != string(engine.Succeeded) && !again {
			wrong("run %s of %s %s: %s", r.ID, r.Workflow, r.Status, r.Error)
		}
		j.stepViolations(r, wrong)
		for _, s := range j.steps[r.ID] {
			switch {
			case s.Action != "http/post":
			case s.Status == "unknown" || s.Status == "failed":
				unknown[effectOf(s)]++
			case s.Status == "succeeded" && !again: // its replay has the step too
				done[effectOf(s)]++
			}
		}
	}
	orders := 0
	for key := range acked {
		if !strings.HasPrefix(key, "pay-") {
			orders++
		}
	}
	if runs["order"] != orders || runs["notify"] != orders {
		wrong("%d runs and %d called ones of %d orders", runs["order"], runs["notify"], orders)
	}
	came, keys := map[string]int{}, map[string]int{}
	for key, bodies := range l.bodies {
		for body := range bodies {
			keys[body]++
			came[body] += l.came[key]
		}
		if len(bodies) != 1 {
			wrong("idempotency key %s came with %d bodies", key, len(bodies))
		}
	}
	if len(came) != 3*orders {
		wrong("%d effects of %d orders", len(came), orders)
	}
	for effect, n := range came {
		if keys[effect] != 1 || done[effect] != 1 || n > 1+unknown[effect] {
			wrong("%s came %d times with %d idempotency keys; it succeeded %d times, and the outcome of %d attempts is unknown", effect, n,
				keys[effect], done[effect], unknown[effect])
		}
	}
	return out
}

// verify checks a cluster that is at rest.
func (c *nodeSet) verify(t *testing.T, a *acknowledged, l *ledger) (violations []string) {
	t.Helper()
	j, err := readJournals(t.Context(), c.db)
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return clusterViolations(j, a.events, l)
}

// oftenKilled is in the error of a run that was executing when several processes ended.
const oftenKilled = "the process ended 4 times while this run was executing"

// replayTooOftenKilled replays the dead letters that say so, from the step that failed, as an operator
// would, and returns how many there were.
func (c *nodeSet) replayTooOftenKilled(t *testing.T) (replayed int) {
	t.Helper()
	j, err := readJournals(t.Context(), c.db)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range j.runs {
		if !strings.Contains(r.Error, oftenKilled) || r.Workflow != "order" {
			continue // a called run is called again by its caller
		}
		status, answer, err := post(t.Context(), "http://"+c.nodes[0].admin+"/api/v1/runs/"+r.ID+"/replay", []byte(`{"from": "failed"}`))
		if err != nil || status != http.StatusOK {
			t.Errorf("replaying %s: %d %s %v", r.ID, status, answer, err)
		}
		replayed++
	}
	return replayed
}

func report(t *testing.T, violations []string) {
	t.Helper()
	for i, v := range violations {
		if i == 20 {
			t.Errorf("and %d more", len(violations)-i)
			break
		}
		t.Error(v)
	}
}

// promote kills the primary, makes its synchronous standby the primary, to which all nodes are led, and
// gives it a standby of its own.
func (c *nodeSet) promote(t *testing.T, standby *postgrestest.Server, name string) (next *postgrestest.Server) {
	t.Helper()
	c.server.Kill(t)
	standby.Promote(t)
	c.lead(t, standby)
	return c.standby(t, name)
}

// lead leads all nodes to another server.
func (c *nodeSet) lead(t *testing.T, to *postgrestest.Server) {
	t.Helper()
	u, err := url.Parse(to.Named(c.database))
	if err != nil {
		t.Fatal(err)
	}
	c.server, c.db = to, u.String()
	for _, x := range c.nodes {
		x.way.target.Store(u.Host)
	}
}

// standby gives the server a synchronous standby.
func (c *nodeSet) standby(t *testing.T, name string) *postgrestest.Server {
	t.Helper()
	standby := c.server.Standby(t, name)
	c.server.Exec(t, "ALTER SYSTEM SET synchronous_standby_names = '"+name+"'", "SELECT pg_reload_conf()")
	c.server.UntilSync(t, name)
	return standby
}

// TestNodesLoseNothingWhateverIsKilled: nodes are killed, stopped and cut off, all are started again at
// once, the database is killed, and its synchronous standby promoted, in random order under load.
// HOOKLOOM_NODES is how many nodes there are, HOOKLOOM_KILLS, HOOKLOOM_STOPS, HOOKLOOM_OUTAGES,
// HOOKLOOM_PROMOTIONS and HOOKLOOM_CUTS how often each happens, HOOKLOOM_PAUSE how long a node is stopped
// or cut off at most, in seconds.
func TestNodesLoseNothingWhateverIsKilled(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	c := newNodeSet(t, testsize.Of(t, "HOOKLOOM_NODES", 2), orderFlows(l.url))
	longest := testsize.Of(t, "HOOKLOOM_PAUSE", 4)
	promotions := testsize.Of(t, "HOOKLOOM_PROMOTIONS", 1)
	var standby *postgrestest.Server
	if promotions > 0 {
		standby = c.standby(t, "s0")
	}
	anyNode := func() *nodeOfSet { return c.nodes[rand.IntN(len(c.nodes))] }
	spell := func() time.Duration {
		return 3*time.Second + time.Duration(rand.IntN(max(1, 1000*(longest-3))))*time.Millisecond
	}
	promoted := 0
	faults := map[string]struct {
		times int
		do    func()
	}{
		"kill":   {testsize.Of(t, "HOOKLOOM_KILLS", 3), func() { anyNode().process().kill() }},
		"stop":   {testsize.Of(t, "HOOKLOOM_STOPS", 1), func() { anyNode().pause(spell()) }},
		"outage": {testsize.Of(t, "HOOKLOOM_OUTAGES", 1), func() { c.server.Kill(t); time.Sleep(200 * time.Millisecond); c.server.Up(t) }},
		"cut": {testsize.Of(t, "HOOKLOOM_CUTS", 1), func() {
			x := anyNode()
			x.way.cut()
			time.Sleep(max(5*time.Second, time.Duration(longest)*time.Second))
			x.way.repair()
		}},
		"promotion": {promotions, func() {
			promoted++
			standby = c.promote(t, standby, fmt.Sprint("s", promoted))
		}},
		"all": {1, func() {
			for _, x := range c.nodes {
				x.process().kill()
			}
		}},
	}
	var list []string
	for name, f := range faults {
		list = append(list, slices.Repeat([]string{name}, f.times)...)
	}
	rand.Shuffle(len(list), func(i, k int) { list[i], list[k] = list[k], list[i] })
	a := newAcknowledged()
	stop := c.customers(t, a, 12)
	began := time.Now()
	for _, name := range list {
		time.Sleep(time.Duration(200+rand.IntN(1000)) * time.Millisecond)
		faults[name].do()
	}
	time.Sleep(time.Second)
	orders := stop()
	took := time.Since(began)
	c.settle(t, time.Minute)
	again := c.replayTooOftenKilled(t)
	c.settle(t, time.Minute)
	report(t, c.verify(t, a, l))
	starts := int64(0)
	for _, x := range c.nodes {
		starts += x.starts.Load()
	}
	t.Logf("%d faults in %v, %d orders, %d starts of %d nodes, %d effects; at rest %v later; %d runs were executing in four nodes that "+
		"were killed, and were replayed", len(list), took.Round(time.Second), orders, starts, len(c.nodes), l.keys(),
		(time.Since(began) - took).Round(time.Millisecond), again)
	if again > 1+int(orders)/500 {
		t.Errorf("%d of %d runs are dead letters because their nodes were killed", again, orders)
	}
	if orders == 0 {
		t.Error("nothing was acknowledged")
	}
}

// TestAnAsynchronousStandbyLosesCommits is the control of the rig: with a standby that is behind, a failover
// loses what was acknowledged, and the rig sees it.
func TestAnAsynchronousStandbyLosesCommits(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	c := newNodeSet(t, 2, orderFlows(l.url))
	standby := c.server.Standby(t, "behind")
	a := newAcknowledged()
	c.postUntilAccepted(t, a, c.hookURL("hook"), "o-0-0", `{"id":"o-0-0","customer":"c0"}`)
	c.postUntilAccepted(t, a, c.hookURL("bank"), "pay-o-0-0", `{"id":"pay-o-0-0"}`)
	c.settle(t, time.Minute)
	time.Sleep(2 * time.Second) // it has received that
	standby.Stop(t)
	c.postUntilAccepted(t, a, c.hookURL("hook"), "o-0-1", `{"id":"o-0-1","customer":"c0"}`)
	c.postUntilAccepted(t, a, c.hookURL("bank"), "pay-o-0-1", `{"id":"pay-o-0-1"}`)
	c.server.Kill(t)
	standby.Up(t)
	standby.Promote(t)
	c.lead(t, standby)
	c.awaitAll(t)
	c.settle(t, time.Minute)
	violations := c.verify(t, a, l)
	if !slices.ContainsFunc(violations, func(v string) bool { return strings.HasPrefix(v, "acknowledged o-0-1 ") }) {
		t.Errorf("not seen that an acknowledged event is lost: %v", violations)
	}
}
