package backtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/backtest"
	"github.com/hookloom/hookloom/engine/machine"
)

// maker is a history of runs that make events: "shop" emits into inside, calls "callee", and its end
// is told to "ended"; "heard" and "callee" and "ended" act on what they get.
var maker = map[string]string{
	"shop": "on: hook\nwhen: event.data.n > 0\nsteps:\n" +
		"  - {id: e, uses: hookloom/emit, with: {trigger: inside, key: \"${{ event.key }}\", data: {n: \"${{ event.data.n }}\"}}}\n" +
		"  - {id: c, call: callee, with: {x: \"${{ event.data.n }}\"}}\n" +
		"output: ${{ steps.c.output }}\n",
	"heard": "on: inside\nwhen: event.data.n > 5\n" + acts,
	"callee": "on: call\ninputs: {x: {type: number}}\nsteps: [{id: a, uses: test/act, with: {n: \"${{ inputs.x }}\"}}]\n" +
		"output: ${{ inputs.x }}\n",
	"ended": "on: {workflow_run: {workflows: [shop], status: [succeeded]}}\n" +
		"steps: [{uses: test/act, with: {n: \"${{ event.data.output }}\"}}]\n",
	"spare": "on: call\ninputs: {x: {type: number}}\nsteps: [{uses: test/act, with: {n: \"spare ${{ inputs.x }}\"}}]\noutput: spare\n",
	"other": "on: hook\n" + acts,
}

// summary lists what is found, one line each: workflow, kind, cause, and requests.
func summary(f found) (out []string) {
	for _, c := range f.changes {
		line := c.Workflow + " " + c.Kind
		if c.Cause != nil {
			line += " by " + c.Cause.How + " of " + c.Cause.Workflow + " " + c.Cause.Step
		}
		for _, r := range c.Requests.Added {
			line += fmt.Sprint(" +", r.Request["n"])
		}
		for _, r := range c.Requests.Removed {
			line += fmt.Sprint(" -", r.Request["n"])
		}
		for _, r := range c.Requests.Changed {
			line += fmt.Sprint(" ", r.Before["n"], ">", r.After["n"])
		}
		if c.Assumed {
			line += " assumed"
		}
		out = append(out, line)
	}
	for _, u := range f.unknown {
		out = append(out, u.Workflow+" unknown: "+u.Reason)
	}
	slices.Sort(out)
	return out
}

