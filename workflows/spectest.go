package workflows

// testShapes are the mappings of tests.
var testShapes = map[string]*shape{
	"test": {title: "a test", fields: []field{
		{"name", is(kindText), true, ""},
		{"event", object("test_event"), false, ""},
		{"events", valueType{kind: kindList, of: &testEventRef, min: 1, max: MaxBatch}, false, "of a batch, in place of event"},
		{"inputs", is(kindAny), false, ""},
		{"now", is(kindText), false, ""},
		{"mock", mapOf(is(kindAny)), false, "step id to {output} or {error}, or a list of them, one a call"},
		{"expect", object("expect"), true, ""},
	}},
	"test_file": {title: "a file of tests", xKeys: true, fields: []field{
		{"workflow", is(kindText), false, "its id; the file's name without _test by default"},
		{"tests", list(object("test")), true, ""},
	}},
	"mock": {title: "a mock", fields: []field{
		{"output", is(kindAny), false, "what the step gives"},
		{"error", object("mock_error"), false, "how it fails"},
	}},
	"mock_error": {title: "a mock's error", fields: []field{
		{"status", between(0, 599), false, "the HTTP status that came back"},
		{"code", is(kindText), false, ""},
		{"message", is(kindText), false, ""},
	}},
	"test_event": {title: "a test's event", fields: []field{
		{"trigger", is(kindText), false, ""},
		{"inlet", word("webhook", "poll", "schedule", "manual", "call", "workflow_run", "emit"), false, ""},
		{"fixture", is(kindText), false, "a JSON file"},
		{"data", is(kindAny), false, ""},
		{"body", is(kindAny), false, ""},
		{"headers", is(kindAny), false, ""},
		{"type", is(kindText), false, ""},
		{"key", is(kindText), false, ""},
	}},
	"expect": {title: "expect", fields: []field{
		{"rule", word("matched", "skipped"), false, ""},
		{"status", word("queued", "running", "waiting", "succeeded", "failed", "cancelled", "timed_out"), false, ""},
		{"steps", is(kindAny), false, ""},
		{"calls", is(kindAny), false, ""},
		{"attempts", is(kindAny), false, ""},
		{"output", is(kindAny), false, ""},
		{"error", is(kindAny), false, ""},
		{"assert", list(is(kindExpr)), false, ""},
	}},
}
