package triggers

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/workflows"
)

// Check prepares each webhook of a project as a server would and returns what keeps it
// from serving: a secret in the wrong form, a missing parameter. Secrets that are not set
// are not reported; the loader does that.
func Check(p *workflows.Project, secret func(name string) (string, bool)) workflows.Mistakes {
	var out workflows.Mistakes
	for _, name := range sortedNames(p.Triggers) {
		t := p.Triggers[name]
		if t.Webhook == nil || !allSet(t, secret) {
			continue
		}
		r, err := newRoute(p, t, &Deps{Secret: secret})
		if err == nil {
			if err = r.refuseWeak(); err != nil {
				err = fmt.Errorf("trigger %s: %w", name, err)
			}
		}
		if err != nil {
			code, hint := "unusable-trigger", "hookloom providers "+t.Webhook.Provider+" says what it needs"
			if errors.Is(err, errWeak) {
				code, hint = "weak-secret", "set it in .env, the environment or /run/secrets"
			}
			out = append(out, t.Mistake(code, strings.TrimSuffix(inner(err).Error(), ": "+errWeak.Error()), hint))
		}
		for _, n := range t.SecretNames() {
			if v, _ := secret(n); v != strings.TrimSpace(v) && !strings.Contains(v, "-----BEGIN") {
				m := t.Mistake("secret-blanks", fmt.Sprintf("secret %s has blanks or a line break around it", n),
					"they are ignored; write the value without them (printf, not echo)")
				m.Warning = true
				out = append(out, m)
			}
		}
	}
	return out
}

func allSet(t *workflows.Trigger, secret func(name string) (string, bool)) bool {
	for _, n := range t.SecretNames() {
		if v, ok := secret(n); !ok || v == "" {
			return false
		}
	}
	return true
}

// inner removes the name of the trigger from an error, since the place of the mistake
// names it.
func inner(err error) error {
	if e := errors.Unwrap(err); e != nil {
		return e
	}
	return err
}