// TestEffectsOfRunsAreFollowed checks that an edit that makes a run emit, call or end otherwise is
// followed to the further runs: those that begin, those that do not begin, and those that get other
// data. Runs that the edit does not concern are unchanged.
func TestEffectsOfRunsAreFollowed(t *testing.T) {
	golden(t)
	path := record(t, maker, send(t, bodies[1])) // one event, with n: 6
	same := test(t, path, maker, nil)
	if same.Unchanged != 5 || len(same.changes)+len(same.unknown) > 0 || same.Assumed > 0 {
		t.Fatalf("%+v %q", same.Report, summary(same))
	}
	emit := "  - {id: e, uses: hookloom/emit, with: {trigger: inside, key: \"${{ event.key }}\", data: {n: \"${{ event.data.n }}\"}}}\n"
	call := "  - {id: c, call: callee, with: {x: \"${{ event.data.n }}\"}}\n"
	for _, x := range []struct {
		workflow, from, to string
		want               []string
	}{
		{"shop", "n > 0", "n > 9", []string{
			"callee stops_matching by call of shop c -6", "ended stops_matching by workflow_run of shop  -6",
			"heard stops_matching by emit of shop e -6", "shop stops_matching -<nil> -<nil>"}},
		{"shop", emit, "", []string{"heard stops_matching by emit of shop e -6", "shop requests -<nil>"}},
		{"shop", "data: {n: \"${{ event.data.n }}\"}", "data: {n: \"${{ event.data.n + 1 }}\"}", []string{
			"heard requests by emit of shop e 6>7 assumed", "shop requests <nil>><nil> assumed"}},
		{"shop", "data: {n: \"${{ event.data.n }}\"}", "data: {n: 2}", []string{
			"heard stops_matching by emit of shop e -6", "shop requests <nil>><nil> assumed"}},
		{"shop", "x: \"${{ event.data.n }}\"", "x: \"${{ event.data.n * 2 }}\"", []string{
			"callee requests by call of shop c 6>12 assumed", "ended requests by workflow_run of shop  6>12 assumed",
			"shop requests <nil>><nil> assumed"}},
		{"callee", "output: ${{ inputs.x }}", "output: ${{ inputs.x + 1 }}", []string{
			"callee output", "ended requests by workflow_run of shop  6>7 assumed", "shop output"}},
		{"callee", "n: \"${{ inputs.x }}\"", "n: 3", []string{"callee requests 6>3 assumed"}},
		{"shop", call, strings.Replace(call, "callee", "spare", 1), []string{
			"callee stops_matching by call of shop c -6", "ended requests by workflow_run of shop  6>spare assumed",
			"shop requests <nil>><nil> assumed", "spare starts_matching by call of shop c +spare 6 assumed"}},
		{"shop", "output: ${{ steps.c.output }}", "output: 0", []string{
			"ended requests by workflow_run of shop  6>0 assumed", "shop output"}},
		{"ended", "status: [succeeded]", "status: [failed]", []string{"ended stops_matching -6"}},
		{"shop", call, call + "  - {id: f, uses: hookloom/emit, with: {trigger: inside, data: {n: 8}}}\n", []string{
			"heard starts_matching by emit of shop f +8 assumed", "shop requests +<nil> assumed"}},
		{"shop", call, call + "  - {id: f, uses: hookloom/emit, with: {trigger: inside, key: \"${{ event.key }}\", data: {n: 8}}}\n",
			[]string{"shop requests +<nil> assumed"}}, // its key is known
		{"other", acts, acts + "output: 3\n", []string{"other output"}},
		{"other", acts, "steps: [{id: e, uses: hookloom/emit, with: {trigger: inside, data: {n: 7}}}]\n", []string{
			"heard starts_matching by emit of other e +7 assumed", "other requests +<nil> -6 assumed"}},
		{"other", acts, "steps: [{id: c, call: spare, with: {x: 4}, detach: true}]\n", []string{
			"other requests +<nil> -6 assumed", "spare starts_matching by call of other c +spare 4 assumed"}},
	} {
		edited := maps.Clone(maker)
		if edited[x.workflow] = strings.Replace(maker[x.workflow], x.from, x.to, 1); edited[x.workflow] == maker[x.workflow] {
			t.Fatalf("%s: %s is not in it", x.workflow, x.from)
		}
		for _, only := range []bool{false, true} {
			f := test(t, path, edited, func(o *backtest.Options) {
				if only { // what it makes is followed to workflows that are not selected
					o.Workflows = map[string]bool{x.workflow: true}
				}
			})
			want := x.want
			if only && x.workflow == "callee" { // its callers are compared if they are selected
				want = want[:1]
			}
			if only { // the version that ran and a named one with its text are the same
				named := test(t, path, edited, func(o *backtest.Options) {
					o.Workflows, o.Against = map[string]bool{x.workflow: true}, load(t, maker).Workflows[x.workflow]
				})
				if got := summary(named); !slices.Equal(got, want) {
					t.Errorf("%s: %q -> %q, with the version that ran by name:\n got %q\nwant %q", x.workflow, x.from, x.to, got, want)
				}
				back := test(t, path, maker, func(o *backtest.Options) {
					o.Workflows, o.Against = map[string]bool{x.workflow: true}, load(t, edited).Workflows[x.workflow]
				})
				if got := summary(back); !slices.Equal(got, mirrored(want)) {
					t.Errorf("%s: %q -> %q, the other way round:\n got %q\nwant %q", x.workflow, x.from, x.to, got, mirrored(want))
				}
			}
			if got := summary(f); !slices.Equal(got, want) {
				b, _ := json.MarshalIndent(f.changes, "", " ")
				t.Errorf("%s: %q -> %q, alone %v:\n got %q\nwant %q\n%s", x.workflow, x.from, x.to, only, got, want, b)
			}
		}
	}
}

