package cmd

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type (
	listInput struct {
		Workflow string `json:"workflow,omitempty" jsonschema:"only of this workflow"`
		Trigger  string `json:"trigger,omitempty" jsonschema:"only of this trigger"`
		Type     string `json:"type,omitempty" jsonschema:"only of this type of event"`
		Status   string `json:"status,omitempty" jsonschema:"only with these statuses, separated by commas"`
		Since    string `json:"since,omitempty" jsonschema:"only since, such as 2h, 7d or 2026-01-31T10:00:00Z"`
		Text     string `json:"text,omitempty" jsonschema:"only with this text, such as an order number"`
		Limit    int    `json:"limit,omitempty" jsonschema:"at most so many, 1 to 1000, 20 by default"`
	}
	idInput struct {
		ID string `json:"id" jsonschema:"its id"`
	}
	notRunInput struct {
		Event    string `json:"event" jsonschema:"the id of the event, or a text in it such as an order number"`
		Workflow string `json:"workflow,omitempty" jsonschema:"the workflow that should have run; all by default"`
	}
	refusalInput struct {
		ID      string `json:"id,omitempty" jsonschema:"the id of a refused delivery, ref_N; the newest ones by default"`
		Trigger string `json:"trigger,omitempty" jsonschema:"only of this trigger"`
	}
	docsInput struct {
		Page   string `json:"page,omitempty" jsonschema:"a page, such as workflow, functions or connectors"`
		Search string `json:"search,omitempty" jsonschema:"words to search for; without page and search the pages are listed"`
	}
	evalInput struct {
		Expression string `json:"expression" jsonschema:"an expression, or a text with ${{ }}"`
		Event      string `json:"event,omitempty" jsonschema:"the id of a recorded event, or last"`
	}
	nameInput struct {
		Name string `json:"name,omitempty" jsonschema:"its name; without one all are listed"`
	}
	shapesInput struct {
		Trigger string `json:"trigger" jsonschema:"the trigger"`
		Type    string `json:"type,omitempty" jsonschema:"only events of this type"`
	}
	yamlInput struct {
		Workflow string `json:"workflow" jsonschema:"the workflow's id: its path in workflows/ without .yaml"`
		Text     string `json:"text" jsonschema:"the whole YAML text of the workflow"`
		Since    string `json:"since,omitempty" jsonschema:"for backtests: only events since, such as 30d"`
	}
	approveInput struct {
		Run     string `json:"run" jsonschema:"the run that waits"`
		By      string `json:"by" jsonschema:"who decided: the person, not the agent"`
		Reject  bool   `json:"reject,omitempty" jsonschema:"refuse instead"`
		Step    string `json:"step,omitempty" jsonschema:"the step, when several wait"`
		Comment string `json:"comment,omitempty" jsonschema:"why"`
	}
	fireInput struct {
		Workflow string            `json:"workflow" jsonschema:"a workflow with on: manual"`
		Inputs   map[string]string `json:"inputs,omitempty" jsonschema:"its inputs by name"`
		Why      string            `json:"why" jsonschema:"why it is started by hand; kept with the event"`
	}
)

// flag returns --name=value, or nothing for an empty value.
func flag(name, value string) []string {
	if value == "" {
		return nil
	}
	return []string{"--" + name + "=" + value}
}

// list runs a command that lists by the filters. Like the API, it returns at most 1000 items.
func (t *agentTools) list(ctx context.Context, verb string, i listInput) (string, error) {
	i.Limit = cmp.Or(i.Limit, 20)
	if i.Limit < 1 || i.Limit > 1000 {
		return "", fmt.Errorf("limit must be a number from 1 to 1000, not %d", i.Limit)
	}
	return t.run(ctx, verb, slices.Concat(flag("workflow", i.Workflow), flag("trigger", i.Trigger), flag("type", i.Type),
		flag("status", i.Status), flag("since", i.Since), flag("grep", i.Text), flag("limit", fmt.Sprint(i.Limit))))
}

