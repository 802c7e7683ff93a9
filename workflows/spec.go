package workflows

import "github.com/hookloom/hookloom/engine/signature"

// This file is the grammar of language.md part 3, written once. The decoder
// reads it to check a document, the schema is generated from it, and help texts
// come from it; no other list of keys exists.

type kind int

const (
	kindAny      kind = iota // checked by the code that reads it
	kindText                 // text as it stands, no expressions
	kindBool                 // true or false
	kindInt                  // a plain decimal
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

// valueType says what may stand at one place.
type valueType struct {
	kind     kind
	words    []string
	ref      string
	of       *valueType
	either   []valueType
	min, max int // bounds of kindInt, of a list's length
}

type field struct {
	name     string
	typ      valueType
	required bool
	help     string
}

// shape is one kind of mapping.
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

// runStatuses are the ends of a run that workflow_run can listen to.
var runStatuses = []string{"succeeded", "failed", "cancelled", "timed_out"}

var (
	methods    = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
	inputTypes = []string{"string", "integer", "number", "boolean", "list", "object", "date"}
)

// Bodies are the keys of which a step has exactly one.
var bodies = []string{"uses", "steps", "parallel", "switch", "set", "sleep", "wait", "call", "stop", "fail"}

var inletFields = []field{
	{"key", is(kindExprs), false, "what makes two deliveries one event"},
	{"data", is(kindExpr), false, "what event.data is; the body or item by default"},
	{"dedupe", either(is(kindDuration), word("off")), false, "how long keys are remembered; 30d by default"},
	{"sample", is(kindText), false, "a JSON file that shows what event.data looks like"},
	{"start", is(kindBool), false, "false: only feeds steps that wait for it"},
}

var requestFields = []field{
	{"url", is(kindValue), true, "where to"},
	{"method", word(methods...), false, "GET by default"},
	{"query", mapOf(is(kindValue)), false, ""},
	{"headers", mapOf(is(kindValue)), false, ""},
	{"body", is(kindValue), false, "sent as JSON"},
	{"form", mapOf(is(kindValue)), false, "sent as a form"},
	{"form_style", word("repeat", "brackets", "json"), false, "how form and query write lists and maps"},
	{"text", is(kindValue), false, "sent as text"},
	{"auth", object("auth"), false, ""},
	{"connection", is(kindText), false, "a connection of hookloom.yaml"},
	{"accept", is(kindAny), false, "statuses that count as success"},
	{"parse", word("auto", "json", "text", "base64"), false, ""},
	{"max_response", is(kindSize), false, ""},
}

// waitFields say what a step waits for.
var waitFields = []field{
	{"approval", is(kindValue), false, "what a person is asked"},
	{"by", list(is(kindText)), false, "who may answer: names of server.tokens, or of signed links; anybody by default"},
	{"event", is(kindText), false, "a trigger"},
	{"key", is(kindValue), false, "the key of the trigger's event"},
	{"since", is(kindDuration), false, "how old an event may be that came before the run did; 1h by default, at most the trigger's dedupe"},
}

// listingFields say how to ask a service for what happened.
var listingFields = []field{
	{"request", object("request"), false, "what to ask"},
	{"detail", object("request"), false, "what to ask for each new item, where the list tells too little; data reads its answer as detail"},
	{"pages", object("pages"), false, ""},
	{"items", is(kindExpr), false, "response.body by default"},
	{"key", is(kindExprs), false, "what makes an item new; the webhook's key of the same event"},
	{"data", is(kindExpr), false, "what event.data is; the item by default"},
	{"event_type", is(kindExpr), false, ""},
	{"cursor", is(kindExpr), false, ""},
	{"overlap", is(kindDuration), false, "how far to look back behind the cursor"},
	{"max_items", between(1, 1_000_000), false, "500 by default"},
}

// shapes is the grammar by name of mapping.
var shapes = map[string]*shape{
	"workflow": {title: "a workflow", xKeys: true, fields: []field{
		{"version", between(1, 1000), false, "of the language; 1 by default"},
		{"name", is(kindText), false, "a label; the id is the file's name"},
		{"description", is(kindText), false, ""},
		{"enabled", is(kindBool), false, "true by default"},
		{"on", is(kindAny), true, "what may start a run"},
		{"inputs", mapOf(object("input")), false, "what a manual start or a call hands over"},
		{"when", is(kindExprs), false, "the rule: a condition, or a list that must all hold"},
		{"vars", mapOf(is(kindValue)), false, "values computed once, in order"},
		{"secrets", list(is(kindText)), false, "the only secrets this file may use"},
		{"concurrency", either(between(1, 1_000_000), object("concurrency")), false, "how many runs at a time"},
		{"rate", either(is(kindRate), object("rate")), false, "how many starts per time"},
		{"debounce", object("debounce"), false, "one run for a burst of events, of the last one; the others are on record as folded into it"},
		{"batch", object("batch"), false, "one run for several events, which reads them as the list events"},
		{"cancel_on", either(object("cancel_on"), list(object("cancel_on"))), false, "events that end the open runs of this workflow"},
		{"timeout", is(kindDuration), false, "of a run's working time; 1h by default"},
		{"deadline", is(kindDuration), false, "of a run's whole time from its start, waiting included; none by default"},
		{"defaults", object("defaults"), false, "for every step with an action"},
		{"steps", steps(1), true, "what is done, in order"},
		{"on_failure", steps(0), false, "steps run once after the first failure"},
		{"finally", steps(0), false, "steps run last: after success, failure, time-out and cancellation; run.status says which, error is nil after success"},
		{"output", is(kindValue), false, "what a caller gets"},
		{"tests", list(object("test")), false, "examples that hookloom test runs"},
	}},
	"input": {title: "an input", fields: []field{
		{"type", word(inputTypes...), true, ""},
		{"required", is(kindBool), false, ""},
		{"default", is(kindAny), false, ""},
		{"options", list(is(kindAny)), false, ""},
		{"min", is(kindAny), false, ""},
		{"max", is(kindAny), false, ""},
		{"pattern", is(kindText), false, ""},
		{"description", is(kindText), false, ""},
		{"secret", is(kindBool), false, ""},
	}},
	"concurrency": {title: "concurrency", fields: []field{
		{"group", is(kindValue), false, ""},
		{"limit", between(1, 1_000_000), false, "1 by default"},
		{"on_full", word("queue", "drop", "replace"), false, "queue by default"},
		{"max_queue", between(1, 10_000_000), false, "1000 by default"},
		{"stale", is(kindExpr), false, "drop what is older than the last one applied in its group"},
	}},
	"rate": {title: "rate", fields: []field{
		{"limit", between(1, 1_000_000), true, ""},
		{"per", is(kindDuration), true, ""},
		{"group", is(kindValue), false, ""},
		{"on_full", word("queue", "drop"), false, "queue by default"},
	}},
	"debounce": {title: "debounce", fields: []field{
		{"key", is(kindExprs), false, "events with one key are one burst; without key all of the workflow are"},
		{"wait", is(kindDuration), true, "how long it must be quiet before the run begins: 10ms to 7d"},
		{"max", is(kindDuration), false, "the run begins at most so long after the first event; 10 times wait by default"},
	}},
	"batch": {title: "batch", fields: []field{
		{"key", is(kindExprs), false, "events with one key are one batch; without key all of the workflow are"},
		{"size", between(2, MaxBatch), true, "the run begins as soon as there are so many events, or 16MiB of them"},
		{"wait", is(kindDuration), true, "the run begins at most so long after the first event: 10ms to 7d"},
	}},
	"cancel_on": {title: "cancel_on", fields: []field{
		{"event", is(kindText), true, "a trigger"},
		{"events", list(is(kindText)), false, "its types that count; * at the end allowed; all by default"},
		{"key", is(kindExprs), true, "of the run; equal to the event's own key, or to what the same expression gives for that event"},
	}},
	"defaults": {title: "defaults", fields: []field{
		{"retry", either(between(0, 50), object("retry")), false, ""},
		{"timeout", is(kindDuration), false, ""},
		{"strict", is(kindBool), false, "a step fails that inserts nil or an empty text into text, url, subject or message; else it is a warning on the run"},
	}},
	"retry": {title: "retry", fields: []field{
		{"max", between(0, 50), false, "tries after the first; 50 with for, else it must be given"},
		{"for", is(kindDuration), false, "no try begins later than that after the first did"},
		{"delay", is(kindDuration), false, "1s by default"},
		{"factor", is(kindAny), false, "2 by default"},
		{"max_delay", is(kindDuration), false, "5m by default"},
		{"jitter", is(kindBool), false, "true by default"},
		{"when", is(kindExpr), false, "retry only when this holds"},
	}},
	"on": {title: "on", fields: []field{
		{"webhook", object("webhook"), false, ""},
		{"poll", object("poll"), false, ""},
		{"schedule", either(object("schedule"), list(object("schedule"))), false, ""},
		{"manual", is(kindAny), false, ""},
		{"call", is(kindAny), false, ""},
		{"workflow_run", object("workflow_run"), false, ""},
	}},
	"filter": {title: "a trigger's filter", fields: []field{
		{"events", list(is(kindText)), false, "types to take; * at the end allowed"},
	}},
	"trigger": {title: "a trigger", fields: []field{
		{"webhook", object("webhook"), false, ""},
		{"poll", object("poll"), false, ""},
		{"schedule", either(object("schedule"), list(object("schedule"))), false, ""},
	}},
	"webhook": {title: "webhook", fields: append([]field{
		{"provider", is(kindText), false, "a preset: hookloom providers lists them"},
		{"variant", is(kindText), false, "which of the provider's schemes"},
		{"params", mapOf(is(kindValue)), false, "further values that the preset asks for"},
		{"callback_url", is(kindText), false, "the URL exactly as registered at the provider"},
		{"verify", object("verify"), false, "a signature in the terms of a preset"},
		{"auth", either(word("none"), object("auth")), false, "a shared token instead of a signature"},
		{"secret", either(is(kindValue), list(is(kindValue))), false, "or a list while rotating"},
		{"events", list(is(kindText)), false, "types to take; * at the end allowed"},
		{"event_type", is(kindExpr), false, "where the type is, without a preset"},
		{"split", is(kindExpr), false, "a list in the delivery: one event of each element"},
		{"replays", word("body"), false, "body: an equal type and body within dedupe is the same event, whatever its id"},
		{"path", is(kindText), false, "/hooks/<trigger> by default"},
		{"method", is(kindTexts), false, "POST by default"},
		{"media_types", list(is(kindText)), false, "what is sent; a body of another type is read as the first; the preset's by default"},
		{"tolerance", is(kindDuration), false, "how far the sender's clock may be off, in place of the preset's"},
		{"allow_ips", list(is(kindText)), false, "addresses, CIDR blocks, or the word provider"},
		{"rate", is(kindRate), false, "how many deliveries are taken per time, such as 100/s"},
		{"timeout", is(kindDuration), false, "how long a body may take to arrive; 10s by default"},
		{"cors", object("cors"), false, "which web pages may post to it from a browser; none by default"},
		{"client_cert", is(kindAny), false, "true, or the names of client certificates that may call"},
		{"max_body", is(kindSize), false, "the provider's largest body by default, 1MiB where none is known; at most 32MiB"},
		{"respond", either(word("async", "sync"), object("respond")), false, ""},
		{"reconcile", object("reconcile"), false, "ask for what the webhook missed, now and then"},
		{"expect", object("expectation"), false, "the rhythm of its deliveries: silence is an alert"},
	}, inletFields...)},
	"cors": {title: "cors", fields: []field{
		{"origins", list(is(kindText)), true, "such as https://www.example.com; \"*\" for any page"},
	}},
	"respond": {title: "respond", fields: []field{
		{"mode", word("async", "sync"), false, ""},
		{"timeout", is(kindDuration), false, "10s by default"},
		{"status", between(200, 599), false, ""},
		{"headers", mapOf(is(kindValue)), false, ""},
		{"body", is(kindValue), false, ""},
	}},
	"auth": {title: "auth", fields: []field{
		{"bearer", is(kindValue), false, ""},
		{"basic", object("basic"), false, ""},
		{"header", object("auth_header"), false, ""},
		{"query", object("auth_header"), false, ""},
	}},
	"basic": {title: "basic", fields: []field{
		{"user", is(kindValue), true, ""},
		{"password", is(kindValue), false, ""},
	}},
	"auth_header": {title: "header", fields: []field{
		{"name", is(kindText), true, ""},
		{"value", is(kindValue), true, ""},
	}},
	"verify": {title: "verify", fields: []field{
		{"variant", is(kindText), false, "a name, where there are several schemes"},
		{"explicit", is(kindBool), false, "true: only used when variant: asks for it, since it proves less"},
		{"secret_prefix", is(kindText), false, "only for secrets that begin so"},
		{"secret", object("secret_pick"), false, "which of the secrets belongs to this scheme"},
		{"when", object("detect"), false, "the variant applies only when this holds"},
		{"algorithm", word(signature.Algorithms...), true, ""},
		{"key_encoding", word(signature.KeyEncodings...), false, "utf8 by default"},
		{"key", object("key_source"), false, "where the provider publishes its public key"},
		{"signature", object("signature"), true, "where the signature stands"},
		{"timestamp", object("timestamp"), false, "where the sender's time stands"},
		{"signed_content", is(kindTexts), false, "what was signed, or forms of which one must fit; {body} by default"},
		{"body", word("json", "base64_xml"), false, "json: the body must be one JSON object or list and nothing else; base64_xml: what is signed is XML in base64"},
		{"require", object("places"), false, "texts that must be equal besides"},
		{"require_if_set", object("places"), false, "the same, for parameters that may be left out"},
		{"each", is(kindText), false, "the dot path of a list of which every element is verified"},
		{"jwt", object("jwt"), false, "what a token must claim"},
		{"single_use", is(kindBool), false, "whether the same signed content, or token, again is the same delivery; by default where more than the body is signed"},
		{"handshake", list(object("handshake")), false, ""},
	}},
	"secret_pick": {title: "secret", fields: []field{
		{"nth", between(1, 100), false, "only the secret at this position"},
		{"param", is(kindText), false, "or this parameter in its place"},
	}},
	"key_source": {title: "key", fields: []field{
		{"url", is(kindText), true, "a template; {kid} is the key's id"},
		{"method", word("GET", "POST"), false, ""},
		{"body", is(kindText), false, ""},
		{"headers", mapOf(is(kindText)), false, ""},
		{"hosts", list(is(kindText)), true, "patterns of which one must match the whole host name"},
		{"suffix", is(kindText), false, "what the path must end in"},
		{"format", word("jwks", "jwk", "pem", "x509", "x5c"), true, ""},
		{"at", is(kindText), false, "the dot path in a JSON answer that holds the key"},
		{"kid", is(kindText), false, "a template of the key's id, where no token names it"},
		{"chain", is(kindBool), false, "the certificate must lead to a trusted root"},
		{"root", is(kindText), false, "SHA-256 of the root of an x5c chain, in hex"},
		{"purposes", list(is(kindText)), false, "object identifiers of extensions that the certificates of an x5c chain must have, the first one's first"},
		{"cache", is(kindDuration), false, "1h by default"},
		{"token", object("key_token"), false, "client credentials for the address of the key"},
	}},
	"key_token": {title: "token", fields: []field{
		{"url", is(kindText), true, ""},
		{"id", is(kindText), true, ""},
		{"secret", is(kindText), true, ""},
		{"scope", is(kindText), false, ""},
	}},
	"jwt": {title: "jwt", fields: []field{
		{"algorithms", list(word("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "ES256", "EdDSA")), true, "the only ones that pass"},
		{"present", list(is(kindText)), false, "claims that must be there"},
		{"claims", mapOf(is(kindTexts)), false, "claim to the texts of which it must equal one"},
		{"optional_claims", mapOf(is(kindTexts)), false, "the same, checked only when the parameters are set"},
		{"either", mapOf(is(kindText)), false, "claim to a second name for it"},
		{"hashes", mapOf(object("jwt_hash")), false, "claims that hold the SHA-256 of a part of the request"},
		{"leeway", is(kindDuration), false, "how far clocks may differ"},
		{"max_age", is(kindDuration), false, "how old iat may be"},
		{"detached", is(kindBool), false, "the payload is the body"},
	}},
	"jwt_hash": {title: "a hash", fields: []field{
		{"of", is(kindText), true, "a template, or canonical_request"},
		{"encoding", word("hex", "base64", "base64url"), true, ""},
		{"empty_absent", is(kindBool), false, "the claim is missing when the part is empty"},
	}},
	"from": {title: "from", fields: []field{
		{"header", is(kindText), false, ""},
		{"headers", list(is(kindText)), false, "any of them; a # at the end stands for 1 to 100"},
		{"query", is(kindText), false, ""},
		{"form", is(kindText), false, ""},
		{"json", is(kindText), false, "a dot path into the body"},
		{"xml", is(kindText), false, "element names joined by /"},
		{"body", is(kindBool), false, "the whole body"},
		{"url", is(kindBool), false, "a query value or the last segment of the path"},
		{"signature_field", is(kindText), false, "a field of the signature header"},
	}},
	"signature": {title: "signature", fields: []field{
		{"from", object("from"), true, ""},
		{"prefix", is(kindText), false, "a literal that must be there and is cut"},
		{"prefix_optional", is(kindBool), false, "it may be missing"},
		{"encoding", is(kindTexts), true, "hex, base64, base64url_nopad, raw, jws_compact"},
		{"parse", object("parse"), false, "how several values share one header"},
	}},
	"parse": {title: "parse", fields: []field{
		{"format", word(signature.Formats...), true, ""},
		{"separator", is(kindText), false, ""},
		{"signature_key", is(kindTexts), false, ""},
		{"timestamp_key", is(kindText), false, ""},
		{"item", is(kindText), false, "<version>,<signature>"},
		{"accept_versions", list(is(kindText)), false, ""},
		{"groups", is(kindBool), false, "the list comes several times, separated by blanks"},
		{"select", is(kindText), false, "which pair of a pair_list is ours"},
		{"key_id", is(kindText), false, "the field that names the key"},
		{"sample", is(kindText), false, "how a sample of a kv_list is written, with {signature} and {timestamp}"},
		{"match", word("any"), false, ""},
	}},
	"timestamp": {title: "timestamp", fields: []field{
		{"from", object("from"), true, ""},
		{"unit", word(signature.Units...), true, ""},
		{"tolerance", is(kindDuration), false, "5m by default"},
	}},
	"places": {title: "places", fields: []field{
		{"header", mapOf(is(kindTexts)), false, "header name to value"},
		{"query", mapOf(is(kindTexts)), false, "parameter to value"},
		{"form", mapOf(is(kindTexts)), false, "form field to value"},
		{"json", mapOf(is(kindTexts)), false, "dot path to value"},
		{"xml", mapOf(is(kindTexts)), false, "element path to value"},
	}},
	"handshake": {title: "handshake", fields: []field{
		{"detect", object("detect"), true, "which requests are the handshake"},
		{"verify_first", is(kindBool), false, "true by default: only answered when it is genuine"},
		{"check", object("places"), false, "texts that must be equal, else it is refused"},
		{"refuse", between(400, 499), false, "the status for one whose check fails; 403 by default"},
		{"check_optional", is(kindBool), false, "checks whose parameter is not set are left out"},
		{"compute", object("compute"), false, "{computed} of the answer"},
		{"capture", is(kindText), false, "a template: the secret that the provider hands over, taken only while none is set"},
		{"visit", object("visit"), false, "an address that must be visited to confirm"},
		{"respond", object("handshake_respond"), true, ""},
	}},
	"compute": {title: "compute", fields: []field{
		{"algorithm", word("hmac-sha1", "hmac-sha256", "hmac-sha512", "sha256"), true, ""},
		{"key_encoding", word(signature.KeyEncodings...), false, "utf8 by default"},
		{"message", is(kindText), true, "a template"},
		{"matches", is(kindText), false, "a pattern that the message must fit, so that no chosen text is signed"},
		{"encoding", word("hex", "base64"), true, ""},
	}},
	"visit": {title: "visit", fields: []field{
		{"url", is(kindText), true, "a template"},
		{"hosts", list(is(kindText)), true, "patterns of which one must match the whole host name"},
	}},
	"detect": {title: "detect", fields: []field{
		{"method", is(kindTexts), false, ""},
		{"header", mapOf(is(kindTexts)), false, "header name to value; * for any, ! for none"},
		{"query", mapOf(is(kindTexts)), false, "parameter to value"},
		{"form", mapOf(is(kindTexts)), false, "form field to value"},
		{"json", mapOf(is(kindTexts)), false, "dot path to value; [] for an empty list"},
		{"xml", mapOf(is(kindTexts)), false, "element path to value"},
	}},
	"handshake_respond": {title: "respond", fields: []field{
		{"status", between(200, 599), false, ""},
		{"content_type", is(kindText), false, ""},
		{"headers", mapOf(is(kindText)), false, ""},
		{"body", is(kindText), false, "a template as in signed_content"},
	}},
	"listing": {title: "list", fields: listingFields},
	"preset_list": {title: "list", fields: append([]field{
		{"setup", is(kindAny), false, "the connection that it needs, as written in hookloom.yaml"},
		{"webhook_key", is(kindExprs), false, "the key of the webhook's deliveries, where the list does not know the usual one"},
	}, listingFields...)},
	"reconcile": {title: "reconcile", fields: append([]field{
		{"every", is(kindDuration), true, "how often to look for what the webhook missed"},
	}, listingFields...)},
	"expectation": {title: "expect", fields: []field{
		{"within", is(kindText), true, "how long the trigger may be quiet before that is an alert: a duration, or learned"},
	}},
	"poll": {title: "poll", fields: append([]field{
		{"provider", is(kindText), false, "a preset that says how to list: request, items, key and cursor are its then"},
		{"every", is(kindDuration), false, "at least 5s"},
		{"cron", is(kindText), false, ""},
		{"timezone", is(kindText), false, ""},
		{"request", object("request"), false, ""},
		{"detail", object("request"), false, "what to ask for each new item, where the list tells too little; data reads its answer as detail"},
		{"pages", object("pages"), false, ""},
		{"items", is(kindExpr), false, "response.body by default"},
		{"cursor", is(kindExpr), false, ""},
		{"backfill", is(kindBool), false, ""},
		{"max_items", between(1, 1_000_000), false, "500 by default"},
		{"compare", is(kindBool), false, ""},
		{"overlap", is(kindDuration), false, ""},
		{"event_type", is(kindExpr), false, ""},
	}, inletFields...)},
	"request": {title: "request", fields: requestFields},
	"pages": {title: "pages", fields: []field{
		{"next", is(kindExpr), false, "the next page's URL: an expression, or: header link"},
		{"page", object("page_number"), false, "the pages have numbers"},
		{"offset", object("page_offset"), false, "a page begins behind so many items"},
		{"token", is(kindExpr), false, "what the answer says names the next page; sent as query:"},
		{"query", is(kindText), false, "the query parameter of the token"},
		{"body", is(kindText), false, "in place of query: the key of the request's body that has the token"},
		{"size", either(between(1, 1_000_000), object("page_size")), false, "how many items a full page has; fewer are the last page"},
		{"until", is(kindExpr), false, "true on the last page; with page and offset an empty page is the last too"},
		{"max", between(1, 100_000), false, "pages of one poll, 10 by default; the next poll goes on behind them"},
	}},
	"page_number": {title: "page", fields: []field{
		{"query", is(kindText), false, "the query parameter that has the number"},
		{"body", is(kindText), false, "in place of query: the key of the request's body that has it"},
		{"from", between(0, 1), false, "the first page's number; 1 by default"},
	}},
	"page_offset": {title: "offset", fields: []field{
		{"query", is(kindText), false, "the query parameter that has the offset"},
		{"body", is(kindText), false, "in place of query: the key of the request's body that has it"},
		{"from", between(0, 1), false, "the first item's offset; 0 by default"},
	}},
	"page_size": {title: "size", fields: []field{
		{"query", is(kindText), false, "the query parameter that has the size"},
		{"body", is(kindText), false, "in place of query: the key of the request's body that has it"},
		{"value", between(1, 1_000_000), true, "how many items to ask for"},
	}},
	"schedule": {title: "schedule", fields: append([]field{
		{"id", is(kindName), false, ""},
		{"cron", is(kindText), false, ""},
		{"every", is(kindDuration), false, ""},
		{"timezone", is(kindText), false, ""},
		{"missed", word("skip", "once", "all"), false, "skip by default"},
		{"jitter", is(kindDuration), false, ""},
	}, inletFields...)},
	"workflow_run": {title: "workflow_run", fields: []field{
		{"workflows", list(is(kindText)), true, ""},
		{"status", list(word(runStatuses...)), false, ""},
	}},
	"step": {title: "a step", fields: []field{
		{"id", is(kindName), false, "a name, for steps.<id>"},
		{"name", is(kindText), false, ""},
		{"if", is(kindExpr), false, "run the step or not"},
		{"foreach", is(kindExpr), false, "a list or a map"},
		{"as", is(kindName), false, "renames item"},
		{"max_parallel", between(1, 1000), false, "items at a time, 1 by default; from 2 on a slot is free while its item pauses before a retry"},
		{"fail_fast", is(kindBool), false, "true by default"},
		{"uses", is(kindText), false, "an action"},
		{"steps", steps(1), false, "a group"},
		{"parallel", steps(1), false, "steps run at once"},
		{"switch", is(kindExpr), false, ""},
		{"set", mapOf(is(kindValue)), false, ""},
		{"sleep", is(kindAny), false, ""},
		{"wait", object("wait"), false, "for a person's approval, an event, or with any the first of several"},
		{"call", is(kindText), false, "a workflow's id"},
		{"stop", is(kindValue), false, "end the run as succeeded"},
		{"fail", is(kindValue), false, "fail the run"},
		{"with", mapOf(is(kindValue)), false, "the action's inputs"},
		{"else", steps(1), false, ""},
		{"cases", is(kindAny), false, ""},
		{"default", steps(0), false, ""},
		{"detach", is(kindBool), false, "do not wait for the called run, nor end it with this one"},
		{"retry", either(between(0, 50), object("retry")), false, ""},
		{"timeout", is(kindDuration), false, "per attempt; 30s by default"},
		{"deadline", is(kindDuration), false, "of the whole step: all attempts, pauses and waits; none by default"},
		{"continue_on_error", is(kindBool), false, ""},
		{"on_unknown", word("retry", "fail", "review"), false, "retry by default"},
		{"on_failure", steps(0), false, ""},
		{"output", is(kindValue), false, "replaces the body's output"},
	}},
	"wait": {title: "wait", fields: append([]field{
		{"any", list(object("wait_choice")), false, "several waits, of which the first that ends is the step's"},
	}, waitFields...)},
	"wait_choice": {title: "a wait of any", fields: waitFields},
	"sleep": {title: "sleep", fields: []field{
		{"until", is(kindValue), true, ""},
	}},
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
	"project": {title: "hookloom.yaml", xKeys: true, fields: []field{
		{"version", between(1, 1000), false, ""},
		{"server", object("server"), false, ""},
		{"database", is(kindText), false, "hookloom.db by default"},
		{"timezone", is(kindText), false, ""},
		{"triggers", mapOf(object("trigger")), false, ""},
		{"connections", mapOf(is(kindAny)), false, ""},
		{"egress", object("egress"), false, ""},
		{"destinations", mapOf(object("destination")), false, "host to how much is sent to it at once"},
		{"history", object("history"), false, ""},
		{"files", object("files"), false, "how large the files of runs may be: what http actions keep with save: true"},
	}},
	"files": {title: "files", fields: []field{
		{"max_file", is(kindSize), false, "one file; 256MiB by default"},
		{"max_size", is(kindSize), false, "all files together; 2GiB by default"},
	}},
	"server": {title: "server", fields: []field{
		{"addr", is(kindText), false, ":8080 by default"},
		{"admin_addr", is(kindText), false, "127.0.0.1:8081 by default"},
		{"public_url", is(kindText), false, "how providers see the hooks address"},
		{"admin_url", is(kindText), false, "how people reach the console: the address in run.url and in alerts"},
		{"trusted_proxies", list(is(kindText)), false, "addresses whose forwarding headers are believed"},
		{"tls", object("tls"), false, "https on the hooks address"},
		{"admin_tls", object("tls"), false, "https on the admin address, written as tls"},
		{"token", is(kindValue), false, "of the admin address; who has it may act"},
		{"view_token", is(kindValue), false, "of the admin address; who has it may look"},
		{"tokens", mapOf(is(kindValue)), false, "name to a token of one person, who may act; it proves the name for by: of approvals"},
	}},
	"tls": {title: "tls", fields: []field{
		{"cert", is(kindText), false, "a PEM file with the certificate and its chain"},
		{"key", is(kindText), false, "a PEM file with its private key"},
		{"acme", object("acme"), false, "certificates from Let's Encrypt or another ACME authority"},
		{"client_ca", is(kindText), false, "a PEM file: client certificates are asked for and must lead to it"},
	}},
	"acme": {title: "acme", fields: []field{
		{"hosts", list(is(kindText)), true, "the host names to get certificates for"},
		{"email", is(kindText), false, "where the authority may write to"},
		{"directory", is(kindText), false, "the authority's directory; Let's Encrypt by default"},
		{"cache", is(kindText), false, "the folder for keys and certificates; acme by default"},
	}},
	"destination": {title: "a destination", fields: []field{
		{"concurrency", between(1, 10_000), false, "attempts at once; an eighth of the runs at work by default"},
		{"rate", is(kindRate), false, "attempts per time, such as 10/s"},
	}},
	"egress": {title: "egress", fields: []field{
		{"allow", list(is(kindText)), false, "private addresses, blocks or hosts that steps may reach"},
	}},
	"history": {title: "history", fields: []field{
		{"keep", is(kindDuration), false, ""},
		{"max_size", is(kindSize), false, ""},
		{"bodies", is(kindDuration), false, ""},
		{"redact", list(is(kindText)), false, "fields of events that are masked before they are stored: event.data.card.number, $..iban"},
	}},
	"connection": {title: "a connection", xKeys: false, fields: []field{
		{"connector", is(kindText), false, "the connection's own name by default"},
		{"base_url", is(kindValue), false, ""},
		{"auth", object("auth"), false, ""},
		{"headers", mapOf(is(kindValue)), false, ""},
	}},
	"preset": {title: "a provider preset", fields: []field{
		{"provider", is(kindText), true, "the name that workflows write"},
		{"aliases", list(is(kindText)), false, "other names for it"},
		{"title", is(kindText), true, ""},
		{"category", is(kindText), false, ""},
		{"docs", is(kindText), false, "where the provider documents its scheme"},
		{"confidence", word("verified", "corroborated", "memory"), true, "of the facts in this file; memory is experimental"},
		{"sources", list(is(kindText)), false, "where the facts were read"},
		{"secret", is(kindText), false, "what the provider calls the secret"},
		{"secret_optional", is(kindBool), false, "true: without one the provider's published key is fetched"},
		{"params", mapOf(object("preset_param")), false, "further configuration values"},
		{"setup", list(is(kindText)), false, "the steps in the provider's dashboard"},
		{"delivery", object("preset_delivery"), false, "how it delivers and retries"},
		{"ips", object("preset_ips"), false, "the addresses that it publishes"},
		{"verify", list(object("verify")), true, "its schemes; the first is the default"},
		{"proves", word("provider"), false, "provider: any customer of the provider can have it sign such a delivery"},
		{"methods", list(word(methods...)), false, "with which deliveries come; POST by default"},
		{"media_types", list(is(kindText)), false, "what it sends; a body of another type is read as the first"},
		{"handshake", list(object("handshake")), false, "requests by which it checks that the URL is ours"},
		{"answer", object("handshake_respond"), false, "what it must hear for a stored delivery"},
		{"refusal", object("handshake_respond"), false, "what it must hear for one that is not genuine"},
		{"body_from", word("token"), false, "the event's body is what the token claims"},
		{"key", is(kindExprs), false, "the event's id; the hash of the body without it"},
		{"id_signed", is(kindBool), false, "false: the id is not covered by the signature"},
		{"common_ids", is(kindBool), false, "true: without key, a common id header names the event: webhook-id, Idempotency-Key, X-Event-Id, ce-id with ce-source"},
		{"split", is(kindExpr), false, "the list of which each element is an event; key and event_type read item"},
		{"dedupe", is(kindDuration), false, "how long keys are remembered, where 30d would be too long; for deliveries without a key, how long their content is, where 1m is too short"},
		{"retries", object("preset_retries"), false, "how it repeats a delivery"},
		{"max_body", is(kindSize), false, "the provider's documented largest body: the default of a trigger's max_body"},
		{"event_type", is(kindExpr), false, ""},
		{"data", is(kindExpr), false, "the object inside the body"},
		{"time", is(kindExpr), false, "when it happened, by the sender's clock"},
		{"events", list(is(kindText)), false, "known types, for did-you-mean"},
		{"list", object("preset_list"), false, "how to ask it for what it sent"},
		{"sample", object("preset_sample"), true, "a realistic delivery"},
		{"notes", list(is(kindText)), false, "known traps"},
	}},
	"preset_param": {title: "a parameter", fields: []field{
		{"required", is(kindBool), false, ""},
		{"default", is(kindText), false, ""},
		{"customer", is(kindBool), false, "true: it tells this customer's deliveries from those of others"},
		{"help", is(kindText), true, ""},
	}},
	"preset_delivery": {title: "delivery", fields: []field{
		{"timeout", is(kindText), false, "within which it wants an answer"},
		{"retry", is(kindText), false, ""},
		{"success", is(kindText), false, "the answers that count as success"},
	}},
	"preset_retries": {title: "retries", fields: []field{
		{"signed", word(retryKinds...), true, "first: repeats carry the first signature; anew: each is signed anew; unsigned: no time is signed"},
		{"window", is(kindDuration), false, "how long after the first delivery the last repeat may come"},
		{"source", is(kindText), false, "the page that says so"},
	}},
	"preset_ips": {title: "ips", fields: []field{
		{"ranges", list(is(kindText)), true, "addresses and CIDR blocks"},
		{"as_of", is(kindText), true, "the day they were read"},
		{"source", is(kindText), true, ""},
	}},
	"preset_sample": {title: "sample", fields: []field{
		{"headers", mapOf(is(kindText)), false, ""},
		{"type", is(kindText), false, "the type that it has when none is asked for"},
		{"type_header", is(kindText), false, "the header that carries the event's type"},
		{"type_json", is(kindText), false, "the dot path that carries it"},
		{"id_header", is(kindText), false, "the header that carries the delivery's id"},
		{"id_json", is(kindText), false, "the dot path that carries it"},
		{"content_type", is(kindText), false, "application/json by default; a form is made of the body's keys"},
		{"body", is(kindAny), true, ""},
	}},
	"connector": {title: "a connector", fields: []field{
		{"connector", is(kindText), true, ""},
		{"version", between(1, 1000), false, ""},
		{"description", is(kindText), false, ""},
		{"base_url", is(kindValue), true, ""},
		{"connection", mapOf(object("connection_field")), false, ""},
		{"auth", object("auth"), false, ""},
		{"defaults", object("connector_defaults"), false, ""},
		{"actions", mapOf(object("action")), true, ""},
	}},
	"connection_field": {title: "a connection's field", fields: []field{
		{"type", word(inputTypes...), true, ""},
		{"secret", is(kindBool), false, ""},
		{"required", is(kindBool), false, ""},
		{"default", is(kindAny), false, ""},
		{"description", is(kindText), false, ""},
	}},
	"connector_defaults": {title: "defaults", fields: []field{
		{"timeout", is(kindDuration), false, ""},
		{"retry", either(between(0, 50), object("retry")), false, ""},
		{"rate", is(kindRate), false, ""},
	}},
	"action": {title: "an action", fields: []field{
		{"description", is(kindText), false, ""},
		{"inputs", mapOf(object("input")), false, ""},
		{"request", object("action_request"), true, ""},
		{"output", is(kindValue), false, ""},
		{"idempotency", word("natural", "key", "none"), false, "the same request again: natural, it changes nothing; key, the service honours Idempotency-Key; none, it acts again"},
		{"already", list(object("action_already")), false, "answers that mean that what was to be made is there: success"},
		{"fail", list(object("action_fail")), false, ""},
		{"example", is(kindAny), false, ""},
	}},
	"action_request": {title: "request", fields: []field{
		{"method", word(methods...), false, ""},
		{"path", is(kindValue), true, ""},
		{"query", mapOf(is(kindValue)), false, ""},
		{"headers", mapOf(is(kindValue)), false, ""},
		{"body", is(kindValue), false, ""},
		{"form", mapOf(is(kindValue)), false, ""},
		{"form_style", word("repeat", "brackets", "json"), false, "how form and query write lists and maps"},
	}},
	"action_already": {title: "already", fields: []field{
		{"when", is(kindExpr), true, ""},
		{"output", is(kindValue), false, "{status, headers, body} by default"},
	}},
	"action_fail": {title: "fail", fields: []field{
		{"when", is(kindExpr), true, ""},
		{"code", is(kindText), true, ""},
		{"message", is(kindValue), true, ""},
		{"retryable", is(kindBool), false, ""},
	}},
}
