package console

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// route is a call of the API: its handler, and its description in openapi.json.
type route struct {
	method, path string
	// id is the operation's name; about says what it does.
	id, about string
	// action is its name in the audit log; empty for calls that change nothing.
	action string
	// query are the parameters it takes, by name.
	query []string
	// body is a value of the request type, answer of the response type.
	body, answer any
	status       int
	handle       http.HandlerFunc
}

// parameters are all query parameters with their descriptions.
var parameters = map[string]string{
	"limit":     "How many items, 1 to 1000; 50 by default.",
	"after":     "The next of the previous page. For the stream: the id of the last message received.",
	"status":    "Only with one of these statuses or outcomes, separated by commas; for refused deliveries, reasons.",
	"workflow":  "Only of this workflow.",
	"trigger":   "Only of this trigger.",
	"type":      "Only of this event type.",
	"since":     "Only since then: 2h, 7d or 2026-01-31T10:00:00Z. For dead letters, by when they failed.",
	"until":     "Only before then, in the forms of since.",
	"q":         "Only with this text or id.",
	"event":     "Only of this event.",
	"host":      "Only with an attempt to this host; for dead letters, those that failed there.",
	"reason":    "Only for one of these reasons, separated by commas: the code of a dead letter's error, or why a delivery was refused.",
	"waits_for": "Only runs that wait for one of these, separated by commas: " + strings.Join(engine.WaitKinds, ", ") + ".",
	"who":       "Only by this name.",
	"action":    "Only these actions, separated by commas.",
	"run":       "Only changes of this run.",
	"step":      "The length of an interval, such as 1h.",
	"scope":     "project: only the project's values.",
	"key":       "The key of the value.",
}

// Responses that are not items of the log.
type (
	// problemAnswer is the response to every failed call.
	problemAnswer struct {
		Error string `json:"error"`
	}
	// statusAnswer is the outcome of a request.
	statusAnswer struct {
		Status string `json:"status"`
		Event  string `json:"event,omitempty"`
	}
	// answerAnswer repeats the question and the answer, or contains a link.
	answerAnswer struct {
		Run      string `json:"run"`
		Step     string `json:"step"`
		Question string `json:"question"`
		Verdict  string `json:"verdict,omitempty"`
		Link     string `json:"link,omitempty"`
	}
	// destinationsAnswer lists hosts, and the endpoints that answered 410.
	destinationsAnswer struct {
		Items  []destinationItem `json:"items"`
		Paused []engine.Pause    `json:"paused"`
	}
	resumedAnswer struct {
		Resumed int `json:"resumed"`
	}
	// overviewAnswer contains totals and recent activity.
	overviewAnswer struct {
		Standing engine.CurrentState `json:"standing"`
		Buckets  []engine.Bucket     `json:"buckets"`
		// Project tells which of the project's files are in use.
		Project *engine.ProjectState `json:"project,omitempty"`
	}
	// awaitAnswer is how long a trigger accepts its secret.
	awaitAnswer struct {
		Trigger string    `json:"trigger"`
		Until   time.Time `json:"until"`
	}
	// sentAnswer is the response to a sample delivery.
	sentAnswer struct {
		Status int    `json:"status"`
		Answer string `json:"answer"`
	}
)

// Request bodies.
type (
	replayOrder struct {
		From    string `json:"from,omitempty"`
		Version string `json:"version,omitempty"`
		By      string `json:"by,omitempty"`
		// Again replays what was already replayed.
		Again bool `json:"again,omitempty"`
	}
	answerOrder struct {
		Step    string          `json:"step,omitempty"`
		Verdict string          `json:"verdict,omitempty"`
		By      string          `json:"by,omitempty"`
		Comment string          `json:"comment,omitempty"`
		Result  json.RawMessage `json:"result,omitempty"`
		// Link requests a link with which somebody else can answer.
		Link bool `json:"link,omitempty"`
	}
	fireOrder struct {
		Inputs json.RawMessage `json:"inputs,omitempty"`
		By     string          `json:"by,omitempty"`
		Why    string          `json:"why,omitempty"`
	}
	resumeOrder struct {
		Endpoint string `json:"endpoint"`
	}
	pruneOrder struct {
		Keep    string `json:"keep,omitempty"`
		Bodies  string `json:"bodies,omitempty"`
		MaxSize string `json:"max_size,omitempty"`
	}
	byOrder struct {
		By string `json:"by,omitempty"`
	}
	sendOrder struct {
		Type string `json:"type,omitempty"`
	}
)

