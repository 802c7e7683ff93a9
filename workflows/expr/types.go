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

// EventFields are the names of the event's envelope (language.md 2.5).
var EventFields = []string{
	"id", "trigger", "inlet", "type", "key", "data", "body", "headers", "query", "raw", "method",
	"path", "time", "received_at",
}

// AnyMap is an object of which no field is known.
var AnyMap = types.Map{types.Extra: types.Any}

// EventType is what expressions may read of an event; data is any, or the type
// of a sample.
func EventType(data types.Type) types.Map {
	return types.Map{"id": types.String, "trigger": types.String, "inlet": types.String, "type": types.String, "key": types.String,
		"data": data, "body": types.Any, "headers": AnyMap, "query": AnyMap, "raw": types.Any, "method": types.String, "path": types.String,
		"time": Time, "received_at": Time}
}

// RunType is what expressions may read of a run.
func RunType() types.Map {
	return types.Map{"id": types.String, "url": types.String, "attempt": types.Int,
		"started_at": Time, "workflow": types.String,
		"trigger": types.String, "test": types.Bool}
}

// ErrorType is what expressions may read of the error of a failed step or run.
func ErrorType() types.Map {
	return types.Map{"message": types.String, "code": types.String, "status": types.Any, "step": types.String, "attempts": types.Int,
		"retryable": types.Bool, "details": types.Any}
}

// StepType is what expressions may read of a step that ran.
func StepType() types.Map {
	return types.Map{
		"output":      types.Any,
		"status":      types.String,
		"error":       types.Any,
		"attempts":    types.Int,
		"started_at":  types.Any,
		"finished_at": types.Any,
	}
}

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
