package workflows

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/spelling"
	"gopkg.in/yaml.v3"
)

// ActionExample is an example call in a connector file. It is documentation and a test.
type ActionExample struct {
	// With are the inputs; nil if the example is only an output.
	With map[string]any
	// Request is the expected request, as far as it is given; nil accepts any.
	Request map[string]any
	// Response is the service's response; nil if the example gives none.
	Response *ExampleResponse
	// Output is the expected output of the step; HasOutput reports whether it is given.
	Output    any
	HasOutput bool
}

// ExampleResponse is the response of an example.
type ExampleResponse struct {
	Status  int
	Headers map[string]string
	Body    any
}

// example reads an example: a call as in action_example, or only the output.
func (r *connectorReader) example(a *ConnectorAction, n *yaml.Node) {
	if !isCallExample(n) {
		a.Example = r.literal(n)
		a.Call.Output, a.Call.HasOutput = a.Example, true
		r.outputFits(a, r.pos(n))
		return
	}
	o := r.object(n, "action_example")
	if o == nil {
		return
	}
	if v := o.vals["with"]; v != nil {
		a.Call.With, _ = r.literal(v).(map[string]any)
		r.exampleInputs(a, v)
	}
	if v := o.vals["request"]; v != nil {
		r.exampleRequest(a, v)
	}
	if x := o.object("response"); x != nil {
		a.Call.Response = &ExampleResponse{Status: x.integer("status", 200), Headers: r.textMap(x.vals["headers"])}
		if v := x.vals["body"]; v != nil {
			a.Call.Response.Body = r.literal(v)
		}
	}
	if v := o.vals["output"]; v != nil {
		a.Call.Output, a.Call.HasOutput = r.literal(v), true
		a.Example = a.Call.Output
		r.outputFits(a, r.pos(v))
	} else if a.Call.Response != nil {
		a.Example = a.answerGives()
	}
}

// isCallExample tells the two forms of an example apart: a call has only the keys of a call, and at
// least one that an output is unlikely to have.
func isCallExample(n *yaml.Node) bool {
	if n.Kind != yaml.MappingNode {
		return false
	}
	call := false
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		if !slices.Contains([]string{"with", "request", "response", "output"}, key) {
			// with: marks a call even if another key is misspelled.
			return hasKey(n, "with") && (hasKey(n, "response") || hasKey(n, "output"))
		}
		call = call || key != "request"
	}
	return call
}

// exampleInputs checks the inputs of an example like those of a step.
func (r *connectorReader) exampleInputs(a *ConnectorAction, v *yaml.Node) {
	if v.Kind != yaml.MappingNode {
		r.wrongKind(v, "with", "a map")
		return
	}
	var names []string
	for _, in := range a.Inputs {
		names = append(names, in.Name)
		if in.Required && !hasKey(v, in.Name) {
			r.add(r.pos(v), "missing-input", fmt.Sprintf("the example has no input %s", in.Name), "add "+in.Name+":")
		}
	}
	r.pairs(v, func(k, x *yaml.Node) {
		i := slices.IndexFunc(a.Inputs, func(in Input) bool { return in.Name == k.Value })
		if i < 0 {
			if slices.ContainsFunc(commonInputs, func(in ActionInput) bool { return in.Name == k.Value }) {
				return
			}
			hint := spelling.Suggest(k.Value, names)
			switch {
			case hint == "" && len(names) == 0:
				hint = "remove it, or declare it under inputs:"
			case hint == "":
				hint = "known are " + strings.Join(names, ", ")
			}
			r.add(r.pos(k), "unknown-input", fmt.Sprintf("the action has no input %q", k.Value), hint)
			return
		}
		if p := a.Inputs[i].check(r.literal(x)); p != "" {
			r.add(r.pos(x), "wrong-type", fmt.Sprintf("input %s: %s", k.Value, p), "")
		}
	})
}

func (r *connectorReader) exampleRequest(a *ConnectorAction, v *yaml.Node) {
	if v.Kind != yaml.MappingNode {
		r.wrongKind(v, "request", "a map")
		return
	}
	known := []string{"method", "path", "query", "headers", "body", "form"}
	r.pairs(v, func(k, _ *yaml.Node) {
		if !slices.Contains(known, k.Value) {
			r.add(r.pos(k), "unknown-key", fmt.Sprintf("an example's request has no %q", k.Value), spelling.SuggestOr(k.Value, known))
		}
	})
	a.Call.Request, _ = r.literal(v).(map[string]any)
}

// outputFits checks an example's output against the declared types.
func (r *connectorReader) outputFits(a *ConnectorAction, at Pos) {
	if p := a.Returns.Check("output", a.Example); p != "" {
		r.add(at, "wrong-type", "the example does not match returns: "+p, "correct the example, or the type in returns:")
	}
}

// answerGives returns the output for the example's response; nil if it cannot be rendered.
func (a *ConnectorAction) answerGives() any {
	if a.Pages != nil || a.Output == nil {
		return nil
	}
	readable := true
	a.Output.exprs(func(e *Expr) { readable = readable && e.Compiled() })
	if !readable {
		return nil // its mistakes are reported
	}
	headers := map[string]any{}
	for k, v := range a.Call.Response.Headers {
		headers[strings.ToLower(k)] = v
	}
	inputs := map[string]any{}
	for _, in := range a.Inputs {
		if inputs[in.Name] = a.Call.With[in.Name]; inputs[in.Name] == nil {
			inputs[in.Name] = in.Default
		}
	}
	out, err := a.Output.Render(&expr.Env{Names: expr.Names{"inputs": inputs,
		"response": map[string]any{"status": a.Call.Response.Status, "headers": headers, "body": a.Call.Response.Body}}}, FillPlain)
	if err != nil {
		return nil
	}
	return out
}
