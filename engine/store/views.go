package store

import "slices"

// View is a view of the database for any SQLite shell. It stays the same when tables change.
type View struct {
	Name, Help string
	Columns    []ViewColumn
}

// ViewColumn is a column of a view.
type ViewColumn struct{ Name, Help string }

// views are the views that migrations create. Times are RFC 3339 in UTC, with milliseconds.
var views = []View{
	{"events_view", "One row for each event.", []ViewColumn{
		{"id", "The event's id, `evt_...`."},
		{"trigger", "The trigger's name."},
		{"inlet", "How it came: [events](events.md)."},
		{"key", "What identifies the event."},
		{"type", "Its type."},
		{"received_at", "When it was received."},
		{"duplicates", "How many further deliveries had its key."},
		{"body", "The body, or the inputs, as JSON text; other text as a JSON text, and bytes that are not UTF-8 text as `{\"hex\": ...}`."},
	}},
	{"runs_view", "One row for each run.", []ViewColumn{
		{"id", "The run's id, `run_...`."},
		{"workflow", "The workflow's id."},
		{"version", "The version that it ran with."},
		{"event_id", "Its event."},
		{"status", "`queued`, `running`, `waiting`, `succeeded`, `failed`, `cancelled` or `timed_out`."},
		{"started_at", "When it began; NULL while it is queued."},
		{"finished_at", "When it ended; NULL while it is open."},
		{"error", "The error as JSON text, or NULL."},
	}},
	{"steps_view", "One row for each attempt of each step.", []ViewColumn{
		{"run_id", "The run's id."},
		{"path", "The step's path in the workflow, with the item's index in loops."},
		{"action", "The action, or the kind of step."},
		{"attempt", "The attempt's number, from 1."},
		{"status", "`running`, `waiting`, `succeeded`, `failed`, `skipped`, `cancelled` or `unknown`."},
		{"started_at", "When the attempt began."},
		{"finished_at", "When it ended."},
		{"input", "What was sent, as JSON text, with secrets masked."},
		{"output", "Its output, as JSON text."},
		{"error", "The error as JSON text, or NULL."},
	}},
}

// Views lists the views of the public contract.
func Views() []View { return slices.Clone(views) }
