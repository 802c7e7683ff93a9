package backtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/testgolden"
)

// goldens are the texts that the running tests compare with their golden files, by the name of the test.
var goldens = map[string]*goldenText{}

// goldenText is everything that the backtests of one test find.
type goldenText struct {
	text strings.Builder
	// before is what the lines of the previous report were: only those that differ are written.
	before map[string]bool
	n      int
	// unordered leaves out how many runs were open at once: runs of one moment may be stored one after another or together.
	unordered bool
}

// golden compares everything that the backtests of a test find with its golden file: all fields of all changes.
func golden(t *testing.T) {
	t.Helper()
	name := t.Name()
	g := &goldenText{before: map[string]bool{}}
	goldens[name] = g
	t.Cleanup(func() {
		delete(goldens, name)
		if t.Failed() || t.Skipped() {
			return
		}
		testgolden.Compare(t, "findings/"+name+".txt", g.text.String())
	})
}

// note writes the findings of one backtest.
func (g *goldenText) note(t testing.TB, path string, f found) {
	t.Helper()
	g.n++
	fmt.Fprintf(&g.text, "# %d\n", g.n)
	report := *f.Report
	lines := []string{}
	for _, x := range report.Calls {
		lines = append(lines, fmt.Sprintf("calls %+v", x))
	}
	for _, x := range report.Concurrency {
		if g.unordered {
			break
		}
		lines = append(lines, fmt.Sprintf("concurrency %+v", x))
	}
	report.Calls, report.Concurrency = nil, nil
	lines = append(lines, "report "+encoded(t, report))
	for _, line := range lines {
		if !g.before[line] {
			fmt.Fprintln(&g.text, line)
		}
		g.before[line] = true
	}
	lines = nil
	for _, x := range f.changes {
		lines = append(lines, "change "+encoded(t, x))
	}
	for _, x := range f.unknown {
		lines = append(lines, "unknown "+encoded(t, x))
	}
	names := namesOf(t, path)
	for i := range lines {
		lines[i] = names.Replace(lines[i])
	}
	slices.Sort(lines)
	for _, line := range lines {
		fmt.Fprintln(&g.text, line)
	}
}

func encoded(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(b, &fields); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"requests", "limits"} {
		if m, ok := fields[part].(map[string]any); ok {
			withoutEmpty(m)
		}
	}
	withoutEmpty(fields)
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(fields); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(text.String())
}

func withoutEmpty(fields map[string]any) {
	maps.DeleteFunc(fields, func(_ string, v any) bool {
		switch x := v.(type) {
		case []any:
			return len(x) == 0
		case map[string]any:
			return len(x) == 0
		}
		return v == nil || v == "" || v == 0.0 || v == false
	})
}

// namesOf replaces the ids of the events and runs of a database by names that are the same each time.
func namesOf(t testing.TB, path string) *strings.Replacer {
	t.Helper()
	h, err := store.OpenHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	page, err := h.RecordedPage(context.Background(), engine.RecordedQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	runs, pairs := map[string]string{}, []string{}
	for _, ev := range page {
		name := ev.Event.Key
		switch {
		case ev.Emitted != 0:
			name = "emitted by " + runs[ev.Emitted.String()] + " at " + ev.EmittedAt
		case ev.Event.Inlet == "workflow_run":
			name = "end of " + runs[name] + " for " + ev.Event.Only
		case ev.Event.Inlet == "call":
			run, rest, _ := strings.Cut(name, "/")
			name = "call by " + runs[run] + " at " + rest
		}
		pairs = append(pairs, ev.Event.ID.String(), "("+name+")")
		for _, r := range ev.Runs {
			runs[r.Run.ID.String()] = r.Run.Workflow + "(" + name + ")"
			pairs = append(pairs, r.Run.ID.String(), r.Run.Workflow+"("+name+")")
		}
	}
	return strings.NewReplacer(pairs...)
}
