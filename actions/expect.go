package actions

import (
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// expected checks the body of a success against the types that a step declares with expect:. A
// response with a status that only accept: allows has another body, which is not checked.
func expected(in engine.Input, r *reply) error {
	written := in.With["expect"]
	if written == nil {
		return nil
	}
	t, err := workflows.ParseExpect(written)
	switch {
	case err != nil:
		return plan.Permanent("invalid_request", "%v", err)
	case r.saved != nil:
		return plan.Permanent("invalid_request", "expect and save: true are mutually exclusive: a file has no types")
	case !success(r.status):
		return nil
	}
	if problem := t.Check("body", r.body); problem != "" {
		return &plan.Error{Message: "the response is not of the type that expect: declares: " + problem, Code: "bad_answer",
			Status: r.status, Details: r.names()}
	}
	return nil
}