// reading adds the tools that read the history and the program's documentation.
func (t *agentTools) reading() {
	addTool(t, "list_runs", "List runs, newest first.", true, func(ctx context.Context, i listInput) (string, error) {
		return t.list(ctx, "runs", i)
	})
	addTool(t, "search_events", "List received events, newest first, by trigger, type, outcome or text.", true,
		func(ctx context.Context, i listInput) (string, error) { return t.list(ctx, "events", i) })
	addTool(t, "get_run", "Show a run in full: each step, attempt, input and output, as JSON.", true,
		func(ctx context.Context, i idInput) (string, error) { return t.run(ctx, "run", nil, i.ID) })
	addTool(t, "explain_run", "Explain a run, as text: steps, waits, errors, what to do.", true,
		func(ctx context.Context, i idInput) (string, error) { return t.text(ctx, "run", nil, i.ID) })
	addTool(t, "get_event", "Show an event in full: headers, body and the decision of each workflow.", true,
		func(ctx context.Context, i idInput) (string, error) { return t.run(ctx, "event", nil, i.ID) })
	addTool(t, "why_not_run", "Explain why a workflow did not run for an event: its decision with the value of each condition, or the "+
		"reason of its refusal.", true, t.whyNotRun)
	addTool(t, "diagnose_refusal", "Explain why a delivery was refused, and what to do about it.", true,
		func(ctx context.Context, i refusalInput) (string, error) {
			return t.text(ctx, "quarantine", flag("trigger", i.Trigger), words(i.ID)...)
		})
	addTool(t, "eval_expression", "Evaluate an expression or template over a recorded event, with the value of each part.", true,
		func(ctx context.Context, i evalInput) (string, error) {
			return t.run(ctx, "eval", flag("event", i.Event), i.Expression)
		})
	addTool(t, "shapes", "Show what the events of a trigger look like: paths, types, presence.", true,
		func(ctx context.Context, i shapesInput) (string, error) {
			return t.run(ctx, "shapes", flag("type", i.Type), i.Trigger)
		})
	addTool(t, "list_actions", "List the actions that steps can use, or show one with its inputs and an example.", true,
		func(ctx context.Context, i nameInput) (string, error) {
			return t.text(ctx, "actions", nil, words(i.Name)...)
		})
	addTool(t, "provider_setup", "Show how to set up the webhooks of a provider, or list the providers.", true,
		func(ctx context.Context, i nameInput) (string, error) {
			return t.text(ctx, "providers", nil, words(i.Name)...)
		})
	addTool(t, "get_docs", "Read a page of the manual, or search it.", true, func(ctx context.Context, i docsInput) (string, error) {
		return t.text(ctx, "docs", flag("search", i.Search), words(i.Page)...)
	})
}

// aboutFiles adds the tools that check a text before it becomes a file.
func (t *agentTools) aboutFiles() {
	addTool(t, "validate_yaml", "Check the text of a workflow as a file of this project: report mistakes with line, column and the fix.", true,
		func(_ context.Context, i yamlInput) (string, error) { return t.validateYAML(i) })
	addTool(t, "backtest_yaml", "Show what the text of a workflow would have done with recorded events. Nothing is sent.", true,
		t.backtestYAML)
}

// acting adds the tools that change something.
func (t *agentTools) acting() {
	addTool(t, "replay", "Run an event, a run or a refused delivery again.", false,
		func(ctx context.Context, i idInput) (string, error) { return t.run(ctx, "replay", nil, i.ID) })
	addTool(t, "cancel", "Cancel a run.", false,
		func(ctx context.Context, i idInput) (string, error) { return t.run(ctx, "cancel", nil, i.ID) })
	addTool(t, "approve", "Answer a run that waits for a person, on behalf of that person.", false,
		func(ctx context.Context, i approveInput) (string, error) {
			flags := slices.Concat(flag("by", i.By), flag("step", i.Step), flag("comment", i.Comment))
			if i.Reject {
				flags = append(flags, "--reject")
			}
			return t.run(ctx, "approve", flags, i.Run)
		})
	addTool(t, "fire", "Start a workflow with on: manual.", false, func(ctx context.Context, i fireInput) (string, error) {
		flags := flag("why", i.Why)
		for _, name := range slices.Sorted(maps.Keys(i.Inputs)) {
			flags = append(flags, "--input="+name+"="+i.Inputs[name])
		}
		return t.run(ctx, "send", flags, i.Workflow)
	})
}

// words returns the arguments that are not empty.
func words(list ...string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}

// addTool adds a tool whose result is a text. If a command fails, its message is the tool's error,
// which the agent reads.
func addTool[In any](t *agentTools, name, about string, reads bool, do func(context.Context, In) (string, error)) {
	mcp.AddTool(t.server, &mcp.Tool{Name: name, Description: about, Annotations: &mcp.ToolAnnotations{ReadOnlyHint: reads}},
		func(ctx context.Context, req *mcp.CallToolRequest, in In) (*mcp.CallToolResult, any, error) {
			result, err := t.call(ctx, t.slots, req, func(ctx context.Context) (string, error) { return do(ctx, in) })
			return result, nil, err
		})
}

// run returns a command's JSON output, text its output for people. The arguments follow --, so that
// none of them is a flag.
func (t *agentTools) run(ctx context.Context, verb string, flags []string, args ...string) (string, error) {
	return t.command(ctx, verb, append([]string{"--output=json"}, flags...), args)
}

