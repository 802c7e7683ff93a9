package actions

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file converts a response to a connector action's result: its output, or an error that says
// whether a retry could help.

// answer evaluates a response and returns the action's output.
func (k *call) answer(r *reply) (any, error) {
	env := k.env(r)
	if out, ok, err := k.already(r, env); ok {
		return out, err
	}
	if err := k.refused(r, env); err != nil {
		return nil, err
	}
	if k.action.Output == nil || k.tolerated(r.status) {
		return r.names(), nil
	}
	out, err := k.output(k.action.Output, r, env)
	if err != nil {
		return nil, err
	}
	if err := k.lacks(out, r, env); err != nil {
		return out, err
	}
	return out, k.check(out, env)
}

// lacks returns the error for a response without the fields that the action returns: some services
// answer 200 to a request that they refuse. If the output is the complete response, as in imported
// connectors, it is an error only if all required fields are missing: documents declare more fields
// as required than services send.
func (k *call) lacks(out any, r *reply, env *expr.Env) error {
	names, all := k.action.Returns.Missing(out)
	if len(names) == 0 || !all && len(k.action.Output.Keys()) == 0 {
		return k.mistyped(out, r, env)
	}
	return &plan.Error{Code: "bad_answer", Status: r.status, Details: r.names(),
		Message: fmt.Sprintf("the answer has no %s of the type that returns: declares%s (in the connector's file, %s? may be missing)",
			strings.Join(names, ", "), k.reason(env), names[0])}
}

// mistyped returns the error for an output whose type is not the one declared in returns:. If the
// output is the complete response, only its own type is checked, as above. A 204 has no content.
func (k *call) mistyped(out any, r *reply, env *expr.Env) error {
	declared := k.action.Returns
	if declared != nil && len(k.action.Output.Keys()) == 0 {
		declared = &workflows.DataType{Kind: declared.Kind}
	}
	if out == nil && (r.status == http.StatusNoContent || k.action.Returns.MayBeNil()) {
		return nil
	}
	problem := declared.Check("output", out)
	if problem == "" {
		return nil
	}
	return &plan.Error{Code: "bad_answer", Status: r.status, Details: r.names(),
		Message: fmt.Sprintf("the output does not have the type that returns: declares: %s%s", problem, k.reason(env))}
}

func (k *call) env(r *reply) *expr.Env {
	return &expr.Env{Names: expr.Names{"inputs": k.inputs, "response": r.names()}, Now: k.in.Now}
}

func (k *call) output(written *workflows.Value, r *reply, env *expr.Env) (any, error) {
	out, err := written.Render(env, workflows.FillPlain)
	if err != nil {
		return nil, &plan.Error{Message: "the response is not what the connector expects: " + err.Error(), Code: "bad_answer", Status: r.status,
			Details: r.names()}
	}
	return out, nil
}

// already applies the action's rules for responses that mean that the resource exists already,
// which is a success.
func (k *call) already(r *reply, env *expr.Env) (any, bool, error) {
	for _, rule := range k.action.Already {
		ok, err := rule.When.Condition(env)
		if err != nil || !ok {
			continue // a rule that cannot be evaluated does not match
		}
		if rule.Output == nil {
			return r.names(), true, nil
		}
		out, err := k.output(rule.Output, r, env)
		return out, true, err
	}
	return nil, false, nil
}

// refused returns the error for an error response: by the action's own rules, then the connector's,
// then the status.
func (k *call) refused(r *reply, env *expr.Env) error {
	if k.tolerated(r.status) {
		return nil
	}
	for _, f := range k.action.Fail {
		ok, err := f.When.Condition(env)
		if err != nil || !ok {
			continue // a rule that cannot be evaluated does not match
		}
		m, err := f.Message.Render(env, workflows.FillPlain)
		if err != nil {
			m = f.Code
		}
		return &plan.Error{Message: value.Shown(m), Code: f.Code, Status: r.status, Retryable: f.Retryable || plan.RetryableStatus(r.status),
			Details: r.names(), RetryAfter: retryAfter(r.header.Get("Retry-After"), time.Now())}
	}
	e := k.connector.Errors
	if e == nil {
		return checkStatus(r, k.accepted)
	}
	if kind, rule := e.Kind(r.status, env); rule != nil {
		return k.byRule(kind, rule, r, env)
	}
	if k.accepted(r.status) {
		return nil
	}
	if reason := strings.TrimPrefix(k.reason(env), ": "); reason != "" {
		return r.failed(reason)
	}
	return r.failed(reasonOf(r.body))
}

// byRule returns the error for a response that matches a rule of the connector.
func (k *call) byRule(kind string, rule *workflows.ErrorRule, r *reply, env *expr.Env) error {
	e := &plan.Error{Code: rule.Code, Status: r.status, Details: r.names()}
	if rule.Message != nil {
		if m, err := rule.Message.Render(env, workflows.FillPlain); err == nil {
			e.Message = value.Shown(m)
		}
	}
	if e.Message == "" {
		e.Message = strings.TrimSpace(fmt.Sprintf("answered %d %s", r.status, http.StatusText(r.status))) + k.reason(env)
	}
	code := "http_status"
	switch kind {
	case "wait":
		code, e.Retryable = "rate_limited", true
	case "retry":
		e.Retryable = true
	}
	if e.Retryable {
		e.RetryAfter = retryAfter(r.header.Get("Retry-After"), time.Now())
	}
	if rule.After != nil {
		if v, err := rule.After.Eval(env); err == nil && v != nil {
			e.RetryAfter = cmp.Or(retryAfter(value.Shown(v), time.Now()), e.RetryAfter)
		}
	}
	if code == "http_status" && success(r.status) {
		code = "refused" // the status is a success
	}
	if e.Code == "" {
		e.Code = code
	}
	return e
}

// reason returns the service's error message after a colon; "" if there is none.
func (k *call) reason(env *expr.Env) string {
	if k.connector.Errors == nil || k.connector.Errors.Message == nil {
		return ""
	}
	v, err := k.connector.Errors.Message.Eval(env)
	if err != nil || v == nil {
		return ""
	}
	s := strings.TrimSpace(value.Shown(v))
	if s == "" {
		return ""
	}
	return ": " + value.Clip(s, 300)
}
