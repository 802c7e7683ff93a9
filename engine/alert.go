package engine

import (
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
	AlertSecretsFailing  = "secrets_failing"  // source of secrets: it cannot be read, and its last values are in use
)

// AlertKinds lists them.
var AlertKinds = []string{AlertSilence, AlertPollFailing, AlertWebhookMissed, AlertRunFailed, AlertRuleFailed, AlertRefusals,
	AlertReloadFailed,
	AlertDiskLow, AlertBacklogOld, AlertCircuitOpen, AlertApprovalWaiting, AlertConnectionHeld, AlertSecretsFailing}

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