// api lists the calls; the mux and openapi.json are both generated from it.
func (c *Console) api() []route {
	get := func(path, id, about string, query []string, answer any, h http.HandlerFunc) route {
		return route{"GET", "/api/v1/" + path, id, about, "", query, nil, answer, 200, c.strict(query, h)}
	}
	post := func(path, id, about, action string, status int, body, answer any, h http.HandlerFunc) route {
		return route{"POST", "/api/v1/" + path, id, about, action, nil, body, answer, status,
			c.acting(action, c.strict(nil, c.onceOnly(h)))}
	}
	return append(slices.Concat(c.againAPI(get, post), c.valuesAPI(get, post), c.connectionsAPI(get, post)), []route{
		get("overview", "overview", "The current state, and recent activity.", []string{"since", "step"}, overviewAnswer{},
			c.overview),
		get("alerts", "listAlerts", "Open alerts, newest first.", nil, engine.Page[engine.OpenAlert]{}, c.listAlerts),
		get("events", "listEvents", "Events, newest first.", eventFilters, engine.Page[engine.EventItem]{}, c.listEvents),
		get("events/{id}", "getEvent", "One event in full: headers, body, decisions, later deliveries.", nil, engine.EventDetail{}, c.oneEvent),
		get("runs", "listRuns", "Runs, newest first.", runFilters, engine.Page[engine.RunItem]{}, c.listRuns),
		get("runs/{id}", "getRun", "One run in full: each step, attempt, input and output.", nil, engine.RunDetail{}, c.oneRun),
		post("runs/{id}/cancel", "cancelRun", "Cancels a run.", "run.cancel", 202, nil, statusAnswer{}, c.cancelRun),
		post("runs/{id}/approve", "answerRun", "Answers a step that waits for a person.", "run.answer", 202, answerOrder{},
			answerAnswer{}, c.answerRun),
		get("quarantine", "listQuarantine", "Refused deliveries, with a diagnosis.", refusalFilters, engine.Page[engine.RefusalItem]{},
			c.listQuarantine),
		get("quarantine/groups", "listRefusalGroups", "Refused deliveries grouped by trigger and reason, with their share of all deliveries.",
			refusalGroups, engine.Page[engine.RefusalGroup]{}, c.listRefusalGroups),
		post("quarantine/replay", "judgeRefusals",
			"Verifies refused deliveries of a trigger again, each as of the time it arrived, at most 1000 at once.", "refusal.admit", 202,
			recheckOrder{}, recheckAnswer{}, c.recheckRefusals),
		get("quarantine/{id}", "getRefusal", "One refused delivery.", nil, engine.RefusalItem{}, c.oneRefusal),
		post("quarantine/{id}/replay", "admitRefusal", "Verifies a refused delivery again, as of the time it arrived.", "refusal.admit", 202,
			nil, statusAnswer{}, c.admit),
		post("conflicts/{id}/admit", "admitConflict", "Makes a conflicting delivery a separate event and runs it.", "conflict.admit",
			202, byOrder{}, statusAnswer{}, c.admitConflict),
		get("destinations", "listDestinations", "The hosts that steps call, those with problems first, and paused endpoints.",
			[]string{"host"}, destinationsAnswer{}, c.listDestinations),
		post("destinations/resume", "resumeEndpoint", "Resumes an endpoint that answered 410.", "endpoint.resume", 200, resumeOrder{},
			resumedAnswer{}, c.resumeEndpoint),
		post("prune", "prune", "Removes old history.", "history.prune", 200, pruneOrder{}, engine.Pruned{}, c.prune),
		get("triggers", "listTriggers", "Triggers, with the use of their secrets and the state of their inlets.", nil,
			engine.Page[triggerItem]{}, c.listTriggers),
		post("triggers/{name...}/poll", "pollTrigger", "Polls a trigger's service for new items.", "trigger.poll", 200, nil,
			json.RawMessage(nil), c.pollNow),
		post("triggers/{name...}/await-secret", "awaitSecret",
			"Accepts the secret from the next handshake of a trigger's provider, for 15 minutes.", "trigger.await_secret", 200, nil,
			awaitAnswer{}, c.awaitSecret),
		post("triggers/{name...}/send", "sendSample", "Sends a signed sample delivery of the trigger's provider.", "trigger.send", 200,
			sendOrder{}, sentAnswer{}, c.sendSample),
		get("compare/{trigger...}", "compareTrigger", "Compares a trigger's webhook with its poll.", []string{"since"}, engine.Comparison{},
			c.compare),
		get("nodes", "listNodes", "The nodes of the database, with what each holds.", nil, engine.Page[engine.NodeItem]{}, c.listNodes),
		post("nodes/{name}/drain", "drainNode", "Asks a node to hand over its work and to end.", "node.drain", 202, nil, statusAnswer{},
			c.drainNode),
		get("workflows", "listWorkflows", "Workflows, with their recent results.", []string{"since"}, engine.Page[workflowItem]{},
			c.listWorkflows),
		post("workflows/{id...}/fire", "fireWorkflow", "Starts a workflow by hand.", "workflow.fire", 202, fireOrder{}, statusAnswer{},
			c.fire),
		get("audit", "listAudit", "The audit log, newest first.", auditFilters, engine.Page[engine.AuditEntry]{}, c.listAudit),
		get("stream", "stream", "Live changes as server-sent events; Last-Event-ID resumes.",
			[]string{"trigger", "workflow", "after", "run"}, nil, c.stream),
		get("openapi.json", "openapi", "This document.", nil, map[string]any{}, c.openapi),
	}...)
}

// serve adds the calls to a mux. Some paths have a name with slashes in the middle, which mux
// patterns do not support: those share a pattern.
func (c *Console) serve(mux *http.ServeMux) {
	byEnd := map[string]map[string]http.HandlerFunc{}
	for _, r := range c.api() {
		head, name, end, open := openEnded(r.path)
		if !open || end == "" {
			mux.HandleFunc(r.method+" "+r.path, r.handle)
			continue
		}
		key := head + "{" + name + "...}"
		if byEnd[key] == nil {
			byEnd[key] = map[string]http.HandlerFunc{}
			mux.HandleFunc(r.method+" "+key, c.byEnd(name, byEnd[key]))
		}
		byEnd[key][end] = r.handle
	}
}
