package workflows

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows/expr"
)

// everyPlace is a workflow with an expression in each place that has one.
const everyPlace = `on: {webhook: {auth: {basic: {user: "${{ vars.user }}", password: "${{ secrets.PASSWORD }}"}}, key: body.id, path: /x,
  reconcile: {every: 1h, request: {url: "https://a.example.com/${{ secrets.LIST }}"}, items: response.body, key: item.id,
    detail: {url: "https://a.example.com/${{ secrets.DETAIL }}"}}}}
vars: {a: "${{ event.data.var }}"}
output: {o: "${{ event.data.output }}"}
steps:
  - {id: a, uses: log, with: {message: "${{ secrets.WITH }}"}, on_failure: [{id: aa, uses: log,
      with: {message: "${{ secrets.ON_FAILURE }}"}}]}
  - {id: b, set: {x: "${{ event.data.set }}"}}
  - {id: c, sleep: "${{ event.data.sleep }}"}
  - {id: d, wait: {approval: "${{ event.data.approval }}"}, timeout: 1h}
  - {id: e, if: "true", steps: [{id: ee, stop: "${{ event.data.then }}"}], else: [{id: ef, stop: "${{ event.data.else }}"}]}
  - {id: f, switch: event.data.a, cases: {x: [{id: fc, fail: "${{ event.data.case }}"}]}, default: [{id: fd,
      fail: "${{ event.data.default }}"}]}
  - {id: g, parallel: [{id: gg, stop: "${{ event.data.parallel }}"}, {id: gh, sleep: 1s}]}
  - {id: h, uses: log, with: {message: x}, output: {y: "${{ event.data.of_step }}"}}
on_failure: [{id: i, uses: log, with: {message: "${{ secrets.FAILED }}"}}]
finally: [{id: j, uses: log, with: {message: "${{ secrets.FINALLY }}"}}]
`

// TestEveryExpressionOfAWorkflowIsVisited: a place that is left out would hide its secrets from the list of needed
// ones.
func TestEveryExpressionOfAWorkflowIsVisited(t *testing.T) {
	p, mistakes := LoadFiles(t.TempDir(), Files{"workflows/w.yaml": []byte(everyPlace),
		ProjectFile: []byte("vars: {user: u}\ntriggers: {p: {poll: {every: 1h, items: response.body, key: item.id, " +
			"request: {url: \"https://a.example.com/${{ secrets.POLL }}\"}, detail: {url: \"https://a.example.com/${{ secrets.ONE }}\"}}}}\n")},
		Catalog{Actions: NewActions(map[string]*ActionSpec{"log": {Name: "log", Inputs: []ActionInput{{Name: "message",
			Type: "string"}}}}, nil)}, nil)
	w := p.Workflows["w"]
	if w == nil {
		t.Fatal(mistakes)
	}
	var texts, steps []string
	visit := func(e *Expr) { texts = append(texts, e.Text) }
	w.eachExpr(visit)
	p.Triggers["p"].exprs(visit)
	w.EachStep(func(s *Step) { steps = append(steps, s.Key) })
	var all []string
	p.eachSecret(func(_ *Expr, name string) { all = append(all, name) })
	testgolden.Compare(t, "pure_visited.txt", fmt.Sprintf("%s\n%s\n%s\n%s", strings.Join(texts, " "), strings.Join(steps, " "),
		strings.Join(all, " "), mistakes.Error()))
}

// connectors is a library of connectors that are already read.
type connectors map[string]*Connector

func (c connectors) Names() []string            { return slices.Sorted(maps.Keys(c)) }
func (c connectors) Get(name string) *Connector { return c[name] }

