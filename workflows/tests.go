package workflows

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/spelling"
	"github.com/hookloom/hookloom/workflows/value"
	"gopkg.in/yaml.v3"
)

// Test is an example of a workflow with its expected results.
type Test struct {
	Name, File string
	Pos        Pos
	// Workflow is the id of the tested workflow.
	Workflow string
	// Trigger and Inlet are empty for the workflow's first ones.
	Trigger string
	Inlet   Inlet
	// Fixture is the content of its JSON file: the body, item or inputs.
	Fixture any
	// Body, Data and Headers are merged into it; nil changes nothing.
	Body, Data, Headers any
	Type, Key           string
	Inputs              map[string]any
	Now                 time.Time
	// More are the further events of a batch.
	More []*Test
	// Mocks are the results of steps, by id: one for every call, or a list, whose last element is
	// repeated.
	Mocks  map[string][]Mock
	Expect Expect
	src    *source
}

// Mock replaces the result of a step.
type Mock struct {
	Output any
	// Failed reports whether the step fails, with Status (0 for no response at all), Code and
	// Message.
	Failed        bool
	Status        int
	Code, Message string
}

// Expect is the expected result of a test. Missing fields are not checked, except that a run must
// succeed if no error is expected.
type Expect struct {
	// Rule is matched or skipped.
	Rule, Status string
	Steps        map[string]string
	// Calls are parts of a step's expected input, or lists of parts, one per call.
	Calls    map[string]any
	Attempts map[string]int
	Output   any
	// HasOutput reports whether output is given, even as null.
	HasOutput bool
	Error     any
	Assert    []*Expr
	at        map[string]Pos
}

// Where returns the position of an expectation, such as steps.fulfil, as file:line:column.
func (t *Test) Where(path string) string {
	p, ok := t.Expect.at[path]
	for !ok && path != "" {
		path = path[:max(strings.LastIndexByte(path, '.'), 0)]
		p, ok = t.Expect.at[path]
	}
	if !ok {
		p = t.Pos
	}
	return fmt.Sprintf("%s:%d:%d", t.File, p.Line, p.Column)
}

// TestTime is the fixed time of tests that do not set now:.
var TestTime = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// LoadTests reads the tests of a project: those in workflow files and those in tests/*_test.yaml.
func (p *Project) LoadTests() ([]*Test, Mistakes) {
	var out []*Test
	var all Mistakes
	for _, id := range slices.Sorted(maps.Keys(p.Workflows)) {
		w := p.Workflows[id]
		if w.tests == nil {
			continue
		}
		src := newSource(w.File, w.Text)
		src.vars = p.Vars
		out = append(out, p.tests(src, w, w.tests)...)
		all = append(all, src.mistakes...)
	}
	for _, rel := range yamlFiles(p.Dir, "tests") {
		name, ok := strings.CutSuffix(workflowID(strings.TrimPrefix(rel, "tests/")), "_test")
		if !ok {
			continue
		}
		src, ok := openFile(p.Dir, rel)
		if ok {
			src.vars = p.Vars
			out = append(out, p.testFile(src, name)...)
		}
		if src != nil {
			all = append(all, src.mistakes...)
		}
	}
	return out, all.sorted()
}

// With returns the mistakes of both lists, sorted.
func (m Mistakes) With(others Mistakes) Mistakes {
	return append(append(Mistakes{}, m...), others...).sorted()
}

// testFile reads a file that is a list of tests, or a map that contains one.
func (p *Project) testFile(src *source, id string) []*Test {
	d := &decoder{source: src}
	root := d.parse()
	if root == nil {
		return nil
	}
	list := root
	if root.Kind == yaml.MappingNode {
		o := d.object(root, "test_file")
		if o == nil {
			return nil
		}
		id = o.text("workflow", id)
		list = o.vals["tests"]
	}
	w := p.Workflows[id]
	if w == nil {
		d.add(d.pos(root), "unknown-workflow", fmt.Sprintf("there is no workflow %q to test", id),
			spelling.Suggest(id, slices.Sorted(maps.Keys(p.Workflows))))
		return nil
	}
	return p.tests(src, w, list)
}

