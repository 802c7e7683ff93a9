package workflows

import (
	"slices"
	"strings"
)

// This file maps words of other tools to those of this language.

// foreignWords maps keys of other tools to their equivalents.
var foreignWords = map[string]string{
	"continue-on-error": "continue_on_error", "runs-on": "not needed: steps run in the server", "env": "vars",
	"jobs": oneList, "workflow_dispatch": "on: manual", "workflow_call": "on: call",
	"timeout-minutes": "timeout: 5m", "matrix": "foreach", "strategy": "foreach", "max-parallel": "max_parallel",
	"fail-fast": "fail_fast", "outputs": "output", "tasks": "steps", "triggers": "on", "trigger": "on",
	"actions": "steps", "action": "uses", "condition": "when: in the workflow, or if: in a step", "conditions": "when",
	"sequence": "steps", "type": "uses", "run": noShell, "needs": "not needed: steps run in order",
	"retries": "retry", "errors": "on_failure", "finally": "finally: of the workflow; a step has on_failure:",
	"always": "finally: of the workflow", "cancelOn": "cancel_on", "batchEvents": "batch", "throttle": "rate",
	"ensure": "finally: of the workflow", "variables": "vars", "cron": "on: schedule",
	"service": "uses", "choose": "switch", "repeat": "foreach", "delay": "sleep", "wait_for_trigger": "wait",
	"params": "with", "inputs": "with", "then": "steps", "each": "foreach", "for_each": "foreach", "loop": "foreach",
	"log": "uses: log", "http": "uses: http/request", "filter": "when: in the workflow, or if: in a step",
	"paginate": "pages: in a poll", "cancel-in-progress": "concurrency: {limit: 1, on_full: replace}",
	"on_error": "on_failure", "catch": "on_failure", "schedule": "on: {schedule: ...}",
	"webhook": "on: {webhook: ...}", "parallelism": "max_parallel",
	"waitForEvent": "wait: {event: NAME, key: ...}", "approval": "wait: {approval: ...}",
	"emit": "uses: hookloom/emit", "sendEvent": "uses: hookloom/emit",
	"rateLimit": "rate", "rate_limit": "rate", "workflow": "call",
	"idempotency": "key: and dedupe: of the trigger",
}

// severalWaits says how to wait for one of several events.
const severalWaits = "for the first of several write wait: {any: [{event: NAME, key: ...}, {event: OTHER, key: ...}]}"

// Hints that stand for several keys.
const (
	inProjectFile  = "it belongs in hookloom.yaml"
	inWorkflowName = "folders group workflows: workflows/billing/refund.yaml is billing/refund"
	oneList        = "write one list under steps:; parallel: runs steps at the same time"
	noShell        = "there is no shell; write uses: log, or call a service with http/post"
	noCode         = "steps run no code: write an expression ${{ }}, set: {...} or uses: jq"
	noCondition    = "foreach: goes through a list; to repeat an action until it succeeds write retry: {max: 10, delay: 30s}"
	pauseOrLimit   = "to pause for a time write sleep: 5m instead of wait; the limit of a wait is timeout: 5m, next to wait:"
	noReminder     = "a wait sends no reminders: write timeout: on the step, and tell the person in its on_failure:"
	timeoutFails   = "a step whose timeout: has passed has failed: continue_on_error: true goes on, on_failure: [...] runs steps"
	webhookScheme  = "for a signature write provider: NAME or verify: {...}, for a token in a header auth: {header: {...}}"
	pollRequest    = "write it inside request:, such as request: {url: \"https://api.example.com/orders\"}"
	scheduleTime   = `write the time as cron: "0 7 * * 1-5" (minute hour day month weekday)`
	sleepFor       = "write the duration itself: sleep: 5m"
	signaturePlace = "it describes the signature: write signature: {from: {header: X-Signature}, encoding: hex, prefix: \"sha256=\"}"
)

const webhookForm = `write webhook: {provider: NAME, secret: "${{ secrets.NAME }}"}`

