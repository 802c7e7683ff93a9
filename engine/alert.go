package engine

import (
	"slices"
	"time"
)

// The kinds of alerts. Each has a subject: a trigger, a workflow, a host or a run. An alert opens
// when its condition begins and closes when the condition is over.
const (
	AlertSilence         = "silence"          // trigger: no delivery for longer than its expect: allows
	AlertPollFailing     = "poll_failing"     // trigger: its poll gets no response
	AlertWebhookMissed   = "webhook_missed"   // trigger: polling found events that the webhook did not deliver
	AlertRunFailed       = "run_failed"       // workflow: its last run failed or timed out
	AlertRuleFailed      = "rule_failed"      // workflow: its rule could not be evaluated for the last event
	AlertRefusals        = "refusals"         // trigger: more deliveries are refused than usual
	AlertReloadFailed    = "reload_failed"    // the project: not all files are loaded
	AlertDiskLow         = "disk_low"         // the database's disk
	AlertBacklogOld      = "backlog_old"      // events or runs have waited too long to be processed
	AlertCircuitOpen     = "circuit_open"     // host: it does not answer, and attempts wait
	AlertApprovalWaiting = "approval_waiting" // run: it waits for a person
	AlertConnectionHeld  = "connection_held"  // connection: a person must connect it again
	AlertShapeChanged    = "shape_changed"    // field of a trigger's events: a new type, a new value, or gone
	AlertSecretsFailing  = "secrets_failing"  // source of secrets: it cannot be read, and its last values are in use
)

// AlertKind says when an alert of a kind is open, and what it tells.
type AlertKind struct {
	Kind string
	// Subject is what such an alert is about; empty for the project.
	Subject string
	// Help says when it is open.
	Help string
	// Data are the fields of event.data beside those that all alerts have.
	Data []string
}

// alertKinds is the table of all kinds.
var alertKinds = []AlertKind{
	{AlertSilence, "trigger", "no delivery came for longer than `expect:` says", []string{"within", "verdict"}},
	{AlertPollFailing, "trigger", "a poll has had no answer for three intervals", []string{"since", "failures"}},
	{AlertWebhookMissed, "trigger", "polling found events that the webhook did not bring", []string{"count", "events"}},
	{AlertRunFailed, "workflow", "the last run failed or timed out", []string{"workflow", "run", "run_url", "status", "step", "code"}},
	{AlertRuleFailed, "workflow", "the rule could not be evaluated for the last event", []string{"workflow", "event", "error"}},
	{AlertRefusals, "trigger", "more deliveries are refused than usual", []string{"count", "usual", "reason"}},
	{AlertReloadFailed, "", "not all files are in effect, because of mistakes", []string{"mistakes", "kept", "left_out"}},
	{AlertDiskLow, "", "the database's disk is nearly full", []string{"free_bytes", "total_bytes"}},
	{AlertBacklogOld, "", "an event has not been decided, or a run that is due has not begun, for five minutes", []string{"seconds"}},
	{AlertCircuitOpen, "host", "a host does not answer, and attempts to it wait", []string{"host", "waiting", "last_failure"}},
	{AlertApprovalWaiting, "run", "a run waits for a person", []string{"workflow", "run", "run_url", "step", "question"}},
	{AlertConnectionHeld, "connection", "a connection needs a person to sign in again", []string{"connection"}},
	{AlertShapeChanged, "change", "the newest events of a trigger have a field of a new type, a new value of few, or lack a field",
		[]string{"event_type", "path", "change", "what", "count", "of", "touches"}},
	{AlertSecretsFailing, "", "a source of secrets cannot be read, and its last values are in use", []string{"sources"}},
}

// AlertKinds lists the kinds of alerts.
func AlertKinds() []AlertKind { return slices.Clone(alertKinds) }

// Alert is a condition that a person should know of.
type Alert struct {
	Kind string
	// Trigger is the trigger concerned, empty for none. Subject distinguishes alerts of one kind;
	// empty for the trigger.
	Trigger, Subject string
	Message          string
	// Data are further facts, for workflows.
	Data map[string]any
}

// OpenAlert is an alert whose condition holds.
type OpenAlert struct {
	Kind     string    `json:"kind"`
	Subject  string    `json:"subject,omitempty"`
	Trigger  string    `json:"trigger,omitempty"`
	Message  string    `json:"message"`
	OpenedAt time.Time `json:"opened_at"`
}
