package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// TestPicturesShowTheirFigures compares charts, graphs and timelines with their golden file.
func TestPicturesShowTheirFigures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		put := func(name string, picture any) {
			fmt.Fprintf(&b, "=== %s\n%s\n", name, strings.ReplaceAll(fmt.Sprint(picture), "><", ">\n<"))
		}
		at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
		bucket := func(n, events, runs, failed, cancelled, open, refused int, step time.Duration) engine.Bucket {
			return engine.Bucket{At: at.Add(time.Duration(n) * step), Events: events, Runs: runs, Failed: failed,
				Cancelled: cancelled, Open: open,
				Refused: refused}
		}
		few := []engine.Bucket{bucket(0, 20_000, 0, 0, 0, 0, 3, time.Hour), bucket(1, 1, 9, 1, 2, 3, 0, time.Hour)}
		put("two hours of events", bars("Events", "/events", few, time.Hour, eventSeries, time.FixedZone("x", 3600)))
		put("two hours of runs", bars("Runs", "/runs", few, time.Hour, runSeries, time.UTC))
		put("no time", bars("Runs", "/runs", nil, time.Hour, runSeries, time.UTC))
		var days []engine.Bucket
		for i := range 14 {
			days = append(days, bucket(i, i%2, 0, 0, 0, 0, 0, 24*time.Hour))
		}
		put("two weeks", bars("Events", "/events", days, 24*time.Hour, eventSeries[:1], time.UTC))
		put("no intervals", intervals(engine.Comparison{}))
		list := []engine.IntervalCost{{Interval: "1m", Mean: 30, P95: 57, RequestsPerDay: 1440}, {Interval: "1h", Mean: 1800,
			P95: 1700, RequestsPerDay: 24}}
		put("intervals", intervals(engine.Comparison{Intervals: list}))
		put("intervals and webhook", intervals(engine.Comparison{Intervals: list, WebhookDelay: &engine.Delays{P50: 0.2, P95: 7200}}))
		put("no graph", graph(nil, nil))
		put("graph", graph(graphed(), nil))
		put("graph of a run without attempts", graph(graphed(), []engine.StepItem{}))
		put("path of a run", graph(graphed(), pathOf()))
		for _, d := range timelines() {
			put("timeline "+d.ID, timeline(d))
			list, err := json.Marshal(attemptList(d, false, &cutter{whole: "out1"}))
			if err != nil {
				t.Fatal(err)
			}
			put("attempts of "+d.ID, strings.ReplaceAll(string(list), "},{", "},\n{"))
		}
		testgolden.Compare(t, "pictures.golden", b.String())
	})
}

// graphed returns a workflow with every kind of step.
func graphed() *workflows.Workflow {
	step := func(key string, change func(*workflows.Step)) *workflows.Step {
		s := &workflows.Step{Key: key, ID: key, Uses: "http/post"}
		if change != nil {
			change(s)
		}
		return s
	}
	one := []*workflows.Step{step("one", nil)}
	return &workflows.Workflow{ID: "all <b>", Starts: []workflows.Start{{Trigger: "shop"}, {Kind: "manual"}},
		Gather: &workflows.Gather{Kind: workflows.Batch}, When: make([]*workflows.Expr, 2), OnFailed: one, Finally: one,
		Steps: []*workflows.Step{step("plain", nil), step("named", func(s *workflows.Step) {
			s.ID, s.Name = "",
				"a name that is much longer than the box for it is"
		}),
			step("call", func(s *workflows.Step) { s.Uses, s.Call = "", "other" }),
			step("wait", func(s *workflows.Step) { s.Uses, s.Wait = "", &workflows.Wait{Event: "feed"} }),
			step("if", func(s *workflows.Step) {
				s.If, s.Steps, s.Else = &workflows.Expr{Expr: expr.Expr{Text: "n > 1"}}, one, one
			}),
			step("loop", func(s *workflows.Step) { s.ForEach, s.Steps = &workflows.Expr{}, one }),
			step("both", func(s *workflows.Step) { s.Parallel = []*workflows.Step{step("x", nil), step("y", nil)} }),
			step("switch", func(s *workflows.Step) {
				s.Cases, s.Default = []workflows.Case{{Value: "a/b", Steps: one}, {Value: "a name of twenty-seven chars", Steps: one}}, one
			}),
			step("some", func(s *workflows.Step) { s.Cases = []workflows.Case{{Value: "a", Steps: one}} }),
			step("saved", func(s *workflows.Step) { s.OnFailure = one })}}
}

