package cmd

import (
	"bytes"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/backtest"
	"github.com/hookloom/hookloom/engine/console"
)

// TestReplayPlanReportsOmissions checks the text of a plan that the time limit cut, or that lists some of
// the changes only: it gives the counts, and names --whole where that helps.
func TestReplayPlanReportsOmissions(t *testing.T) {
	list, unknown := make([]backtest.Change, 3), make([]backtest.Unknown, 1)
	for _, x := range []struct {
		name   string
		events int // evaluated, of 50
		result console.BacktestResult
		want   string
	}{
		{"all of it", 50, console.BacktestResult{Report: &backtest.Report{Events: 50}, Changes: list, Changed: 3, Unknown: unknown, UnknownN: 1,
			Of: 50}, ""},
		{"cut", 50, console.BacktestResult{Report: &backtest.Report{Events: 49}, Changes: list, Changed: 3, Cut: true, Of: 50},
			"\nnot compared before the time limit: 1 event of 50; the numbers above are lower bounds\n" +
				"--whole compares all events, for up to an hour\n"},
		{"many changes", 50, console.BacktestResult{Report: &backtest.Report{Events: 50}, Changes: list, Changed: 1003, Of: 50},
			"\nnot listed in -o json: 1000 changes of 1003\n" +
				"--whole compares all events, for up to an hour, and -o json then lists up to 20,000 changes\n"},
		{"many unknown", 50, console.BacktestResult{Report: &backtest.Report{Events: 50}, Unknown: unknown, UnknownN: 2, Of: 50},
			"\nnot listed in -o json: 1 unknown run of 2\n"},
		{"evaluated in part", 7, console.BacktestResult{Report: &backtest.Report{Events: 7}, Of: 7},
			"--whole evaluates all events, for up to an hour\n"},
	} {
		var out bytes.Buffer
		p := &console.ReplayPlan{Forecast: &engine.Forecast{Events: 50, Looked: x.events}, Backtest: &x.result}
		(&app{out: &out}).printLeftOut(p)
		if out.String() != x.want {
			t.Errorf("%s: %q, want %q", x.name, out.String(), x.want)
		}
	}
}
