package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// quietSecret is how long an old secret must not have been used, while another
// was, before it can be dropped: longer than most providers repeat a delivery
// (Stripe 3 days, Svix 28 hours).
const quietSecret = 72 * time.Hour

// SecretState is a secret of a trigger and what its use tells.
type SecretState struct {
	Secret string     `json:"secret"`
	Count  int64      `json:"count"`
	LastAt *time.Time `json:"last_at"`
	// Advice is empty, or says that the secret is safe to drop.
	Advice string `json:"advice,omitempty"`
}

// SecretStates says of each of a trigger's secrets how often and when last it
// proved a delivery, and whether an old one can be dropped.
func SecretStates(trigger string, names []string, uses []SecretUse, now time.Time) []SecretState {
	var newest, began time.Time
	byName := map[string]SecretUse{}
	for _, u := range uses {
		if u.Trigger != trigger {
			continue
		}
		byName[u.Secret] = u
		if u.LastAt.After(newest) {
			newest, began = u.LastAt, u.FirstAt
		}
	}
	out := []SecretState{}
	for _, n := range names {
		s := SecretState{Secret: n}
		u, used := byName[n]
		if used {
			s.Count, s.LastAt = u.Count, &u.LastAt
		}
		switch {
		case len(names) < 2 || newest.IsZero() || used && u.LastAt.Equal(newest):
		case used && newest.Sub(u.LastAt) >= quietSecret:
			s.Advice = fmt.Sprintf("safe to drop: quiet for %d days while another was used", int(now.Sub(u.LastAt).Hours()/24))
		case !used && newest.Sub(began) >= quietSecret:
			s.Advice = "safe to drop: never used, while another was for days"
		}
		out = append(out, s)
	}
	return out
}

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
