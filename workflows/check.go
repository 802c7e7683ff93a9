package workflows

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/expr-lang/expr/types"
)

// checker holds what all files of a project know of each other.
type checker struct {
	p       *Project
	catalog *Catalog
	secrets func(name string) bool
	// stored tells that the text of an earlier version is read, which may hold what is
	// a mistake by now.
	stored bool
	// pending are secrets that a provider's handshake will bring, with their triggers.
	pending map[string]string
	// told are secrets that are not set and were reported, by file.
	told map[string]bool
	// kept are the project's fixtures, nil until they are asked for.
	kept *fixtures
}

// workflow checks everything that needs more than one key of a file.
func (c *checker) workflow(w *Workflow) {
	if !c.stored { // what began its runs is of no more concern to them
		c.starts(w)
	}
	base := c.baseScope(w)
	rule := base.in("a rule")
	rule.drop("run", "vars", "steps", "secrets", "events")
	for _, e := range w.When {
		e.check(rule, reflect.Bool)
	}
	body := base.in("a step")
	body.names["vars"] = types.Map{}
	body.names["steps"] = types.Map{}
	for _, v := range w.Vars {
		own := body.in("vars")
		own.drop("steps", "run")
		own.laterVars = laterVars(w.Vars, body)
		v.Value.check(own)
		body.addVar(v.Name, v.pos, w.src)
	}
	w.checkFlow(body)
	c.gather(w, rule)
	c.cancelOn(w, rule)
	s := stepChecker{c: c, w: w}
	s.sequence(w.Steps, body)
	handler := body.in("on_failure")
	handler.names["error"] = errorType()
	for id := range handler.steps() {
		handler.maybe[id] = true
	}
	s.sequence(w.OnFailed, handler)
	w.checkFinally(&s, body)
	out := body.in("output")
	w.Output.check(out)
	w.warnOfReplacing()
	c.secretList(w)
	w.SecretNames()
}

func laterVars(all []Var, sc *scope) map[string]int {
	set, _ := sc.names["vars"].(types.Map)
	out := map[string]int{}
	for _, v := range all {
		if set[v.Name] == nil {
			out[v.Name] = v.pos.Line
		}
	}
	return out
}

// baseScope is what every expression of a workflow may see.
func (c *checker) baseScope(w *Workflow) *scope {
	inputs := types.Map{}
	for _, in := range w.Inputs {
		inputs[in.Name] = inputType(in.Type)
	}
	sc := &scope{
		names:       types.Map{"event": eventType(types.Any), "inputs": inputs, "run": runType()},
		hiddenSteps: map[string]string{},
		maybe:       map[string]bool{},
		lenient:     c.stored,
		known:       c.knownData(w),
	}
	if w.Gather != nil && w.Gather.Kind == Batch {
		sc.names["events"] = types.Array(eventType(types.Any))
	}
	if data := c.sampleOf(w); data != nil {
		sc.sampled = types.Map{}
		for k, v := range sc.names {
			sc.sampled[k] = v
		}
		sc.sampled["event"] = eventType(data)
	}
	return sc
}

// sampleOf types event.data when every trigger of the workflow has a sample.
func (c *checker) sampleOf(w *Workflow) types.Type {
	if len(w.Starts) != 1 || w.Starts[0].Kind != "trigger" {
		return nil
	}
	t := c.p.Triggers[w.Starts[0].Trigger]
	if t == nil || t.Webhook == nil || t.Webhook.Sample == "" {
		return nil
	}
	v, err := c.p.readJSON(t.Webhook.Sample)
	if err != nil {
		return nil
	}
	return sampleType(v)
}

