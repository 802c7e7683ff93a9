package console

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/projecttest"
)

// TestAttemptInDoubtIsAQuestion checks which steps of a run are shown as questions to people.
func TestAttemptInDoubtIsAQuestion(t *testing.T) {
	doubtful := attempt("pay", 1, "unknown", 0, 0, time.Second)
	nowhere := attempt("tell", 1, "unknown", 0, 0, time.Second)
	nowhere.Destination = ""
	d := drawn("waiting", attempt("pay", 1, "failed", 0, 0, time.Second), doubtful, nowhere,
		attempt("ship", 1, "succeeded", 0, 0, time.Second))
	if got := questions(d); len(got) != 0 {
		t.Errorf("a run that waits for something else asks %+v", got)
	}
	d.WaitsFor = "review"
	got := questions(d)
	if len(got) != 2 || got[0].Path != "pay" || !got[0].Review || !strings.Contains(got[0].Text, "sent to https://a.example and") ||
		got[1].Path != "tell" || !strings.HasPrefix(got[1].Text, "The attempt was sent and") {
		t.Errorf("%+v", got)
	}
	d.Status = "failed"
	if got := questions(d); len(got) != 0 {
		t.Errorf("a run that ended asks %+v", got)
	}
}

// TestYAMLIsHighlightedAndEscaped checks the classes of keys, texts, expressions and comments.
func TestYAMLIsHighlightedAndEscaped(t *testing.T) {
	const text = "# <b>\non: hook\nsteps: #c\n  - id: \"<\"\n    x: a ${{ n < 1 }} y: 1\n"
	const want = `<span class="line" id="L1"><span class="y-comment"># &lt;b&gt;</span></span>
<span class="line" id="L2"><span class="y-key">on: </span>hook</span>
<span class="line" id="L3"><span class="y-key">steps: </span><span class="y-comment">#c</span></span>
<span class="line" id="L4"><span class="y-key">  - id: </span><span class="y-text">&#34;&lt;&#34;</span></span>
<span class="line" id="L5"><span class="y-key">    x: </span>a <span class="y-expr">${{ n &lt; 1 }}</span> y: 1</span>
`
	if got := string(highlight(text)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestChangedLinesOfATextAreMarked checks the class of each line of a comparison.
func TestChangedLinesOfATextAreMarked(t *testing.T) {
	var got []string
	for _, l := range compareTexts("old", "a\nb\nc\n", "new", "a\nx\nc\n") {
		if l.Class != "d-head" {
			got = append(got, l.Class+"|"+l.Text)
		}
	}
	if want := []string{"| a", "d-old|-b", "d-new|+x", "| c"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := compareTexts("old", "a\n", "new", "a\n"); got != nil {
		t.Errorf("equal texts differ: %v", got)
	}
}

// TestFiltersOfValuesAreChecked checks the limits of a list of stored values.
func TestFiltersOfValuesAreChecked(t *testing.T) {
	for query, want := range map[string]string{
		"": "50 false", "scope=project": "50 true", "scope=workflow&limit=1": "1 false", "limit=1000": "1000 false",
		"scope=all": "scope must be workflow or project", "limit=0": "limit must be 1 to 1000", "limit=1001": "limit must be 1 to 1000",
		"limit=x": "limit must be 1 to 1000", "after=%ff": "",
	} {
		v, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		q, err := valueQuery(v)
		got := fmt.Sprint(q.Limit, " ", q.Project)
		if err != nil {
			got = err.Error()
		}
		if want != "" && got != want || want == "" && err == nil {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

// TestFormOfABatchIsRead checks the fields of the form and their defaults.
func TestFormOfABatchIsRead(t *testing.T) {
	o, err := replaysForm(url.Values{"trigger": {"hook"}, "since": {" 1h "}, "until": {"now "}, "status": {"failed,cancelled"}, "rate": {"7"},
		"again": {"on"}, "skip_done": {"on"}}, "ada")
	if err != nil || o.Trigger != "hook" || o.Since != "1h" || o.Until != "now" || !slices.Equal(o.Status, []string{"failed", "cancelled"}) ||
		o.Rate != 7 || !o.Again || !o.SkipDone || o.By != "ada" {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := replaysForm(url.Values{}, ""); err != nil || o.Rate != engine.DefaultRate || o.Again || o.SkipDone || o.Status != nil {
		t.Errorf("an empty form: %+v, %v", o, err)
	}
	for _, rate := range []string{"0", "x", "-1"} {
		if o, err := replaysForm(url.Values{"rate": {rate}}, ""); err == nil {
			t.Errorf("rate %s: %+v", rate, o)
		}
	}
}

// TestAttemptBelongsToItsNode checks the paths of attempts in loops and groups.
func TestAttemptBelongsToItsNode(t *testing.T) {
	for _, c := range []struct {
		node, path string
		want       bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"a", "a/3", true}, {"a", "a/b", false}, {"a/b", "a", false}, {"a/b", "a/b", true},
		{"a/*/b", "a/12/b", true}, {"a/*/b", "a/x/b", false}, {"a/*/b", "a/12", false}, {"a/*/b", "a/12/c", false}, {"a/*", "a/1/2", true},
	} {
		if got := fits(c.node, c.path); got != c.want {
			t.Errorf("%s of node %s: %t", c.path, c.node, got)
		}
	}
}

// TestBlocksOfADrawingDoNotOverlap checks where blocks are placed in a column and in a row.
func TestBlocksOfADrawingDoNotOverlap(t *testing.T) {
	var at []string
	one := func(w, h float64) block {
		return block{w, h, func(_ *svg, x, y float64) { at = append(at, fmt.Sprintf("%g,%g", x, y)) }}
	}
	column := stack([]block{one(10, 5), one(30, 7), one(20, 9)})
	column.draw(&svg{}, 0, 0)
	if want := []string{"10,0", fmt.Sprint("0,", 5+gap), fmt.Sprint("5,", 12+2*gap)}; !slices.Equal(at, want) || column.w != 30 ||
		column.h != 21+2*gap {
		t.Errorf("a column of %g x %g: %q, want %q", column.w, column.h, at, want)
	}
	at = nil
	row := beside([]block{one(10, 5), one(30, 7)})
	row.draw(&svg{}, 0, 0)
	if want := []string{"0,0", "24,0"}; !slices.Equal(at, want) || row.w != 54 || row.h != 7 {
		t.Errorf("a row of %g x %g: %q", row.w, row.h, at)
	}
}

// TestDrawingNamesTheBranchesOfAStep checks what a condition, a switch and a group are drawn as.
func TestDrawingNamesTheBranchesOfAStep(t *testing.T) {
	step := "{sleep: 1m}"
	for body, want := range map[string]string{
		"if: event.data.n > 1\n    steps: [" + step + "]\n    else: [" + step + "]": "then else",
		"steps: [" + step + "]":                                                             "",
		"parallel: [" + step + ", " + step + "]":                                            "",
		"switch: event.data.k\n    cases: {x: [" + step + "]}":                              "x",
		"switch: event.data.k\n    cases: {x: [" + step + "]}\n    default: [" + step + "]": "x default",
		"steps: [" + step + "]\n    on_failure: [" + step + "]":                             "on failure",
	} {
		p := projecttest.Load(t, map[string]string{"hookloom.yaml": "triggers: {hook: {webhook: {auth: none}}}\n",
			"workflows/w.yaml": "on: hook\nsteps:\n  - id: s\n    " + body + "\n"}, workflows.Catalog{})
		picture := string(graph(p.Workflows["w"], nil))
		var got []string
		for _, name := range []string{"then", "else", "x", "default", "on failure"} {
			if strings.Contains(picture, ">"+name+"</text>") {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q in %s", body, got, want, picture)
		}
	}
}

// TestFiguresOfALoopAreItsDelays checks the running and waiting times that are shown for the attempts of a loop.
func TestFiguresOfALoopAreItsDelays(t *testing.T) {
	steps := []engine.StepItem{attempt("a/0", 1, "succeeded", 0, 2*time.Second, time.Second),
		attempt("a/1", 1, "failed", 0, 4*time.Second, 3*time.Second),
		attempt("a/2", 1, "unknown", 0, 0, time.Second)}
	a := summed(steps, []int{0, 1, 2}, "a")
	if a.Count != 3 || a.Failed != 2 || a.First != 1 || a.Worked.Max != 3 || a.Waited.Max != 4 || a.Waited.P50 != 2 {
		t.Errorf("%+v, running %+v, waiting %+v", a, a.Worked, a.Waited)
	}
	if words := a.Words(); !strings.HasPrefix(words, "3 attempts, 2 failed, running p50 ") || !strings.Contains(words, "; waited p50 ") {
		t.Error(words)
	}
}