func (p *Project) tests(src *source, w *Workflow, list *yaml.Node) []*Test {
	d := &decoder{source: src}
	if list == nil || list.Kind != yaml.SequenceNode {
		if list != nil {
			d.wrongKind(list, "tests", "a list")
		}
		return nil
	}
	var out []*Test
	for _, n := range list.Content {
		o := d.object(n, "test")
		if o == nil {
			continue
		}
		t := p.test(d, w, o)
		t.src, t.Pos = src, d.pos(n)
		out = append(out, t)
	}
	return out
}

func (p *Project) test(d *decoder, w *Workflow, o *objectNode) *Test {
	t := &Test{Name: o.text("name", ""), File: d.name, Workflow: w.ID, Now: TestTime, Mocks: map[string][]Mock{}}
	if v := o.vals["now"]; v != nil {
		at, err := time.Parse(time.RFC3339, v.Value)
		if err != nil {
			d.add(d.pos(v), "bad-time", fmt.Sprintf("now: %q is not a time", v.Value), "write 2026-05-01T10:00:00Z")
		}
		t.Now = at
	}
	if v := o.vals["inputs"]; v != nil {
		m, ok := d.literal(v).(map[string]any)
		if !ok {
			d.wrongKind(v, "inputs", "a map")
		}
		t.Inputs = m
	}
	if e := o.object("event"); e != nil {
		p.testEvent(d, t, e)
	}
	if v := o.vals["events"]; v != nil {
		p.testBatch(d, w, t, o, v)
	}
	if v := o.vals["mock"]; v != nil && v.Kind == yaml.MappingNode {
		d.pairs(v, func(k, n *yaml.Node) { t.Mocks[k.Value] = d.mocks(n) })
	}
	ids := map[string]bool{}
	w.EachStep(func(s *Step) { ids[s.ID] = true })
	d.testSteps(o.vals["mock"], "mock", ids)
	if x := o.object("expect"); x != nil {
		d.expect(t, w, x)
		for _, k := range []string{"steps", "calls", "attempts"} {
			d.testSteps(x.vals[k], "expect."+k, ids)
		}
		if t.Expect.Rule == "skipped" && len(x.keys) > 1 {
			d.add(x.pos(), "exclusive-keys", "a skipped rule starts no run, so nothing else can be expected", "")
		}
	}
	return t
}

// testSteps checks that the keys of a map are steps of the workflow.
func (d *decoder) testSteps(n *yaml.Node, where string, ids map[string]bool) {
	if n == nil {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.wrongKind(n, where, "a map")
		return
	}
	d.pairs(n, func(k, v *yaml.Node) {
		if k.Value == "" || !ids[k.Value] {
			d.add(d.pos(k), "unknown-step", fmt.Sprintf("%s: no step has the id %q", where, k.Value),
				spelling.Suggest(k.Value, slices.Sorted(maps.Keys(ids))))
		}
	})
}

func (p *Project) testEvent(d *decoder, t *Test, e *objectNode) {
	t.Trigger, t.Inlet, t.Type, t.Key = e.text("trigger", ""), Inlet(e.text("inlet", "")), e.text("type", ""), e.text("key", "")
	if t.Trigger != "" && p.Triggers[t.Trigger] == nil && !p.settingsUnread {
		d.add(e.at("trigger"), "unknown-trigger", fmt.Sprintf("no trigger is named %q", t.Trigger),
			spelling.Suggest(t.Trigger, slices.Sorted(maps.Keys(p.Triggers))))
	}
	if name := e.text("fixture", ""); name != "" {
		v, err := p.readJSON(name)
		if err != nil {
			d.add(e.at("fixture"), "missing-file", fmt.Sprintf("fixture: %v", err), "paths begin at the project folder")
		}
		t.Fixture = v
	}
	for k, to := range map[string]*any{"data": &t.Data, "body": &t.Body, "headers": &t.Headers} {
		if v := e.vals[k]; v != nil {
			*to = d.literal(v)
		}
	}
}

