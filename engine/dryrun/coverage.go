package dryrun

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// Coverage counts what the tests of a project reach: steps, each outcome of each condition, and the
// cases of switches.
type Coverage struct {
	workflows map[string]*covered
}

type covered struct {
	w *workflows.Workflow
	// matched and skipped count the results of the rule
	matched, skipped int
	steps            map[*workflows.Step]*reached
	// operands are those of each condition, with how often each was true and false. The key of those
	// of the rule is nil.
	operands map[*workflows.Step][]operand
}

// operand counts the values of an operand of && or ||.
type operand struct {
	text        string
	line        int
	true, false int
}

// reached counts what happened to one step.
type reached struct {
	runs, skips int
	// cases counts the values of a switch.
	cases map[string]int
}

// NewCoverage returns empty coverage for the workflows of a project.
func NewCoverage(p *workflows.Project) *Coverage {
	c := &Coverage{workflows: map[string]*covered{}}
	for id, w := range p.Workflows {
		of := &covered{w: w, steps: map[*workflows.Step]*reached{}, operands: map[*workflows.Step][]operand{}}
		w.EachStep(func(s *workflows.Step) { of.steps[s] = &reached{cases: map[string]int{}} })
		of.findOperands()
		c.workflows[id] = of
	}
	return c
}

// Add counts a run of a workflow.
func (c *Coverage) Add(w *workflows.Workflow, r *Result) {
	of := c.workflows[w.ID]
	if of == nil {
		return
	}
	of.addOperands(r.Asked)
	if r.Decision.Outcome != engine.Matched {
		of.skipped++
		return
	}
	of.matched++
	for _, rec := range r.Records {
		s := w.StepAt(rec.Path)
		got := of.steps[s]
		if got == nil || strings.HasSuffix(rec.Path, "(deadline)") || strings.HasSuffix(rec.Path, "/foreach") {
			continue
		}
		if value, is := rec.Output.(string); is && strings.HasSuffix(rec.Path, "/switch") && s.Body == "switch" {
			got.cases[value]++
			continue
		}
		if rec.Status == plan.Skipped {
			got.skips++
		} else {
			got.runs++
		}
	}
}

// CoverageItem is one thing that tests can reach.
type CoverageItem struct {
	// Kind is rule, step, condition, operand or case. An operand is one of && or || in a condition.
	Kind string `json:"kind"`
	Name string `json:"name"`
	Line int    `json:"line"`
	// Sides are the names of the possible outcomes, Counts how often each occurred.
	Sides  []string `json:"sides"`
	Counts []int    `json:"counts"`
}

// Reached returns the number of outcomes that occurred at least once.
func (i *CoverageItem) Reached() (n int) {
	for _, c := range i.Counts {
		if c > 0 {
			n++
		}
	}
	return n
}

// WorkflowCoverage is the coverage of one workflow.
type WorkflowCoverage struct {
	Workflow string         `json:"workflow"`
	File     string         `json:"file"`
	Reached  int            `json:"reached"`
	Of       int            `json:"of"`
	Items    []CoverageItem `json:"items"`
}

// Report lists the workflows by id, and the items of each in file order.
func (c *Coverage) Report() []WorkflowCoverage {
	out := []WorkflowCoverage{}
	for _, of := range c.workflows {
		x := WorkflowCoverage{Workflow: of.w.ID, File: of.w.File, Items: of.items()}
		for i := range x.Items {
			x.Reached += x.Items[i].Reached()
			x.Of += len(x.Items[i].Sides)
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b WorkflowCoverage) int { return strings.Compare(a.Workflow, b.Workflow) })
	return out
}

func (of *covered) items() (items []CoverageItem) {
	if len(of.w.When) > 0 {
		items = append(items, CoverageItem{Kind: "rule", Name: "when", Line: of.w.When[0].Line(), Sides: []string{"matched", "skipped"},
			Counts: []int{of.matched, of.skipped}})
		items = append(items, of.operandItems(nil, "when")...)
	}
	of.w.EachStep(func(s *workflows.Step) {
		got := of.steps[s]
		name := cmp.Or(s.ID, s.Name, fmt.Sprintf("%s on line %d", s.Body, s.Pos.Line))
		runs := got.runs
		if len(s.Else) > 0 {
			runs += got.skips // the step is recorded as skipped, and the steps in else run
		}
		items = append(items, CoverageItem{Kind: "step", Name: name, Line: s.Pos.Line, Sides: []string{"reached"}, Counts: []int{runs}})
		if s.If != nil {
			items = append(items, CoverageItem{Kind: "condition", Name: name + " if", Line: s.Pos.Line, Sides: []string{"true", "false"},
				Counts: []int{got.runs, got.skips}})
			items = append(items, of.operandItems(s, name+" if")...)
		}
		if s.Body == "switch" {
			items = append(items, of.switched(s, got, name))
		}
	})
	slices.SortStableFunc(items, func(a, b CoverageItem) int { return a.Line - b.Line })
	return items
}

// switched returns the cases of a switch; what matches none of them is the default.
func (of *covered) switched(s *workflows.Step, got *reached, name string) CoverageItem {
	item := CoverageItem{Kind: "case", Name: name, Line: s.Pos.Line}
	known := 0
	for _, c := range s.Cases {
		item.Sides, item.Counts = append(item.Sides, c.Value), append(item.Counts, got.cases[c.Value])
		known += got.cases[c.Value]
	}
	total := 0
	for _, n := range got.cases {
		total += n
	}
	item.Sides, item.Counts = append(item.Sides, "default"), append(item.Counts, total-known)
	return item
}

// findOperands lists the operands of all conditions.
func (of *covered) findOperands() {
	var d expr.Differ
	for i, list := range operandsOfRule(of.w, nil, &d) {
		for _, o := range list {
			of.operands[nil] = append(of.operands[nil], operand{text: o.Text, line: of.w.When[i].Line()})
		}
	}
	for s := range of.steps {
		if s.If == nil {
			continue
		}
		for _, o := range d.Operands(s.If.Text, nil) {
			of.operands[s] = append(of.operands[s], operand{text: o.Text, line: s.If.Line()})
		}
	}
}

// addOperands counts the values of operands in a run.
func (of *covered) addOperands(list []Asked) {
	n := map[*workflows.Step]int{}
	for _, a := range list {
		known, at := of.operands[a.Step], 0
		if a.Step == nil { // the conditions of a rule follow each other
			at = n[nil]
			n[nil] += len(a.Operands)
		}
		for i, o := range a.Operands {
			switch {
			case at+i >= len(known) || o.Value == nil:
			case *o.Value:
				known[at+i].true++
			default:
				known[at+i].false++
			}
		}
	}
}

func (of *covered) operandItems(s *workflows.Step, name string) (items []CoverageItem) {
	for _, o := range of.operands[s] {
		items = append(items, CoverageItem{Kind: "operand", Name: name + ": " + o.text, Line: o.line, Sides: []string{"true", "false"},
			Counts: []int{o.true, o.false}})
	}
	return items
}