// foreignWordsIn is for keys that have another meaning in one kind of map: by the title of the map,
// what to do, or the name of the key here.
var foreignWordsIn = map[string]map[string]string{
	"a workflow": {
		"if":         "when",
		"on_success": "steps after the others run only when those have succeeded: add to steps, or write finally:",
		"retry":      "retry: belongs in a step, or in defaults: for all steps",
		"respond":    "respond: belongs in the trigger: write webhook: {..., respond: sync}",
		"nodes":      "steps", "action": "steps", "gather": "batch", "tags": inWorkflowName, "labels": inWorkflowName,
		"id": "the file's path is the id: workflows/billing/refund.yaml is billing/refund", "disabled": "write enabled: false",
		"connections": inProjectFile, "server": inProjectFile, "egress": inProjectFile, "destinations": inProjectFile,
		"history": inProjectFile, "environment": "settings of an environment belong in hookloom.NAME.yaml: hookloom docs environments",
		"notifications": "write a workflow with on: hookloom.alerts",
	},
	"a step": {
		"method": "uses: names the method, such as http/post; http/request takes method: inside with:",
		"pause":  "sleep", "script": noCode, "code": noCode, "transform": noCode, "do": "steps", "for": "foreach", "case": "cases",
		"while": noCondition, "until": noCondition, "concurrency": "max_parallel", "vars": "set",
		"try":    "write its steps here; continue_on_error: true or on_failure: says what happens after a failure",
		"return": "to end the run write stop: TEXT; output: of the workflow is its result",
		"email":  "write uses: email/send, and its inputs inside with:", "slack": "write uses: slack/post, and its inputs inside with:",
		"on_timeout": timeoutFails, "on_expiry": timeoutFails,
		"remind": noReminder, "reminder": noReminder,
		"idempotency_key": "write it inside with:", "url": "write it inside with:", "body": "write it inside with:",
		"headers": "write it inside with:", "query": "write it inside with:", "json": "write it inside with:",
		"form": "write it inside with:", "message": "write it inside with:", "connection": "write it inside with:",
		"raw": "write it inside with:", "multipart": "write it inside with:", "text": "write it inside with:",
	},
	"a trigger": {
		"provider": webhookForm, "secret": webhookForm, "verify": "write webhook: {verify: ...}", "auth": "write webhook: {auth: ...}",
		"cron": "write schedule: {cron: ...}", "every": "write schedule: {every: ...}",
	},
	"webhook": {
		"signature": webhookScheme, "header": webhookScheme, "algorithm": webhookScheme, "encoding": webhookScheme,
		"signature_header": webhookScheme, "hmac": webhookScheme,
		"token": "write " + `auth: {bearer: "${{ secrets.NAME }}"}`, "username": "write auth: {basic: {...}}",
		"password": "write auth: {basic: {...}}", "types": "events", "filter": "write when: in the workflow", "url": "path",
	},
	"poll": {
		"url": pollRequest, "method": pollRequest, "headers": pollRequest, "query": pollRequest, "connection": pollRequest,
		"auth": pollRequest, "interval": "every", "id": "key", "path": "items", "list": "items", "since": "cursor",
		"schedule": "every", "limit": "max_items",
	},
	"schedule": {
		"tz": "timezone", "time_zone": "timezone", "zone": "timezone", "catchup": "missed", "catch_up": "missed",
		"misfire": "missed", "interval": "every", "expression": "cron", "at": scheduleTime, "time": scheduleTime,
		"days": scheduleTime, "day": scheduleTime, "weekday": scheduleTime,
	},
	"sleep": {"for": sleepFor, "duration": sleepFor, "seconds": sleepFor, "minutes": sleepFor, "hours": sleepFor, "days": sleepFor},
	"verify": {
		"type": "algorithm", "hmac": "algorithm", "alg": "algorithm", "hash": "algorithm", "header": signaturePlace,
		"encoding": signaturePlace, "prefix": signaturePlace, "signed": "signed_content", "payload": "signed_content",
		"content": "signed_content", "message": "signed_content", "tolerance": "tolerance: belongs to the webhook, next to verify:",
		"secret": "secret: belongs to the webhook, next to verify:",
	},
	"server":        {"port": `write addr: ":PORT"`, "listen": "addr", "host": "addr", "address": "addr", "adress": "addr", "bind": "addr"},
	"hookloom.yaml": {"defaults": "defaults: belongs in a workflow's file"},
	"a trigger's filter": {
		"type": "events", "types": "events", "event": "events", "actions": "events",
		"branches": `write when: event.data.ref == "refs/heads/main"`,
		"when":     "when: belongs in the workflow, next to on:", "if": "write when: in the workflow, next to on:",
	},
	"pages": {
		"cursor":     "token",
		"next_token": "token",
		"link":       "for a Link header write next: header link",
		"param":      "query",
		"limit":      "size",
	},
	"page":   {"param": "query", "name": "query", "parameter": "query", "start": "from"},
	"offset": {"param": "query", "name": "query", "parameter": "query", "start": "from"},
	"a wait of any": {
		"match": "key", "approvers": "by", "trigger": "event", "sleep": "timeout: on the step limits the wait",
		"any": "add its waits to the outer any:", "timeout": "timeout: belongs to the step and limits all of them",
	},
	"retry": {
		"attempts": "max", "limit": "max", "count": "max", "times": "max", "tries": "max", "max_attempts": "max",
		"maxAttempts": "max", "max_retries": "max", "retries": "max",
		"max_duration": "for", "duration": "for", "interval": "delay", "wait": "delay", "initial_interval": "delay", "initialInterval": "delay",
		"initial_delay": "delay", "min_delay": "delay", "max_backoff": "max_delay", "maximum_interval": "max_delay", "backoff": "factor",
		"multiplier": "factor", "max_interval": "max_delay",
	},
	"debounce": {
		"period": "wait", "delay": "wait", "quiet": "wait", "window": "wait", "time": "wait",
		"timeout": "max", "max_wait": "max", "maxWait": "max",
	},
	"batch": {
		"maxSize":  "size",
		"max_size": "size",
		"limit":    "size",
		"count":    "size",
		"timeout":  "wait",
		"max_wait": "wait",
		"period":   "wait",
		"every":    "wait",
		"interval": "wait",
		"window":   "wait",
		"max":      "size",
	},
	"cancel_on": {
		"match": "key", "if": "key", "trigger": "event",
	},
	"concurrency": {"key": "group", "max": "limit", "cancel-in-progress": "write on_full: replace"},
	"rate":        {"period": "per", "window": "per", "key": "group"},
	"wait": {
		"match": "key", "approvers": "by", "users": "by", "trigger": "event", "webhook": "event",
		"events": severalWaits, "first": severalWaits,
		"all": "for all of them write several steps with wait: one after another; events that came earlier count",
		"if":  "key: selects the event; check its data in the next step's if:", "lookback": "since",
		"for":      pauseOrLimit,
		"until":    "to pause until a time write sleep: {until: ...} instead of wait",
		"seconds":  pauseOrLimit,
		"duration": pauseOrLimit, "remind": noReminder, "reminder": noReminder,
		"notify":  "write a step before this one that tells the person, such as uses: slack/ask",
		"minutes": pauseOrLimit,
		"timeout": "timeout: belongs to the step, next to wait:",
	},
	"oauth2": {
		"scope": "scopes", "audience": "write params: {audience: ...}", "resource": "write params: {resource: ...}",
		"auth_url": "authorize_url", "authorization_url": "authorize_url", "authorizationUrl": "authorize_url",
		"authorization_endpoint": "authorize_url", "token_endpoint": "token_url", "access_token_url": "token_url",
		"device_authorization_endpoint": "device_url", "device_authorization_url": "device_url", "redirect_uri": "redirect",
		"redirect_url": "redirect", "grant_type": "grant", "id": "client_id", "secret": "client_secret",
		"access_token": `a token is fetched; for a fixed one write auth: {bearer: "${{ secrets.NAME }}"}`,
		"pkce":         "it is always used", "extra_params": "params", "type": "grant",
	},
	"jwt_bearer": {
		"iss": "issuer", "sub": "subject", "aud": "audience", "private_key": "key", "kid": "key_id", "alg": "algorithm",
		"client_id": "issuer", "scope": "scopes", "client_email": "issuer", "expires_in": "lifetime", "exp": "lifetime",
	},
	"aws_sigv4": {
		"access_key_id": "access_key", "secret_access_key": "secret_key", "aws_access_key_id": "access_key",
		"aws_secret_access_key": "secret_key", "token": "session_token",
	},
	"tls of a connection": {"certificate": "cert", "private_key": "key", "client_cert": "cert", "client_key": "key"},
	"auth of a connection": {
		"username": "write " + authForms["basic"], "user": "write " + authForms["basic"], "password": "write " + authForms["basic"],
		"token": "write " + authForms["bearer"], "api_key": "write " + authForms["header"], "key": "write " + authForms["header"],
		"oauth": "oauth2", "jwt": "jwt_bearer", "aws": "aws_sigv4", "sigv4": "aws_sigv4", "aws4": "aws_sigv4", "mtls": "tls",
		"client_certificate": "tls", "service_account": "write jwt_bearer: {service_account: \"${{ secrets.NAME }}\"}",
	},
	"auth": {
		"username": "write " + authForms["basic"], "user": "write " + authForms["basic"], "password": "write " + authForms["basic"],
		"token": "write " + authForms["bearer"], "api_key": "write " + authForms["header"], "key": "write " + authForms["header"],
	},
}

