package workflows

import "github.com/hookloom/hookloom/workflows/expr"

// schemaType is a JSON Schema, or the name of a file that contains one.
var schemaType = either(is(kindText), mapOf(is(kindAny)))

// triggerShapes are the mappings of a trigger.
var triggerShapes = map[string]*shape{
	"filter": {title: "a trigger's filter", fields: []field{
		{"events", list(is(kindText)), false, "accepted types; * at the end allowed"},
	}},
	"trigger": {title: "a trigger", fields: []field{
		{"webhook", object("webhook"), false, "deliveries that a sender makes to a URL"},
		{"poll", object("poll"), false, "a list that is polled for new items"},
		{"schedule", either(object("schedule"), list(object("schedule"))), false, "fixed times"},
	}},
	"webhook": {title: "webhook", fields: append([]field{
		{"provider", is(kindText), false, "a preset: hookloom providers lists them"},
		{"variant", is(kindText), false, "which of the provider's schemes"},
		{"params", mapOf(is(kindValue)), false, "additional values that the preset needs"},
		{"callback_url", is(kindText), false, "the URL exactly as registered at the provider"},
		{"verify", object("verify"), false, "a signature scheme, written like a preset's"},
		{"auth", either(word("none"), object("auth")), false, "a shared token instead of a signature"},
		{"secret", either(is(kindValue), list(is(kindValue))), false, "or a list while rotating"},
		{"events", list(is(kindText)), false, "accepted types; * at the end allowed"},
		{"event_type", is(kindExpr), false, "the event type, without a preset"},
		{"split", is(kindExpr), false, "a list in the delivery: one event per element"},
		{"schema", schemaType, false, "a JSON Schema for event.data: a .json file of the project, or the schema itself"},
		{"on_invalid", word(Refuse, MarkInvalid, DeadLetter), false, "what happens to data that does not match: refuse by default (422)"},
		{"replays", word("body"), false, "body: a delivery with the same type and body within dedupe is the same event, whatever its id"},
		{"path", is(kindText), false, "/hooks/<trigger> by default"},
		{"method", is(kindTexts), false, "POST by default"},
		{"media_types", list(is(kindText)), false, "the accepted media types; others are read as the first; the preset's by default"},
		{"tolerance", is(kindDuration), false, "the maximum difference of the sender's clock, instead of the preset's value"},
		{"allow_ips", list(is(kindText)), false, "addresses, CIDR blocks, or the word provider"},
		{"rate", is(kindRate), false, "the maximum rate of deliveries, such as 100/s"},
		{"timeout", is(kindDuration), false, "the time limit for reading the body; 10s by default"},
		{"cors", object("cors"), false, "which web pages may post to it from a browser; none by default"},
		{"client_cert", is(kindAny), false, "true, or the names of client certificates that may call"},
		{"max_body", is(kindSize), false, "the provider's maximum by default, or 1MiB if unknown; at most 32MiB"},
		{"respond", either(word("async", "sync"), object("respond")), false, "when and how the sender is answered; async by default"},
		{"reconcile", object("reconcile"), false, "poll for events that the webhook missed"},
		{"expect", object("expectation"), false, "how often deliveries are expected: silence raises an alert"},
	}, inletFields...)},
	"cors": {title: "cors", fields: []field{
		{"origins", list(is(kindText)), true, "such as https://www.example.com; \"*\" for any page"},
	}},
	"respond": {title: "respond", fields: []field{
		{"mode", word("async", "sync"), false, "async: as soon as the event is stored; sync: when the run has ended"},
		{"timeout", is(kindDuration), false, "10s by default"},
		{"status", between(200, 599), false, "the status of the response; 202 by default, 200 with sync"},
		{"headers", mapOf(is(kindValue)), false, "headers of the response"},
		{"body", is(kindValue), false, "the body of the response; output is the output of the run"},
	}},
	"auth": {title: "auth", fields: []field{
		{"bearer", is(kindValue), false, "a token in Authorization: Bearer"},
		{"basic", object("basic"), false, "a user and a password"},
		{"header", object("auth_header"), false, "a token in a header"},
		{"query", object("auth_header"), false, "a token in the query"},
	}},
	"basic": {title: "basic", fields: []field{
		{"user", is(kindValue), true, "the user name"},
		{"password", is(kindValue), false, "the password, from secrets"},
	}},
	"auth_header": {title: "header", fields: []field{
		{"name", is(kindText), true, "the name of the header or parameter"},
		{"value", is(kindValue), true, "its value, from secrets"},
	}},
	"preset_list": {title: "list", fields: append([]field{
		{"setup", is(kindAny), false, "the connection that it needs, as in hookloom.yaml"},
		{"webhook_key", is(kindExprs), false, "the key of the webhook's deliveries, if the list does not have the usual one"},
	}, listingFields...)},
	"reconcile": {title: "reconcile", fields: append([]field{
		{"every", is(kindDuration), true, "how often to poll for events that the webhook missed"},
	}, listingFields...)},
	"expectation": {title: "expect", fields: []field{
		{"within", is(kindText), true, "how long the trigger may be silent before an alert: a duration, or learned"},
	}},
	"poll": {title: "poll", fields: append([]field{
		{"provider", is(kindText), false, "a preset that says how to list: it gives request, items, key and cursor"},
		{"every", is(kindDuration), false, "at least 5s"},
		{"cron", is(kindText), false, "when to poll, as five fields: minute, hour, day, month, weekday"},
		{"timezone", is(kindText), false, "the time zone of cron; the project's by default"},
		{"request", object("request"), false, "the request that returns the list"},
		{
			"detail", object("request"), false,
			"a request for each new item, if the list has too few fields; data reads its response as detail",
		},
		{"pages", object("pages"), false, "how to read the pages after the first"},
		{"items", is(kindExpr), false, "response.body by default"},
		{"cursor", is(kindExpr), false, "where the next poll starts, computed from the last item or response"},
		{"backfill", is(kindBool), false, "true: the first poll creates events for all items; false by default: it only records the items"},
		{"max_items", between(1, 1_000_000), false, "500 by default"},
		{"compare", is(kindBool), false, "true: measure what the webhook of the same trigger missed, and start no runs"},
		{"overlap", is(kindDuration), false, "how far to look back before the cursor"},
		{"event_type", is(kindExpr), false, "the type of each item's event"},
		{"schema", schemaType, false, "a JSON Schema for event.data: a .json file of the project, or the schema itself"},
		{"on_invalid", word(MarkInvalid, DeadLetter), false, "what happens to data that does not match: mark by default"},
	}, inletFields...)},
	"request": {title: "request", fields: requestFields},
	"pages": {title: "pages", fields: []field{
		{"next", is(kindExpr), false, "the next page's URL: an expression, or: header link"},
		{"page", object("page_number"), false, "pages are addressed by number"},
		{"offset", object("page_offset"), false, "pages are addressed by the offset of their first item"},
		{"token", is(kindExpr), false, "the next page's token in the response; sent as query:"},
		{"query", is(kindText), false, "the query parameter of the token"},
		{"body", is(kindText), false, "instead of query: the key of the request's body for the token"},
		{"size", either(between(1, 1_000_000), object("page_size")), false, "the number of items on a full page; a page with fewer is the last"},
		{"until", is(kindExpr), false, "true on the last page; with page and offset an empty page is the last too"},
		{"max", between(1, 100_000), false, "pages of one poll, 10 by default; the next poll continues after them"},
	}},
	"page_number": {title: "page", fields: []field{
		{"query", is(kindText), false, "the query parameter for the page number"},
		{"body", is(kindText), false, "instead of query: the key of the request's body for it"},
		{"from", between(0, 1), false, "the first page's number; 1 by default"},
	}},
	"page_offset": {title: "offset", fields: []field{
		{"query", is(kindText), false, "the query parameter for the offset"},
		{"body", is(kindText), false, "instead of query: the key of the request's body for it"},
		{"from", between(0, 1), false, "the first item's offset; 0 by default"},
	}},
	"page_size": {title: "size", fields: []field{
		{"query", is(kindText), false, "the query parameter for the size"},
		{"body", is(kindText), false, "instead of query: the key of the request's body for it"},
		{"value", between(1, 1_000_000), true, "how many items to ask for"},
	}},
	"schedule": {title: "schedule", fields: append([]field{
		{"id", is(kindName), false, "a name, if a trigger has several schedules"},
		{"cron", is(kindText), false, "five fields: minute, hour, day, month, weekday"},
		{"every", is(kindDuration), false, "the time between two events, instead of cron"},
		{"timezone", is(kindText), false, "the time zone of cron; the project's by default"},
		{"missed", word("skip", "once", "all"), false, "skip by default"},
		{"jitter", is(kindDuration), false, "each event is delayed by up to this much, at random"},
	}, inletFields...)},
	"workflow_run": {title: "workflow_run", fields: []field{
		{"workflows", list(is(kindText)), true, "the ids of the workflows whose runs are waited for"},
		{"status", list(word(expr.RunStatuses...)), false, "the final statuses that count; all by default"},
	}},
}
