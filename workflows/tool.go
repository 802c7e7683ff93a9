package workflows

import (
	"cmp"
	"time"

	"gopkg.in/yaml.v3"
)

// Tool offers a workflow as a Model Context Protocol tool: an agent calls it with the workflow's
// inputs and receives the workflow's output.
type Tool struct {
	// Description tells the agent what the tool does and when to use it.
	Description string
	// Timeout is how long a call waits for the run; a longer run continues.
	Timeout time.Duration
}

// DefaultToolTimeout is how long a tool call waits for its run by default.
const DefaultToolTimeout = 30 * time.Second

// ByHand reports whether a person, a program or an agent starts the run, with inputs.
func (s Start) ByHand() bool { return s.Kind == "manual" || s.Kind == "mcp" }

// tool reads on.mcp. The tool has the workflow's inputs.
func (b *builder) tool(n *yaml.Node, at Pos) {
	o := b.object(n, "mcp")
	if o == nil {
		return
	}
	b.start(Start{Kind: "mcp", pos: at})
	b.w.Inputs = b.inputList(o.vals["inputs"])
	t := &Tool{Description: o.text("description", ""), Timeout: o.duration("timeout", DefaultToolTimeout)}
	if t.Timeout > LongestRespond {
		b.add(o.at("timeout"), "out-of-range", "timeout: at most "+DurationText(LongestRespond),
			"a run that takes longer continues, and the tool returns its id")
	}
	b.w.Tool = t
}

// ToolName returns the workflow's name as a tool. Clients of the protocol accept letters, digits, _
// and -, at most 64 (docs.anthropic.com, "Tool use"; the protocol itself also allows dots and
// slashes).
func (w *Workflow) ToolName() string {
	name := []byte("run_" + w.ID)
	for i, c := range name {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			name[i] = '_'
		}
	}
	return string(name[:min(len(name), 64)])
}

// InputSchema describes the workflow's inputs as a JSON Schema of an object.
func (w *Workflow) InputSchema() map[string]any {
	properties, required := map[string]any{}, []any{}
	for _, in := range w.Inputs {
		properties[in.Name] = in.schema()
		if in.Required {
			required = append(required, in.Name)
		}
	}
	out := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// schema describes one input. It omits the pattern, because JSON Schema does not use RE2; the
// workflow checks it.
func (in Input) schema() map[string]any {
	types := map[string]string{"list": "array", "date": "string"}
	out := map[string]any{"type": cmp.Or(types[in.Type], in.Type)}
	if in.Description != "" {
		out["description"] = in.Description
	}
	if in.Default != nil && !in.Secret {
		out["default"] = in.Default
	}
	if len(in.Options) > 0 {
		out["enum"] = in.Options
	}
	bounds := map[string][2]string{"string": {"minLength", "maxLength"}, "list": {"minItems", "maxItems"},
		"integer": {"minimum", "maximum"}, "number": {"minimum", "maximum"}}[in.Type]
	for i, bound := range []any{in.Min, in.Max} {
		if bounds[i] != "" && bound != nil {
			out[bounds[i]] = bound
		}
	}
	return out
}
