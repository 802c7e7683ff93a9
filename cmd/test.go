package cmd

import (
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
	"github.com/spf13/cobra"
)

func (a *app) testCmd() *cobra.Command {
	var junit, record, db string
	c := &cobra.Command{Use: "test [DIR or FILE...]", Short: "Run the tests of workflows, without network",
		Long: `Carries out the tests: of workflow files, and those of tests/WORKFLOW_test.yaml.
Nothing leaves the machine: a step is answered by its mock, else by its action's
example, else by {}. The clock stands still (now:), sleeps and waits pass at once,
an approval is given unless a mock rejects it, a called workflow is carried out the
same way, and a secret's value is secret:NAME. A run has to succeed unless the test
expects an error or another status.

--record RUN makes a test of a run of the history: its event becomes a fixture, what
its steps were answered becomes mocks, how it went is expected.`,
		Example: "  hookloom test\n  hookloom test shop/workflows/paid.yaml\n  hookloom test shop --junit results.xml\n  hookloom test --record run_0d3c6f2a41e00000",
		RunE: func(c *cobra.Command, args []string) error {
			if record != "" {
				dir := "."
				if len(args) > 0 {
					dir = args[0]
				}
				return a.recordTest(c, dir, db, record)
			}
			return a.test(args, junit)
		}}
	c.Flags().StringVar(&junit, "junit", "", "also write the results to this file, as JUnit XML")
	c.Flags().StringVar(&record, "record", "", "a run to make a test of")
	c.Flags().StringVar(&db, "db", "", "with --record: the database")
	return c
}

// testResult is how one test went.
type testResult struct {
	File     string   `json:"file"`
	Workflow string   `json:"workflow"`
	Name     string   `json:"name"`
	OK       bool     `json:"ok"`
	Failures []string `json:"failures,omitempty"`
	Seconds  float64  `json:"seconds"`
}

func (a *app) test(args []string, junit string) error {
	var results []testResult
	groups := targets(args)
	for _, dir := range slices.Sorted(maps.Keys(groups)) {
		l, err := load(dir)
		if err != nil {
			return err
		}
		if l.mistakes.Errors() > 0 {
			return l.mistakes
		}
		tests, mistakes := l.project.LoadTests()
		if mistakes.Errors() > 0 {
			return mistakes
		}
		for _, t := range tests {
			if only := groups[dir]; len(only) > 0 && !only[t.File] && !only["workflows/"+t.Workflow+".yaml"] {
				continue
			}
			began := time.Now()
			failures := runTest(l.project, t)
			file := t.File
			if dir != "." {
				file = filepath.Join(dir, file)
				for i := range failures {
					failures[i] = filepath.Join(dir, failures[i])
				}
			}
			results = append(results, testResult{File: file, Workflow: t.Workflow, Name: t.Name, OK: len(failures) == 0, Failures: failures, Seconds: time.Since(began).Seconds()})
		}
	}
	if junit != "" {
		if err := writeJUnit(junit, results); err != nil {
			return err
		}
	}
	return a.printResults(results)
}

func (a *app) printResults(results []testResult) error {
	failed := 0
	for _, r := range results {
		if !r.OK {
			failed++
		}
	}
	if a.json() {
		if results == nil {
			results = []testResult{}
		}
		if err := a.printJSON(map[string]any{"ok": failed == 0, "tests": results}); err != nil {
			return err
		}
	} else {
		for _, r := range results {
			word := "ok  "
			if !r.OK {
				word = "FAIL"
			}
			a.printf("%s  %s  %s\n", word, r.File, printable(r.Name))
			for _, f := range r.Failures {
				a.printf("      %s\n", printable(f))
			}
		}
		if len(results) == 0 {
			a.printf("no tests: write tests: into a workflow, or tests/WORKFLOW_test.yaml\n")
		} else {
			a.printf("%d passed, %d failed\n", len(results)-failed, failed)
		}
	}
	if failed > 0 {
		return &exitError{exitFailure, errors.New("")}
	}
	return nil
}

