package workflows

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/hookloom/hookloom/workflows/expr"
	"gopkg.in/yaml.v3"
)

// ConnectorErrors classifies a service's error responses. The rules are tried in the order of the
// fields below Message; the first match decides.
type ConnectorErrors struct {
	// Message selects the service's error message in a response; nil if there is none.
	Message                *Expr
	Wait, Retry, Permanent []ErrorRule
}

// ErrorRule describes one class of error response. It matches if the status is one of Statuses, or
// if Body evaluates to true.
type ErrorRule struct {
	Statuses []StatusRange
	Body     *Expr
	// After gives the time to retry; nil uses the Retry-After header.
	After   *Expr
	Code    string
	Message *Value
}

// StatusRange is a range of HTTP status codes, both ends included.
type StatusRange struct{ From, To int }

// Holds reports whether the rule matches a response; env provides it as response.
func (r *ErrorRule) Holds(status int, env *expr.Env) bool {
	for _, s := range r.Statuses {
		if status >= s.From && status <= s.To {
			return true
		}
	}
	if r.Body == nil {
		return false
	}
	ok, err := r.Body.Condition(env)
	return err == nil && ok // a rule that cannot be evaluated does not match
}

// errors reads errors: of a connector file.
func (r *connectorReader) errors(o *objectNode) *ConnectorErrors {
	sc := &expr.Scope{Where: "a connector's errors", Names: expr.Map{"response": responseType}}
	e := &ConnectorErrors{}
	if v := o.vals["message"]; v != nil {
		if e.Message = r.expression(v); e.Message != nil {
			e.Message.check(sc, reflect.Invalid)
		}
	}
	for kind, rules := range map[string]*[]ErrorRule{"wait": &e.Wait, "retry": &e.Retry, "permanent": &e.Permanent} {
		v := o.vals[kind]
		if v == nil {
			continue
		}
		nodes := []*yaml.Node{v}
		if v.Kind == yaml.SequenceNode {
			nodes = v.Content
		}
		for _, n := range nodes {
			if x := r.object(n, "error_rule"); x != nil {
				*rules = append(*rules, r.errorRule(kind, x, sc))
			}
		}
	}
	return e
}

func (r *connectorReader) errorRule(kind string, o *objectNode, sc *expr.Scope) ErrorRule {
	rule := ErrorRule{Code: o.text("code", ""), Message: r.value(o.vals["message"])}
	rule.Message.check(sc)
	if !o.has("status") && !o.has("body") && !o.unknown {
		r.add(o.pos(), "missing-key", "a rule of errors needs status: or body:", "write {status: 429}")
	}
	if v := o.vals["status"]; v != nil {
		rule.Statuses = r.statuses(v)
	}
	if v := o.vals["body"]; v != nil {
		if rule.Body = r.expression(v); rule.Body != nil {
			rule.Body.check(sc, reflect.Bool)
		}
	}
	if v := o.vals["after"]; v != nil {
		if kind != "wait" {
			r.add(o.keyAt("after"), "exclusive-keys", "after belongs to wait", "move the rule to wait:, or remove after:")
		} else if rule.After = r.expression(v); rule.After != nil {
			rule.After.check(sc, reflect.Invalid)
		}
	}
	return rule
}

// statuses reads a status, a range of them, or a list of both.
func (d *decoder) statuses(v *yaml.Node) []StatusRange {
	nodes := []*yaml.Node{v}
	if v.Kind == yaml.SequenceNode {
		nodes = v.Content
	}
	var out []StatusRange
	for _, n := range nodes {
		s, ok := parseStatusRange(n.Value)
		if !ok || n.Kind != yaml.ScalarNode {
			d.add(d.pos(n), "wrong-type", fmt.Sprintf("status: %q is not an HTTP status", n.Value), "write 429, 500-599, or a list of them")
			continue
		}
		out = append(out, s)
	}
	return out
}

// parseStatusRange parses 429, 500-599 or 5xx.
func parseStatusRange(s string) (StatusRange, bool) {
	if len(s) == 3 && strings.HasSuffix(strings.ToLower(s), "xx") && s[0] >= '1' && s[0] <= '5' {
		n := int(s[0]-'0') * 100
		return StatusRange{n, n + 99}, true
	}
	lo, hi, isRange := strings.Cut(s, "-")
	from, err := strconv.Atoi(strings.TrimSpace(lo))
	to := from
	if err == nil && isRange {
		to, err = strconv.Atoi(strings.TrimSpace(hi))
	}
	return StatusRange{from, to}, err == nil && from >= 100 && to <= 599 && to >= from
}

// Kind returns the rule that matches a response and its class: wait, retry or permanent. The rule
// is nil if none matches.
func (e *ConnectorErrors) Kind(status int, env *expr.Env) (string, *ErrorRule) {
	for _, k := range []struct {
		name  string
		rules []ErrorRule
	}{{"wait", e.Wait}, {"retry", e.Retry}, {"permanent", e.Permanent}} {
		for i := range k.rules {
			if k.rules[i].Holds(status, env) {
				return k.name, &k.rules[i]
			}
		}
	}
	return "", nil
}
