package redact

import (
	"strings"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// stepPlace is the input or the output of a step, by its id.
type stepPlace struct{ step, part string }

// SetSteps replaces the step fields to mask: those of paths with a Step.
func (r *Redactor) SetSteps(paths []workflows.RedactPath) {
	fields := map[stepPlace]*Fields{}
	for _, p := range paths {
		if p.Step == "" {
			continue
		}
		k := stepPlace{p.Step, p.Part}
		if fields[k] == nil {
			fields[k] = NewFields(nil, nil)
		}
		fields[k].paths = append(fields[k].paths, p)
		if first := p.Steps[0]; len(p.Steps) > 1 && !first.Deep && (first.Any || first.Index >= 0) {
			// A step with foreach returns a list; each of its items is one element.
			p.Steps = p.Steps[1:]
			fields[k].paths = append(fields[k].paths, p)
		}
	}
	r.steps.Store(&fields)
}

// stepFields returns the fields to mask in a part of a step, nil for none. path is the step's
// address, such as 2/paid/refund/0.
func (r *Redactor) stepFields(path, part string) *Fields {
	if r == nil {
		return nil
	}
	fields := r.steps.Load()
	if fields == nil || len(*fields) == 0 {
		return nil
	}
	for rest := path; rest != ""; {
		i := strings.LastIndexByte(rest, '/')
		name := rest[i+1:]
		if strings.Trim(name, "0123456789") != "" {
			return (*fields)[stepPlace{name, part}]
		}
		rest = rest[:max(i, 0)]
	}
	return nil
}

// StepJSON masks the fields of a step's input or output in its JSON. changed reports whether there
// were any.
func (r *Redactor) StepJSON(path, part string, text []byte) (out []byte, changed bool) {
	f := r.stepFields(path, part)
	if f == nil {
		return text, false
	}
	out, err := f.json(text, f.states(""))
	if err != nil {
		return []byte(`"` + workflows.Mask + `"`), true
	}
	return out, len(out) != len(text) || string(out) != string(text)
}

// StepValues returns the texts that StepJSON masks in a value.
func (r *Redactor) StepValues(path, part string, v any) []string {
	if r.stepFields(path, part) == nil {
		return nil
	}
	text, err := value.EncodeStored(v)
	if err != nil {
		return nil
	}
	out, changed := r.StepJSON(path, part, text)
	if !changed {
		return nil
	}
	shown, err := value.DecodeStored(out)
	if err != nil {
		return nil
	}
	return workflows.MaskedParts(shown, v)
}