// runTest carries one test out and gives what was not as expected.
func runTest(p *workflows.Project, t *workflows.Test) []string {
	w := p.Workflows[t.Workflow]
	r := engine.Rehearsal{Project: p, Workflow: w, Now: t.Now, Data: t.Data, Secret: func(name string) string { return "secret:" + name }}
	var err error
	if r.Event, err = testEvent(p, w, t); err != nil {
		return []string{t.Where("") + ": " + err.Error()}
	}
	for _, more := range t.More {
		ev, err := testEvent(p, w, more)
		if err != nil {
			return []string{t.Where("") + ": " + err.Error()}
		}
		r.More = append(r.More, engine.RehearsedEvent{Event: ev, Data: more.Data})
	}
	r.Answer = func(c engine.RehearsedCall, n int) *engine.Reply {
		list := t.Mocks[c.ID]
		if c.ID == "" || len(list) == 0 {
			return nil
		}
		return replyOf(list[min(n, len(list))-1])
	}
	got, err := engine.Rehearse(r)
	if err != nil {
		return []string{t.Where("") + ": " + err.Error()}
	}
	return judgeTest(t, got)
}

// replyOf makes the answer of a mock. An error with a status is retried when a
// real answer of that status would be; one without is a network that failed.
func replyOf(m workflows.Mock) *engine.Reply {
	if !m.Failed {
		return &engine.Reply{Output: m.Output}
	}
	e := &plan.Error{Message: m.Message, Code: m.Code, Status: m.Status, Retryable: m.Status == 0 || plan.RetryableStatus(m.Status)}
	if e.Code == "" {
		e.Code = "http_status"
		if m.Status == 0 {
			e.Code = "network"
		}
	}
	if e.Message == "" {
		e.Message = fmt.Sprintf("answered %d", m.Status)
	}
	return &engine.Reply{Err: e}
}

// testEvent makes the event of a test, as its inlet would.
func testEvent(p *workflows.Project, w *workflows.Workflow, t *workflows.Test) (*engine.Event, error) {
	inlet, trigger := t.Inlet, t.Trigger
	var start *workflows.Start
	for i, s := range w.Starts {
		fits := inlet == "" || inlet == s.Kind || s.Kind == "trigger" && inlet != "manual" && inlet != "call" && inlet != "workflow_run"
		if start == nil && fits && (trigger == "" || s.Trigger == trigger) {
			start = &w.Starts[i]
		}
	}
	if start == nil {
		return nil, fmt.Errorf("workflow %s does not listen to that: inlet %q, trigger %q", w.ID, inlet, trigger)
	}
	trigger = cmp.Or(trigger, start.Trigger, w.ID)
	var declared *workflows.Trigger
	if start.Kind != "trigger" {
		inlet = start.Kind
	} else if declared = p.Triggers[trigger]; inlet == "" {
		inlet = firstInlet(declared)
	}
	d := &engine.Delivery{Trigger: trigger, Inlet: inlet, Type: cmp.Or(t.Type, typeOf(start, declared, inlet)), Key: cmp.Or(t.Key, "test"), Time: t.Now, ReceivedAt: t.Now, Decoded: true,
		Headers: map[string]string{}, Query: map[string]string{}}
	switch inlet {
	case "manual", "call":
		d.Inputs = t.Inputs
		if d.Inputs == nil {
			d.Inputs = map[string]any{}
		}
	case "workflow_run":
		m, _ := workflows.Overlay(t.Fixture, t.Data).(map[string]any)
		d.Inputs = m
		if s, ok := m["status"].(string); ok && t.Type == "" {
			d.Type = "workflow_run." + s
		}
	case "webhook":
		return webhookEvent(p, t, d)
	case "poll":
		item := workflows.Overlay(t.Fixture, t.Body)
		d.Body = item
		if declared.Poll != nil && declared.Poll.Data != nil && item != nil {
			v, err := declared.Poll.Data.Eval(&workflows.Env{Names: workflows.Names{"item": item}, Now: t.Now})
			if err != nil {
				return nil, fmt.Errorf("poll.data: %w", err)
			}
			d.Body = v
		}
	default:
		d.Body = workflows.Overlay(t.Fixture, t.Body)
		if d.Body == nil {
			d.Body = map[string]any{}
		}
	}
	return &engine.Event{ID: 1, Delivery: *d}, nil
}

