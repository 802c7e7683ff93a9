package workflows_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// loadOne loads a project of one workflow and, if settings is not empty, a project file.
func loadOne(t *testing.T, workflow, settings string) (*workflows.Project, workflows.Mistakes) {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "workflows"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"workflows/w.yaml": workflow, "hookloom.yaml": settings} {
		if text == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return workflows.Load(dir, catalog(t), func(string) bool { return true })
}

const webhookHead = `on: {webhook: {provider: generic, secret: "${{ secrets.S }}", key: body.id}}
steps:
`

// TestIntendedTextsGiveNoWarning guards against false alarms: texts in which braces,
// dollars and hashes are intended.
func TestIntendedTextsGiveNoWarning(t *testing.T) {
	for name, step := range map[string]string{
		"a price":                 `{uses: log, with: {message: "costs $5 or {5}"}}`,
		"an escaped GitHub text":  `{uses: log, with: {message: "$${{ github.ref }} is written so"}}`,
		"a shell variable":        `{uses: log, with: {message: "use ${HOME}/bin"}}`,
		"LaTeX":                   `{uses: log, with: {message: "\\frac{{a + b}}{c}"}}`,
		"maps in an expression":   `{uses: log, with: {message: "${{ toJSON({a: {b: event.data.id}}) }}"}}`,
		"a comment after a value": "{uses: log, with: {message: hi}} # see ticket 7",
		"a field named length":    `{if: 'event.data.box["length"] > 2', stop: done}`,
		"methods of times":        `{if: 'date(event.data.at).Year() > 2020 and now().Unix() > 0', stop: done}`,
		"a whole URL":             `{uses: http/get, with: {url: "${{ event.data.url }}"}}`,
		"a URL with a scheme":     `{uses: http/get, with: {url: "${{ event.data.scheme }}://api.example.com/x"}}`,
		"JSON as text":            `{uses: http/post, with: {url: "https://api.example.com", text: '{"a": 1}'}}`,
		"a body that is a word":   `{uses: http/post, with: {url: "https://api.example.com", body: "[sic] x"}}`,
		"auth from an expression": `{uses: http/post, with: {url: "https://api.example.com", auth: "${{ event.data.auth }}"}}`,
		"optional null":           `{uses: http/post, with: {url: "https://api.example.com", body: null}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, mistakes := loadOne(t, webhookHead+"  - "+step+"\n", ""); len(mistakes) > 0 {
				t.Errorf("%s\n%v", step, mistakes)
			}
		})
	}
}

// TestHeaderNamesMatchWhateverTheirCase reads one field by several spellings.
func TestHeaderNamesMatchWhateverTheirCase(t *testing.T) {
	headers := map[string]any{"x-event-type": "paid"}
	names := expr.Names{"event": map[string]any{
		"headers": headers,
		"data":    map[string]any{"headers": map[string]any{"X-A": 1}},
	}, "headers": headers,
		"response": map[string]any{"headers": headers}}
	for text, want := range map[string]any{
		`event.headers["X-Event-Type"]`:                "paid",
		`event.headers?.["X-Event-Type"] ?? "none"`:    "paid",
		`upper(event.headers["X-EVENT-TYPE"])`:         "PAID",
		`headers["X-Event-Type"]`:                      "paid",
		`response.headers["X-Event-Type"] == "paid"`:   true,
		`"X-Event-Type" in event.headers`:              true,
		`get(event.headers, "X-Event-Type") == "paid"`: true,
		`event.data.headers["X-A"]`:                    1,
	} {
		e, err := expr.Compile(text, "event", "headers", "response")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := e.Eval(&expr.Env{Names: names}); err != nil || got != want {
			t.Errorf("%s is %v (%v), want %v", text, got, err, want)
		}
	}
}

// TestStoredVersionWithMistakesStillCompiles compiles texts that were once accepted and now contain
// mistakes: a waiting run must not fail because of them.
func TestStoredVersionWithMistakesStillCompiles(t *testing.T) {
	p, mistakes := loadOne(t, "on: manual\nsteps:\n  - stop: done\n", "")
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	for name, text := range map[string]string{
		"a connection that is not there": "on: manual\nsteps:\n  - {uses: slack/post, with: {channel: C1, text: hi}}\n",
		"a method":                       "on: manual\nsteps:\n  - {if: 'inputs.a.b()', stop: done}\n",
		"a field that no output has": "on: manual\nsteps:\n  - {id: a, uses: http/get, with: {url: " +
			"\"https://x.example\"}}\n  - {uses: log, with: {message: \"${{ steps.a.output.id }}\"}}\n",
		"an URL without scheme": "on: manual\nsteps:\n  - {uses: http/get, with: {url: x.example}}\n",
		"null":                  "on: manual\nsteps:\n  - {uses: log, with: {message: null}}\n",
	} {
		if _, found := p.Compile("old", []byte(text), workflows.Pins{}); found.Errors() > 0 && name != "a method" {
			t.Errorf("%s: %v", name, found)
		}
	}
}

// TestOnlyABranchThatMayBeSkippedGivesAWarning: all branches of a parallel step run, unless one has an if.
func TestOnlyABranchThatMayBeSkippedGivesAWarning(t *testing.T) {
	for modifier, want := range map[string]int{"": 1, ", continue_on_error: true": 2, ", if: event.data.ok": 2} {
		text := webhookHead + "  - {parallel: [{id: a, steps: [{id: x, uses: http/get, with: {url: \"https://api.example.com\"}}]}, " +
			"{id: b, if: event.data.b, uses: http/get, with: {url: \"https://api.example.com\"}}]" + modifier + "}\n" +
			"  - {uses: log, with: {message: \"${{ steps.x.output.status }} ${{ steps.b.output.status }}\"}}\n"
		_, mistakes := loadOne(t, text, "")
		warned := 0
		for _, m := range mistakes {
			if m.Code == "maybe-skipped" {
				warned++
			}
		}
		if warned != want || len(mistakes) != want {
			t.Errorf("%q: want %d warnings, got\n%v", modifier, want, mistakes)
		}
	}
}

// TestAFractionThatWouldBeRoundedIsAMistake at load: above 2^53 a float has no room for a fraction.
func TestAFractionThatWouldBeRoundedIsAMistake(t *testing.T) {
	for text, ok := range map[string]bool{
		"event.data.a == 9007199254740993.5": false, "event.data.a < -9007199254740993.0": false,
		"int(9_007_199_254_740_993.0) > event.data.a": false, "event.data.a == 9007199254740992.0": true,
		"event.data.a == 3.141592653589793238": true, "event.data.a < 1e300": true,
		"event.data.a < 1e23": true, "event.data.a == 0.1": true, `decimal("9007199254740993.5") > event.data.a`: true,
	} {
		_, mistakes := loadOne(t, webhookHead+"  - {if: '"+text+"', stop: x}\n", "")
		if ok && len(mistakes) > 0 || !ok && (len(mistakes) != 1 || !strings.Contains(mistakes[0].Hint, "decimal(")) {
			t.Errorf("%s: %v", text, mistakes)
		}
	}
}

// TestAnObjectInDoubleBracesIsExplainedInPlainWords, with what to write in its place.
func TestAnObjectInDoubleBracesIsExplainedInPlainWords(t *testing.T) {
	for text, want := range map[string]string{
		"{{ {a: 1} }}": "write {a: 1}", "{{a: 1}}": "write {a: 1}", `{{ {"a": {"b": [1]}} }}`: `write {"a": {"b": [1]}}`,
		"{{ event.data.a }}": "write event.data.a", "{ {a: 1}: 2 }": `write {name: value} or {"name": value}`,
	} {
		_, mistakes := loadOne(t, webhookHead+"  - {if: '"+text+"', stop: x}\n", "")
		if len(mistakes) != 1 || mistakes[0].Hint != want || strings.Contains(mistakes[0].Problem, "token") {
			t.Errorf("%s: %v", text, mistakes)
		}
	}
}

// TestEachReadOfAStepThatMayBeSkippedIsReportedOnce, and one with ?. is not reported.
func TestEachReadOfAStepThatMayBeSkippedIsReportedOnce(t *testing.T) {
	for text, want := range map[string]int{
		"steps.x.output.body.a.b":                                                1,
		"steps.x.output.body[event.data.i].a":                                    1,
		"steps.x.output.body.a + steps.x.output.body.b":                          2,
		"steps.x.output?.body.a ?? 1":                                            0,
		"steps.x.output != nil ? steps.x.output?.body.a : steps.x.output.status": 1,
	} {
		_, mistakes := loadOne(t, webhookHead+"  - {id: x, if: event.data.ok, uses: http/get, with: {url: \"https://api.example.com\"}}\n"+
			"  - {uses: log, with: {message: \"${{ "+text+" }}\"}}\n", "")
		warned := 0
		for _, m := range mistakes {
			if m.Code == "maybe-skipped" {
				warned++
			}
		}
		if warned != want {
			t.Errorf("%s: want %d warnings, got\n%v", text, want, mistakes)
		}
	}
}
