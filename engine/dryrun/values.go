package dryrun

import (
	"errors"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows/value"
)

// values are the stored values of a dry run; they start empty and end with it.
type values map[engine.ValueRef]string

// perform runs an action of the key-value store; it reports whether d is one.
func (v values) perform(workflow string, d plan.Due, st *plan.State) (result any, failed *plan.Error, is bool) {
	kind, is := strings.CutPrefix(d.Step.Uses, "store/")
	if !is {
		return nil, nil, false
	}
	c, err := engine.ReadValueChange(kind, d.With)
	if err == nil {
		err = c.Check(nil)
	}
	if err != nil && kind != "get" {
		return nil, asPlanError(err), true
	}
	if c.Workflow = workflow; d.With["scope"] == "project" {
		c.Workflow = ""
	}
	c.Now = st.Now
	current, found := v[c.ValueRef]
	if kind == "get" {
		if !found {
			return d.With["default"], nil, true
		}
		result, err = value.DecodeJSON([]byte(current))
		return result, asPlanError(err), true
	}
	next := c.Apply(current, found)
	if next.Refused != nil {
		return nil, next.Refused, true
	}
	if next.Gone {
		delete(v, c.ValueRef)
	} else {
		v[c.ValueRef] = next.Value
	}
	result, err = value.DecodeJSON([]byte(next.Result))
	return result, asPlanError(err), true
}

func asPlanError(err error) *plan.Error {
	if err == nil {
		return nil
	}
	var known *plan.Error
	if errors.As(err, &known) {
		return known
	}
	return &plan.Error{Message: err.Error(), Code: "failed"}
}
