package registry

import (
	"github.com/hookloom/hookloom/workflows"
)

// UseSecrets replaces the source of secrets: new attempts and connections use the new values, which
// are also masked from now on. The old values stay masked.
func (g *Registry) UseSecrets(lookup func(name string) (string, bool)) {
	g.lookup.Store(&lookup)
	if p := g.project.Load(); p != nil {
		g.refreshRedactor(p.Project)
	}
}

// Secret looks up a secret. Returned values are masked from then on, even if no file of the project
// names the secret any more.
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