// pathOf returns attempts of the steps of graphed.
func pathOf() []engine.StepItem {
	tried := attempt("named", 3, "failed", 0, 0, time.Second)
	return []engine.StepItem{attempt("plain", 1, "succeeded", 0, 0, time.Second), tried, attempt("loop/0/one", 1,
		"succeeded", 0, 0, time.Second),
		attempt("loop/1/one", 1, "failed", 0, 0, time.Second), attempt("loop/2/one", 1, "skipped", 0, 0, time.Second),
		attempt("switch/a%2Fb/one", 1, "waiting", 0, 0, 0), attempt("switch/default/one", 1, "unknown", 0, 0, 0),
		attempt("if/else/one", 1, "running", 0, 0, 0), attempt("saved/on_failure/one", 2, "succeeded", 0, 0, 0),
		attempt("on_failure/one", 1, "succeeded", 0, 0, 0), attempt(plan.FinallyPath+"/one", 1, "succeeded", 0, 0, 0)}
}

// timelines returns runs of many shapes. It is called in a bubble, whose time is 2000-01-01.
func timelines() []*engine.RunDetail {
	now := time.Now().UTC()
	ago := func(d time.Duration) *time.Time { t := now.Add(-d); return &t }
	step := func(path string, n int, status string, from, to time.Duration, waited, worked time.Duration) engine.StepItem {
		s := engine.StepItem{Path: path, Action: "http/post", Attempt: n, Status: status, StartedAt: *ago(from),
			WaitedMS: waited.Milliseconds(),
			WorkedMS: worked.Milliseconds()}
		if to >= 0 {
			s.FinishedAt = ago(to)
		}
		return s
	}
	run := func(id, status string, created time.Duration, started, finished *time.Time, steps ...engine.StepItem) *engine.RunDetail {
		return &engine.RunDetail{RunItem: engine.RunItem{ID: id, Status: status, CreatedAt: *ago(created),
			StartedAt: started, FinishedAt: finished,
			WorkedMS: 1500, WaitedMS: 2500}, Steps: steps}
	}
	m, s := time.Minute, time.Second
	retried := step("b", 2, "failed", 6*m, 5*m, 0, m)
	retried.Destination = "https://a.example"
	held := step("c", 1, "succeeded", 5*m, 3*m, m, m)
	held.Destination = "https://a.example"
	backwards := step("d", 1, "succeeded", 3*m, 4*m, 0, 0)
	var loop, short []engine.StepItem
	for i := range 150 {
		status := "succeeded"
		if i == 149 || i == 7 {
			status = "failed"
		}
		loop = append(loop, step(fmt.Sprintf("l/%d/in", i), 1, status, time.Duration(600-i)*s, time.Duration(599-i)*s, 0,
			time.Duration(i)*time.Millisecond))
	}
	for i := range loopFrom - 1 {
		short = append(short, step(fmt.Sprintf("l/%d", i), 1, "succeeded", 30*s, 20*s, 0, s))
	}
	failed := run("failed", "failed", 10*m, ago(9*m), ago(2*m), step("a", 1, "succeeded", 9*m, 7*m, 0, 2*m), step("g", 1,
		"succeeded", 8*m, 8*m, 0, 0),
		step("g/in", 1, "succeeded", 7*m, 6*m, 0, m), step("b", 1, "unknown", 7*m, 6*m+30*s, 0, 30*s), retried, held, backwards,
		step("w", 1, "waiting", 2*m, -1, m, 0))
	failed.ErrorStep = "b"
	return []*engine.RunDetail{run("empty", "succeeded", m, ago(m), ago(m)), run("queued", "queued", m, nil, nil),
		run("started later", "running", m, ago(m-6*time.Millisecond), nil), run("started at once", "running", m,
			ago(m-5*time.Millisecond), nil),
		run("waiting without a start", "waiting", m, nil, nil), failed, run("open", "running", 10*m, ago(10*m), nil,
			step("a", 1, "running", m, -1, 0, s)),
		run("loop", "failed", 20*m, ago(20*m), ago(m), loop...), run("short loop", "succeeded", m, ago(m), ago(m), short...)}
}
