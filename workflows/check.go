package workflows

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/expr"
)

// checker holds the data shared by the checks of all files of a project.
type checker struct {
	p       *Project
	catalog *Catalog
	secrets func(name string) bool
	// stored reports whether the text is an earlier version, which may contain what has become a
	// mistake since.
	stored bool
	// pending are the secrets that a provider's handshake will deliver, with their triggers.
	pending map[string]string
	// reported are the secrets without a value for which there is a warning, by file.
	reported map[string]bool
	// kept are the project's fixtures; they are read when first needed.
	kept *fixtures
}

// workflow does the checks that need more than one key of a file.
func (c *checker) workflow(w *Workflow) {
	if !c.stored { // its runs have begun: what starts them no longer matters
		c.starts(w)
	}
	base := c.baseScope(w)
	rule := base.In("a rule")
	rule.Drop("run", "vars", "steps", "secrets", "events")
	for _, e := range w.When {
		e.check(rule, reflect.Bool)
	}
	body := base.In("a step")
	body.Names["vars"] = expr.Map{}
	body.Names["steps"] = expr.Map{}
	for _, v := range w.Vars {
		own := body.In("vars")
		own.Drop("steps", "run")
		own.LaterVars = laterVars(w.Vars, body)
		v.Value.check(own)
		body.AddVar(v.Name)
	}
	w.checkFlow(body)
	c.gather(w, rule)
	c.cancelOn(w, rule)
	s := stepChecker{c: c, w: w}
	s.sequence(w.Steps, body)
	handler := body.In("on_failure")
	handler.Names["error"] = expr.ErrorType()
	for id := range handler.Steps() {
		handler.MaybeNil[id] = true
	}
	s.sequence(w.OnFailed, handler)
	w.checkFinally(&s, body)
	out := body.In("output")
	w.Output.check(out)
	w.warnOfReplacing()
	c.secretList(w)
	w.SecretNames()
}

func laterVars(all []Var, sc *expr.Scope) map[string]int {
	set, _ := sc.Names["vars"].(expr.Map)
	out := map[string]int{}
	for _, v := range all {
		if set[v.Name] == nil {
			out[v.Name] = v.pos.Line
		}
	}
	return out
}

// baseScope returns the names that every expression of a workflow may use.
func (c *checker) baseScope(w *Workflow) *expr.Scope {
	inputs := expr.Map{}
	for _, in := range w.Inputs {
		inputs[in.Name] = expr.InputType(in.Type)
	}
	sc := &expr.Scope{
		Names:       expr.Map{"event": expr.EventType(expr.Any), "inputs": inputs, "run": expr.RunType()},
		HiddenSteps: map[string]string{},
		MaybeNil:    map[string]bool{},
		Lenient:     c.stored,
		Samples:     c.knownData(w),
	}
	if w.Gather != nil && w.Gather.Kind == Batch {
		sc.Names["events"] = expr.ListOf(expr.EventType(expr.Any))
	}
	if data := c.sampleOf(w); data != nil {
		sc.Sampled = expr.Map{}
		for k, v := range sc.Names {
			sc.Sampled[k] = v
		}
		sc.Sampled["event"] = expr.EventType(data)
	}
	return sc
}

// sampleOf returns the type of event.data if every trigger of the workflow has a sample.
func (c *checker) sampleOf(w *Workflow) expr.Type {
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
	return expr.SampleType(v)
}

// secretList checks secrets: and reports secrets without a value.
func (c *checker) secretList(w *Workflow) {
	w.eachExpr(func(e *Expr) {
		for _, name := range e.SecretNames() {
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
	if c.secrets != nil && !c.secrets(name) && !c.reported[e.place.src.name+" "+name] {
		if c.reported == nil {
			c.reported = map[string]bool{}
		}
		c.reported[e.place.src.name+" "+name] = true // once per file
		problem, hint := c.whyNotSet(name)
		e.report(SecretNotSet, true, from, from+len(name), problem, hint)
		list := e.place.src.mistakes
		list[len(list)-1].Secret = name
	}
}

// whyNotSet returns why a secret has no value, and what to do.
func (c *checker) whyNotSet(name string) (problem, hint string) {
	if c.catalog != nil && c.catalog.ExplainSecret != nil {
		return c.catalog.ExplainSecret(name)
	}
	return fmt.Sprintf("secret %s is not set", name), "set it in the environment, in .env or in /run/secrets"
}

// tokens warns about tokens of the admin address, and about a database, whose secret has no value:
// the server does not start without them.
func (c *checker) tokens() {
	for key, v := range map[string]*Value{"db": c.p.Server.DB, "token": c.p.Server.Token, "view_token": c.p.Server.ViewToken} {
		v.exprs(func(e *Expr) {
			for _, name := range e.SecretNames() {
				if c.secrets != nil && !c.secrets(name) {
					from := max(0, strings.Index(e.Text, name))
					problem, hint := c.whyNotSet(name)
					e.report("token-not-set", true, from, from+len(name),
						fmt.Sprintf("server.%s: %s, and the server does not start without it", key, problem), hint)
				}
			}
		})
	}
}