// testBatch reads the events of a batch test.
func (p *Project) testBatch(d *decoder, w *Workflow, t *Test, o *objectNode, v *yaml.Node) {
	switch {
	case w.Gather == nil || w.Gather.Kind != Batch:
		d.add(o.keyAt("events"), "needs-key", "events needs batch: in the workflow", "write event: for one event")
	case o.has("event"):
		d.add(o.keyAt("events"), "exclusive-keys", "a test has event or events", "")
	case v.Kind == yaml.SequenceNode:
		for i, n := range v.Content {
			e := d.object(n, "test_event")
			if e == nil {
				continue
			}
			one := t
			if i > 0 {
				one = &Test{Now: t.Now, Key: t.Key}
				t.More = append(t.More, one)
			}
			p.testEvent(d, one, e)
		}
	}
}

// mocks reads one result, or a list of them.
func (d *decoder) mocks(n *yaml.Node) []Mock {
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	var out []Mock
	for _, x := range nodes {
		o := d.object(x, "mock")
		if o == nil {
			continue
		}
		if o.has("output") == o.has("error") {
			d.add(d.pos(x), "exclusive-keys", "a mock has output or error", "")
			continue
		}
		m := Mock{}
		if v := o.vals["output"]; v != nil {
			m.Output = d.literal(v)
		}
		if e := o.object("error"); e != nil {
			m.Failed, m.Status, m.Code, m.Message = true, e.integer("status", 0), e.text("code", ""), e.text("message", "")
		}
		out = append(out, m)
	}
	return out
}

func (d *decoder) expect(t *Test, w *Workflow, x *objectNode) {
	e := Expect{
		Rule:     x.text("rule", "matched"),
		Status:   x.text("status", ""),
		Steps:    map[string]string{},
		Calls:    map[string]any{},
		Attempts: map[string]int{},
		at:       map[string]Pos{"": x.pos()},
	}
	for _, k := range []string{"rule", "status", "steps", "calls", "attempts", "output", "error", "assert"} {
		v := x.vals[k]
		if v == nil {
			continue
		}
		e.at[k] = d.pos(v)
		if v.Kind == yaml.MappingNode && (k == "steps" || k == "calls" || k == "attempts") {
			d.pairs(v, func(id, n *yaml.Node) {
				e.at[k+"."+id.Value] = d.pos(n)
				d.expectStep(&e, k, id.Value, n)
			})
		}
	}
	if v := x.vals["output"]; v != nil {
		e.Output, e.HasOutput = d.literal(v), true
	}
	if v := x.vals["error"]; v != nil {
		e.Error = d.literal(v)
	}
	sc := assertScope(w)
	for i, a := range d.expressions(x.vals["assert"]) {
		a.check(sc, reflect.Bool)
		e.Assert = append(e.Assert, a)
		e.at[fmt.Sprintf("assert.%d", i)] = a.place.mark(0, len([]rune(a.Text)))
	}
	t.Expect = e
}

func (d *decoder) expectStep(e *Expect, key, id string, n *yaml.Node) {
	v := d.literal(n)
	switch key {
	case "steps":
		s, _ := v.(string)
		words := []string{"succeeded", "failed", "skipped", "waiting", "unknown", "not_reached"}
		if !slices.Contains(words, s) {
			d.add(d.pos(n), "unknown-word", fmt.Sprintf("step status %q is not known", n.Value), spelling.Suggest(s, words))
		}
		e.Steps[id] = s
	case "calls":
		e.Calls[id] = v
	case "attempts":
		k, ok := v.(int)
		if !ok || k < 0 {
			d.add(d.pos(n), "wrong-type", "attempts is a number", "")
		}
		e.Attempts[id] = k
	}
}

