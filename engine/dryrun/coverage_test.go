package dryrun_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/dryrun"
	"github.com/hookloom/hookloom/workflows"
)

// branches is a workflow with conditions, alternatives and cases.
const branches = `on: hook
when:
  - event.data.n > 0
  - event.data.kind != "x" && event.data.n < 100
steps:
  - {id: a, if: "event.data.n > 8 || event.data.kind == 'y'", uses: log, with: {message: a}}
  - id: size
    if: event.data.n > 5
    steps:
      - {id: big, uses: log, with: {message: big}}
    else:
      - {id: small, uses: log, with: {message: small}}
      - {id: first, if: event.data.kind == 'y', uses: log, with: {message: small}}
  - id: kinds
    switch: event.data.kind
    cases:
      y:
        - {id: why, uses: log, with: {message: y}}
      z:
        - {uses: log, with: {message: z}}
    default:
      - {id: other, uses: log, with: {message: d}}
  - {id: each, foreach: event.data.list, uses: log, with: {message: "${{ item }}"}}
  - id: last
    if: event.data.n > 100
    steps: [{uses: log, with: {message: l}}]
    else: [{uses: log, with: {message: e}}]
`

// TestCoverageCountsEachOutcome checks how often each step, condition, operand and case occurred in
// dry runs, and the sums.
func TestCoverageCountsEachOutcome(t *testing.T) {
	p := project(t, map[string]string{"w": branches,
		"idle": "on: back\nwhen: event.data.n > 1\nsteps: [{id: i, uses: log, with: {message: i}}]\n"})
	c := dryrun.NewCoverage(p)
	for _, body := range []map[string]any{
		{"n": 9, "kind": "y", "list": []any{1, 2}},
		{"n": 3, "kind": "y", "list": []any{}},
		{"n": 2, "kind": "w", "list": []any{}},
		{"n": 0, "kind": "y"},
		{"n": 7, "kind": "x"},
		{"n": 700, "kind": "y"},
	} {
		r := request(p, body)
		r.Ran = func(w *workflows.Workflow, got *dryrun.Result) { c.Add(w, got) }
		run(t, r)
	}
	c.Add(&workflows.Workflow{ID: "unknown"}, &dryrun.Result{})
	report := c.Report()
	if len(report) != 2 || report[0].Workflow != "idle" || report[0].Reached != 0 || report[0].Of != 3 || len(report[0].Items) != 2 {
		t.Fatalf("%+v", report)
	}
	w := report[1]
	var got []string
	for _, i := range w.Items {
		got = append(got, fmt.Sprintf("%d %s %s %s %d", i.Line, i.Kind, i.Name, strings.Join(i.Sides, "/"), i.Counts))
	}
	want := []string{
		"3 rule when matched/skipped [3 3]",
		"3 operand when: event.data.n > 0 true/false [5 1]",
		"4 operand when: event.data.kind != \"x\" true/false [4 1]", // not evaluated after one that is false
		"4 operand when: event.data.n < 100 true/false [3 1]",
		"6 step a reached [2]",
		"6 condition a if true/false [2 1]",
		"6 operand a if: event.data.n > 8 true/false [1 2]",
		"6 operand a if: event.data.kind == \"y\" true/false [1 1]",
		"7 step size reached [3]",
		"7 condition size if true/false [1 2]",
		"10 step big reached [1]",
		"12 step small reached [2]",
		"13 step first reached [1]",
		"13 condition first if true/false [1 1]",
		"14 step kinds reached [3]",
		"14 case kinds y/z/default [2 0 1]",
		"18 step why reached [2]",
		"20 step log reached [0]",
		"22 step other reached [1]",
		"23 step each reached [5]",
		"24 step last reached [3]",
		"24 condition last if true/false [0 3]",
		"26 step log reached [0]",
		"27 step log reached [3]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if w.File != "workflows/w.yaml" || w.Reached != 32 || w.Of != 36 {
		t.Errorf("%s: %d of %d", w.File, w.Reached, w.Of)
	}
}
