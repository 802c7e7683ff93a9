package workflows

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/spelling"
)

// stepConnections checks that each step's connection exists: the one it names, or the one with its
// connector's name.
func (l *loader) stepConnections() {
	for _, id := range slices.Sorted(maps.Keys(l.p.Workflows)) {
		w := l.p.Workflows[id]
		w.EachStep(func(s *Step) {
			v := s.With.Field("connection")
			name, constant := v.constantText()
			switch {
			case v != nil && !constant || s.Spec == nil:
				return
			case name == "" && s.Spec.Needs() != nil:
				l.neededConnection(w, s)
				return
			case name == "":
				return
			}
			c := l.p.Connections[name]
			if c == nil {
				hint := spelling.Suggest(name, slices.Sorted(maps.Keys(l.p.Connections)))
				if hint == "" {
					hint = l.connectionBlock(name, s.Spec.Needs())
				}
				w.src.add(v.pos, "unknown-connection", fmt.Sprintf("no connection is named %q", name), hint)
				return
			}
			if k := s.Spec.Needs(); k != nil && c.Connector != k.Name && slices.ContainsFunc(k.Fields, func(f ConnectionField) bool {
				return f.Required
			}) {
				w.src.add(v.pos, "unknown-connection",
					fmt.Sprintf("connection %s is one of connector %s, and %s needs one of %s", name, c.Connector, s.Uses, k.Name),
					"name another, or add one: "+l.connectionBlock(freeName(k.Name, l.p.Connections), k))
			}
		})
	}
}

// neededConnection returns what to write if an action has no connection.
func (l *loader) neededConnection(w *Workflow, s *Step) {
	k := s.Spec.Needs()
	if l.p.Connections[k.Name] != nil {
		return
	}
	var fitting []string
	for _, n := range slices.Sorted(maps.Keys(l.p.Connections)) {
		if l.p.Connections[n].Connector == k.Name {
			fitting = append(fitting, n)
		}
	}
	hint := l.connectionBlock(k.Name, k)
	if len(fitting) > 0 {
		hint = "add connection: " + fitting[0] + " to its with:"
	}
	w.src.add(s.usesPos(w.src), "missing-connection", fmt.Sprintf("%s needs a connection named %s, and hookloom.yaml has none",
		s.Uses, k.Name), hint)
}

// connectionBlock returns the hookloom.yaml text of a connection; k is nil for http.
func (l *loader) connectionBlock(name string, k *Connector) string {
	block := fmt.Sprintf(`{connector: http, auth: {bearer: "${{ secrets.%s_TOKEN }}"}}`, strings.ToUpper(name))
	if k != nil {
		block = k.connectionOf(name)
	}
	if len(l.p.Connections) > 0 {
		return fmt.Sprintf("add to connections: of hookloom.yaml: %s: %s", name, block)
	}
	return fmt.Sprintf("add to hookloom.yaml: connections: {%s: %s}", name, block)
}

// ConnectionExample returns the hookloom.yaml text of a connection for the connector's actions.
func (k *Connector) ConnectionExample() string {
	return fmt.Sprintf("connections: {%s: %s}", k.Name, k.connectionOf(k.Name))
}

func (k *Connector) connectionOf(name string) string {
	var parts []string
	if k.Name != name {
		parts = append(parts, "connector: "+k.Name)
	}
	for _, f := range k.Fields {
		switch {
		case f.Required && (f.Secret || LooksSecret(f.Name)):
			parts = append(parts, fmt.Sprintf(`%s: "${{ secrets.%s_%s }}"`, f.Name, strings.ToUpper(name), strings.ToUpper(f.Name)))
		case f.Required:
			parts = append(parts, f.Name+`: "..."`)
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func freeName(name string, taken map[string]*Connection) string {
	for taken[name] != nil {
		name += "_2"
	}
	return name
}

// connectionKeys reports keys that a connection of the http connector cannot have. Connectors that
// declare fields are checked against these.
func (d *decoder) connectionKeys(c *Connection, name string, at Pos, p *Project) {
	common := shapes["connection"].names()
	hint := spelling.Suggest(name, common)
	switch name {
	case "timeout", "retry", "query", "rate", "concurrency":
		hint = map[string]string{"timeout": "timeout: goes into the step", "retry": "retry: goes into the step",
			"query": "query: goes into with: of the step; a key in the query is auth: {query: {name: ..., value: ...}}",
			"rate":  "rate: goes under destinations:", "concurrency": "concurrency: goes under destinations:"}[name]
	case "type", "kind":
		hint = "use connector: http"
	case "url", "base", "host", "baseUrl", "base_uri":
		hint = "use base_url:"
	case "token", "bearer":
		hint = `use auth: {bearer: "${{ secrets.NAME }}"}`
	case "username", "user", "password", "basic":
		hint = `use auth: {basic: {user: NAME, password: "${{ secrets.NAME }}"}}`
	}
	if hint == "" {
		hint = "known are " + strings.Join(common, ", ")
	}
	of := fmt.Sprintf("connection %s of connector http", c.Name)
	if c.Connector != "http" {
		of = fmt.Sprintf("connection %s: there is no connector %s, so it has the keys of connector http", c.Name, c.Name)
		if near := spelling.Nearest(c.Name, p.Actions.connectorNames()); near != "" {
			hint += "; for the connector " + near + " add connector: " + near
		}
	}
	d.add(at, "unknown-key", fmt.Sprintf("unknown key %q in %s", name, of), hint)
}

// LacksConnection returns the connection that a step needs and that the project does not have; empty if
// it has it, or if the name is computed.
func (p *Project) LacksConnection(s *Step) string {
	if s.Spec == nil {
		return ""
	}
	v := s.With.Field("connection")
	name, constant := v.constantText()
	if v != nil && !constant {
		return ""
	}
	if name == "" && s.Spec.Needs() != nil {
		name = s.Spec.Needs().Name
	}
	if name == "" || p.Connections[name] != nil {
		return ""
	}
	return name
}
