package dataschema

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/hookloom/hookloom/workflows/value"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// This file limits the work of a schema that refers to itself. The library checks a value against
// all alternatives of anyOf and oneOf, so alternatives that lead back to the schema double the work
// with each level of the data: a body of 300 bytes could take hours and exhaust memory. Without
// such a cycle, the sizes of the schema and of the data bound the work.

// A step checks one value against one part of the schema. Each value of the data adds stepsEach to
// a total that starts at freeSteps.
const (
	freeSteps = 50_000
	stepsEach = 2
)

var errTooManySteps = errors.New("the schema refers to itself, and this data takes too many steps to check: " +
	"it is nested too deeply for the alternatives of anyOf or oneOf")

// steps are the remaining steps of a check. Checks of the same schema are serialized.
type steps struct {
	mu   sync.Mutex
	left int
}

// boundSteps counts the steps of a schema that refers to itself. It returns nil for other schemas.
func boundSteps(root *jsonschema.Schema) *steps {
	parts := map[*jsonschema.Schema]bool{} // false while its parts are being visited
	if !refersToItself(root, parts) {
		return nil
	}
	s := &steps{}
	for p := range parts {
		own := p.Format
		p.Format = &jsonschema.Format{Validate: func(v any) error { // it runs before the checks of the parts
			if s.left--; s.left < 0 {
				return errTooManySteps
			}
			if own != nil {
				return own.Validate(v)
			}
			return nil
		}}
		if own != nil {
			p.Format.Name = own.Name
		}
	}
	return s
}

// refersToItself reports whether a part of a schema leads back to itself. It always visits all
// parts and records them.
func refersToItself(s *jsonschema.Schema, parts map[*jsonschema.Schema]bool) (cycle bool) {
	if done, seen := parts[s]; seen {
		return !done
	}
	parts[s] = false
	for _, p := range partsOf(s) {
		if refersToItself(p, parts) {
			cycle = true
		}
	}
	parts[s] = true
	return cycle
}

// partsOf returns the schemas that a schema applies.
func partsOf(s *jsonschema.Schema) []*jsonschema.Schema {
	out := slices.Concat([]*jsonschema.Schema{s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else, s.PropertyNames,
		s.UnevaluatedProperties, s.Contains, s.Items2020, s.UnevaluatedItems, s.ContentSchema}, s.AllOf, s.AnyOf, s.OneOf, s.PrefixItems,
		slices.Collect(maps.Values(s.Properties)), slices.Collect(maps.Values(s.PatternProperties)),
		slices.Collect(maps.Values(s.DependentSchemas)))
	if s.DynamicRef != nil {
		out = append(out, s.DynamicRef.Ref)
	}
	for _, v := range append(slices.Collect(maps.Values(s.Dependencies)), s.AdditionalProperties, s.Items, s.AdditionalItems) {
		switch x := v.(type) {
		case *jsonschema.Schema:
			out = append(out, x)
		case []*jsonschema.Schema:
			out = append(out, x...)
		}
	}
	return slices.DeleteFunc(out, func(p *jsonschema.Schema) bool { return p == nil })
}

// validate runs the library's check within the step limit.
func (s *Schema) validate(data any) error {
	if s.steps == nil {
		return s.compiled.Validate(data)
	}
	_, values, _ := value.Size(data)
	s.steps.mu.Lock()
	defer s.steps.mu.Unlock()
	s.steps.left = freeSteps + stepsEach*values
	if err := s.compiled.Validate(data); s.steps.left >= 0 {
		return err
	}
	return errTooManySteps
}

// endless returns a part whose check begins again with the same value before it can end: a cycle
// of $ref, allOf, anyOf, oneOf, not and if. It returns nil if there is none.
func endless(root *jsonschema.Schema) *jsonschema.Schema {
	parts := map[*jsonschema.Schema]bool{}
	refersToItself(root, parts)
	ended := map[*jsonschema.Schema]bool{} // false while it is being visited
	for p := range parts {
		if at := beginsAgain(p, ended); at != nil {
			return at
		}
	}
	return nil
}

// beginsAgain follows the parts of s that are checked with the same value as s.
func beginsAgain(s *jsonschema.Schema, ended map[*jsonschema.Schema]bool) *jsonschema.Schema {
	if done, seen := ended[s]; seen {
		if !done {
			return s
		}
		return nil
	}
	ended[s] = false
	for _, p := range slices.Concat([]*jsonschema.Schema{s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else}, s.AllOf, s.AnyOf, s.OneOf) {
		if p == nil {
			continue
		}
		if at := beginsAgain(p, ended); at != nil {
			return at
		}
	}
	ended[s] = true
	return nil
}
