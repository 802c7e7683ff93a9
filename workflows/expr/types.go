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

// The types of plain data; Any fits everything.
var (
	Any    = types.Any
	String = types.String
	Int    = types.Int
	Bool   = types.Bool
	Time   = types.TypeOf(time.Time{})
)

// ListOf is the type of a list with elements of type t.
func ListOf(t Type) Type { return types.Array(t) }

// AnyMap is an object of which no field is known.
var AnyMap = types.Map{types.Extra: types.Any}

// EventType is what expressions may read of an event; data is any, or the type
// of a sample.
func EventType(data types.Type) types.Map {
	m := typeOf(eventFields)
	m["data"] = data
	return m
}

// RunType is what expressions may read of a run.
func RunType() types.Map { return typeOf(runFields) }

// ErrorType is what expressions may read of the error of a failed step or run.
func ErrorType() types.Map { return typeOf(errorFields) }

// StepType is what expressions may read of a step that ran.
func StepType() types.Map { return typeOf(stepFields) }

// SampleType types a JSON sample: known fields, text or numbers as they are,
// everything that is nil or mixed as any.
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
	// Scalars stay any: a sample says which fields there are, not that an amount
	// is never a float.
	return types.Any
}

// sampleFields lists every field name of a sample, for suggestions.
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

// InputType is the type of an input that is declared with the type t.
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

// AnySecret is the type of secrets: each name is a text. Which names exist is not checked
// here.
var AnySecret = types.Map{types.Extra: types.String}
