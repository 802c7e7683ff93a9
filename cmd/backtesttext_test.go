package cmd

import (
	"bytes"
	"encoding/xml"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/backtest"
)

// TestChangesWithoutAnEventHaveNames checks JUnit, HTML and text: a firing that appears has no event and
// is named by its schedule and time, one that vanishes has both, and a further run names what makes
// it, so that no two changes of an event have the same name.
func TestChangesWithoutAnEventHaveNames(t *testing.T) {
	at := time.Date(2027, 3, 1, 8, 0, 0, 0, time.UTC)
	because := backtest.Because{Expression: "schedule", Before: "every 1h", After: "every 2h"}
	f, err := newFindings("junit")
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	for _, c := range []backtest.Change{
		{Workflow: "w", Kind: backtest.StartsMatching, Because: because, Firing: &backtest.Firing{Trigger: "tick", Planned: at, Appears: true}},
		{Event: "evt_1", Workflow: "w", Kind: backtest.StopsMatching, Because: because,
			Firing: &backtest.Firing{Trigger: "tick", Schedule: "day", Planned: at}},
		{Event: "evt_2", Workflow: "w", Kind: backtest.StartsMatching, Cause: &backtest.Cause{Workflow: "shop", Step: "e", How: "emit"}},
		{Event: "evt_2", Workflow: "w", Kind: backtest.StartsMatching, Cause: &backtest.Cause{Workflow: "shop", How: "workflow_run"}},
		{Event: "evt_2", Workflow: "w", Kind: backtest.OutputChanged},
	} {
		if err := f.change(c); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"tick 2027-03-01 08:00:00 +00:00", "evt_1, tick/day 2027-03-01 08:00:00 +00:00", "evt_2, by emit of shop, step e",
		"evt_2, by workflow_run of shop", "evt_2"}
	var out bytes.Buffer
	a := &app{out: &out}
	if err := a.backtestJUnit(&backtest.Report{}, f); err != nil {
		t.Fatal(err)
	}
	var suites struct {
		Suites []struct {
			Cases []struct {
				Name string `xml:"name,attr"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(out.Bytes(), &suites); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range suites.Suites {
		for _, c := range s.Cases {
			got = append(got, c.Name)
		}
	}
	slices.Sort(got)
	sorted := slices.Sorted(slices.Values(want))
	if !slices.Equal(got, sorted) {
		t.Errorf("JUnit names %q, want %q", got, sorted)
	}
	out.Reset()
	if err := a.backtestHTML(&backtest.Report{}, f); err != nil {
		t.Fatal(err)
	}
	for _, name := range want {
		event, from, _ := strings.Cut(strings.ReplaceAll(name, "+", "&#43;"), ", ")
		cell := "<td><code>" + event + "</code>"
		if from != "" {
			cell += "<br>" + from
		}
		if !strings.Contains(out.String(), cell+"</td>") {
			t.Errorf("the page does not contain %s", cell)
		}
	}
	out.Reset()
	if err := a.printChange(f.firstChanges[1]); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "\n  firing    tick/day 2027-03-01 08:00:00 +00:00\n") {
		t.Error(out.String())
	}
}
