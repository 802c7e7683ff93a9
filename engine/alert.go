package engine

import (
	"time"
)

// The kinds of alerts. Each is about a subject: a trigger, a workflow, a host or a
// run. It opens when its condition begins and closes when that is over.
const (
	AlertSilence         = "silence"          // trigger: no delivery for longer than expect: says
	AlertPollFailing     = "poll_failing"     // trigger: its poll gets no answer
	AlertWebhookMissed   = "webhook_missed"   // trigger: polling found what the webhook did not bring
	AlertRunFailed       = "run_failed"       // workflow: its last run failed or timed out
	AlertRuleFailed      = "rule_failed"      // workflow: its rule could not be evaluated for the last event
	AlertRefusals        = "refusals"         // trigger: more deliveries are refused than it is used to
	AlertReloadFailed    = "reload_failed"    // the project: not all files are in effect
	AlertDiskLow         = "disk_low"         // the database's disk
	AlertBacklogOld      = "backlog_old"      // events or runs wait for their turn for too long
	AlertCircuitOpen     = "circuit_open"     // host: it does not answer, and attempts wait
	AlertApprovalWaiting = "approval_waiting" // run: it waits for a person
	AlertConnectionHeld  = "connection_held"  // connection: it needs a person to connect it again
	AlertSecretsFailing  = "secrets_failing"  // source of secrets: it cannot be read, and its last values are in use
)

// AlertKinds lists them.
var AlertKinds = []string{AlertSilence, AlertPollFailing, AlertWebhookMissed, AlertRunFailed, AlertRuleFailed, AlertRefusals,
	AlertReloadFailed,
	AlertDiskLow, AlertBacklogOld, AlertCircuitOpen, AlertApprovalWaiting, AlertConnectionHeld, AlertSecretsFailing}

// Alert is something that a person should know.
type Alert struct {
	Kind string
	// Trigger is the one that it is about, empty for none. Subject tells alerts of one
	// kind apart; empty for the trigger.
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