// foreignActions maps actions of other tools, and likely guesses, to their equivalents.
var foreignActions = map[string]string{
	"emit": "use hookloom/emit", "send_event": "use hookloom/emit", "repository_dispatch": "use hookloom/emit",
	"hookloom/send": "use hookloom/emit",
	"wait":          "to pause write sleep: 5m instead of uses; for an event or a person, wait:",
	"sleep":         "write sleep: 5m instead of uses", "delay": "write sleep: 5m instead of uses",
	"store": "it has store/delete, store/get, store/increment, store/set", "store/put": "use store/set",
	"store/save": "use store/set", "store/write": "use store/set",
	"store/incr": "use store/increment", "store/inc": "use store/increment", "store/add": "use store/increment",
	"store/read": "use store/get", "store/del": "use store/delete",
	"store/remove": "use store/delete", "store/cas": "use store/set with expect: (the value that must be there now)",
	"store/compare_and_set": "use store/set with expect: (the value that must be there now)",
	"kv/get":                "use store/get", "kv/set": "use store/set", "kv/put": "use store/set",
	"cache/get": "use store/get", "cache/set": "use store/set",
}

// foreignConnectors maps connectors of other tools to what this one has instead.
var foreignConnectors = map[string]string{
	"postgres": sqlActions, "postgresql": sqlActions, "pg": sqlActions, "mysql": sqlActions, "mariadb": sqlActions, "sqlite": sqlActions,
	"db": sqlActions, "database": sqlActions,
	"smtp": mailAction, "mail": mailAction, "sendmail": mailAction, "nodemailer": mailAction,
	"mongodb": noConnector, "redis": noConnector, "kafka": noConnector, "rabbitmq": noConnector, "ftp": noConnector, "sftp": noConnector,
	"ssh": noConnector,
}

