package expr

import (
	"time"

	"github.com/expr-lang/expr/types"
)

// Type is the type of a value.
type Type = types.Type

// Map is the type of an object, by field.
type Map = types.Map

// Extra is the key of a Map for the type of all other fields.
const Extra = types.Extra

// The types of plain data; Any accepts everything.
var (
	Any    = types.Any
	String = types.String
	Int    = types.Int
	Bool   = types.Bool
	Time   = types.TypeOf(time.Time{})
)

// ListOf returns the type of a list with elements of type t.
func ListOf(t Type) Type { return types.Array(t) }

// AnyMap is an object with unknown fields.
var AnyMap = types.Map{types.Extra: types.Any}

// EventType returns the type of an event; data is any, or the type of a sample.
func EventType(data types.Type) types.Map {
	m := typeOf(eventFields)
	m["data"] = data
	return m
}

// RunType returns the type of a run.
func RunType() types.Map { return typeOf(runFields) }

// ErrorType returns the type of the error of a failed step or run.
func ErrorType() types.Map { return typeOf(errorFields) }

// StepType returns the type of a finished step.
func StepType() types.Map { return typeOf(stepFields) }

// SampleType returns the type of a JSON sample: objects have its fields, lists have the type of the
// first element, and everything else is any.
func SampleType(v any) types.Type {
	switch x := v.(type) {
	case map[string]any:
		m := types.Map{}
		for k, e := range x {
			m[k] = SampleType(e)
		}
		return m
	case []any:
		if len(x) == 0 {
			return types.Array(types.Any)
		}
		return types.Array(SampleType(x[0]))
	}
	// Scalars are any: a sample shows which fields exist, not that an amount is never a float.
	return types.Any
}

// sampleFields appends every field name of a sample, for suggestions.
func sampleFields(t types.Type, out []string) []string {
	if m, ok := t.(types.Map); ok {
		for k, e := range m {
			if k != types.Extra {
				out = sampleFields(e, append(out, k))
			}
		}
	}
	return out
}

// InputType returns the type of an input declared with type t.
func InputType(t string) types.Type {
	switch t {
	case "string", "date":
		return types.String
	case "integer":
		return types.Int
	case "boolean":
		return types.Bool
	case "list":
		return types.Array(types.Any)
	case "object":
		return AnyMap
	}
	return types.Any
}

// AnySecret is the type of secrets: each is a text. Whether a name exists is not checked here.
var AnySecret = types.Map{types.Extra: types.String}
