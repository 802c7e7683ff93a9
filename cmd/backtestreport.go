package cmd

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine/backtest"
	"github.com/hookloom/hookloom/engine/plan"
)

// findings stores the findings of a backtest in files, so that a large history takes no memory, and
// keeps the first of them for the table.
type findings struct {
	changes, unknowns *os.File
	firstChanges      []backtest.Change
	// keep is the number of changes to keep.
	keep    int
	reasons map[string]int
	// unknownOf are the workflows with unknown results.
	unknownOf map[string]bool
	// changed and unknownN are the total numbers.
	changed, unknownN int
}

// shownChanges is the number of changes in the table; pageChanges the number on a page or in JUnit.
const shownChanges, pageChanges = 20, 1000

func newFindings(output string) (*findings, error) {
	f := &findings{reasons: map[string]int{}, unknownOf: map[string]bool{}, keep: shownChanges}
	if output != "text" {
		f.keep = pageChanges
	}
	var err error
	if f.changes, err = os.CreateTemp("", "hookloom-backtest-"); err == nil {
		f.unknowns, err = os.CreateTemp("", "hookloom-backtest-")
	}
	for _, file := range []*os.File{f.changes, f.unknowns} {
		if file != nil { // its space is freed when it is closed, even if the process crashes
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}
	return f, err
}

func (f *findings) close() error { return errors.Join(f.changes.Close(), f.unknowns.Close()) }

func (f *findings) change(c backtest.Change) error {
	f.changed++
	if len(f.firstChanges) < f.keep {
		f.firstChanges = append(f.firstChanges, c)
	}
	return writeLine(f.changes, c)
}

// mostReasons is the maximum number of reasons that are counted separately.
const mostReasons = 1000

func (f *findings) unknown(u backtest.Unknown) error {
	f.unknownN++
	f.unknownOf[u.Workflow] = true
	if _, known := f.reasons[u.Reason]; known || len(f.reasons) < mostReasons {
		f.reasons[u.Reason]++
	}
	return writeLine(f.unknowns, u)
}

func writeLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// each calls do with each line of a file.
func each(file *os.File, do func(line []byte) error) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	r := bufio.NewReaderSize(file, 1<<20)
	for {
		line, err := r.ReadBytes('\n')
		if len(line) > 0 {
			if err := do(line); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (a *app) printBacktest(r *backtest.Report, f *findings, flags *backtestFlags) error {
	switch a.output {
	case "json":
		return a.backtestJSON(r, f)
	case "junit":
		return a.backtestJUnit(r, f)
	case "html":
		return a.backtestHTML(r, f)
	}
	return a.backtestTable(r, f, flags.explain != "")
}

// backtestJSON writes the report with its changes, one per line.
func (a *app) backtestJSON(r *backtest.Report, f *findings) error {
	w := bufio.NewWriter(a.out)
	fmt.Fprintf(w, "{\n  \"events\": %d,\n  \"runs_before\": %d,\n  \"runs_after\": %d,\n  \"unchanged\": %d,\n  \"assumed\": %d,\n", r.Events,
		r.RunsBefore, r.RunsAfter, r.Unchanged, r.Assumed)
	for _, list := range []struct {
		name string
		file *os.File
	}{{"unknown", f.unknowns}, {"changes", f.changes}} {
		fmt.Fprintf(w, "  %q: [", list.name)
		sep := "\n    "
		if err := each(list.file, func(line []byte) error {
			_, err := fmt.Fprintf(w, "%s%s", sep, strings.TrimRight(string(line), "\n"))
			sep = ",\n    "
			return err
		}); err != nil {
			return err
		}
		if sep != "\n    " {
			fmt.Fprint(w, "\n  ")
		}
		fmt.Fprint(w, "],\n")
	}
	rest := struct {
		Kinds       map[string]int           `json:"kinds"`
		Calls       []backtest.HostDay       `json:"calls"`
		Concurrency []backtest.Concurrency   `json:"concurrency"`
		Schedules   []backtest.ScheduleCount `json:"schedules"`
		Limits      backtest.Limits          `json:"limits"`
	}{r.Kinds, r.Calls, r.Concurrency, r.Schedules, r.Limits}
	b, err := json.MarshalIndent(rest, "", "  ")
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s\n", strings.TrimPrefix(string(b), "{\n"))
	return w.Flush()
}

func (a *app) backtestTable(r *backtest.Report, f *findings, whole bool) error {
	a.printf("%d %s, %d %s before and %d after: %d unchanged, %d changed, %d assumed, %d unknown\n", r.Events, plural(r.Events, "event"),
		r.RunsBefore, plural(r.RunsBefore, "run"), r.RunsAfter, r.Unchanged, f.changed, r.Assumed, f.unknownN)
	if whole {
		for _, c := range f.firstChanges {
			if err := a.printChange(c); err != nil {
				return err
			}
		}
	} else if f.changed > 0 {
		a.printf("\n")
		t := newTable("EVENT", "WORKFLOW", "CHANGE", "BECAUSE", "BEFORE", "AFTER", "REQUESTS")
		for _, c := range f.firstChanges {
			t.row(c.Subject(), c.Workflow, kindText(c.Kind), short(c.Because.Expression, 48), short(inLine(c.Because.Before), 24),
				short(inLine(c.Because.After), 24), requestsText(c.Requests))
		}
		if err := t.print(a.out); err != nil {
			return err
		}
		if n := f.changed - len(f.firstChanges); n > 0 {
			a.printf("and %d more; -o json lists all\n", n)
		}
	}
	if err := a.printTotals(r); err != nil {
		return err
	}
	a.printUnknown(f)
	a.printLimits(r.Limits)
	return nil
}

func kindText(kind string) string { return strings.ReplaceAll(kind, "_", " ") }

// inLine formats a value on one line; no value is nil.
func inLine(v any) string {
	if v == nil {
		return "-"
	}
	var b strings.Builder
	if err := writeLine(&b, v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSpace(b.String())
}

func requestsText(r backtest.Requests) string {
	var out []string
	for _, x := range []struct {
		n    int
		word string
	}{{len(r.Added), "added"}, {len(r.Removed), "removed"}, {len(r.Changed), "changed"}} {
		if x.n > 0 {
			out = append(out, fmt.Sprintf("%d %s", x.n, x.word))
		}
	}
	return strings.Join(out, ", ")
}

// printChange prints all details of a change.
func (a *app) printChange(c backtest.Change) error {
	a.printf("\n%s  %s  %s", c.Subject(), c.Workflow, kindText(c.Kind))
	if c.Run != "" {
		a.printf("  %s", c.Run)
	}
	if c.Assumed {
		a.printf("  (assumed)")
	}
	a.printf("\n  because   %s: %s -> %s\n", printable(c.Because.Expression), printable(inLine(c.Because.Before)),
		printable(inLine(c.Because.After)))
	if x := c.Cause; x != nil {
		a.printf("  made by   %s of %s %s %s\n", x.How, printable(x.Workflow), x.Run, printable(x.Step))
	}
	if c.Event != "" && c.Firing != nil {
		a.printf("  firing    %s\n", printable(c.Firing.String()))
	}
	for _, x := range c.Path {
		a.printf("  step      %s: %s -> %s\n", printable(x.Step), orNone(x.Before), orNone(x.After))
	}
	for _, x := range c.Requests.Added {
		a.printf("  added     %s %s %s %s\n", printable(x.Step), x.Action, printable(x.Host), printable(inLine(x.Request)))
	}
	for _, x := range c.Requests.Removed {
		a.printf("  removed   %s %s %s %s\n", printable(x.Step), x.Action, printable(x.Host), printable(inLine(x.Request)))
	}
	for _, x := range c.Requests.Changed {
		for _, d := range x.Fields {
			a.printf("  changed   %s %s: %s -> %s\n", printable(x.Step), printable(d.Field), printable(inLine(d.Before)),
				printable(inLine(d.After)))
		}
	}
	if c.Error != nil {
		a.printf("  error     %s -> %s\n", errorText(c.Error.Before), errorText(c.Error.After))
	}
	if c.Output != nil {
		a.printf("  output    %s -> %s\n", printable(inLine(c.Output.Before)), printable(inLine(c.Output.After)))
	}
	return nil
}

func errorText(e *plan.Error) string {
	if e == nil {
		return "none"
	}
	return printable(e.Code + ": " + e.Message)
}

func orNone(s string) string {
	if s == "" {
		return "not reached"
	}
	return s
}

// printTotals prints where the number of calls or of simultaneous runs changes.
func (a *app) printTotals(r *backtest.Report) error {
	if len(r.Schedules) > 0 {
		a.printf("\n")
		t := newTable("SCHEDULE", "BEFORE", "AFTER", "FIRINGS APPEAR", "VANISH")
		for _, s := range r.Schedules {
			t.row(printable(s.Name()), printable(orDash(s.Before)), printable(orDash(s.After)), fmt.Sprint(s.Appear), fmt.Sprint(s.Vanish))
		}
		if err := t.print(a.out); err != nil {
			return err
		}
	}
	t := newTable("HOST", "DAY", "CALLS BEFORE", "AFTER")
	for _, c := range r.Calls {
		if c.Before != c.After {
			t.row(c.Host, c.Day, fmt.Sprint(c.Before), fmt.Sprint(c.After))
		}
	}
	if len(t.rows) > 1 {
		a.printf("\n")
		if err := t.print(a.out); err != nil {
			return err
		}
	}
	t = newTable("WORKFLOW", "OPEN AT ONCE BEFORE", "AFTER")
	for _, c := range r.Concurrency {
		if c.Before != c.After {
			t.row(c.Workflow, fmt.Sprint(c.Before), fmt.Sprint(c.After))
		}
	}
	if len(t.rows) > 1 {
		a.printf("\n")
		return t.print(a.out)
	}
	return nil
}

// printUnknown prints the unknown runs by reason, most frequent first.
func (a *app) printUnknown(f *findings) {
	if f.unknownN == 0 {
		return
	}
	a.printf("\nUnknown\n")
	reasons := make([]string, 0, len(f.reasons))
	for reason := range f.reasons {
		reasons = append(reasons, reason)
	}
	slices.SortFunc(reasons, func(x, y string) int {
		if n := f.reasons[y] - f.reasons[x]; n != 0 {
			return n
		}
		return strings.Compare(x, y)
	})
	for _, reason := range reasons[:min(len(reasons), 10)] {
		a.printf("  %6d  %s\n", f.reasons[reason], printable(short(reason, 160)))
	}
	if n := len(reasons) - 10; n > 0 {
		a.printf("  and %d more reasons; -o json lists all\n", n)
	}
}

// printLimits prints what the history does not contain.
func (a *app) printLimits(l backtest.Limits) {
	head := "\nLimits of the history\n"
	for _, x := range l.Lacking() {
		a.printf("%s  %6d  %s\n", head, x.N, x.Text)
		head = ""
	}
}
