package actions

import (
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows/dataschema"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// check validates a part of the output against a JSON Schema, as configured by the action's check:.
func (k *call) check(out any, env *expr.Env) error {
	rule := k.action.Check
	if rule == nil {
		return nil
	}
	env.Names["output"] = out
	data, err := rule.Value.Eval(env)
	if err != nil {
		return plan.Permanent("bad_answer", "the value to check does not exist: %v", err)
	}
	schema, err := rule.Schema.Eval(env)
	if err != nil || schema == nil {
		return plan.Permanent("invalid_input", "the schema does not exist")
	}
	s, err := dataschema.CompileData(schema, nil)
	if err != nil {
		return plan.Permanent("invalid_input", "the schema is not a JSON Schema: %s", value.Clip(err.Error(), 300))
	}
	if err := s.Check(data); err != nil {
		return &plan.Error{Code: "schema", Message: "the answer does not match the schema: " + value.Clip(err.Error(), 300),
			Details: map[string]any{"output": out}}
	}
	return nil
}
