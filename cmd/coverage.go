package cmd

import (
	"encoding/xml"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"strings"

	"github.com/hookloom/hookloom/engine/dryrun"
)

// coverageShown is the value of --coverage without a file: the coverage is only printed.
const coverageShown = "shown"

// coverageIn returns the coverage of a project, with file names relative to the working directory.
func coverageIn(dir string, c *dryrun.Coverage) []dryrun.WorkflowCoverage {
	list := c.Report()
	if dir != "." {
		for i := range list {
			list[i].File = filepath.Join(dir, list[i].File)
		}
	}
	return list
}

// writeCoverage prints the coverage and writes it to a file; an empty name does neither.
func (a *app) writeCoverage(file string, list []dryrun.WorkflowCoverage) error {
	if file == "" {
		return nil
	}
	if !a.json() {
		if err := a.printCoverage(list); err != nil {
			return err
		}
	}
	switch {
	case file == coverageShown:
		return nil
	case strings.HasSuffix(file, ".xml"):
		return writeCobertura(file, list)
	}
	return writeCoverageHTML(file, list)
}

func (a *app) printCoverage(list []dryrun.WorkflowCoverage) error {
	a.printf("\n")
	t := newTable("WORKFLOW", "REACHED", "NOT REACHED")
	for i := range list {
		w := &list[i]
		var missing []string
		for j := range w.Items {
			missing = append(missing, missed(&w.Items[j])...)
		}
		t.row(w.Workflow, fmt.Sprintf("%d of %d", w.Reached, w.Of), strings.Join(missing, ", "))
	}
	return t.print(a.out)
}

// missed returns the outcomes of an item that no test reached.
func missed(i *dryrun.CoverageItem) (out []string) {
	for n, c := range i.Counts {
		switch {
		case c > 0:
		case i.Kind == "step":
			out = append(out, fmt.Sprintf("%s (line %d)", i.Name, i.Line))
		default:
			out = append(out, fmt.Sprintf("%s %s (line %d)", i.Name, i.Sides[n], i.Line))
		}
	}
	return out
}

type (
	cobertura struct {
		XMLName  xml.Name `xml:"coverage"`
		Rate     string   `xml:"line-rate,attr"`
		Branch   string   `xml:"branch-rate,attr"`
		Covered  int      `xml:"lines-covered,attr"`
		Valid    int      `xml:"lines-valid,attr"`
		Taken    int      `xml:"branches-covered,attr"`
		Branches int      `xml:"branches-valid,attr"`
		// Complexity is not measured; the format has it.
		Complexity int                `xml:"complexity,attr"`
		Version    string             `xml:"version,attr"`
		Time       int64              `xml:"timestamp,attr"`
		Source     string             `xml:"sources>source"`
		Packages   []coberturaPackage `xml:"packages>package"`
	}
	coberturaPackage struct {
		Name    string           `xml:"name,attr"`
		Rate    string           `xml:"line-rate,attr"`
		Branch  string           `xml:"branch-rate,attr"`
		Classes []coberturaClass `xml:"classes>class"`
	}
	coberturaClass struct {
		Name    string          `xml:"name,attr"`
		File    string          `xml:"filename,attr"`
		Rate    string          `xml:"line-rate,attr"`
		Branch  string          `xml:"branch-rate,attr"`
		Methods struct{}        `xml:"methods"`
		Lines   []coberturaLine `xml:"lines>line"`
	}
	coberturaLine struct {
		Number    int    `xml:"number,attr"`
		Hits      int    `xml:"hits,attr"`
		Branch    bool   `xml:"branch,attr"`
		Condition string `xml:"condition-coverage,attr,omitempty"`
	}
)

// rates sums up the outcomes of steps and those of conditions and cases.
type rates struct{ steps, ofSteps, sides, ofSides int }

func (r *rates) add(i *dryrun.CoverageItem) {
	if i.Kind == "step" {
		r.steps, r.ofSteps = r.steps+i.Reached(), r.ofSteps+1
		return
	}
	r.sides, r.ofSides = r.sides+i.Reached(), r.ofSides+len(i.Sides)
}

func rate(n, of int) string {
	if of == 0 {
		return "1"
	}
	return fmt.Sprintf("%.4f", float64(n)/float64(of))
}

// writeCobertura writes the format that CI services read: a workflow is a class, a step a line.
func writeCobertura(file string, list []dryrun.WorkflowCoverage) error {
	var all rates
	p := coberturaPackage{Name: "workflows"}
	for i := range list {
		w := &list[i]
		var own rates
		class := coberturaClass{Name: w.Workflow, File: filepath.ToSlash(w.File)}
		at, sides := map[int]int{}, map[int][2]int{}
		for j := range w.Items {
			item := &w.Items[j]
			own.add(item)
			all.add(item)
			n, ok := at[item.Line]
			if !ok {
				n = len(class.Lines)
				at[item.Line] = n
				class.Lines = append(class.Lines, coberturaLine{Number: item.Line})
			}
			l := &class.Lines[n]
			for _, c := range item.Counts {
				l.Hits += c
			}
			if item.Kind != "step" {
				l.Branch = true
				n := [2]int{sides[item.Line][0] + item.Reached(), sides[item.Line][1] + len(item.Sides)}
				sides[item.Line], l.Condition = n, fmt.Sprintf("%d%% (%d/%d)", 100*n[0]/n[1], n[0], n[1])
			}
		}
		class.Rate, class.Branch = rate(own.steps, own.ofSteps), rate(own.sides, own.ofSides)
		p.Classes = append(p.Classes, class)
	}
	p.Rate, p.Branch = rate(all.steps, all.ofSteps), rate(all.sides, all.ofSides)
	text, err := xml.MarshalIndent(cobertura{Rate: p.Rate, Branch: p.Branch, Covered: all.steps, Valid: all.ofSteps, Taken: all.sides,
		Branches: all.ofSides, Version: version(), Source: ".", Packages: []coberturaPackage{p}}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append([]byte(xml.Header), append(text, '\n')...), 0o600)
}

var coveragePage = template.Must(template.New("coverage").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Coverage of workflows</title>
<style>body{font:14px sans-serif;margin:2em;max-width:70em}table{border-collapse:collapse}
td,th{padding:.2em .8em;text-align:left;border-bottom:1px solid #ccc}
.no{background:#fdd}.yes{background:#dfd}</style>
<h1>Coverage of workflows</h1>
{{range .}}<h2>{{.Workflow}}: {{.Reached}} of {{.Of}}</h2><p>{{.File}}</p>
<table><tr><th>Line<th>What<th>Name<th>Reached</tr>
{{range .Items}}{{$i := .}}<tr><td>{{.Line}}<td>{{.Kind}}<td>{{.Name}}<td>{{range $n, $s := .Sides}}{{$c := index $i.Counts $n -}}
<span class="{{if $c}}yes{{else}}no{{end}}">{{$s}}: {{$c}}</span> {{end}}</tr>
{{end}}</table>{{end}}
`))

func writeCoverageHTML(file string, list []dryrun.WorkflowCoverage) error {
	var b strings.Builder
	if err := coveragePage.Execute(&b, list); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(b.String()), 0o600)
}
