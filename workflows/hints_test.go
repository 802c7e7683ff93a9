package workflows_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// TestHintNamesTheIntendedWord: a near name or a converted unit, and nothing that only looks alike.
func TestHintNamesTheIntendedWord(t *testing.T) {
	const manual = "on: manual\nsteps: [{stop: x}]\n"
	events := func(name string) string {
		return "on: {webhook: {provider: stripe, secret: \"${{ secrets.S }}\", events: [" + name + "]}}\nsteps: [{stop: x}]\n"
	}
	poll := "on: {poll: {request: {url: /x, connection: %s}, every: 1h, items: body, key: item.id}}\nsteps: [{stop: x}]\n"
	crm := "connections: {crm: {connector: http, base_url: \"https://a.example\", auth: {bearer: \"${{ secrets.S }}\"}}}\n"
	keep := func(text string) string { return "history: {keep: " + text + "}\n" }
	for name, c := range map[string]struct{ workflow, settings, want string }{
		"words of an event":     {events("intent_payment.succeeded"), "", `did you mean "payment_intent.succeeded"`},
		"one word of an event":  {events("payment_zzzzz.qqqqqqqq"), "", ""},
		"a near connection":     {fmt.Sprintf(poll, "crn"), crm, `did you mean "crm"`},
		"no connection is near": {fmt.Sprintf(poll, "shop"), crm, "secrets.SHOP_API_KEY"},
		"weeks":                 {manual, keep("2 weeks"), "write 14d"},
		"days in words":         {manual, keep("3 days"), "write 3d"},
		"a bare number":         {manual, keep("90"), "write 90d"},
	} {
		_, mistakes := loadOne(t, c.workflow, c.settings)
		got := mistakes.Error()
		if c.want == "" && strings.Contains(got, "unknown-event") || !strings.Contains(got, c.want) {
			t.Errorf("%s: want %q\n%s", name, c.want, got)
		}
	}
}

// TestVarMustBeASingleValue: a map or nothing in the place of a single value is a mistake.
func TestVarMustBeASingleValue(t *testing.T) {
	for path, want := range map[string]string{"vars.path": "", "vars.map": "is a single value", "vars.map.none": "is a single value"} {
		_, mistakes := loadOne(t, "on: t\nsteps: [{stop: x}]\n", "vars: {path: /hooks, map: {a: b, none: }}\n"+
			"triggers:\n  t: {webhook: {auth: none, key: body.id, path: \"${{ "+path+" }}\"}}\n")
		if got := mistakes.Error(); (len(mistakes) == 0) != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %s", path, got)
		}
	}
}

// TestMergedMapOnlyAddsMissingKeys, the first merged one before the others.
func TestMergedMapOnlyAddsMissingKeys(t *testing.T) {
	_, mistakes := loadOne(t, `on: manual
steps:
  - &first {id: first, uses: log, with: {message: a}, timeout: 1s}
  - {id: second, <<: *first}
  - {<<: [{id: third, timeout: 2s}, *first], with: {message: b}}
  - {stop: "${{ steps.second.output }} ${{ steps.third.output }}"}
`, "")
	if len(mistakes) > 0 {
		t.Error(mistakes)
	}
}

// TestAnInputIsCheckedAtItsBounds: the bounds themselves are allowed.
func TestAnInputIsCheckedAtItsBounds(t *testing.T) {
	in := workflows.Input{Name: "n", Type: "number", Min: 2, Max: 5.5}
	for v, ok := range map[float64]bool{1.9: false, 2: true, 5.5: true, 5.6: false} {
		if got := in.Problem(v); (got == "") != ok {
			t.Errorf("%v: %q", v, got)
		}
	}
}

