package workflows

import (
	"github.com/expr-lang/expr/types"
)

// eventFields are the names of the event's envelope (language.md 2.5).
var eventFields = []string{
	"id", "trigger", "inlet", "type", "key", "data", "body", "headers", "query", "raw", "method",
	"path", "time", "received_at",
}

var anyMap = types.Map{types.Extra: types.Any}

// eventType is what expressions may read of an event; data is any, or the type
// of a sample.
func eventType(data types.Type) types.Map {
	timeType := types.TypeOf(zeroTime)
	return types.Map{"id": types.String, "trigger": types.String, "inlet": types.String, "type": types.String, "key": types.String,
		"data": data, "body": types.Any, "headers": anyMap, "query": anyMap, "raw": types.Any, "method": types.String, "path": types.String,
		"time": timeType, "received_at": timeType}
}

// runType, errorType and stepType are the other records of the engine.
func runType() types.Map {
	return types.Map{"id": types.String, "url": types.String, "attempt": types.Int,
		"started_at": types.TypeOf(zeroTime), "workflow": types.String,
		"trigger": types.String, "test": types.Bool}
}

func errorType() types.Map {
	return types.Map{"message": types.String, "code": types.String, "status": types.Any, "step": types.String, "attempts": types.Int,
		"retryable": types.Bool, "details": types.Any}
}

func stepType() types.Map {
	return types.Map{
		"output":      types.Any,
		"status":      types.String,
		"error":       types.Any,
		"attempts":    types.Int,
		"started_at":  types.Any,
		"finished_at": types.Any,
	}
}

// sampleType types a JSON sample: known fields, text or numbers as they are,
// everything that is nil or mixed as any.
func sampleType(v any) types.Type {
	switch x := v.(type) {
	case map[string]any:
		m := types.Map{}
		for k, e := range x {
			m[k] = sampleType(e)
		}
		return m
	case []any:
		if len(x) == 0 {
			return types.Array(types.Any)
		}
		return types.Array(sampleType(x[0]))
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

func inputType(t string) types.Type {
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
		return anyMap
	}
	return types.Any
}
