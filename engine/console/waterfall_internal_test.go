package console

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
)

func attempt(path string, n int, status string, from, waited, worked time.Duration) engine.StepItem {
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	end := at.Add(from + waited + worked)
	return engine.StepItem{Path: path, Action: "http/post", Attempt: n, Status: status, StartedAt: at.Add(from), FinishedAt: &end,
		WaitedMS: waited.Milliseconds(), WorkedMS: worked.Milliseconds(), Destination: "https://a.example"}
}

func drawn(status string, steps ...engine.StepItem) *engine.RunDetail {
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	end := at.Add(time.Hour)
	return &engine.RunDetail{RunItem: engine.RunItem{Status: status, CreatedAt: at, StartedAt: &at, FinishedAt: &end}, Steps: steps}
}

// TestWaterfallSeparatesWaitingFromWork checks that waiting is hatched, work is solid, and both are
// given in figures.
func TestWaterfallSeparatesWaitingFromWork(t *testing.T) {
	picture := string(timeline(drawn("succeeded", attempt("call", 1, "succeeded", 0, 34700*time.Millisecond, 22*time.Millisecond))))
	for _, want := range []string{`class="bar b-wait"`, `class="bar b-succeeded"`, "22 ms, waited 34.7 s",
		"waited 34.7 s for https://a.example"} {
		if !strings.Contains(picture, want) {
			t.Errorf("no %q in %s", want, picture)
		}
	}
	if only := string(timeline(drawn("waiting", attempt("ask", 1, "succeeded", 0, time.Minute, 0)))); strings.Contains(only,
		"b-succeeded") {
		t.Errorf("a step that only waited is drawn as work: %s", only)
	}
}

// TestALongLoopIsOneRow checks that the items share a row, that no failure is omitted, and that
// omissions are reported.
func TestALongLoopIsOneRow(t *testing.T) {
	var steps []engine.StepItem
	for i := range 500 {
		status := "succeeded"
		if i == 350 {
			status = "failed"
		}
		steps = append(steps, attempt(fmt.Sprintf("items/%d", i), 1, status, time.Duration(i)*time.Second, 0, time.Second))
	}
	d := drawn("failed", steps...)
	d.ErrorStep = "items/350"
	picture := string(timeline(d))
	if n := strings.Count(picture, "rowhit"); n != 1 || !strings.Contains(picture, "items/* × 500") ||
		!strings.Contains(picture, "1 failed") || !strings.Contains(picture, "b-failed") || !strings.Contains(picture, `href="#s350"`) {
		t.Errorf("%d rows: %.600s", n, picture)
	}
	list := attemptList(d, false, &cutter{})
	if len(list) != 1 || !list[0].Loop || list[0].Count != 500 || list[0].Failed != 1 || list[0].Left != 450 ||
		list[0].Items[0].Path != "items/350" || !list[0].Items[0].Open {
		t.Errorf("%+v", list)
	}
	if all := attemptList(d, true, &cutter{}); all[0].Left != 0 || len(all[0].Items) != 500 {
		t.Errorf("asked for all: %d, %d left", len(all[0].Items), all[0].Left)
	}
	steps = nil
	for i := range 230 {
		steps = append(steps, attempt(fmt.Sprintf("step%d", i), 1, "succeeded", time.Duration(i)*time.Second, 0, time.Second))
	}
	if picture := string(timeline(drawn("succeeded", steps...))); !strings.Contains(picture, "30 more rows are not drawn") {
		t.Error("the picture is cut without a word")
	}
}

// TestStepShowsItsLastAttempt checks that the number of attempts is shown beside the status.
func TestStepShowsItsLastAttempt(t *testing.T) {
	g := &grapher{drawn: true, steps: []engine.StepItem{attempt("ship", 1, "failed", 0, 0, time.Second),
		attempt("ship", 2, "succeeded", time.Second, 0, time.Second), attempt("ask", 1, "waiting", 0, 0, 0)}}
	if status, at, tries := g.at("ship"); status != "succeeded" || at != 1 || tries != 2 {
		t.Errorf("%s at %d after %d", status, at, tries)
	}
	d := drawn("succeeded", g.steps...)
	for _, a := range attemptList(d, false, &cutter{}) {
		if a.Items[0].Open {
			t.Errorf("%s is open, and ended nothing", a.Items[0].Path)
		}
	}
}
