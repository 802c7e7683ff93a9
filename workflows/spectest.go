package workflows

// testShapes are the mappings of test files.
var testShapes = map[string]*shape{
	"test": {title: "a test", fields: []field{
		{"name", is(kindText), true, "the name of the test"},
		{"event", object("test_event"), false, "the event that starts the run"},
		{"events", valueType{kind: kindList, of: &testEventRef, min: 1, max: MaxBatch}, false, "the events of a batch, instead of event"},
		{"inputs", is(kindAny), false, "the inputs of a manual start or a call"},
		{"now", is(kindText), false, "the time at which the run starts, such as 2026-05-01T10:00:00Z"},
		{"mock", mapOf(is(kindAny)), false, "step id to {output} or {error}, or a list of them, one per call"},
		{"expect", object("expect"), true, "the expected result"},
	}},
	"test_file": {title: "a file of tests", xKeys: true, fields: []field{
		{"workflow", is(kindText), false, "its id; the file's name without _test by default"},
		{"tests", list(object("test")), true, "the tests"},
	}},
	"mock": {title: "a mock", fields: []field{
		{"output", is(kindAny), false, "the step's output"},
		{"error", object("mock_error"), false, "how it fails"},
	}},
	"mock_error": {title: "a mock's error", fields: []field{
		{"status", between(0, 599), false, "the HTTP status that came back"},
		{"code", is(kindText), false, "the code of the error"},
		{"message", is(kindText), false, "the message of the error, or a part of it"},
	}},
	"test_event": {title: "a test's event", fields: []field{
		{"trigger", is(kindText), false, "the trigger that the event comes from"},
		{
			"inlet", word(inletNames(func(InletKind) bool { return true })...), false,
			"how the event arrives; the first inlet of the trigger by default",
		},
		{"fixture", is(kindText), false, "a JSON file"},
		{"data", is(kindAny), false, "event.data; what the trigger's data: gives by default"},
		{"body", is(kindAny), false, "the body of the delivery"},
		{"headers", is(kindAny), false, "the headers of the delivery"},
		{"type", is(kindText), false, "the type of the event"},
		{"key", is(kindText), false, "the key of the event"},
	}},
	"expect": {title: "expect", fields: []field{
		{"rule", word("matched", "skipped"), false, "whether the rule matches; matched by default"},
		{
			"status", word("queued", "running", "waiting", "succeeded", "failed", "cancelled", "timed_out"), false,
			"the status of the run",
		},
		{"steps", is(kindAny), false, "step id to its status"},
		{"calls", is(kindAny), false, "step id to its inputs, or to a part of them"},
		{"attempts", is(kindAny), false, "step id to the number of its attempts"},
		{"output", is(kindAny), false, "the output of the run, exactly"},
		{"error", is(kindAny), false, "the error of the run, or a part of it"},
		{"assert", list(is(kindExpr)), false, "expressions that must be true"},
	}},
}
