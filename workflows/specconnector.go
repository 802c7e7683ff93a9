package workflows

// actionInputTypes are the types of an action's inputs: those of a workflow's inputs, file, and any
// for values that the connector only passes on.
var actionInputTypes = append([]string{"any", "file"}, inputTypes...)

// confidences are the values of confidence: confirmed by the service's documentation, or not.
var confidences = []string{ConfidenceConfirmed, ConfidenceMemory}

// maxConnectorPages and maxConnectorItems limit the list that one action reads.
const (
	maxConnectorPages = 1000
	maxConnectorItems = 100_000
)

// connectorShapes are the mappings of connector files, embedded or in a project's connectors/.
var connectorShapes = map[string]*shape{
	"connector": {title: "a connector", fields: []field{
		{"connector", is(kindText), true, "the name before the slash in workflows: uses: NAME/ACTION"},
		{"version", between(1, 1000), false, "of this file"},
		{"title", is(kindText), false, "the service's own name"},
		{"description", is(kindText), false, "one sentence"},
		{"docs", is(kindText), false, "where the service documents its API"},
		{"confidence", word(confidences...), false, "memory: the facts in this file were not checked against the service's documentation"},
		{"sources", list(is(kindText)), false, "where the facts were read"},
		{"base_url", is(kindValue), true, "the URL before each path; ${{ connection.NAME }} inserts a region or a subdomain"},
		{"connection", mapOf(object("connection_field")), false, "the fields of a connection: credentials, region, subdomain"},
		{"auth", either(word("none"), object("connection_auth")), false, "how requests are authenticated; reads connection"},
		{"headers", mapOf(is(kindValue)), false, "of every request; read connection"},
		{"query", mapOf(is(kindValue)), false, "of every request; reads connection"},
		{"idempotency_header", is(kindText), false, "the header for the idempotency key of a write; Idempotency-Key by default, none sends none"},
		{
			"idempotency_query", is(kindText), false,
			"the query parameter for the idempotency key of a write, for a service that expects it there; then no header is sent by default",
		},
		{"expired", object("expired"), false, "responses that mean that the token is no longer valid"},
		{"errors", object("connector_errors"), false, "how to classify the service's error responses, for all actions"},
		{"test", is(kindText), false, "the path of a cheap GET, for hookloom connections --test"},
		{"defaults", object("connector_defaults"), false, "timeout, retry and rate of all actions"},
		{"actions", mapOf(object("action")), true, "the actions, by the name after the slash in workflows"},
	}},
	"connection_field": {title: "a connection's field", fields: []field{
		{"type", word(inputTypes...), true, "the type of the value"},
		{"secret", is(kindBool), false, "true: it must be a secret in hookloom.yaml, and is masked in records"},
		{"required", is(kindBool), false, "true: required in each connection; false by default"},
		{"default", is(kindAny), false, "used if a connection does not set it"},
		{"options", list(is(kindAny)), false, "the allowed values"},
		{"description", is(kindText), false, "where to find the value"},
	}},
	"connector_defaults": {title: "defaults", fields: []field{
		{"timeout", is(kindDuration), false, "of one attempt"},
		{"retry", either(between(0, 50), object("retry")), false, "of a step without retry:"},
		{"rate", is(kindRate), false, "attempts per time, such as 10/s"},
		{"concurrency", between(1, 10_000), false, "attempts at once"},
	}},
	"connector_errors": {title: "errors", fields: []field{
		{"message", is(kindExpr), false, "the error message in a response, such as response.body?.message"},
		{"wait", errorRules, false, "rate limits: retried, not before the time that the service gives"},
		{"retry", errorRules, false, "tried again"},
		{"permanent", errorRules, false, "permanent errors, never retried, even if the status is 2xx"},
	}},
	"error_rule": {title: "a rule of errors", fields: []field{
		{"status", is(kindAny), false, "429, 500-599, or a list of them"},
		{
			"body", is(kindExpr), false,
			`a condition on the response, such as response.body?.code == "busy"; the rule holds when status or body does`,
		},
		{"after", is(kindExpr), false, "of wait: seconds, a Unix time or a date; the Retry-After header by default"},
		{"code", is(kindName), false, "error.code of the step"},
		{"message", is(kindValue), false, "the message of the error"},
	}},
	"action": {title: "an action", fields: []field{
		{"description", is(kindText), false, "one sentence"},
		{"docs", is(kindText), false, "where the service documents this call"},
		{"deprecated", is(kindBool), false, "true: the service advises against it"},
		{"confidence", word(confidences...), false, "of this action; that of the file by default"},
		{"inputs", mapOf(object("action_input")), false, "the inputs of the action by name"},
		{"request", object("action_request"), true, "what is sent; reads inputs and connection"},
		{"pages", object("action_pages"), false, "the action reads a list page by page"},
		{
			"output", is(kindValue), false,
			"the step's output; reads response, inputs and, with pages, items and more; {status, headers, body} by default",
		},
		{"returns", is(kindAny), false, "the types of the output: {id: string, tags: [string]}; a name that ends in ? may be nil"},
		{
			"idempotency", word("natural", "key", "none"), false,
			"if a request is repeated: natural, nothing changes; key, the service honours its idempotency header; none, the effect happens again",
		},
		{"check", object("action_check"), false, "validates the output against a JSON Schema, such as one given by an input"},
		{"already", list(object("action_already")), false, "responses that mean that the object exists already: success"},
		{"fail", list(object("action_fail")), false, "responses that mean that the action failed; checked before errors:"},
		{"example", is(kindAny), false, "{with, request, response, output}: a call and its response, which connector test checks; " +
			"or only the output"},
	}},
	"action_input": {title: "an input", fields: []field{
		{"type", word(actionInputTypes...), true, "the type of the value"},
		{"of", is(kindAny), false, "the types inside a list or an object, in the format of returns; shown, not checked"},
		{"required", is(kindBool), false, "true: required in each step; false by default"},
		{"default", is(kindAny), false, "used if a step does not set it"},
		{"options", list(is(kindAny)), false, "the allowed values"},
		{"min", is(kindAny), false, "the smallest number, or the shortest text or list"},
		{"max", is(kindAny), false, "the largest number, or the longest text or list"},
		{"pattern", is(kindText), false, "a regular expression that a text must match"},
		{"description", is(kindText), false, "what the input is for"},
		{"secret", is(kindBool), false, "true: masked in records"},
	}},
	"action_request": {title: "request", fields: []field{
		{"method", word(methods...), false, "GET by default"},
		{"path", is(kindValue), true, "begins with / and is appended to base_url; inserted values are encoded"},
		{"query", mapOf(is(kindValue)), false, "nil values are omitted"},
		{"headers", mapOf(is(kindValue)), false, "nil values are omitted"},
		{"body", is(kindValue), false, "sent as JSON; keys that are nil are omitted"},
		{"form", mapOf(is(kindValue)), false, "sent as a form"},
		{"form_style", word("repeat", "brackets", "json"), false, "how form and query encode lists and maps"},
		{"multipart", mapOf(is(kindValue)), false, "sent as multipart/form-data: names to texts, or to parts {file, filename, type}"},
		{"text", is(kindValue), false, "sent as plain text"},
		{"raw_file", is(kindValue), false, "a file to send unchanged: an input of type file"},
		{"parse", word("auto", "json", "text", "base64"), false, "how the response is parsed; by its content type by default"},
	}},
	"action_pages": {title: "pages", fields: []field{
		{"items", is(kindExpr), true, "the list in one response, such as response.body.results"},
		{"next", is(kindExpr), false, "the next page's URL: an expression, or: header link"},
		{"page", object("page_number"), false, "pages are addressed by number"},
		{"offset", object("page_offset"), false, "pages are addressed by the offset of their first item"},
		{"token", is(kindExpr), false, "the next page's token in the response; sent as query: or body:"},
		{"query", is(kindText), false, "the query parameter of the token"},
		{"body", is(kindText), false, "instead of query: the key of the request's body for the token"},
		{"size", either(between(1, 1_000_000), object("page_size")), false, "the number of items on a full page; a page with fewer is the last"},
		{"until", is(kindExpr), false, "true on the last page; with page and offset an empty page is the last too"},
		{
			"total", is(kindExpr), false,
			"how many items all pages have, such as response.body.total: with page and offset the list then ends there, not at a short page",
		},
		{"max", between(1, maxConnectorPages), false, "pages of one call; 100 by default"},
		{"max_items", between(1, maxConnectorItems), false, "items of one call, unless the step sets it; 1000 by default"},
	}},
	"action_example": {title: "an example", fields: []field{
		{"with", is(kindAny), false, "the inputs"},
		{"request", is(kindAny), false, "the expected request: {method, path, query, headers, body}, any of them"},
		{"response", object("example_response"), false, "the service's response"},
		{"output", is(kindAny), false, "the step's output; also the output in tests without a mock"},
	}},
	"example_response": {title: "response", fields: []field{
		{"status", between(100, 599), false, "200 by default"},
		{"headers", mapOf(is(kindText)), false, "headers of the response"},
		{"body", is(kindAny), false, "the body of the response"},
	}},
	"action_check": {title: "check", fields: []field{
		{"value", is(kindExpr), true, "what is checked, such as output.data; reads output, inputs and response"},
		{"schema", is(kindExpr), true, "the JSON Schema, such as inputs.schema; a $ref cannot leave it"},
	}},
	"action_already": {title: "already", fields: []field{
		{"when", is(kindExpr), true, "the condition"},
		{"output", is(kindValue), false, "{status, headers, body} by default"},
	}},
	"action_fail": {title: "fail", fields: []field{
		{"when", is(kindExpr), true, "the condition"},
		{"code", is(kindText), true, "the code of the error, such as not_found"},
		{"message", is(kindValue), true, "the message of the error"},
		{"retryable", is(kindBool), false, "true: the step is retried; false by default"},
	}},
}

var errorRules = either(object("error_rule"), list(object("error_rule")))
