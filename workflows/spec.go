package workflows

import "maps"

// This file defines the grammar of the YAML files. The decoder checks documents against it, and the
// schema and help texts are generated from it; there is no other list of keys.

type kind int

const (
	kindAny      kind = iota // checked by the code that reads it
	kindText                 // text without expressions
	kindBool                 // true or false
	kindInt                  // a decimal integer
	kindDuration             // 30s, 1h30m, 7d
	kindSize                 // 64KiB
	kindRate                 // 30/m
	kindName                 // [a-z_][a-z0-9_]*
	kindWord                 // one of Words
	kindExpr                 // a bare expression
	kindExprs                // a bare expression, or a list of them
	kindValue                // any YAML, in which ${{ }} inserts
	kindObject               // a mapping of the shape Ref
	kindList                 // a list of Of
	kindTexts                // one text, or a list of texts
	kindMap                  // a mapping of free names to Of
	kindEither               // one of Either, told apart by YAML kind
)

// valueType describes the valid values of a key.
type valueType struct {
	kind     kind
	words    []string
	ref      string
	of       *valueType
	either   []valueType
	min, max int // bounds of kindInt, or of a list's length
}

type field struct {
	name     string
	typ      valueType
	required bool
	help     string
}

// shape describes one kind of mapping.
type shape struct {
	// title names it in messages: unknown key "x" in <title>.
	title  string
	fields []field
	// xKeys allows keys that begin with x-.
	xKeys bool
}

func (s *shape) field(name string) *field {
	for i := range s.fields {
		if s.fields[i].name == name {
			return &s.fields[i]
		}
	}
	return nil
}

func (s *shape) names() []string {
	var out []string
	for _, f := range s.fields {
		out = append(out, f.name)
	}
	return out
}

func is(k kind) valueType              { return valueType{kind: k} }
func word(words ...string) valueType   { return valueType{kind: kindWord, words: words} }
func object(ref string) valueType      { return valueType{kind: kindObject, ref: ref} }
func list(of valueType) valueType      { return valueType{kind: kindList, of: &of} }
func mapOf(of valueType) valueType     { return valueType{kind: kindMap, of: &of} }
func either(ts ...valueType) valueType { return valueType{kind: kindEither, either: ts} }
func between(min, max int) valueType   { return valueType{kind: kindInt, min: min, max: max} }
func steps(min int) valueType          { return valueType{kind: kindList, of: &stepRef, min: min, max: 500} }

var stepRef = valueType{kind: kindObject, ref: "step"}

var testEventRef = valueType{kind: kindObject, ref: "test_event"}

var (
	methods    = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
	inputTypes = []string{"string", "integer", "number", "boolean", "list", "object", "date"}
)

var inletFields = []field{
	{"key", is(kindExprs), false, "identifies an event: deliveries with an equal key are duplicates"},
	{"data", is(kindExpr), false, "the value of event.data; the body or item by default"},
	{"dedupe", either(is(kindDuration), word("off")), false, "how long keys are remembered; 30d by default"},
	{"sample", is(kindText), false, "a JSON file with an example of event.data"},
	{"start", is(kindBool), false, "false: events start no runs, they only end waits"},
}

var requestFields = []field{
	{"url", is(kindValue), true, "where to"},
	{"method", word(methods...), false, "GET by default"},
	{"query", mapOf(is(kindValue)), false, "parameters added to the URL"},
	{"headers", mapOf(is(kindValue)), false, "headers of the request"},
	{"body", is(kindValue), false, "sent as JSON"},
	{"form", mapOf(is(kindValue)), false, "sent as a form"},
	{"form_style", word("repeat", "brackets", "json"), false, "how form and query encode lists and maps"},
	{"text", is(kindValue), false, "sent as text"},
	{"auth", object("auth"), false, "how the request is authenticated"},
	{"connection", is(kindText), false, "a connection of hookloom.yaml"},
	{"accept", is(kindAny), false, "statuses that count as success"},
	{
		"parse", word("auto", "json", "text", "base64"), false,
		"how the response body is parsed; auto by default: by its Content-Type",
	},
	{"max_response", is(kindSize), false, "the maximum size of a response; 1MiB by default"},
}

// waitFields are the keys that say what a step waits for.
var waitFields = []field{
	{"approval", is(kindValue), false, "the question to the approver"},
	{"by", list(is(kindText)), false, "who may answer: names of server.tokens, or of signed links; anybody by default"},
	{"event", is(kindText), false, "a trigger"},
	{"key", is(kindValue), false, "the key of the trigger's event"},
	{"since", is(kindDuration), false,
		"the maximum age of an event that was received before the run; 1h by default, at most the trigger's dedupe"},
}

// listingFields are the keys that say how to list what happened at a service.
var listingFields = []field{
	{"request", object("request"), false, "what to ask"},
	{"detail", object("request"), false, "a request for each new item, if the list has too few fields; data reads its response as detail"},
	{"pages", object("pages"), false, "how to read the pages after the first"},
	{"items", is(kindExpr), false, "response.body by default"},
	{"key", is(kindExprs), false, "identifies an item; equal to the webhook's key of the same event"},
	{"data", is(kindExpr), false, "the value of event.data; the item by default"},
	{"event_type", is(kindExpr), false, "the type of each item's event"},
	{"cursor", is(kindExpr), false, "where the next poll starts, computed from the last item or response"},
	{"overlap", is(kindDuration), false, "how far to look back before the cursor"},
	{"max_items", between(1, 1_000_000), false, "500 by default"},
}

// shapes is the grammar by the name of the mapping.
var shapes = joinShapes(workflowShapes, triggerShapes, signatureShapes, testShapes, projectShapes, catalogShapes, authShapes,
	connectorShapes, secretShapes)

func joinShapes(parts ...map[string]*shape) map[string]*shape {
	all := map[string]*shape{}
	for _, p := range parts {
		maps.Copy(all, p)
	}
	return all
}