// TestAnEventForAnUnknownTriggerFailsItsStep checks that a step that emits into a trigger that an expression computes fails
// as in a real run if the project has no such trigger, also if the recorded step succeeded; and that the recorded
// failure does not remain once the trigger is right.
func TestAnEventForAnUnknownTriggerFailsItsStep(t *testing.T) {
	emits := func(trigger string) map[string]string {
		files := maps.Clone(maker)
		files["other"] = "on: hook\nsteps:\n  - {id: e, uses: hookloom/emit, with: {trigger: " + trigger + ", data: {n: 7}}}\n"
		return files
	}
	right, wrong := emits("\"${{ 'in' + 'side' }}\""), emits("\"${{ 'no' + 'where' }}\"")
	none, failing := record(t, maker, send(t, bodies[1])), record(t, wrong, send(t, bodies[1]))
	for name, x := range map[string]struct {
		path  string
		files map[string]string
		want  string // the error of the edited run
	}{
		"nothing recorded":    {none, wrong, `no trigger is named "nowhere"`},
		"recorded as success": {record(t, right, send(t, bodies[1])), wrong, `no trigger is named "nowhere"`},
		"recorded as failure": {failing, right, ""},
		"unchanged failure":   {failing, wrong, "unchanged"},
	} {
		f := test(t, x.path, x.files, func(o *backtest.Options) { o.Workflows = map[string]bool{"other": true} })
		got := "unchanged"
		for _, c := range f.changes {
			if c.Workflow != "other" {
				continue
			}
			if got = ""; c.Error != nil && c.Error.After != nil {
				got = c.Error.After.Message
			} else if c.Error == nil {
				got = "the same error"
			}
		}
		if got != x.want || len(f.unknown) > 0 {
			t.Errorf("%s: the run fails with %q, want %q: %q", name, got, x.want, summary(f))
		}
	}
}

// TestACalledRunHasTheInputsOfTheEditedWorkflow checks that a call with the same inputs starts the edited
// workflow with its own defaults, and fails if the edited workflow refuses them.
func TestACalledRunHasTheInputsOfTheEditedWorkflow(t *testing.T) {
	golden(t)
	files := maps.Clone(maker)
	files["callee"] = "on: call\ninputs: {x: {type: number}, y: {type: number, default: 0}}\n" +
		"steps: [{id: a, uses: test/act, with: {n: \"${{ inputs.y }}\"}}]\noutput: ${{ inputs.y }}\n"
	path := record(t, files, send(t, bodies[1]))
	for _, x := range []struct {
		from, to string
		want     []string
	}{
		{"default: 0", "default: 2", []string{
			"callee requests by call of shop c 0>2 assumed", "ended requests by workflow_run of shop  0>2 assumed", "shop output assumed"}},
		{"x: {type: number}", "x: {type: number, default: 3}", nil}, // the call gives it
		{"x: {type: number}", "x: {type: boolean}", []string{
			"callee stops_matching by call of shop c -0", "ended stops_matching by workflow_run of shop  -0", "shop error"}},
	} {
		edited := maps.Clone(files)
		if edited["callee"] = strings.Replace(files["callee"], x.from, x.to, 1); edited["callee"] == files["callee"] {
			t.Fatalf("%s is not in it", x.from)
		}
		if got := summary(test(t, path, edited, nil)); !slices.Equal(got, x.want) {
			t.Errorf("%q -> %q:\n got %q\nwant %q", x.from, x.to, got, x.want)
		}
	}
	both := maps.Clone(files) // caller and callee change the type of an input together
	both["callee"] = strings.Replace(files["callee"], "x: {type: number}", "x: {type: boolean}", 1)
	both["shop"] = strings.Replace(files["shop"], "x: \"${{ event.data.n }}\"", "x: true", 1)
	if got, want := summary(test(t, path, both, nil)), []string{"shop requests <nil>><nil>"}; !slices.Equal(got, want) {
		t.Errorf("caller and callee:\n got %q\nwant %q", got, want)
	}
}