func (t *agentTools) text(ctx context.Context, verb string, flags []string, args ...string) (string, error) {
	return t.command(ctx, verb, flags, args)
}

// placed are the commands without a project or a database.
var placed = map[string][]string{"docs": nil, "providers": nil, "actions": {"dir"}}

func (t *agentTools) command(ctx context.Context, verb string, flags, args []string) (string, error) {
	where, is := placed[verb]
	if !is {
		where = []string{"dir", "db"}
	}
	line := append([]string{verb}, flags...)
	for _, name := range where {
		line = append(line, flag(name, map[string]string{"dir": t.dir, "db": t.db}[name])...)
	}
	line = append(append(line, "--"), args...)
	var out, failed bytes.Buffer
	code := execute(ctx, line, &out, &failed)
	if code != exitOK && out.Len() == 0 {
		return "", errors.New(strings.TrimSpace(failed.String()))
	}
	return out.String() + failed.String(), nil
}

// workflowPath returns the path of a workflow's file in a project.
func workflowPath(id string) (string, error) {
	if !filepath.IsLocal(id) || id == "." {
		return "", fmt.Errorf("%q is not the id of a workflow", id)
	}
	return "workflows/" + id + ".yaml", nil
}

// backtestYAML compares a workflow's text with what ran. The text is temporarily in a file outside
// the project, under the workflow's name.
func (t *agentTools) backtestYAML(ctx context.Context, i yamlInput) (out string, err error) {
	name, err := workflowPath(i.Workflow)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "hookloom-mcp-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", err
	}
	if err := os.WriteFile(file, []byte(i.Text), 0o600); err != nil {
		return "", err
	}
	return t.run(ctx, "backtest", flag("since", i.Since), file)
}

// validateYAML checks a workflow's text instead of its file, without writing it.
func (t *agentTools) validateYAML(i yamlInput) (string, error) {
	cat, err := catalog()
	if err != nil {
		return "", err
	}
	name, err := workflowPath(i.Workflow)
	if err != nil {
		return "", err
	}
	files, _ := workflows.ReadFiles(t.dir, chosenEnvironment())
	files[name] = []byte(i.Text)
	_, mistakes := workflows.LoadFiles(t.dir, files, cat, nil)
	var own workflows.Mistakes
	for _, m := range mistakes {
		if m.File == name {
			own = append(own, m)
		}
	}
	if len(own) == 0 {
		return "no mistakes", nil
	}
	return own.Error(), nil
}

// whyNotRun finds an event, by its id or by a text in it, and returns the decisions about it.
func (t *agentTools) whyNotRun(ctx context.Context, i notRunInput) (string, error) {
	if _, err := engine.ParseEventID(i.Event); err != nil { // a text, or the id of a sender, such as evt_1MqqbK of Stripe
		return t.whyNone(ctx, i)
	}
	text, err := t.run(ctx, "event", nil, i.Event)
	if err != nil {
		return "", err
	}
	var detail struct {
		Trigger   string           `json:"trigger"`
		Decisions []map[string]any `json:"decisions"`
	}
	if err := json.Unmarshal([]byte(text), &detail); err != nil {
		return "", err
	}
	decisions := slices.DeleteFunc(detail.Decisions, func(d map[string]any) bool {
		return i.Workflow != "" && d["workflow"] != i.Workflow
	})
	if len(decisions) == 0 {
		return fmt.Sprintf("No workflow decided about %s: %s does not listen to trigger %s, or did not exist when the event arrived. "+
			"hookloom replay %s decides again with the current workflows.", i.Event, cmp.Or(i.Workflow, "none"), detail.Trigger, i.Event), nil
	}
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false) // conditions contain < and >
	enc.SetIndent("", "  ")
	err = enc.Encode(decisions)
	return out.String(), err
}

// whyNone returns for a text the events that contain it, or the refused deliveries.
func (t *agentTools) whyNone(ctx context.Context, i notRunInput) (string, error) {
	text, err := t.list(ctx, "events", listInput{Text: i.Event, Limit: 5})
	if err != nil {
		return "", err
	}
	var list struct {
		Items []struct{ ID string } `json:"items"`
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return "", err
	}
	if len(list.Items) == 0 {
		refused, err := t.run(ctx, "quarantine", flag("grep", i.Event))
		return "No stored event has this text. Refused deliveries with it:\n" + refused, err
	}
	var b strings.Builder
	for _, item := range list.Items {
		why, err := t.whyNotRun(ctx, notRunInput{Event: item.ID, Workflow: i.Workflow})
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s:\n%s\n", item.ID, why)
	}
	return b.String(), nil
}
