package workflows_test

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// answers collects lines "what: value".
type answers struct{ strings.Builder }

func (a *answers) add(what string, v any) {
	text := fmt.Sprint(v)
	switch x := v.(type) {
	case string:
		text = x
	case map[string]any, []any:
		text = workflows.YAMLText(x)
	case []string:
		text = strings.Join(x, " ")
	}
	fmt.Fprintf(a, "%s: %s\n", what, strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    "))
}

// TestEachQuestionAboutAProjectHasTheAnswerOfTheGoldenFile asks a project that uses every key for all that the
// server and the command line show of it.
func TestEachQuestionAboutAProjectHasTheAnswerOfTheGoldenFile(t *testing.T) {
	p, mistakes := workflows.Load("testdata/whole", smallCatalog(t), nil)
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	a := &answers{}
	a.add("files", p.Files())
	a.add("hosts", slices.Sorted(maps.Keys(p.Hosts())))
	a.add("secrets", p.SecretNames())
	a.add("zone", p.Zone())
	a.add("no project's zone", (*workflows.Project)(nil).Zone())
	a.add("holds a secret", p.HoldsSecret())
	a.add("broken", p.SettingsBroken())
	for _, s := range p.Settings() {
		a.add("setting "+strings.Join(s.Path, "."), workflows.YAMLText(s.Value)+" of "+s.File)
	}
	ofTriggers(a, p)
	ofConnections(t, a, p)
	for _, s := range p.Actions.All() {
		a.add(s.Name, fmt.Sprint(s.Confidence(), " ", s.OutputNames(), " ", s.RepeatText(), " common:", s.Common("timeout"),
			s.Common("url")))
		a.add(s.Name, s.StepExample())
		a.add(s.Name+" needs", s.Needs() != nil)
	}
	ofWorkflows(a, p)
	tests, _ := p.LoadTests()
	for _, x := range tests {
		for _, at := range []string{"steps.say", "steps.none", "output.a.b", "assert.1", "rule", ""} {
			a.add(x.Name+" "+at, x.Where(at))
		}
	}
	ofPresets(t, a)
	testgolden.Compare(t, "answers.txt", a.String())
}

func ofTriggers(a *answers, p *workflows.Project) {
	for _, name := range slices.Sorted(maps.Keys(p.Triggers)) {
		x := p.Triggers[name]
		a.add("trigger "+name, fmt.Sprint("starts ", x.Starts(), ", dedupe ", x.Dedupe(), ", polled ", x.Polled(), ", secrets ",
			p.SecretsOf(name), x.SecretNames()))
		if w := x.Webhook; w != nil {
			a.add("  webhook", fmt.Sprint(w.SecretLabels(), p.MaxBody(w), p.Preset(w) != nil, " ", p.IdentityWords(w)))
			if w.Verify != nil {
				a.add("  signed", fmt.Sprint(w.Verify.SignedHeaders(), w.Verify.SignedFields(), w.Verify.SignsBody(),
					w.Verify.SignsMoment(false)))
			}
			ofPoll(a, p, w.Reconcile)
		}
		ofPoll(a, p, x.Poll)
	}
	a.add("no trigger", p.SecretsOf("none"))
	for _, k := range workflows.InletKinds() {
		a.add("inlet "+string(k.Inlet), fmt.Sprint(k.Inlet.Known(), " ", k.Inlet.Kind()))
	}
	a.add("inlet unknown", fmt.Sprint(workflows.Inlet("x").Known(), " ", workflows.Inlet("x").Kind()))
}

func ofPoll(a *answers, p *workflows.Project, poll *workflows.Poll) {
	if poll == nil {
		return
	}
	a.add("  poll", fmt.Sprint(poll.Outline(), " ", poll.AsksFrom(), poll.Pages.Any(), poll.Pages.Counter(), p.PolledVersion(poll)))
}

func ofConnections(t *testing.T, a *answers, p *workflows.Project) {
	t.Helper()
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	for _, name := range slices.Sorted(maps.Keys(p.Connections)) {
		c := p.Connections[name]
		a.add("connection "+name, fmt.Sprint(c.Auth.Kind(), " ", c.SecretNames()))
		for _, status := range []int{200, 401, 403, 404, 498, 499, 500} {
			if c.Expired.Says(status, map[string]any{"body": map[string]any{"errcode": 1}}) {
				a.add("  expired", status)
			}
		}
		a.add("  expired by its body", c.Expired.Says(200, map[string]any{"body": map[string]any{"errcode": 40001}}))
		a.add("  expired without a body", c.Expired.Says(200, nil))
	}
	k := p.Actions.Connector("acme")
	a.add("connection example", k.ConnectionExample())
	a.add("no connector", p.Actions.Connector("none") != nil)
	a.add("text", len(p.ConnectorText("acme")) > 1000)
	a.add("no text", len(p.ConnectorText("none")))
	for _, secret := range []string{"", "s3cret"} {
		fields, err := p.Connections["acme"].FieldValues(k, func(string) (string, bool) { return secret, secret != "" }, now)
		a.add("fields", fmt.Sprint(fields, err))
	}
	for _, region := range []any{"eu", "", nil, "a.b/c", "a@b", []any{}} {
		base, err := k.Base(map[string]any{"region": region})
		a.add(fmt.Sprintf("base of %v", region), fmt.Sprint(base, err))
	}
	for status, body := range map[int]map[string]any{429: nil, 502: nil, 503: nil, 504: nil, 505: nil,
		501: {"code": "busy"}, 200: {"code": "gone"}} {
		kind, rule := k.Errors.Kind(status, &expr.Env{Names: expr.Names{"response": map[string]any{"body": body}}})
		want := map[int]string{429: "wait", 505: "permanent", 200: "permanent"}[status]
		if kind != cmp.Or(want, "retry") || rule == nil {
			t.Errorf("status %d is %q", status, kind)
		}
	}
	kind, rule := k.Errors.Kind(404, &expr.Env{Names: expr.Names{"response": map[string]any{}}})
	a.add("no error", fmt.Sprint(kind, rule))
	kind, _ = k.Errors.Kind(200, &expr.Env{Names: expr.Names{"response": "not a map"}})
	a.add("an error rule that fails", kind)
	example := k.ExampleConnection()
	fields, err := example.FieldValues(k, func(string) (string, bool) { return "", false }, now)
	a.add("example", fmt.Sprint(fields, err))
}

func ofWorkflows(a *answers, p *workflows.Project) {
	for _, id := range slices.Sorted(maps.Keys(p.Workflows)) {
		w := p.Workflows[id]
		a.add("workflow "+id, fmt.Sprint(w.ToolName(), w.Gated(), w.Bounded(), w.MayWait(), w.AwaitedTriggers(),
			w.SecretInputs(), w.SecretNames()))
		a.add("  inputs", w.InputSchema())
		a.add("  about", w.ExpressionsAbout(regexp.MustCompile(`event|inputs`)))
		u := p.Uses(w)
		a.add("  uses", fmt.Sprint(len(u.Workflows), u.Triggers, u.Connectors, u.None()))
		if w.Gather != nil {
			a.add("  gathers", w.Gather)
		}
		w.EachStep(func(s *workflows.Step) {
			if found := w.StepAt(s.Key); found != nil && found != s {
				a.add("  another step at", s.Key)
			}
			if s.Spec != nil {
				a.add("  step "+s.Key, fmt.Sprint("lacks ", p.LacksConnection(s), " gives ", s.ExampleOutput()))
			}
		})
	}
	w := p.Workflows["everything"]
	for _, path := range []string{"fetch", "fetch/(deadline)", "fetch/on_failure/0", "lines", "lines/3", "lines/foreach", "lines/3/x",
		"2/left", "2/right", "2/right/inner", "2/right/1", "3/0", "3/else/0", "3/default/0", "4/paid/0", "4/404/0", "4/default/0",
		"4/switch", "4/none/0",
		"5", "ok", "on_failure/0", "on_failure", "finally/0", "none", "", "switch", "9/default/1"} {
		s := w.StepAt(path)
		if a.add("path "+path, s != nil); s != nil {
			a.add("  is", s.Key+" "+s.Body)
		}
	}
	a.add("finally", p.Workflows["gathers"].StepAt("finally/0") != nil)
}

func ofPresets(t *testing.T, a *answers) {
	t.Helper()
	text, err := os.ReadFile("testdata/preset.yaml")
	if err != nil {
		t.Fatal(err)
	}
	own, err := workflows.ParsePreset("preset.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []*workflows.Preset{smallCatalog(t).Presets.Get("github"), own} {
		a.add("preset "+x.Name, fmt.Sprint(x.Experimental(), x.Captures(), " ", x.RetryWords(), " ", x.IdentityWords()))
		for _, v := range x.Verify {
			a.add("  "+v.Variant, fmt.Sprint(v.SignedHeaders(), v.SignedFields(), v.SignsBody(), v.SignsMoment(x.BodyFromToken)))
		}
	}
	for _, r := range []workflows.Retries{{Signed: "anew"}, {Signed: "unsigned", Source: "s"}, {Signed: "first", Window: 48 * time.Hour},
		{Window: time.Hour}} {
		own.Retries = r
		a.add("retries", own.RetryWords())
	}
	one := map[string][]string{"a": {"b", "c"}}
	all := &workflows.Places{Header: one, Query: one, Form: one, JSON: one, XML: one}
	all.Each(func(at signature.Place, texts []string) { a.add("place", fmt.Sprintf("%+v %v", at, texts)) })
}