// TestInputsAreDeclaredInOnePlace: the inputs of a tool are those of the workflow.
func TestInputsAreDeclaredInOnePlace(t *testing.T) {
	const tool = "on: {mcp: {description: d, inputs: {a: {type: string}}}}\nsteps: [{stop: x}]\n"
	if _, mistakes := loadOne(t, tool, ""); len(mistakes) > 0 {
		t.Error(mistakes)
	}
	_, mistakes := loadOne(t, tool+"inputs: {b: {type: string}}\n", "")
	if !strings.Contains(mistakes.Error(), "declared twice") {
		t.Error(mistakes)
	}
}

// TestSizeIsReadWithItsUnit, of a thousand or of 1024.
func TestSizeIsReadWithItsUnit(t *testing.T) {
	for text, want := range map[string]int64{"100B": 100, "20KiB": 20 << 10, "20KB": 20_000, "10MiB": 10 << 20, "1MB": 1_000_000} {
		if w := webhookOf(t, "auth: none, max_body: "+text); w.MaxBody != want {
			t.Errorf("%s: %d", text, w.MaxBody)
		}
	}
}

// TestSecretSourcesAreReadWithoutTheProject: they are needed before the project is loaded.
func TestSecretSourcesAreReadWithoutTheProject(t *testing.T) {
	const vault = "secrets: {vault: {address: \"https://v.example\"}}\n"
	for name, c := range map[string]struct {
		text  string
		ok    bool
		vault bool
	}{
		"none":          {"vars: {a: b}\n", true, false},
		"after others":  {"vars: {a: b}\nhistory: {keep: 1d}\n" + vault, true, true},
		"before others": {vault + "vars: {a: b}\n", true, true},
		"a mistake":     {"secrets: {vault: {adress: x}}\n", false, false},
		"a list":        {"- a\n", false, false},
	} {
		s, ok := workflows.ReadSecretSources(workflows.Files{workflows.ProjectFile: []byte(c.text)})
		if ok != c.ok || ok && (s.Vault != nil) != c.vault {
			t.Errorf("%s: %v %+v", name, ok, s)
		}
	}
}

// TestInsertedValueCannotLeaveItsPathSegment: only its own segment counts, in the middle or at the end of a
// path, and not what follows in the query.
func TestInsertedValueCannotLeaveItsPathSegment(t *testing.T) {
	p, mistakes := loadOne(t, "on: manual\ninputs: {x: {type: string}}\nsteps:\n"+
		"  - {id: a, uses: http/get, with: {url: \"https://a.example/v1/${{ inputs.x }}/end\"}}\n"+
		"  - {id: b, uses: http/get, with: {url: \"https://a.example/v1/${{ inputs.x }}\"}}\n"+
		"  - {id: c, uses: http/get, with: {url: \"https://a.example/v1/.${{ inputs.x }}/end\"}}\n"+
		"  - {id: d, uses: http/get, with: {url: \"https://a.example/v1/a?x=${{ inputs.x }}/..\"}}\n", "")
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	for x, refused := range map[string]string{"..": "ab", ".": "abc", "%2e%2E": "ab", "x": "", "a..b": "", "...": ""} {
		env := &expr.Env{Names: expr.Names{"inputs": map[string]any{"x": x}}}
		for _, s := range p.Workflows["w"].Steps {
			_, err := s.With.Field("url").Render(env, workflows.FillURL)
			if (err != nil) != strings.Contains(refused, s.ID) {
				t.Errorf("%q in step %s: %v", x, s.ID, err)
			}
		}
	}
}

// TestExampleIsACallOnlyIfItHasTheKeysOfACall: an output may have fields of these names too.
func TestExampleIsACallOnlyIfItHasTheKeysOfACall(t *testing.T) {
	for example, call := range map[string]bool{
		"{response: {body: {id: a}}}":            true,
		"{with: {}, response: {body: {id: a}}}":  true,
		"{request: {path: /b}, output: {id: a}}": true,
		"{id: a}":                                false,
		"{id: a, output: x}":                     false,
		"{id: a, response: y}":                   false,
		"{id: a, with: y}":                       false,
		"{request: y}":                           false,
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "connectors/acme.yaml"), []byte("connector: acme\nbase_url: https://a.example\nactions:\n"+
			"  b:\n    request: {path: /b}\n    example: "+example+"\n"))
		p, mistakes := workflows.Load(dir, catalog(t), nil)
		a := p.Actions.Get("acme/b")
		if a == nil {
			t.Fatalf("%s: %v", example, mistakes)
		}
		c := a.Action.Call
		if got := c.Response != nil || c.Request != nil || c.With != nil; got != call {
			t.Errorf("%s: %+v %v", example, c, mistakes)
		}
	}
}