func webhookEvent(p *workflows.Project, t *workflows.Test, d *engine.Delivery) (*engine.Event, error) {
	body := workflows.Overlay(t.Fixture, t.Body)
	headers := map[string]string{}
	given, _ := t.Headers.(map[string]any)
	for k, v := range given {
		text, err := workflows.Text(v)
		if err != nil {
			return nil, fmt.Errorf("headers.%s: %w", k, err)
		}
		headers[strings.ToLower(k)] = text
	}
	if body == nil {
		d.Headers = headers
		return &engine.Event{ID: 1, Delivery: *d}, nil
	}
	read, err := triggers.Unproved(p, d.Trigger, body, headers, t.Now)
	if err != nil {
		return nil, err
	}
	if t.Type != "" || read.Type == read.Trigger {
		read.Type = d.Type
	}
	if t.Key != "" {
		read.Key = t.Key
	}
	return &engine.Event{ID: 1, Delivery: *read}, nil
}

func firstInlet(t *workflows.Trigger) string {
	switch {
	case t.Webhook != nil:
		return "webhook"
	case t.Poll != nil:
		return "poll"
	case len(t.Schedules) == 0 && t.Name != "":
		return "emit"
	}
	return "schedule"
}

// typeOf is the type of a test's event when neither the test nor the body says it:
// the first one that the workflow takes.
func typeOf(s *workflows.Start, t *workflows.Trigger, inlet string) string {
	types := s.Events
	if t != nil && t.Webhook != nil && inlet == "webhook" {
		types = append(slices.Clone(types), t.Webhook.Events...)
	}
	for _, x := range types {
		if !strings.Contains(x, "*") {
			return x
		}
	}
	switch {
	case inlet == "webhook" || inlet == "poll" || inlet == "emit":
		return t.Name
	case inlet == "workflow_run" && len(s.Statuses) > 0:
		return "workflow_run." + s.Statuses[0]
	}
	return inlet
}

