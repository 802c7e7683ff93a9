package actions

import (
	"errors"
	"fmt"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// check holds a part of the output to a JSON Schema, as the action's check: says.
func (k *call) check(out any, env *expr.Env) error {
	rule := k.action.Check
	if rule == nil {
		return nil
	}
	env.Names["output"] = out
	data, err := rule.Value.Eval(env)
	if err != nil {
		return plan.Permanent("bad_answer", "what is checked is not there: %v", err)
	}
	schema, err := rule.Schema.Eval(env)
	if err != nil || schema == nil {
		return plan.Permanent("invalid_input", "the schema is not there")
	}
	s, err := compileSchema(schema)
	if err != nil {
		return plan.Permanent("invalid_input", "the schema is no JSON Schema: %s", value.Clip(err.Error(), 300))
	}
	if data, err = plainJSON(data); err != nil {
		return plan.Permanent("bad_answer", "what is checked is no JSON: %v", err)
	}
	if err := s.Validate(data); err != nil {
		return &plan.Error{Code: "schema", Message: "the answer does not fit the schema: " + value.Clip(err.Error(), 300),
			Details: map[string]any{"output": out}}
	}
	return nil
}

// compileSchema reads a schema. It cannot refer to files or addresses: a schema may come from data.
func compileSchema(schema any) (*jsonschema.Schema, error) {
	doc, err := plainJSON(schema)
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	if err := c.AddResource("schema:answer", doc); err != nil {
		return nil, fmt.Errorf("reading it: %w", err)
	}
	return c.Compile("schema:answer")
}

// plainJSON gives data in the types of the JSON decoder of jsonschema.
func plainJSON(v any) (any, error) {
	b, err := value.EncodeJSON(v)
	if err != nil {
		return nil, err
	}
	return value.DecodeJSON(b)
}

// noLoader loads nothing.
type noLoader struct{}

// Load implements jsonschema.URLLoader.
func (noLoader) Load(string) (any, error) {
	return nil, errors.New("a $ref cannot leave the schema: put it into $defs")
}