// TestActionsOfAProjectReplaceThoseOfTheLibrary: a connector of the same name hides all actions of the other one,
// and a copy does not change the set it was made of.
func TestActionsOfAProjectReplaceThoseOfTheLibrary(t *testing.T) {
	connector := func(name, action string) *Connector {
		c, err := ParseConnector(name+".yaml", []byte("connector: "+name+"\nbase_url: https://a.example.com\nactions: {"+action+
			": {request: {path: /x}}}\n"))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	library := connectors{"crm": connector("crm", "old"), "crmx": connector("crmx", "kept"), "aaa": connector("aaa", "first")}
	base := NewActions(map[string]*ActionSpec{"log": {Name: "log"}, "store/get": {Name: "store/get"}}, library)
	var none *Actions
	own := base.clone()
	own.put(connector("crm", "new"))
	copied := own.clone()
	copied.put(connector("aaa", "second"))
	again := copied.clone()
	again.put(connector("crm", "newer"))
	with := base.With(&ActionSpec{Name: "log", Usage: "mine"}, &ActionSpec{Name: "more"})
	var out table
	for i, a := range []*Actions{none, base, own, copied, again, with, none.clone(), none.With(&ActionSpec{Name: "one"}),
		NewActions(nil, nil),
		NewActions(nil, nil).clone(), NewActions(nil, library)} {
		out.row(i, strings.Join(a.Names(), " "), strings.Join(a.connectorNames(), " "))
		for _, name := range []string{"crm/old", "crm/new", "crm/newer", "crmx/kept", "crm", "crm/", "log", "zzz/a", "aaa/first"} {
			out.row(name, a.Get(name) != nil, a.Connector(name) != nil)
		}
		for _, name := range []string{"crm", "aaa", "zzz", "store"} {
			k := a.Connector(name)
			out.row(name, k != nil, k != nil && k == library[name], a.builtInUnder(name+"/"))
		}
	}
	if base.Get("log").Usage != "" || with.Get("log").Usage != "mine" {
		t.Error("With changes the set it copies, or not the copy")
	}
	testgolden.Compare(t, "pure_actions.txt", out.out.String())
}

// TestEnvFilesAreChanged: a value in each form, and files that cannot be changed.
func TestEnvFilesAreChanged(t *testing.T) {
	var out table
	many := strings.Repeat("#\n", maxEnvLines-1)
	files := []string{"", "A=1", "A=1\n", "export A=1\nB=2\n", "A: 1\nB=2\n", "B=${A}\nA=1\n", "A=1\nB=${A}\n", "A=1\nA=2\nB=3\n",
		"AB=1\n A =2\n",
		"A=\"x\ny\"\nB=1\n", "\ufeffA=1\nB=2\n", "# A=1\nB=2\n", "A='x'\n# c\n", "A=1", "B=1\nA=x=y\n", "A\n", "=1\n", "A=\"1\n", many + "A=1",
		many + "A=1\n#", many + "B C\n", many + "B C\n#", "A=$B\nB=1\n", "B=1\nA=$B\n", "A='$B'\nB=\"\\$\"\n", "A=$$\n"}
	for _, text := range files {
		values, err := ReadEnv([]byte(text))
		shown := fmt.Sprintf("%.20s (%d)", text, len(text))
		out.row(shown, values, errorText(err), ExpandedEnv([]byte(text), values))
		removed, there, err := RemoveEnv([]byte(text), "A")
		out.row("  without A", fmt.Sprintf("%.30s (%d)", removed, len(removed)), there, errorText(err))
		set, err := SetEnv([]byte(text), "A", "n")
		out.row("  with A", fmt.Sprintf("%.30s (%d)", set, len(set)), errorText(err))
	}
	for _, secret := range []string{"", "x", "a b", `a"b`, "a'b", `a"b'c`, "a\nb", "a$b", "a\x00b", `a\`, `"`, "'", `\n`, "a\rb",
		`$'"\` + "\n", "é"} {
		text, err := AddEnv([]byte("B=1"), "A", secret)
		out.row(secret, string(text), errorText(err))
	}
	for _, name := range []string{"", "A", "a_9", "A-B", "A B", "é", "Z0", strings.Repeat("A-", 40)} {
		text, err := AddEnv(nil, name, "x")
		out.row(name, string(text), errorText(err))
	}
	testgolden.Compare(t, "pure_env.txt", out.out.String())
}

// TestDifferencesAndMaskedPartsAreFound: pairs of files, and pairs of a value and its masked form.
func TestDifferencesAndMaskedPartsAreFound(t *testing.T) {
	var out table
	for _, list := range [][]int{nil, {0}, {0, 1}, {1, 0}, {2, 0, 1}, {1, 2, 0}, {3, 1, 2, 0}, {0, 2, 1, 3}, {4, 5, 0, 1, 2}, {1, 0, 3, 2}} {
		out.row(list, outOfOrder(list))
	}
	for _, c := range [][2]string{{"a: 1", "a: 1"}, {"a: 1", "a: 2"}, {"a: 1", "b: 1"}, {"a: {b: 1}", "a: {b: 2, c: 3}"}, {"a: [1]",
		"a: [1, 2]"},
		{"a: [{id: x}]", "a: [{id: y}]"}, {"a: [{name: x, v: 1}]", "a: [{name: x, v: 2}]"}, {"a: [{id: x}]", "a: [1]"}, {"a: []",
			"a: [{id: x}]"},
		{"[{log: a, t: 1}]", "[{log: a, t: 2}]"}, {"[{log: a}]", "[{log: b}]"}, {"[{set: {a: 1}}]", "[{set: {a: 2}}]"},
		{"[{id: ''}, {x: 1}]", "[{x: 1}]"},
		{"[{id: a, uses: log}]", "[{id: b, uses: log}]"}, {"[{id: a}, {id: b}, {id: c}]", "[{id: c}, {id: a}]"}, {"a: {}", "a: []"},
		{"a: null", ""},
		{"[", "a"}, {"a", "["}, {"[{id: 1, v: 1}]", "[{id: 1, v: 2}]"}, {"[{uses: a}, {uses: a, b: 1}]", "[{uses: a, b: 1}, {uses: a}]"},
		{strings.Repeat("#", MaxFileSize), "a"}, {strings.Repeat("#", MaxFileSize+1), "a"}} {
		list, err := Diff([]byte(c[0]), []byte(c[1]))
		out.row(fmt.Sprintf("%.40s => %s", c[0], c[1]), fmt.Sprint(list), errorText(err))
	}
	for _, c := range [][2]any{{"***", "secret"}, {"***", "abc"}, {"***", "abcd"}, {"***", "abcde"}, {"a***", "asecret"}, {"a***",
		"bsecret"},
		{"***b", "secretb"}, {"***b", "secretc"}, {"***b***", "secretbother"}, {"***b***", "secret"}, {"******", "secret"}, {"***", "***"},
		{"x***y***z", "xfirstyysecondz"}, {"x***y***z", "xfirstysecond"}, {"none", "secret"}, {1, 2}, {[]any{"***"}, []any{"a", "b"}},
		{[]any{"***"}, []any{"secret"}}, {"***", []any{"secret"}}, {map[string]any{}, map[string]any{"a": "b"}}, {"***", nil}, {"***", true},
		{"***-***", "first-second-third"}, {"a***b", "ab"}, {"***ab***", "firstaabsecond"}} {
		out.row(fmt.Sprint(c[0], " => ", c[1]), MaskedParts(c[0], c[1]))
	}
	testgolden.Compare(t, "pure_differences.txt", out.out.String())
}

// TestIdentitiesAreDescribed: what identifies an event, for each kind of scheme.
func TestIdentitiesAreDescribed(t *testing.T) {
	var out table
	content := func(templates ...string) *Verify {
		return &Verify{Scheme: signature.Scheme{Algorithm: "hmac-sha256", SignedContent: templates}}
	}
	schemes := []*Verify{nil, content(), content("{body}"), content("{body}", "{header:X-A}{header:B}.{body_sha256_hex|upper}"),
		content("{header:a}{header:b}", "{header:B}"), content("{json:id}{form:x}{json:a.b}"), content("{param:x}{form_sorted:y}"),
		content("{"),
		content("a{{body}}"), content("{method"), content("{body}", "{timestamp}"), content("{form:payload}{kid}"),
		{Scheme: signature.Scheme{Algorithm: "basic-auth"}},
		{Scheme: signature.Scheme{Algorithm: "static-token"}}, {Scheme: signature.Scheme{Algorithm: "jwt"}}}
	use, reuse := true, false
	schemes = append(schemes, &Verify{SingleUse: &use}, &Verify{SingleUse: &reuse, Scheme: content("{timestamp}").Scheme})
	keys := []*Expr{{Expr: expr.Expr{Text: "body.id"}}, {Expr: expr.Expr{Text: "body.b"}}}
	for i, v := range schemes {
		if v != nil {
			out.row(i, v.SignedContent, v.SignedHeaders(), v.SignsBody(), fmt.Sprint(v.SignedFields()), v.SignsMoment(false), v.SignsMoment(true))
		}
		for j, p := range []*Preset{{}, {Key: keys}, {Key: keys, IDSigned: true}, {CommonIDs: true, Dedupe: time.Hour}, {Dedupe: time.Hour},
			{BodyFromToken: true}} {
			if p.Verify = nil; v != nil {
				p.Verify = []*Verify{{Explicit: true, Scheme: signature.Scheme{Algorithm: "basic-auth"}}, v}
			}
			out.row(fmt.Sprint(i, " ", j), p.IdentityWords())
		}
	}
	for _, r := range []Retries{{}, {Signed: "first"}, {Signed: "anew", Window: time.Hour}, {Signed: "unsigned", Window: 1, Source: "s"},
		{Window: time.Hour, Source: "s"}, {Signed: "first", Source: "s"}, {Signed: "other", Window: time.Hour}} {
		out.row(r, (&Preset{Retries: r}).RetryWords())
	}
	hook := func(d time.Duration, written bool, key ...*Expr) *Webhook {
		w := &Webhook{}
		w.Dedupe, w.DedupeWritten, w.Key = d, written, key
		return w
	}
	project := &Project{}
	for _, w := range []*Webhook{{}, hook(time.Hour, false), hook(time.Hour, true), hook(1, false, keys...)} {
		out.row(fmt.Sprint(w.Dedupe, len(w.Key)), project.IdentityWords(w))
	}
	testgolden.Compare(t, "pure_identity.txt", out.out.String())
}

// TestFoldersAndEnvironmentsAreRead: links, folders and names that are not files of the project.
func TestFoldersAndEnvironmentsAreRead(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"hookloom.yaml", "hookloom.prod.yaml", "hookloom.staging.yml", "hookloom.b.yaml", "workflows/z.yaml",
		"workflows/a.yml",
		"workflows/c.txt", "workflows/..old/x.yaml", "workflows/.own/y.yaml", "workflows/sub/deep/x.yaml", "connectors/k.yaml",
		"workflowsx/n.yaml",
		"fixtures/b.json", "fixtures/a.json", "fixtures/c.yaml", "tests/t.json"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x: 1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "hookloom.folder.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	var out table
	for _, environment := range []string{"", "prod", "folder", "none"} {
		files, mistakes := ReadFiles(dir, environment)
		out.row(environment, slices.Sorted(maps.Keys(files)), mistakes.Error(), files.Environment(), files.below("workflows"),
			slices.Sorted(maps.Keys(files.in("b"))), slices.Sorted(maps.Keys(files.in("prod"))))
		err := strings.ReplaceAll(errorText(CheckEnvironment(dir, environment)), dir, "DIR")
		out.row("  check", err)
	}
	for _, name := range []string{"Prod", "prd", "staging", "b"} {
		out.row(name, strings.ReplaceAll(errorText(CheckEnvironment(dir, name)), dir, "DIR"))
	}
	empty := t.TempDir()
	out.row("empty", strings.ReplaceAll(errorText(CheckEnvironment(empty, "prod")), empty, "DIR"), errorText(CheckEnvironment(".", "prod")))
	out.row("list", Environments(dir), Environments(filepath.Join(dir, "no")), yamlFiles(dir, "workflows"), yamlFiles(dir, "no"),
		jsonFiles(dir, "fixtures", "tests"), jsonFiles(dir, "no"))
	a, b := Files{"a": []byte("1")}, Files{"a": []byte("2")}
	out.row("equal", a.Equal(a), a.Equal(b), a.Equal(Files{}), Files{}.Equal(nil))
	testgolden.Compare(t, "pure_folders.txt", out.out.String())
}