// judgeTest compares a rehearsal with what was expected.
func judgeTest(t *workflows.Test, got *engine.Rehearsed) []string {
	x := t.Expect
	var out []string
	wrong := func(path, format string, args ...any) {
		out = append(out, t.Where(path)+": expect."+path+": "+fmt.Sprintf(format, args...))
	}
	matched := got.Decision.Outcome == engine.Matched
	if (x.Rule == "matched") != matched {
		wrong("rule", "wanted %s, came %s%s", x.Rule, got.Decision.Outcome, because(got.Decision))
		return out
	}
	if !matched {
		if got.Decision.Outcome == engine.RuleFailed {
			wrong("rule", "wanted skipped, came rule_failed%s", because(got.Decision))
		}
		return out
	}
	status := x.Status
	if status == "" && x.Error == nil {
		status = "succeeded"
	}
	if status != "" && status != string(got.Status) {
		why := ""
		if got.Error != nil {
			why = ": " + got.Error.Step + ": " + got.Error.Message
		}
		wrong("status", "wanted %s, came %s%s", status, got.Status, why)
	}
	for _, id := range slices.Sorted(maps.Keys(x.Steps)) {
		if came := stepStatus(got, id); came != x.Steps[id] {
			wrong("steps."+id, "wanted %s, came %s", x.Steps[id], came)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(x.Attempts)) {
		if n := len(callsOf(got, id)); n != x.Attempts[id] {
			wrong("attempts."+id, "wanted %d, came %d", x.Attempts[id], n)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(x.Calls)) {
		if diff := callsDiffer(x.Calls[id], callsOf(got, id)); diff != "" {
			wrong("calls."+id, "%s", diff)
		}
	}
	if x.HasOutput {
		if diff := differ(x.Output, got.Output, false); diff != "" {
			wrong("output", "%s", diff)
		}
	}
	if x.Error != nil {
		if diff := errorDiffers(x.Error, got.Error); diff != "" {
			wrong("error", "%s", diff)
		}
	}
	for i, e := range x.Assert {
		ok, err := e.Condition(&workflows.Env{Names: got.Names, Now: t.Now})
		path := fmt.Sprintf("assert.%d", i)
		if err != nil {
			wrong(path, "%v", err)
		} else if !ok {
			wrong(path, "false: %s, with %s", e.Text, jsonText(e.Values(got.Names)))
		}
	}
	return out
}

func because(d engine.Decision) string {
	if d.Reason == "" {
		return ""
	}
	return ": " + d.Reason
}

// stepStatus is how a step ended; of one that ran several times, the worst.
func stepStatus(got *engine.Rehearsed, id string) string {
	last := map[string]string{}
	for _, r := range got.Records {
		segment := r.Path[strings.LastIndexByte(r.Path, '/')+1:]
		if segment == id || r.Path == id {
			last[r.Path] = string(r.Status)
		}
	}
	rank := []string{"failed", "unknown", "waiting", "succeeded", "skipped"}
	for _, s := range rank {
		for _, x := range last {
			if x == s {
				return s
			}
		}
	}
	return "not_reached"
}

func callsOf(got *engine.Rehearsed, id string) []engine.RehearsedCall {
	var out []engine.RehearsedCall
	for _, c := range got.Calls {
		if c.ID == id {
			out = append(out, c)
		}
	}
	return out
}

// callsDiffer compares the inputs of a step's calls: with a map the last one of a
// step, or any of a loop's; with a list each in turn.
func callsDiffer(want any, calls []engine.RehearsedCall) string {
	if len(calls) == 0 {
		return "the step was not called"
	}
	if list, ok := want.([]any); ok {
		if len(list) != len(calls) {
			return fmt.Sprintf("wanted %d calls, came %d", len(list), len(calls))
		}
		for i, w := range list {
			if diff := differ(w, calls[i].With, true); diff != "" {
				return fmt.Sprintf("call %d: %s", i+1, diff)
			}
		}
		return ""
	}
	diff := ""
	for _, c := range calls {
		if diff = differ(want, c.With, true); diff == "" && calls[0].Path != calls[len(calls)-1].Path {
			return ""
		}
	}
	return diff
}

func errorDiffers(want any, e *plan.Error) string {
	if e == nil {
		return "wanted " + jsonText(want) + ", came none"
	}
	if text, ok := want.(string); ok {
		if !strings.Contains(e.Message, text) {
			return fmt.Sprintf("wanted a message with %q, came %q", text, e.Message)
		}
		return ""
	}
	m, ok := want.(map[string]any)
	if !ok {
		return "write a text, or a map of step, code, status, message"
	}
	m = maps.Clone(m)
	if text, ok := m["message"].(string); ok && strings.Contains(e.Message, text) {
		delete(m, "message")
	}
	return differ(m, map[string]any{"message": e.Message, "code": e.Code, "status": e.Status, "step": e.Step, "attempts": e.Attempts, "retryable": e.Retryable, "details": e.Details}, true)
}

// differ says where two values differ, empty when they do not. In part, maps may
// hold more than is wanted.
func differ(want, got any, part bool) string { return differAt("", want, got, part) }

func differAt(path string, want, got any, part bool) string {
	unlike := func() string {
		if path != "" {
			path += ": "
		}
		return path + "wanted " + jsonText(want) + ", came " + jsonText(got)
	}
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return unlike()
		}
		for _, k := range slices.Sorted(maps.Keys(w)) {
			x, there := g[k]
			if !there && w[k] != nil {
				return strings.TrimPrefix(path+"."+k, ".") + ": wanted " + jsonText(w[k]) + ", came nothing"
			}
			if diff := differAt(strings.TrimPrefix(path+"."+k, "."), w[k], x, part); diff != "" {
				return diff
			}
		}
		for _, k := range slices.Sorted(maps.Keys(g)) {
			if _, there := w[k]; !there && !part {
				return strings.TrimPrefix(path+"."+k, ".") + ": wanted nothing, came " + jsonText(g[k])
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return unlike()
		}
		for i := range w {
			if diff := differAt(fmt.Sprintf("%s[%d]", path, i), w[i], g[i], part); diff != "" {
				return diff
			}
		}
		return ""
	}
	if equalValues(want, got) {
		return ""
	}
	return unlike()
}

// equalValues compares as the language does: numbers by value.
func equalValues(a, b any) bool {
	x, err := workflows.EncodeJSON(a)
	y, err2 := workflows.EncodeJSON(b)
	if err == nil && err2 == nil && string(x) == string(y) {
		return true
	}
	f, ok := workflows.Number(a)
	g, ok2 := workflows.Number(b)
	return ok && ok2 && f == g || reflect.DeepEqual(a, b)
}

func jsonText(v any) string {
	b, err := workflows.EncodeJSON(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return short(string(b), 300)
}

// writeJUnit writes results in the form that CI services read.
func writeJUnit(file string, results []testResult) error {
	type failure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	type testcase struct {
		Class   string   `xml:"classname,attr"`
		Name    string   `xml:"name,attr"`
		File    string   `xml:"file,attr"`
		Time    string   `xml:"time,attr"`
		Failure *failure `xml:"failure,omitempty"`
	}
	type suite struct {
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Cases    []testcase `xml:"testcase"`
	}
	var doc struct {
		XMLName  xml.Name `xml:"testsuites"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Suites   []*suite `xml:"testsuite"`
	}
	byName := map[string]*suite{}
	for _, r := range results {
		s := byName[r.Workflow]
		if s == nil {
			s = &suite{Name: r.Workflow}
			byName[r.Workflow] = s
			doc.Suites = append(doc.Suites, s)
		}
		c := testcase{Class: r.Workflow, Name: r.Name, File: r.File, Time: fmt.Sprintf("%.6f", r.Seconds)}
		s.Tests++
		doc.Tests++
		if !r.OK {
			s.Failures++
			doc.Failures++
			c.Failure = &failure{Message: r.Failures[0], Text: strings.Join(r.Failures, "\n")}
		}
		s.Cases = append(s.Cases, c)
	}
	raw, err := xml.MarshalIndent(doc, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	if err := os.WriteFile(file, append([]byte(xml.Header), append(raw, '\n')...), 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}

// recordTest makes a test of a recorded run.
func (a *app) recordTest(c *cobra.Command, dir, db, run string) error {
	id, err := engine.ParseRunID(run)
	if err != nil {
		return usageError("%v", err)
	}
	l, err := load(dir)
	if err != nil {
		return err
	}
	f := listFlags{place: place{dir, db}}
	return f.reading(func(h *store.History) error {
		d, err := h.RunDetail(c.Context(), id)
		if errors.Is(err, engine.ErrNotFound) {
			return fmt.Errorf("no run %s in this database", id)
		}
		if err != nil {
			return err
		}
		w := l.project.Workflows[d.Workflow]
		if w == nil {
			return fmt.Errorf("workflow %s is not in this project any more", d.Workflow)
		}
		ev, err := h.EventDetail(c.Context(), mustEvent(d.Event))
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(run, "run_")
		more, err := moreOfBatch(c.Context(), h, w, d)
		if err != nil {
			return err
		}
		fixture, lines, err := testLines(w, d, ev, more)
		if err != nil {
			return err
		}
		test, file, err := l.project.WriteTest(d.Workflow, name, fixture, lines("fixtures/"+strings.ReplaceAll(d.Workflow, "/", "_")+"_"+name+".json"))
		if err != nil {
			return err
		}
		w.EachStep(func(s *workflows.Step) {
			if s.Output != nil && s.ID != "" && s.Body == "uses" {
				fmt.Fprintf(a.err, "step %s has output:, and the result that it was made of is not on record: look at its mock\n", s.ID)
			}
		})
		if a.json() {
			return a.printJSON(map[string]string{"test": test, "fixture": file})
		}
		a.printf("%s: a test that expects what run %s did\n%s: its event\n", filepath.Join(dir, test), run, filepath.Join(dir, file))
		return nil
	})
}

// moreOfBatch writes the events of a batch besides the first, as a test has them.
func moreOfBatch(ctx context.Context, h *store.History, w *workflows.Workflow, d *engine.RunDetail) (out []string, err error) {
	if w.Gather == nil || w.Gather.Kind != workflows.Batch {
		return nil, nil
	}
	for _, id := range d.Events {
		ev, err := h.EventDetail(ctx, mustEvent(id))
		if err != nil {
			return nil, err
		}
		text := fmt.Sprintf("inlet: %s, body: %s, type: %s, key: %s}", ev.Inlet, ev.Body, quoted(ev.Type), quoted(ev.Key))
		if ev.Trigger != w.ID {
			text = "trigger: " + ev.Trigger + ", " + text
		}
		out = append(out, "{"+text)
	}
	return out, nil
}

func mustEvent(text string) engine.EventID {
	id, err := engine.ParseEventID(text)
	if err != nil {
		return 0
	}
	return id
}

// testLines writes a recorded run as a test. JSON is YAML, so values are written
// as they are.
func testLines(w *workflows.Workflow, d *engine.RunDetail, ev *engine.EventDetail, more []string) (fixture any, lines func(file string) []string, err error) {
	raw := ev.Body
	if ev.Inlet == "manual" || ev.Inlet == "call" || ev.Inlet == "workflow_run" {
		raw = ev.Inputs
	}
	if fixture, err = workflows.DecodeJSON(raw); err != nil {
		return nil, nil, fmt.Errorf("the body of event %s is no JSON: %w", ev.ID, err)
	}
	inputs := string(raw)
	ids := map[string]bool{}
	w.EachStep(func(s *workflows.Step) {
		ids[s.ID] = s.ID != "" && (s.Body == "uses" || s.Body == "wait" || s.Body == "call")
	})
	mocks, statuses := map[string][]string{}, map[string]string{}
	var order []string
	for _, s := range d.Steps {
		id := ""
		for _, part := range strings.Split(s.Path, "/") {
			if ids[part] {
				id = part
			}
		}
		if id == "" || s.Status == "running" || s.Status == "waiting" || s.Status == "unknown" || s.Status == "skipped" || s.Action == "foreach" {
			continue
		}
		if mocks[id] == nil {
			order = append(order, id)
		}
		mocks[id] = append(mocks[id], mockText(s))
		if !strings.Contains(s.Path, "/") {
			statuses[id] = s.Status
		}
	}
	return fixture, func(file string) []string {
		out := []string{"name: " + quoted("run "+strings.TrimPrefix(d.ID, "run_")), "now: " + quoted(d.CreatedAt.UTC().Format(time.RFC3339))}
		switch ev.Inlet {
		case "manual", "call":
			out = append(out, "event: {inlet: "+ev.Inlet+"}", "inputs: "+inputs)
		default:
			out = append(out, fmt.Sprintf("event: {inlet: %s, fixture: %s, type: %s, key: %s}", ev.Inlet, file, quoted(ev.Type), quoted(ev.Key)))
			if ev.Trigger != w.ID {
				out[len(out)-1] = strings.Replace(out[len(out)-1], "{inlet", "{trigger: "+ev.Trigger+", inlet", 1)
			}
			if len(more) > 0 {
				out[len(out)-1] = "events: [" + strings.Join(append([]string{strings.TrimPrefix(out[len(out)-1], "event: ")}, more...), ", ") + "]"
			}
		}
		if len(order) > 0 {
			out = append(out, "mock:")
		}
		for _, id := range order {
			out = append(out, "  "+id+": ["+strings.Join(mocks[id], ", ")+"]")
		}
		out = append(out, "expect:", "  status: "+d.Status)
		if len(statuses) > 0 {
			var list []string
			for _, id := range slices.Sorted(maps.Keys(statuses)) {
				list = append(list, id+": "+statuses[id])
			}
			out = append(out, "  steps: {"+strings.Join(list, ", ")+"}")
		}
		if string(d.Output) != "null" {
			out = append(out, "  output: "+string(d.Output))
		}
		return out
	}, nil
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(b)
}

// mockText is a mock as a line of YAML.
func mockText(s engine.StepItem) string {
	if s.Status != "failed" {
		return "{output: " + string(s.Output) + "}"
	}
	var e struct {
		Message, Code string
		Status        int
	}
	if json.Unmarshal(s.Error, &e) != nil {
		return "{error: {}}"
	}
	parts := []string{"message: " + quoted(e.Message), "code: " + quoted(e.Code)}
	if e.Status != 0 {
		parts = append(parts, fmt.Sprintf("status: %d", e.Status))
	}
	return "{error: {" + strings.Join(parts, ", ") + "}}"
}