// TestStepsLongerThanASenderWaitsGiveAWarning: a sleep as long as the limit, a wait for a person, and
// the time of a gathering. A sleep that ends before is none.
func TestStepsLongerThanASenderWaitsGiveAWarning(t *testing.T) {
	const settings = "triggers:\n  t: {webhook: {auth: none, key: body.id, respond: %s}}\n"
	for flow, want := range map[string]bool{
		"on: t\nsteps: [{sleep: 5s}]\n":                                               true,
		"on: t\nsteps: [{sleep: 4999ms}]\n":                                           false,
		"on: t\nsteps: [{id: a, wait: {approval: x}}]\n":                              true,
		"on: t\nsteps: [{parallel: [{sleep: 1h}, {sleep: 1s}]}]\n":                    true,
		"on: t\ndebounce: {key: event.data.id, wait: 1s}\nsteps: [{stop: x}]\n":       true,
		"on: t\nbatch: {key: event.data.id, size: 5, wait: 1s}\nsteps: [{stop: x}]\n": true,
		"on: t\nsteps: [{stop: x}]\n":                                                 false,
	} {
		for mode, waits := range map[string]bool{"{mode: sync, timeout: 5s}": true, "async": false} {
			_, mistakes := loadOne(t, flow, fmt.Sprintf(settings, mode))
			if got := strings.Contains(mistakes.Error(), "[sync-wait]"); got != (want && waits) || mistakes.Errors() > 0 {
				t.Errorf("%s, %s: %v", flow, mode, mistakes)
			}
		}
	}
}

// TestDebounceAndBatchNeedAnEventTrigger: starts by hand and calls are none.
func TestDebounceAndBatchNeedAnEventTrigger(t *testing.T) {
	for on, want := range map[string]string{"manual": "[nothing-to-gather]", "[manual, t]": "", "t": "", "call": "[exclusive-keys]"} {
		_, mistakes := loadOne(t, "on: "+on+"\ndebounce: {key: event.data.id, wait: 1s}\nsteps: [{stop: x}]\n",
			"triggers: {t: {webhook: {auth: none, key: body.id}}}\n")
		if got := mistakes.Error(); (len(mistakes) == 0) != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %s", on, got)
		}
	}
}

// TestUnknownTriggerInCancelOnGetsAHint: a near name, or where to declare it.
func TestUnknownTriggerInCancelOnGetsAHint(t *testing.T) {
	for name, want := range map[string]string{"orders": "", "ordesr": `did you mean "orders"`, "zzz": "declare it under triggers:"} {
		_, mistakes := loadOne(t, "on: orders\ncancel_on: {event: "+name+", key: event.data.id}\nsteps: [{stop: x}]\n",
			"triggers: {orders: {webhook: {auth: none, key: body.id}}}\n")
		if got := mistakes.Error(); (len(mistakes) == 0) != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestSecretIsMaskedFromTheMinimumLength: only a shorter one is warned of, and one that is not set is none.
func TestSecretIsMaskedFromTheMinimumLength(t *testing.T) {
	p, mistakes := loadOne(t, webhookHead+"  - {stop: x}\n", "")
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	for n, want := range map[int]int{0: 0, 1: 1, workflows.ShortestMasked - 1: 1, workflows.ShortestMasked: 0} {
		lookup := func(string) (string, bool) { return strings.Repeat("x", n), n > 0 }
		if got := p.Warnings(lookup, func(string) bool { return false }); len(got) != want {
			t.Errorf("%d bytes: %v", n, got)
		}
	}
}
