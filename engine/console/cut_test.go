package console_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
)

// withLargeRun returns a console with a run of forty attempts, whose values have 200 KB each.
func withLargeRun(t *testing.T, o console.Options) *console.Console {
	t.Helper()
	ctx, at := context.Background(), time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	s, err := store.Open(ctx, filepath.Join(t.TempDir(), "x.db"), store.Options{Synchronous: "OFF"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	body := []byte(`"` + strings.Repeat("ä", 100_000) + `the end of body"`)
	d := &engine.Delivery{Trigger: "shop", Inlet: "webhook", Key: "k", Type: "t", Time: at, ReceivedAt: at, Raw: body, Dedupe: time.Hour}
	if _, err := s.Accept(ctx, 1, d); err != nil {
		t.Fatal(err)
	}
	run := &engine.Run{ID: 2, Event: 1, Workflow: "w", Version: "v", Status: engine.Succeeded, CreatedAt: at, StartedAt: at,
		FinishedAt: at, Output: strings.Repeat("o", 200_000) + "the end of output"}
	var records []*plan.Record
	for i := range 40 {
		records = append(records, &plan.Record{Path: fmt.Sprintf("s%d", i), Attempt: 1, Action: "log", Status: plan.Succeeded,
			StartedAt: at, FinishedAt: at, Input: strings.Repeat("i", 200_000) + fmt.Sprintf("the end of in%d", i),
			Output: strings.Repeat("x", 200_000) + fmt.Sprintf("the end of out%d", i)})
	}
	if _, err := s.Match(ctx, []engine.Match{{Event: 1, At: at,
		Decisions: []engine.Decision{{Workflow: "w", Version: "v", Outcome: engine.Matched, Run: 2}},
		Starts:    []engine.RunUpdate{{Run: run, New: true, Records: records}}}}); err != nil {
		t.Fatal(err)
	}
	p := &workflows.Project{Triggers: map[string]*workflows.Trigger{"shop": {Name: "shop"}},
		Workflows: map[string]*workflows.Workflow{"w": {ID: "w"}}}
	o.Log, o.Operator, o.Project, o.Logger, o.Ready = s.History(), &operator{}, func() *workflows.Project { return p },
		slog.New(slog.DiscardHandler), func() console.Readiness { return console.Readiness{} }
	c, err := console.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestPagesShowTheFirstPartOfLargeValues asks for the pages of a run and an event with large values,
// and follows the links to all of one value.
func TestPagesShowTheFirstPartOfLargeValues(t *testing.T) {
	t.Parallel()
	c := withLargeRun(t, console.Options{Loopback: true})
	for path, ids := range map[string][]string{
		"/runs/run_0000000000000002":   {"in3", "out39", "output"},
		"/events/evt_0000000000000001": {"body"},
	} {
		page := get(c, "GET", path, nil, "").Body.String()
		if len(page) > 1<<20 || strings.Contains(page, "the end of") {
			t.Errorf("%s: %d bytes, with the end of a value: %v", path, len(page), strings.Contains(page, "the end of"))
		}
		if strings.ContainsRune(page, '\uFFFD') {
			t.Errorf("%s: a character was cut", path)
		}
		for _, id := range ids {
			link := fmt.Sprintf("?whole=%s#%[1]s", id)
			if !strings.Contains(page, `<a href="`+link+`">Show all of it</a>`) {
				t.Errorf("%s: no link to all of %s", path, id)
			}
			whole := get(c, "GET", path+"?whole="+id, nil, "").Body.String()
			if !strings.Contains(whole, "the end of "+id+"&#34;") && !strings.Contains(whole, "the end of "+id+"<") ||
				strings.Count(whole, "the end of") != 1 || len(whole) > 2<<20 {
				t.Errorf("%s: all of %s: %d bytes, %d ends", path, id, len(whole), strings.Count(whole, "the end of"))
			}
		}
	}
}

// TestFullValueNeedsTheRightsOfItsPage asks for it without a token.
func TestFullValueNeedsTheRightsOfItsPage(t *testing.T) {
	t.Parallel()
	c := withLargeRun(t, console.Options{Loopback: true, Tokens: func() console.Tokens {
		return console.Tokens{Operate: "0123456789abcdef0123456789abcdef"}
	}})
	w := get(c, "GET", "/runs/run_0000000000000002?whole=output", nil, "")
	if w.Code == 200 || strings.Contains(w.Body.String(), "the end of") {
		t.Errorf("%d with %d bytes", w.Code, w.Body.Len())
	}
}
