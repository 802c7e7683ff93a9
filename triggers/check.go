package triggers

import (
	"errors"

	"github.com/hookloom/hookloom/workflows"
)

// Check prepares each webhook of a project as a server would, and gives what
// would keep it from serving: a secret of the wrong form, a parameter that is
// missing. Secrets that are not set are no finding: the loader knows them.
func Check(p *workflows.Project, secret func(name string) (string, bool)) workflows.Mistakes {
	var out workflows.Mistakes
	for _, name := range sortedNames(p.Triggers) {
		t := p.Triggers[name]
		if t.Webhook == nil || !allSet(t, secret) {
			continue
		}
		if _, err := newRoute(p, t, &Outside{Secret: secret}); err != nil {
			out = append(out, t.Mistake("unusable-trigger", inner(err).Error(), "hookloom providers "+t.Webhook.Provider+" says what it needs"))
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

// inner takes the trigger's name off, which the mistake's place says.
func inner(err error) error {
	if e := errors.Unwrap(err); e != nil {
		return e
	}
	return err
}
