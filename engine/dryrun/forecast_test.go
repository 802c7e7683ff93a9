package dryrun_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/dryrun"
	"github.com/hookloom/hookloom/workflows"
)

// selection is a fixed list of events that a batch replay would take.
type selection struct {
	list   []engine.Selected
	within time.Duration
	err    error
}

func (s *selection) EachSelected(_ context.Context, _ engine.Selection, until time.Time, do func(engine.Selected)) (events, looked int,
	err error) {
	s.within = time.Until(until)
	for _, x := range s.list {
		do(x)
	}
	return len(s.list), len(s.list) + 1, s.err
}

// forecast predicts a replay of the events of a list.
func forecast(t *testing.T, p *workflows.Project, chosen engine.Selection, list *selection) (*engine.Forecast, error) {
	t.Helper()
	f := &dryrun.Forecaster{Events: list, Project: func() *workflows.Project { return p }, Actions: actions.Executors(actions.Options{}),
		Secret: func(string) (string, bool) { return "hidden", true },
		Redact: func(s string) string { return strings.ReplaceAll(s, "hidden", "***") }}
	return f.Forecast(t.Context(), chosen)
}

// TestForecastCountsWhatAReplayWouldDo checks the outcomes for the events of a selection, and the calls of
// the first runs.
func TestForecastCountsWhatAReplayWouldDo(t *testing.T) {
	p := project(t, map[string]string{"w": `on: hook
when: event.data.n > 0
steps:
  - {id: a, uses: http/post, with: {url: https://b.example.com/x, body: hi}}
  - {id: z, uses: http/get, with: {url: https://a.example.com/y}}
  - {uses: log, with: {message: hi}}
  - {id: c, if: event.data.n > 1, uses: http/post, with: {url: https://b.example.com/y, body: hi}}
  - {id: k, uses: http/post, with: {url: "https://${{ secrets.S }}.example.com/y", body: hi}}
`, "v": "on: hook\nsteps: [{uses: log, with: {message: hi}}]\n"})
	event := func(id string, n any) engine.Selected {
		r := request(p, map[string]any{"n": n})
		r.Event.ID = 1
		w := p.Workflows[id]
		return engine.Selected{Workflow: w, Start: w.Starts[0], Event: r.Event}
	}
	s := &selection{list: []engine.Selected{event("w", 0), event("w", "x"), event("w", nil), {Workflow: p.Workflows["w"]}, event("v", 1)}}
	known := event("w", 1)
	known.Known = true
	s.list = append(s.list, known)
	for n := range 7 {
		s.list = append(s.list, event("w", n+1))
	}
	ran := &s.list[6]
	ran.Ran, ran.Done = true, []engine.DoneStep{{Path: "a"}, {Path: "gone"}}
	got, err := forecast(t, p, engine.Selection{SkipDone: true}, s)
	if err != nil {
		t.Fatal(err)
	}
	if got.Events != 13 || got.Looked != 14 || got.Runs != 8 || !got.SkipDone || len(got.Chosen) != 11 || len(got.Workflows) != 2 {
		t.Fatalf("%+v", got)
	}
	if s.within < 10*time.Second || s.within > 15*time.Second {
		t.Errorf("it may take %s", s.within)
	}
	v, w := got.Workflows[0], got.Workflows[1]
	if v.Workflow != "v" || v.Runs != 1 || v.DryRuns != 1 || len(v.Calls) != 0 || v.Version != p.Workflows["v"].Version {
		t.Errorf("%+v", v)
	}
	counts := fmt.Sprint(w.Runs, w.NotMatched, w.RuleFailed, w.Known, w.Unreadable, w.Repeated, w.DoneSteps, w.DryRuns)
	if want := "7 1 2 1 1 1 2 5"; counts != want || w.Reason == "" || w.Problem != "" {
		t.Errorf("%s, want %s: %+v", counts, want, w)
	}
	calls := []string{}
	for _, c := range w.Calls {
		calls = append(calls, fmt.Sprintf("%s %s %d %d", c.Action, c.Host, c.Count, c.Done))
	}
	// Four of the five runs have n > 1.
	want := "http/post https://***.example.com 5 0, http/get https://a.example.com 5 0, http/post https://b.example.com 9 1"
	if strings.Join(calls, ", ") != want {
		t.Errorf("calls %s, want %s", strings.Join(calls, ", "), want)
	}
}

// TestForecastEndsWithItsTimeAndReportsErrors checks the time that the selection allows, and an invalid
// selection.
func TestForecastEndsWithItsTimeAndReportsErrors(t *testing.T) {
	p := project(t, map[string]string{"w": "on: hook\nsteps: [{uses: log, with: {message: hi}}]\n"})
	s := &selection{err: engine.ErrQuery}
	if got, err := forecast(t, p, engine.Selection{Within: time.Second}, s); !errors.Is(err, engine.ErrQuery) || got != nil ||
		s.within > time.Second {
		t.Errorf("%+v, %v, within %s", got, err, s.within)
	}
}

// TestBatchRunSeesAllItsEvents checks that a dry run of a batch has each event with its own data, and
// that one that cannot be read is an error.
func TestBatchRunSeesAllItsEvents(t *testing.T) {
	p := project(t, map[string]string{"w": "on: hook\nbatch: {size: 10, wait: 1m}\nsteps: [{uses: log, with: {message: hi}}]\n" +
		"output: ${{ map(events, .data.n) }}\n"})
	r := request(p, map[string]any{"n": 1})
	for n := range 2 {
		r.More = append(r.More, dryrun.Event{Event: request(p, map[string]any{"n": n + 2}).Event})
	}
	r.More[1].Data = map[string]any{"n": 30}
	if got := run(t, r); fmt.Sprint(got.Output) != "[1 2 30]" {
		t.Errorf("%v %v", got.Output, got.Error)
	}
	r.More[0].Event.Locked = errors.New("its key is missing")
	if got, err := dryrun.Run(r); err == nil {
		t.Errorf("an event that cannot be read: %+v", got)
	}
}
