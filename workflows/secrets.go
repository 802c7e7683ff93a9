package workflows

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// SecretNames returns the names of all secrets used in the project's files, sorted.
func (p *Project) SecretNames() []string {
	set := map[string]bool{}
	p.eachSecret(func(_ *Expr, name string) { set[name] = true })
	return slices.Sorted(maps.Keys(set))
}

// SecretNames returns the names of the secrets that a connection's expressions use.
func (c *Connection) SecretNames() []string {
	set := map[string]bool{}
	visit := func(e *Expr) {
		for _, n := range e.SecretNames() {
			set[n] = true
		}
	}
	for _, v := range append(c.Auth.values(), c.BaseURL, c.Headers) {
		v.exprs(visit)
	}
	for _, v := range c.Fields {
		v.exprs(visit)
	}
	return slices.Sorted(maps.Keys(set))
}

// SecretNames returns the names of the secrets that the trigger's own expressions use.
func (t *Trigger) SecretNames() []string {
	set := map[string]bool{}
	t.exprs(func(e *Expr) {
		for _, n := range e.SecretNames() {
			set[n] = true
		}
	})
	return slices.Sorted(maps.Keys(set))
}

// SecretsOf returns the names of the secrets that a trigger uses: in its own expressions, and in the
// connection that its polls name.
func (p *Project) SecretsOf(trigger string) []string {
	t := p.Triggers[trigger]
	if t == nil {
		return nil
	}
	names := t.SecretNames()
	if t.Poll != nil {
		if name, ok := t.Poll.Request.Field("connection").constantText(); ok && p.Connections[name] != nil {
			names = append(names, p.Connections[name].SecretNames()...)
		}
	}
	return names
}

// HoldsSecret reports whether hookloom.yaml contains a secret in clear text; the file must then not
// be copied.
func (p *Project) HoldsSecret() bool { return p.literalSecret }

// SettingsBroken reports whether the server's settings cannot be read: hookloom.yaml is not valid
// YAML, or its server: part has a mistake.
func (p *Project) SettingsBroken() bool { return p.settingsBroken }

// Warnings returns warnings about the values of the project's secrets: too short to be masked in
// stored data, or changed by the expansion of a $ in .env, as expanded reports.
func (p *Project) Warnings(lookup func(name string) (string, bool), expanded func(name string) bool) Mistakes {
	seen := map[string]bool{}
	var out Mistakes
	p.eachSecret(func(e *Expr, name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		v, _ := lookup(name)
		if v != "" && len(v) < ShortestMasked {
			out = append(out, e.mistake(name, "short-secret",
				fmt.Sprintf("secret %s has fewer than %d bytes: where a response repeats it, it is stored and shown unmasked",
					name, ShortestMasked),
				"use a longer one, such as the output of `openssl rand -hex 24`"))
		}
		if expanded(name) {
			out = append(out, e.mistake(name, "env-variable",
				fmt.Sprintf("the value of %s in .env contains a $, which was read as a variable (as docker compose does)", name),
				"put the value in single quotes, which keep $ as it is"))
		}
	})
	return out.sorted()
}

// mistake returns a warning at the name of a secret in an expression.
func (e *Expr) mistake(name, code, problem, hint string) Mistake {
	from := max(0, strings.Index(e.Text, name))
	src := source{name: e.place.src.name, text: e.place.src.text, lines: e.place.src.lines}
	src.report(e.place.mark(from, from+len(name)), code, true, problem, hint)
	return src.mistakes[0]
}

// eachSecret visits every secret used in the project's files, sorted by name.
func (p *Project) eachSecret(visit func(e *Expr, name string)) {
	each := func(e *Expr) {
		for _, n := range e.SecretNames() {
			visit(e, n)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(p.Workflows)) {
		p.Workflows[id].eachExpr(each)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Triggers)) {
		p.Triggers[name].exprs(each)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Connections)) {
		c := p.Connections[name]
		for _, v := range append(c.Auth.values(), c.BaseURL, c.Headers) {
			v.exprs(each)
		}
		for _, k := range slices.Sorted(maps.Keys(c.Fields)) {
			c.Fields[k].exprs(each)
		}
	}
	for _, v := range p.SecretSources.Vault.values() {
		v.exprs(each)
	}
	p.Server.DB.exprs(each)
	p.Server.Token.exprs(each)
	p.Server.ViewToken.exprs(each)
	for _, name := range slices.Sorted(maps.Keys(p.Server.Tokens)) {
		p.Server.Tokens[name].exprs(each)
	}
}
