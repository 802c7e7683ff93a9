package machine

import (
	"slices"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// UseSecrets swaps the source of secrets: attempts that begin from now on get the
// new values, as do connections, and what is stored or shown is masked by them. The
// old values are masked on for a day.
func (e *Engine) UseSecrets(lookup func(name string) (string, bool)) {
	e.lookup.Store(&lookup)
	if p := e.project.Load(); p != nil {
		e.refreshRedactor(p.Project)
	}
}

// secret looks a secret up. What is handed out is masked from then on, also when no
// file of the project names it any more.
func (e *Engine) secret(name string) (string, bool) {
	v, ok := (*e.lookup.Load())(name)
	if ok {
		e.o.Redactor.Learn(v)
	}
	return v, ok
}

// refreshRedactor masks the secrets that a project names.
func (e *Engine) refreshRedactor(p *workflows.Project) {
	var secrets []string
	for _, n := range p.SecretNames() {
		if v, ok := (*e.lookup.Load())(n); ok {
			secrets = append(secrets, v)
		}
	}
	e.o.Redactor.Set(secrets)
}

// hiddenInputs are the values, as text, that are masked in a run: those of its secret
// inputs, and those that its caller hides.
func hiddenInputs(names []string, inputs map[string]any, hidden []string) []string {
	out := slices.Clone(hidden)
	for _, n := range names {
		out = hideTexts(inputs[n], out)
	}
	return out
}

func hideTexts(v any, out []string) []string {
	switch x := v.(type) {
	case nil, bool:
		return out
	case []any:
		for _, e := range x {
			out = hideTexts(e, out)
		}
		return out
	case map[string]any:
		for _, e := range x {
			out = hideTexts(e, out)
		}
		return out
	}
	if t, err := value.Text(v); err == nil && t != "" && !slices.Contains(out, t) {
		out = append(out, t)
	}
	return out
}
