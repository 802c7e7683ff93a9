package console

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file starts workflows manually: a form with a control for each input.

// inputField is the control of an input, with its entered value and its problem.
type inputField struct {
	workflows.Input
	// Control is text, number, choice or json.
	Control string
	// Step is the step attribute of a number.
	Step           string
	Value, Problem string
	Choices        []choice
}

type choice struct {
	Text     string
	Selected bool
}

// inputFields returns the controls for a workflow's inputs. typed is nil if the form was not
// submitted.
func inputFields(w *workflows.Workflow, typed url.Values) []inputField {
	out := make([]inputField, 0, len(w.Inputs))
	given := formInputs(w, typed)
	for _, in := range w.Inputs {
		f := inputField{Input: in, Control: "text"}
		options := in.Options
		switch {
		case in.Type == "boolean":
			options = []any{true, false}
		case in.Type == "integer":
			f.Control, f.Step = "number", "1"
		case in.Type == "number":
			f.Control, f.Step = "number", "any"
		case in.Type == "list", in.Type == "object":
			f.Control = "json"
		}
		if typed == nil {
			if in.Default != nil && !in.Secret {
				f.Value = fieldText(in.Default)
			}
		} else {
			if !in.Secret {
				f.Value = typed.Get("input." + in.Name)
			}
			f.Problem = inputProblem(in, given)
		}
		if len(options) > 0 && !in.Secret {
			f.Control = "choice"
			for _, o := range options {
				f.Choices = append(f.Choices, choice{fieldText(o), fieldText(o) == f.Value})
			}
		}
		out = append(out, f)
	}
	return out
}

// inputProblem returns what is wrong with an input; empty if it is valid.
func inputProblem(in workflows.Input, given map[string]any) string {
	one := map[string]any{}
	if v, has := given[in.Name]; has {
		one[in.Name] = v
	}
	_, problems := workflows.CheckInputs([]workflows.Input{in}, one)
	return strings.Join(problems, "; ")
}

// fieldText returns a value as it is entered in a field: text unchanged, otherwise JSON.
func fieldText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := value.EncodeJSON(v)
	if err != nil {
		return ""
	}
	return string(b)
}

func (c *Console) doFire(w http.ResponseWriter, r *http.Request) {
	id := r.PostForm.Get("id")
	setTarget(r, id, "")
	flow := c.o.Project().Workflows[id]
	if flow == nil {
		c.showError(w, r, engine.ErrNotFound)
		return
	}
	inputs := formInputs(flow, r.PostForm)
	if _, problems := workflows.CheckInputs(flow.Inputs, inputs); len(problems) > 0 {
		c.showWorkflow(w, r, http.StatusUnprocessableEntity, map[string]any{"ID": id, "Typed": r.PostForm})
		return
	}
	event, err := c.forms.once(r.PostForm.Get("once"), func() (string, error) {
		receipt, err := c.o.Operator.Fire(r.Context(), id, inputs, callerOf(r).Name, r.PostForm.Get("why"))
		return receipt.Event.String(), err
	})
	if err != nil {
		c.actionFailed(w, r, err)
		return
	}
	note(r, "why", r.PostForm.Get("why"), "event", event)
	redirectDone(w, r, "/events/"+event, "fired")
}

// formInputs parses the fields of a form by the types that the workflow declares. An empty field
// counts as not given, so its default applies.
func formInputs(w *workflows.Workflow, form url.Values) map[string]any {
	out := map[string]any{}
	for _, in := range w.Inputs {
		text := form.Get("input." + in.Name)
		if text == "" {
			continue
		}
		out[in.Name] = text
		if in.Type != "string" && in.Type != "date" {
			if v, err := value.DecodeJSON([]byte(text)); err == nil {
				out[in.Name] = v
			}
		}
	}
	return out
}