// assertScope returns the names that an assertion may use.
func assertScope(w *Workflow) *expr.Scope {
	steps := expr.Map{}
	w.EachStep(func(s *Step) {
		if s.ID != "" {
			steps[s.ID] = expr.StepType()
		}
	})
	vars := expr.Map{expr.Extra: expr.Any}
	return &expr.Scope{Where: "an assertion", HiddenSteps: map[string]string{}, MaybeNil: map[string]bool{},
		Names: expr.Map{
			"event":  expr.EventType(expr.Any),
			"inputs": expr.Map{expr.Extra: expr.Any},
			"run":    expr.RunType(),
			"vars":   vars,
			"steps":  steps,
			"output": expr.Any,
			"error":  expr.Any,
		}}
}

// Overlay merges over into under: maps are merged, everything else is replaced.
func Overlay(under, over any) any {
	if over == nil {
		return under
	}
	a, ok := under.(map[string]any)
	b, too := over.(map[string]any)
	if !ok || !too {
		return over
	}
	out := make(map[string]any, len(a)+len(b))
	for k, v := range a {
		out[k] = v
	}
	for k, v := range b {
		out[k] = Overlay(out[k], v)
	}
	return out
}

// WriteTest appends a test to tests/<workflow>_test.yaml and writes its fixture, to keep a run as
// an example. lines are the unindented lines of the test after its name. It returns the names of
// both files.
func (p *Project) WriteTest(workflow, name string, fixture any, lines []string) (test, fixtureFile string, err error) {
	fixtureFile = "fixtures/" + strings.ReplaceAll(workflow, "/", "_") + "_" + name + ".json"
	raw, err := value.EncodeJSON(fixture)
	if err != nil {
		return "", "", fmt.Errorf("encoding the fixture: %w", err)
	}
	test = "tests/" + workflow + "_test.yaml"
	old, err := os.ReadFile(filepath.Join(p.Dir, test))
	if err != nil && !os.IsNotExist(err) {
		return "", "", fmt.Errorf("reading %s: %w", test, err)
	}
	text, ok := withTest(string(old), lines)
	if !ok {
		return "", "", fmt.Errorf("%s cannot be extended: its last key must be tests:, a list with one \"- name: ...\" after another", test)
	}
	for _, f := range []struct {
		name, what string
		content    []byte
	}{{fixtureFile, "fixture", append(raw, '\n')}, {test, "test", []byte(text)}} {
		name := filepath.Join(p.Dir, f.name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return "", "", fmt.Errorf("making the folder of %s: %w", f.name, err)
		}
		if err := os.WriteFile(name, f.content, 0o644); err != nil {
			return "", "", fmt.Errorf("writing the %s: %w", f.what, err)
		}
	}
	return test, fixtureFile, nil
}

// withTest appends a test to the text of a file; ok is false if the file has another form than a list
// of blocks at its end.
func withTest(text string, lines []string) (out string, ok bool) {
	if strings.TrimSpace(text) == "" {
		text = "tests:\n"
	}
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	n := testsIn(text)
	for _, indent := range []string{"  ", "", "    "} {
		out = text + indent + "- " + strings.Join(lines, "\n"+indent+"  ") + "\n"
		if n >= 0 && testsIn(out) == n+1 {
			return out, true
		}
	}
	return "", false
}

// testsIn returns the number of tests in the text of a file; -1 if it is no file of tests.
func testsIn(text string) int {
	var file struct{ Tests []any }
	if yaml.Unmarshal([]byte(text), &file) == nil {
		return len(file.Tests)
	}
	var list []any
	if yaml.Unmarshal([]byte(text), &list) == nil {
		return len(list)
	}
	return -1
}
