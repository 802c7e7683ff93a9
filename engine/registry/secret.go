package registry

import (
	"github.com/hookloom/hookloom/workflows"
)

// UseSecrets swaps the source of secrets: attempts that begin from now on get the
// new values, as do connections, and what is stored or shown is masked by them. The
// old values are masked on.
func (g *Registry) UseSecrets(lookup func(name string) (string, bool)) {
	g.lookup.Store(&lookup)
	if p := g.project.Load(); p != nil {
		g.refreshRedactor(p.Project)
	}
}

// Secret looks a secret up. What is handed out is masked from then on, also when no
// file of the project names it any more.
func (g *Registry) Secret(name string) (string, bool) {
	v, ok := (*g.lookup.Load())(name)
	if ok {
		g.o.Redactor.Learn(v)
	}
	return v, ok
}

// refreshRedactor masks the secrets that a project names.
func (g *Registry) refreshRedactor(p *workflows.Project) {
	var secrets []string
	for _, n := range p.SecretNames() {
		if v, ok := (*g.lookup.Load())(n); ok {
			secrets = append(secrets, v)
		}
	}
	g.o.Redactor.Set(secrets)
}
