package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// workflowTools offers the workflows with on: mcp. If two have the same tool name, it offers the
// first by id.
func (t *agentTools) workflowTools() {
	taken := map[string]bool{}
	for _, id := range slices.Sorted(maps.Keys(t.workflows)) {
		w := t.workflows[id]
		if w.Tool == nil || !w.Enabled || taken[w.ToolName()] {
			continue
		}
		taken[w.ToolName()] = true
		tool := &mcp.Tool{Name: w.ToolName(), Description: w.Tool.Description, InputSchema: w.InputSchema(),
			Annotations: &mcp.ToolAnnotations{Title: w.Name}}
		t.server.AddTool(tool, func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			result, err := t.call(ctx, t.waits, req, func(ctx context.Context) (string, error) {
				return t.callWorkflow(ctx, w, req.Params.Arguments)
			})
			if err != nil {
				result = &mcp.CallToolResult{}
				result.SetError(err)
			}
			return result, nil
		})
	}
}

// callWorkflow starts a workflow and waits for its run, at most as long as the tool's timeout.
func (t *agentTools) callWorkflow(ctx context.Context, w *workflows.Workflow, inputs json.RawMessage) (string, error) {
	l, err := (&place{dir: t.dir, db: t.db}).load()
	if err != nil {
		return "", err
	}
	if len(inputs) == 0 {
		inputs = json.RawMessage("{}")
	}
	var fired struct {
		Event string `json:"event"`
	}
	order := map[string]any{"inputs": inputs, "by": callerName(ctx), "why": "called as a tool"}
	if err := adminCall(ctx, l, http.MethodPost, "/api/v1/workflows/"+w.ID+"/fire", order, &fired); err != nil {
		return "", err
	}
	r, err := t.awaitRun(ctx, l, fired.Event, w.Tool.Timeout)
	switch {
	case errors.Is(err, errNotEnded):
		return fmt.Sprintf("The workflow has not ended after %s and continues. Call get_event with %s for its run.",
			w.Tool.Timeout, fired.Event), nil
	case err != nil:
		return "", err
	case r.Status == string(engine.Succeeded):
		return string(r.Output), nil
	}
	return "", fmt.Errorf("%s %s: %s (call explain_run with its ID)", r.ID, r.Status, r.Error)
}

// errNotEnded is the error of awaitRun for a run that takes longer.
var errNotEnded = errors.New("the run has not ended")

// awaitRun polls the run of an event until it has ended, at most for limit. A request that is being answered
// when the limit is reached is not interrupted: its answer decides.
func (t *agentTools) awaitRun(ctx context.Context, l *loaded, event string, limit time.Duration) (*engine.RunDetail, error) {
	end := time.NewTimer(limit)
	defer end.Stop()
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		var ev engine.EventDetail
		if err := adminCall(ctx, l, http.MethodGet, "/api/v1/events/"+event, nil, &ev); err != nil {
			return nil, err
		}
		for _, d := range ev.Decisions {
			switch {
			case d.Run == "":
				return nil, fmt.Errorf("the workflow did not start: %s: %s", d.Outcome, d.Reason)
			case slices.ContainsFunc(ev.RunItems, func(r engine.RunItem) bool { return r.ID == d.Run && r.FinishedAt != nil }):
				r := &engine.RunDetail{}
				return r, adminCall(ctx, l, http.MethodGet, "/api/v1/runs/"+d.Run, nil, r)
			}
		}
		select {
		case <-time.After(pause):
		case <-end.C:
			return nil, errNotEnded
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