const (
	sqlActions  = "use sql/query to read a database, sql/exec to change it"
	mailAction  = "use email/send: it sends a mail through an SMTP server"
	noConnector = "Hookloom has no such connector: use http/request, if there is an HTTP API for it"
)

// foreignAction returns what to write for an action of another tool, or "". A connector of the project may have
// the same name.
func foreignAction(name string, known []string) string {
	if hint := foreignActions[name]; hint != "" {
		return hint
	}
	head, _, _ := strings.Cut(name, "/")
	if slices.ContainsFunc(known, func(n string) bool { return strings.HasPrefix(n, head+"/") }) {
		return ""
	}
	return foreignConnectors[head]
}

// foreignInputsOf maps inputs of other tools to their equivalents, by the prefix of the action's
// name.
var foreignInputsOf = map[string]map[string]string{
	"http/": foreignInputs,
	"store/": {
		"name": "key", "expires": "ttl", "expiry": "ttl", "expire": "ttl", "ex": "ttl", "amount": "by",
		"increment": "by", "delta": "by", "step": "by",
		"if_match": "expect", "if_equals": "expect", "expected": "expect", "data": "value",
	},
	"email/":        {"body": "text or html", "message": "text or html", "content": "text or html", "recipient": "to", "recipients": "to"},
	"hookloom/emit": {"event": "trigger", "name": "trigger", "to": "trigger", "payload": "data", "body": "data", "id": "key"},
}

// inputMeanings are groups of names for inputs of the same meaning.
var inputMeanings = [][]string{
	{"message", "text", "body", "content", "msg", "markdown"},
	{"to", "channel", "recipient", "recipients", "room", "chat_id", "user", "address", "receiver"},
	{"payload", "data", "json", "body", "content"},
	{"endpoint", "uri", "url", "href", "link", "address", "webhook_url"},
	{"subject", "title", "summary", "headline"},
	{"id", "key", "identifier"},
}

// sameMeaning returns the only input of an action that has the meaning of a name and is not given, or "".
func sameMeaning(name string, inputs []string, given []namedValue) string {
	var fits []string
	for _, group := range inputMeanings {
		if !slices.Contains(group, strings.ToLower(name)) {
			continue
		}
		for _, in := range inputs {
			if slices.Contains(group, in) && !hasField(given, in) && !slices.Contains(fits, in) {
				fits = append(fits, in)
			}
		}
	}
	if len(fits) == 1 {
		return fits[0]
	}
	return ""
}

// methodOfAction says that an action such as http/post has its method in its name, "" for others.
func methodOfAction(action, input string) string {
	method, is := strings.CutPrefix(action, "http/")
	if input != "method" || !is || !slices.Contains(methods, strings.ToUpper(method)) {
		return ""
	}
	return action + " is always " + strings.ToUpper(method) + ": remove method"
}

// foreignInput returns the equivalent of another tool's input in an action, or "", and the name of
// the input that it means.
func foreignInput(action, name string) (hint, meant string) {
	for begin, words := range foreignInputsOf {
		if word := words[name]; word != "" && strings.HasPrefix(action, begin) {
			if begin == "http/" {
				return word, ""
			}
			return "write " + strings.ReplaceAll(word, " or ", ": or ") + ":", word
		}
	}
	return "", ""
}
