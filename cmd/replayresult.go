package cmd

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
)

// printPlan prints what a batch would do, with the backtest of its events.
func (a *app) printPlan(p *console.ReplayPlan) (err error) {
	a.printForecast(p.Forecast)
	switch {
	case p.Unavailable != "":
		a.printf("\nno backtest of these events: %s\n", printable(p.Unavailable))
		return nil
	case p.Backtest == nil || p.Backtest.Report == nil:
		return nil
	}
	a.printf("\nCompared with what ran, with the recorded answers\n")
	out, err := newFindings("text")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.close()) }()
	for _, c := range p.Backtest.Changes {
		if err := out.change(c); err != nil {
			return err
		}
	}
	for _, u := range p.Backtest.Unknown {
		if err := out.unknown(u); err != nil {
			return err
		}
	}
	out.changed, out.unknownN = p.Backtest.Changed, p.Backtest.UnknownN
	if err := a.backtestTable(p.Backtest.Report, out, false); err != nil {
		return err
	}
	a.printLeftOut(p)
	return nil
}

// printLeftOut says what the plan does not contain, and how to see it.
func (a *app) printLeftOut(p *console.ReplayPlan) {
	b, hint := p.Backtest, ""
	if n := b.Of - b.Events; b.Cut && n > 0 {
		a.printf("\nnot compared before the time limit: %s of %d; the numbers above are lower bounds\n", counted(n, "event"), b.Of)
		hint = "--whole compares all events, for up to an hour"
	}
	if n := b.Changed - len(b.Changes); n > 0 {
		a.printf("\nnot listed in -o json: %s of %d\n", counted(n, "change"), b.Changed)
		hint = "--whole compares all events, for up to an hour, and -o json then lists up to 20,000 changes"
	}
	if n := b.UnknownN - len(b.Unknown); n > 0 {
		a.printf("\nnot listed in -o json: %s of %d\n", counted(n, "unknown run"), b.UnknownN)
	}
	if p.Forecast.Looked < p.Forecast.Events {
		hint = cmp.Or(hint, "--whole evaluates all events, for up to an hour")
	}
	if hint != "" {
		a.printf("%s\n", hint)
	}
}

func (a *app) printForecast(f *engine.Forecast) {
	least := ""
	if f.Looked < f.Events {
		least = fmt.Sprintf(" at least: %s were evaluated before the time limit", counted(f.Looked, "event"))
	}
	a.printf("%s, of %s%s\n", counted(f.Runs, "run")+" would begin", counted(f.Events, "event"), least)
	for _, w := range f.Workflows {
		a.printf("  %s (version %s): %s", w.Workflow, w.Version, counted(w.Runs, "run"))
		for _, x := range []struct {
			n    int
			text string
		}{{w.NotMatched, "no match for %d"}, {w.RuleFailed, "the rule fails for %d"}, {w.Known, "%d have a run already"},
			{w.Unreadable, "%d can no longer be read"}} {
			if x.n > 0 {
				a.printf("; "+x.text, x.n)
			}
		}
		a.printf("\n")
		if w.Reason != "" {
			a.printf("    the rule fails: %s\n", printable(w.Reason))
		}
		if w.Repeated > 0 {
			a.printf("    %s of events that ran before; %s of those runs %s\n", counted(w.Repeated, "run"),
				counted(w.DoneSteps, "step"), repeatText(w.DoneSteps, f.SkipDone))
		}
		for _, c := range w.Calls {
			host := ""
			if c.Host != "" {
				host = " at " + printable(c.Host)
			}
			a.printf("    calls %s%s, %s in %s", c.Action, host, counted(c.Count, "time"), counted(w.DryRuns, "dry run"))
			switch {
			case c.Done > 0 && f.SkipDone:
				a.printf("; %d skipped, since an earlier run made them", c.Done)
			case c.Done > 0:
				a.printf("; %d of them an earlier run made", c.Done)
			}
			a.printf("\n")
		}
		if w.DryRuns > 0 && len(w.Calls) == 0 {
			a.printf("    makes no outside calls\n")
		}
		if w.Problem != "" {
			a.printf("    its calls cannot be determined: %s\n", printable(w.Problem))
		}
	}
}

// repeatText says what happens to steps that earlier runs completed.
func repeatText(steps int, skip bool) string {
	switch {
	case skip && steps == 1:
		return "is kept, not repeated"
	case skip:
		return "are kept, not repeated"
	}
	return "would be repeated with new idempotency keys (--skip-done keeps them)"
}

func (a *app) printAgain(id string, x engine.Again, from string) {
	switch {
	case x.AlreadyReplayed:
		a.printf("%s  %s was already replayed as %s; --again makes another run\n", id, x.Workflow, x.Run)
	case x.Run != "":
		a.printf("%s  %s replayed as %s%s\n", id, x.Workflow, x.Run, callsInDoubt(x.InDoubt, from))
	default:
		a.printf("%s  %s does not run: %s: %s\n", id, x.Workflow, x.Outcome, printable(x.Reason))
	}
	for _, c := range x.Rule {
		result := "error"
		if c.Result != nil {
			result = fmt.Sprint(*c.Result)
		}
		a.printf("      %-5s  %s\n", result, printable(c.Expr))
		for _, k := range slices.Sorted(maps.Keys(c.Values)) {
			if v, err := json.Marshal(c.Values[k]); err == nil {
				a.printf("             %s = %s\n", k, printable(string(v)))
			}
		}
	}
}

// callsInDoubt says how many calls of a replayed run may have taken effect.
func callsInDoubt(n int, from string) string {
	switch {
	case n == 0:
		return ""
	case from == "failed":
		return fmt.Sprintf("; %s in doubt: repeated with the same idempotency key", counted(n, "call"))
	}
	return fmt.Sprintf("; %s in doubt: repeated with a new idempotency key", counted(n, "call"))
}

// doubtText says what happens to runs with calls in doubt.
func doubtText(runs int, from string) string {
	has := "have calls"
	if runs == 1 {
		has = "has a call"
	}
	text := fmt.Sprintf("%s %s in doubt, which may have taken effect: ", counted(runs, "run"), has)
	if from == "failed" {
		return text + "these calls are repeated with the same idempotency key"
	}
	return text + "a replay from the start repeats them with a new idempotency key; --from failed keeps the key"
}

func (a *app) printCount(ids []string, doubts int, from string) error {
	if a.json() {
		return a.printJSON(map[string]any{"count": len(ids), "ids": ids, "in_doubt": doubts})
	}
	events := 0
	for _, id := range ids {
		if strings.HasPrefix(id, "evt_") {
			events++
		}
	}
	text := ""
	if events > 0 {
		text = fmt.Sprintf(", and %s decided again", counted(events, "event"))
	}
	a.printf("%s would be replayed%s\n", counted(len(ids)-events, "run"), text)
	if doubts > 0 {
		a.printf("%s\n", doubtText(doubts, from))
	}
	return nil
}

// replayedList is the result of replays.
type replayedList struct {
	Runs            []string        `json:"runs"`
	AlreadyReplayed bool            `json:"already_replayed,omitempty"`
	InDoubt         int             `json:"in_doubt,omitempty"`
	Items           []replayedAgain `json:"items"`
}

// replayedAgain is the result for one event and workflow.
type replayedAgain struct {
	How string `json:"how"`
	engine.Again
}