// TestEffectsOfChosenEventsAreFollowed checks that the runs that an event to decide again makes otherwise are
// compared too, although their events are not chosen: the same as in a backtest of everything. The
// same holds for --explain. Runs that are made as recorded are not listed.
func TestEffectsOfChosenEventsAreFollowed(t *testing.T) {
	golden(t)
	path := record(t, maker, send(t, bodies[1]))
	first, err := engine.ParseEventID(idsOf(t, path)[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ from, to string }{
		{"n > 0", "n > 9"}, {"data: {n: \"${{ event.data.n }}\"}", "data: {n: \"${{ event.data.n + 1 }}\"}"},
		{"data: {n: \"${{ event.data.n }}\"}", "data: {n: 2}"}, {"x: \"${{ event.data.n }}\"", "x: \"${{ event.data.n * 2 }}\""},
		{"call: callee", "call: spare"}, {"output: ${{ steps.c.output }}", "output: 0"}, {"n > 0", "n > -1"},
		{"steps:\n", "steps:\n  - {id: f, uses: hookloom/emit, with: {trigger: inside, data: {n: 8}}}\n"},
	} {
		edited := maps.Clone(maker)
		edited["shop"] = strings.Replace(maker["shop"], x.from, x.to, 1)
		shop := map[string]bool{"shop": true}
		want := summary(test(t, path, edited, func(o *backtest.Options) { o.Workflows = shop }))
		if x.to != "n > -1" && len(want) < 2 {
			t.Fatalf("%q changes %q only", x.to, want)
		}
		chosen := test(t, path, edited, func(o *backtest.Options) {
			o.Query.IDs, o.Chosen = []engine.EventID{first}, map[engine.Chosen]bool{{Event: first, Workflow: "shop"}: true}
		})
		if got := summary(chosen); !slices.Equal(got, want) || chosen.Events != 1 {
			t.Errorf("%q, to decide again: %d events\n got %q\nwant %q", x.to, chosen.Events, got, want)
		}
		explained := test(t, path, edited, func(o *backtest.Options) { o.Workflows, o.Query.IDs = shop, []engine.EventID{first} })
		if got := summary(explained); !slices.Equal(got, want) {
			t.Errorf("%q, explained:\n got %q\nwant %q", x.to, got, want)
		}
	}
}

// mirrored returns a summary with both sides exchanged.
func mirrored(list []string) (out []string) {
	for _, line := range list {
		line = strings.NewReplacer("starts_", "stops_", "stops_", "starts_", " +", " -", " -", " +").Replace(line)
		line = regexp.MustCompile(`([^ ]+)>([^> ]+)( |$)`).ReplaceAllString(line, "$2>$1$3")
		line = strings.ReplaceAll(line, "<nil<nil>>", "<nil>><nil>")
		out = append(out, regexp.MustCompile(`((?: -\S+)+)((?: \+\S+)+)`).ReplaceAllString(line, "$2$1"))
	}
	slices.Sort(out)
	return out
}

// TestNewSubscriberGetsRunEndsWithoutSubscribers checks that an edited workflow that begins to listen to
// the ends of another has runs for them, and that what it gets is what the other ended with.
func TestNewSubscriberGetsRunEndsWithoutSubscribers(t *testing.T) {
	golden(t)
	path := record(t, maker, send(t, bodies[1], bodies[2]))
	edited := maps.Clone(maker)
	edited["other"] = "on: {workflow_run: {workflows: [callee], status: [succeeded]}}\n" +
		strings.Replace(acts, "event.data.n", "event.data.output", 1)
	f := test(t, path, edited, func(o *backtest.Options) { o.Workflows = map[string]bool{"other": true} })
	want := []string{"other starts_matching by workflow_run of callee  +6 assumed",
		"other starts_matching by workflow_run of callee  +9 assumed",
		"other stops_matching -6", "other stops_matching -9"}
	if got := summary(f); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	f = test(t, path, edited, func(o *backtest.Options) { o.Workflows = map[string]bool{"other": true, "callee": true} })
	if got := summary(f); !slices.Equal(got, want) {
		t.Errorf("with the workflow that ends: got %q, want %q", got, want)
	}
	edited["spare"] = edited["other"] // it is not selected
	f = test(t, path, edited, func(o *backtest.Options) { o.Workflows = map[string]bool{"other": true} })
	if got := summary(f); !slices.Equal(got, want) {
		t.Errorf("with a subscriber that is not selected: got %q, want %q", got, want)
	}
	edited["other"] = strings.Replace(edited["other"], "status: [succeeded]", "status: [failed]", 1)
	f = test(t, path, edited, func(o *backtest.Options) { o.Workflows = map[string]bool{"other": true} })
	if got := summary(f); !slices.Equal(got, want[2:]) {
		t.Errorf("a subscriber to failed runs: got %q, want %q", got, want[2:])
	}
}

// TestWhatAnUnknownRunMakesIsUnknown checks events that a run makes behind a step without a recorded answer, on the side
// of either version.
func TestWhatAnUnknownRunMakesIsUnknown(t *testing.T) {
	golden(t)
	path := record(t, maker, send(t, bodies[1]))
	stuck := edited(t, maker, edit{"shop", "steps:\n", "steps:\n  - {uses: store/set, with: {key: x, value: 1}}\n"})
	shop := map[string]bool{"shop": true}
	for _, x := range [][2]map[string]string{{maker, stuck}, {stuck, maker}, {stuck, stuck}} {
		test(t, path, x[1], func(o *backtest.Options) { o.Workflows, o.Against = shop, load(t, x[0]).Workflows["shop"] })
	}
	test(t, path, stuck, nil)
}

// TestEventsOfARunAreComparedAfterTheRun checks that the events of a run that waits in a stream are compared
// after it, in whichever order the history has them.
func TestEventsOfARunAreComparedAfterTheRun(t *testing.T) {
	golden(t)
	flows := maps.Clone(maker)
	flows["shop"] = strings.Replace(flows["shop"], "steps:", "concurrency: {limit: 1, on_full: replace}\nsteps:", 1) + "\n"
	flows["shop"] = strings.Replace(flows["shop"], "output:", "  - sleep: 20s\noutput:", 1)
	path := record(t, flows, func(ctx context.Context, e *machine.Engine) { send(t, bodies[1], bodies[2], bodies[1])(ctx, e) })
	if same := test(t, path, flows, nil); len(same.changes)+len(same.unknown) > 0 {
		t.Fatalf("%q", summary(same))
	}
	edited := maps.Clone(flows)
	edited["shop"] = strings.NewReplacer("limit: 1", "limit: 2", "data: {n: \"${{ event.data.n }}\"}", "data: {n: 7}").Replace(flows["shop"])
	f := test(t, path, edited, nil)
	n := 0
	for _, line := range summary(f) {
		if strings.HasPrefix(line, "heard requests by emit of shop e ") && strings.HasSuffix(line, ">7 assumed") {
			n++
		}
	}
	if n != 3 || len(f.unknown) > 0 {
		t.Errorf("%d of 3 emitted events are compared with the edited data: %q", n, summary(f))
	}
}