// in copies a scope for another place.
func (sc *scope) in(where string) *scope {
	out := &scope{
		where:       where,
		names:       types.Map{},
		hiddenSteps: map[string]string{},
		maybe:       map[string]bool{},
		lenient:     sc.lenient,
		known:       sc.known,
		hint:        sc.hint,
	}
	for k, v := range sc.names {
		out.names[k] = v
	}
	for _, k := range []string{"steps", "vars"} {
		if m, ok := sc.names[k].(types.Map); ok {
			out.names[k] = copyMap(m)
		}
	}
	for k, v := range sc.hiddenSteps {
		out.hiddenSteps[k] = v
	}
	for k, v := range sc.maybe {
		out.maybe[k] = v
	}
	if sc.sampled != nil {
		out.sampled = copyMap(sc.sampled)
	}
	out.sync()
	return out
}

func copyMap(m types.Map) types.Map {
	out := types.Map{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

// sync brings the names that grew into the sampled scope too.
func (sc *scope) sync() {
	if sc.sampled == nil {
		return
	}
	for k, v := range sc.names {
		if k != "event" {
			sc.sampled[k] = v
		}
	}
	for k := range sc.sampled {
		if _, ok := sc.names[k]; !ok {
			delete(sc.sampled, k)
		}
	}
}

func (sc *scope) drop(names ...string) {
	for _, n := range names {
		delete(sc.names, n)
	}
	sc.sync()
}

func (sc *scope) with(name string, t types.Type) *scope {
	out := sc.in(sc.where)
	out.names[name] = t
	out.sync()
	return out
}

func (sc *scope) addVar(name string, at Pos, src *source) {
	if m, ok := sc.names["vars"].(types.Map); ok {
		m[name] = types.Any
	}
}

func (sc *scope) steps() types.Map {
	m, ok := sc.names["steps"].(types.Map)
	if !ok {
		return types.Map{}
	}
	return m
}

// anySecret lets secrets.NAME be named; which names exist is checked apart.
var anySecret = types.Map{types.Extra: types.String}

// secretList checks secrets: and the secrets that are not set anywhere.
func (c *checker) secretList(w *Workflow) {
	w.eachExpr(func(e *Expr) {
		for _, name := range e.secretNames() {
			at := strings.Index(e.Text, "secrets."+name) + len("secrets.")
			from := len([]rune(e.Text[:at]))
			if w.secrets != nil && !slices.Contains(w.secrets, name) {
				e.report("secret-not-listed", false, from, from+len(name),
					fmt.Sprintf("secret %s is not in this file's list", name), "add it to secrets:")
			}
			c.secretSet(e, name, from)
		}
	})
}

func (c *checker) secretSet(e *Expr, name string, from int) {
	if c.secrets != nil && !c.secrets(name) && c.pending[name] != "" {
		e.report("secret-pending", true, from, from+len(name), fmt.Sprintf("secret %s is not set yet", name),
			fmt.Sprintf("run hookloom serve, then hookloom triggers --await-secret %s, and have the provider send its "+
				"handshake within 15 minutes", c.pending[name]))
		return
	}
	if c.secrets != nil && !c.secrets(name) && !c.told[e.place.src.name+" "+name] {
		if c.told == nil {
			c.told = map[string]bool{}
		}
		c.told[e.place.src.name+" "+name] = true // once for each file
		e.report(SecretNotSet, true, from, from+len(name), fmt.Sprintf("secret %s is not set", name),
			"set it in the environment, in .env or in /run/secrets")
	}
}

// tokens warns of tokens of the admin address that have no value: the server does not
// start without them.
func (c *checker) tokens() {
	for key, v := range map[string]*Value{"token": c.p.Server.Token, "view_token": c.p.Server.ViewToken} {
		v.exprs(func(e *Expr) {
			for _, name := range e.secretNames() {
				if c.secrets != nil && !c.secrets(name) {
					from := max(0, strings.Index(e.Text, name))
					e.report("token-not-set", true, from, from+len(name),
						fmt.Sprintf("server.%s: secret %s is not set, and the server does not start without it", key, name),
						"set it in the environment, in .env or in /run/secrets")
				}
			}
		})
	}
}
