package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
	"github.com/spf13/cobra"
)

// recordTest creates a test from a recorded run.
func (a *app) recordTest(c *cobra.Command, dir, db, run string) error {
	id, err := engine.ParseRunID(run)
	if err != nil {
		return usageError("%v", err)
	}
	l, err := load(dir)
	if err != nil {
		return err
	}
	f := listFlags{place: place{dir, db}}
	return f.reading(func(h *store.History) error {
		d, err := runDetail(c.Context(), h, id)
		if err != nil {
			return err
		}
		w := l.project.Workflows[d.Workflow]
		if w == nil {
			return fmt.Errorf("workflow %s is no longer in this project", d.Workflow)
		}
		ev, err := h.EventDetail(c.Context(), mustEvent(d.Event))
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(run, "run_")
		more, err := moreOfBatch(c.Context(), h, w, d)
		if err != nil {
			return err
		}
		fixture, lines, err := testLines(w, d, ev, more)
		if err != nil {
			return err
		}
		test, file, err := l.project.WriteTest(d.Workflow, name, fixture, lines("fixtures/"+strings.ReplaceAll(d.Workflow, "/", "_")+"_"+
			name+".json"))
		if err != nil {
			return err
		}
		w.EachStep(func(s *workflows.Step) {
			if s.Output != nil && s.ID != "" && s.Body == "uses" {
				fmt.Fprintf(a.err, "step %s has output:, and the action's result is not recorded: check its mock\n", s.ID)
			}
		})
		if a.json() {
			return a.printJSON(map[string]string{"test": test, "fixture": file})
		}
		a.printf("%s: a test that expects what run %s did\n%s: its event\n", filepath.Join(dir, test), run, filepath.Join(dir, file))
		return nil
	})
}

// moreOfBatch returns the further events of a batch in the form of a test.
func moreOfBatch(ctx context.Context, h *store.History, w *workflows.Workflow, d *engine.RunDetail) (out []string, err error) {
	if w.Gather == nil || w.Gather.Kind != workflows.Batch {
		return nil, nil
	}
	for _, id := range d.Events {
		ev, err := h.EventDetail(ctx, mustEvent(id))
		if err != nil {
			return nil, err
		}
		text := fmt.Sprintf("inlet: %s, body: %s, type: %s, key: %s}", ev.Inlet, ev.Body, quoted(ev.Type), quoted(ev.Key))
		if ev.Trigger != w.ID {
			text = "trigger: " + ev.Trigger + ", " + text
		}
		out = append(out, "{"+text)
	}
	return out, nil
}

func mustEvent(text string) engine.EventID {
	id, err := engine.ParseEventID(text)
	if err != nil {
		return 0
	}
	return id
}

// testLines formats a recorded run as a test. JSON is YAML, so values are written as JSON.
func testLines(w *workflows.Workflow, d *engine.RunDetail, ev *engine.EventDetail, more []string) (fixture any,
	lines func(file string) []string, err error) {
	raw := ev.Body
	if k := ev.Inlet.Kind().Data; k == workflows.DataInputs || k == workflows.DataFacts {
		raw = ev.Inputs
	}
	if fixture, err = value.DecodeJSON(raw); err != nil {
		return nil, nil, fmt.Errorf("the body of event %s is not JSON: %w", ev.ID, err)
	}
	inputs := string(raw)
	ids := map[string]bool{}
	w.EachStep(func(s *workflows.Step) {
		ids[s.ID] = s.ID != "" && (s.Body == "uses" || s.Body == "wait" || s.Body == "call")
	})
	mocks, statuses := map[string][]string{}, map[string]string{}
	var order []string
	for _, s := range d.Steps {
		id := ""
		for _, part := range strings.Split(s.Path, "/") {
			if ids[part] {
				id = part
			}
		}
		if id == "" || s.Status == "running" || s.Status == "waiting" || s.Status == "unknown" || s.Status == "skipped" || s.Action == "foreach" {
			continue
		}
		if mocks[id] == nil {
			order = append(order, id)
		}
		mocks[id] = append(mocks[id], mockText(s))
		if !strings.Contains(s.Path, "/") {
			statuses[id] = s.Status
		}
	}
	return fixture, func(file string) []string {
		out := []string{"name: " + quoted("run "+strings.TrimPrefix(d.ID, "run_")), "now: " + quoted(d.CreatedAt.UTC().Format(time.RFC3339))}
		switch ev.Inlet.Kind().Data {
		case workflows.DataInputs:
			out = append(out, "event: {inlet: "+string(ev.Inlet)+"}", "inputs: "+inputs)
		default:
			out = append(out, fmt.Sprintf("event: {inlet: %s, fixture: %s, type: %s, key: %s}", ev.Inlet, file, quoted(ev.Type), quoted(ev.Key)))
			if ev.Trigger != w.ID {
				out[len(out)-1] = strings.Replace(out[len(out)-1], "{inlet", "{trigger: "+ev.Trigger+", inlet", 1)
			}
			if len(more) > 0 {
				out[len(out)-1] = "events: [" + strings.Join(append([]string{strings.TrimPrefix(out[len(out)-1], "event: ")}, more...), ", ") + "]"
			}
		}
		if len(order) > 0 {
			out = append(out, "mock:")
		}
		for _, id := range order {
			out = append(out, "  "+id+": ["+strings.Join(mocks[id], ", ")+"]")
		}
		out = append(out, "expect:", "  status: "+d.Status)
		if len(statuses) > 0 {
			var list []string
			for _, id := range slices.Sorted(maps.Keys(statuses)) {
				list = append(list, id+": "+statuses[id])
			}
			out = append(out, "  steps: {"+strings.Join(list, ", ")+"}")
		}
		if string(d.Output) != "null" {
			out = append(out, "  output: "+string(d.Output))
		}
		return out
	}, nil
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(b)
}

// mockText formats a mock as a line of YAML.
func mockText(s engine.StepItem) string {
	if s.Status != "failed" {
		return "{output: " + string(s.Output) + "}"
	}
	var e struct {
		Message, Code string
		Status        int
	}
	if json.Unmarshal(s.Error, &e) != nil {
		return "{error: {}}"
	}
	parts := []string{"message: " + quoted(e.Message), "code: " + quoted(e.Code)}
	if e.Status != 0 {
		parts = append(parts, fmt.Sprintf("status: %d", e.Status))
	}
	return "{error: {" + strings.Join(parts, ", ") + "}}"
}
