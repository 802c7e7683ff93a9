package expr

import (
	"slices"

	"github.com/expr-lang/expr/types"
)

// Field is a field of an object, or a root name, that expressions may read.
type Field struct {
	// Name is the field's name.
	Name string
	// Help describes the field.
	Help string
	// Type is what is known about its value; Any if nothing is.
	Type Type
}

// eventFields are the fields of the event's envelope (docs/reference/events.md).
var eventFields = []Field{
	{"id", "The event's id in this database, `evt_...`.", String},
	{"trigger", "The trigger's name.", String},
	{"inlet", "How it was received.", String},
	{"type", "What kind of event it is.", String},
	{"key", "What identifies the event: two deliveries with the same key are one event.", String},
	{"data", "What happened. Steps and rules read this.", Any},
	{"body", "The body as received, decoded; nil where there was no request.", Any},
	{"headers", "The headers as received, with names in lower case, without signatures and tokens.", AnyMap},
	{"query", "The query of the URL.", AnyMap},
	{"raw", "The body as text, as received; also when it cannot be decoded.", Any},
	{"method", "The request's method.", String},
	{"path", "The request's path.", String},
	{"time", "When it happened by the sender's clock; else when it was received. Of a schedule, the planned time.", Time},
	{"received_at", "When Hookloom received it.", Time},
}

var runFields = []Field{
	{"id", "The run's id, `run_...`.", String},
	{"url", "The run's page in the console; `server.admin_url` sets its host.", String},
	{"attempt", "Always 1: a replay is a run of its own.", Int},
	{"started_at", "When the run began.", Time},
	{"workflow", "The workflow's id.", String},
	{"trigger", "The trigger of its event.", String},
	{"test", "Whether it is a run of `hookloom test`.", Bool},
}

var errorFields = []Field{
	{"message", "What went wrong.", String},
	{"code", "One of the [error codes](errors.md), or one of a connector or `fail:` step.", String},
	{"status", "The HTTP status of the last answer, or nil.", Any},
	{"step", "The path of the step.", String},
	{"attempts", "How many attempts were made.", Int},
	{"retryable", "Whether another attempt could succeed.", Bool},
	{"details", "More details, such as the body of the response.", Any},
}

var stepFields = []Field{
	{"output", "What the step returned; nil if it was skipped or failed.", Any},
	{"status", "`succeeded`, `failed` or `skipped`.", String},
	{"error", "The error of a failed step, or nil.", Any},
	{"attempts", "How many attempts were made.", Int},
	{"started_at", "When its first attempt began.", Any},
	{"finished_at", "When it ended.", Any},
}

// roots are the names that expressions of workflows can read.
var roots = []Field{
	{"event", "The event that started the run.", Any},
	{"events", "The events of the run, in a workflow with `batch:`.", Any},
	{"inputs", "The declared inputs.", Any},
	{"vars", "The vars of `hookloom.yaml` and of the workflow, and those that `set:` has set before.", Any},
	{"steps", "`steps.ID` is a step that ran before.", Any},
	{"secrets", "`secrets.NAME` is a secret: in `with:`, in triggers and in connectors only.", Any},
	{"item", "The item of `foreach:`; `as:` gives it another name.", Any},
	{"index", "The item's place in the list, from 0.", Int},
	{"result", "What the step returned, in its own `output:`.", Any},
	{"error", "The error, in `on_failure:`, `finally:` and `retry.when:`.", Any},
	{"run", "The run. In `finally:` also `run.status`.", Any},
	{"output", "The workflow's output, in `respond:` and in tests.", Any},
}

// Fields returns the fields of an object that expressions may read: event, run, error or step. For
// "names" it returns the root names.
func Fields(of string) []Field {
	return slices.Clone(map[string][]Field{"event": eventFields, "run": runFields, "error": errorFields, "step": stepFields,
		"names": roots}[of])
}

// TypeWord returns a type as a word.
func TypeWord(t Type) string {
	switch {
	case t == nil || t == Any:
		return "any"
	case t.Equal(String):
		return "text"
	case t.Equal(Int):
		return "integer"
	case t.Equal(Bool):
		return "boolean"
	case t.Equal(Time):
		return "time"
	}
	return "object"
}

// typeOf returns the type of an object with these fields.
func typeOf(fields []Field) types.Map {
	m := types.Map{}
	for _, f := range fields {
		m[f.Name] = f.Type
	}
	return m
}

// EventFields returns the names of an event's fields.
func EventFields() []string {
	names := make([]string, 0, len(eventFields))
	for _, f := range eventFields {
		names = append(names, f.Name)
	}
	return names
}
