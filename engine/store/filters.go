package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine"
)

// This file turns the filters of lists into conditions. Conditions without an index are marked as
// costly, and lists limit how many rows they scan for them.

const (
	// openRun is the condition of the index runs_due: runs that continue at due_at or, where that
	// is NULL, are parked until something makes them due.
	openRun = `(status = 'queued' OR status = 'waiting')`
	// The parts of a run's error; rows that cannot be read are listed, too.
	errorMessage = `CASE WHEN r.error IS NULL THEN '' WHEN json_valid(r.error) THEN coalesce(r.error ->> '$.message', '')
		ELSE 'the error of this run cannot be read' END`
	errorStep = `CASE WHEN json_valid(r.error) THEN coalesce(r.error ->> '$.step', '') ELSE '' END`
	errorCode = `CASE WHEN json_valid(r.error) THEN coalesce(r.error ->> '$.code', '') ELSE '' END`
	// runHost is the host of the failed step, or of the next attempt.
	runHost = `coalesce(CASE WHEN r.error IS NOT NULL THEN (SELECT s.destination FROM steps s WHERE s.run_id = r.id AND s.path = ` +
		errorStep + ` AND s.destination IS NOT NULL ORDER BY s.attempt DESC LIMIT 1)
		WHEN r.status = 'waiting' THEN (SELECT s.destination FROM steps s WHERE s.run_id = r.id AND s.status = 'waiting'
			AND s.destination IS NOT NULL LIMIT 1) END, '')`
	// failedRuns begins the condition that a run failed at a host, by the index of failed steps.
	failedRuns = `(r.id IN (SELECT f.run_id FROM steps f WHERE f.status = 'failed' AND f.destination IS NOT NULL AND f.destination`
	// ofTrigger and ofType are the conditions that a run's event is of a trigger or type.
	ofTrigger = `EXISTS (SELECT 1 FROM events e WHERE e.id = r.event_id AND e.trigger = ?)`
	ofType    = `EXISTS (SELECT 1 FROM events e WHERE e.id = r.event_id AND e.type = ?)`
	// runWaitsFor is one of engine.WaitKinds, empty for running and ended runs. If a run waits for
	// several things, a person comes first.
	runWaitsFor = `coalesce(CASE r.status WHEN 'waiting' THEN coalesce(
		(SELECT CASE min(CASE w.kind WHEN 'approval' THEN 1 WHEN 'event' THEN 2 WHEN 'call' THEN 3 WHEN 'destination' THEN 4 ELSE 5 END)
			WHEN 1 THEN 'approval' WHEN 2 THEN 'event' WHEN 3 THEN 'call' WHEN 4 THEN 'destination' WHEN 5 THEN 'sleep' END
			FROM waits w
				WHERE w.run_id = r.id),
		CASE WHEN r.due_at IS NULL THEN 'review' ELSE 'retry' END)
		WHEN 'queued' THEN CASE WHEN EXISTS (SELECT 1 FROM held_runs h WHERE h.run_id = r.id) THEN 'switch'
			WHEN EXISTS (SELECT 1 FROM gatherings g WHERE g.run_id = r.id AND g.open = 1) THEN 'gathering'
			ELSE coalesce((SELECT CASE WHEN p.state = 'waits' THEN 'concurrency' WHEN p.rate_grp IS NOT NULL
				AND r.started_at IS NULL THEN 'rate' END
				FROM places p WHERE p.run_id = r.id), 'slot') END END, '')`
	// bodyAsText is a body as text.
	bodyAsText = `CAST(e.body AS TEXT)`
	// isTest reports whether an event is a sample, by its User-Agent.
	isTest = `(CASE WHEN instr(e.headers, '"user-agent":"` + engine.SampleAgent + `"') > 0 THEN 1 ELSE 0 END)`
	// asksAPerson finds the runs that wait for a person, using only the indexes waits_by_kind and
	// runs_due.
	asksAPerson = `(r.status = 'waiting' AND r.id IN (SELECT run_id FROM waits WHERE kind = 'approval'
		UNION SELECT id FROM runs INDEXED BY runs_due WHERE ` + openRun + ` AND due_at IS NULL))`
)

// deadFields are the expressions for what a dead letter is listed by: the code of its error, and the beginning of the
// condition that its host is one of some, which ends with two parentheses.
type deadFields struct{ code, at string }

// readFromErrors are the fields of dead letters as the errors of runs and their steps have them. PostgreSQL stores
// them (storedFields).
var readFromErrors = deadFields{errorCode, `((` + runHost}

func (h *History) deadFields() deadFields {
	if h.postgres {
		return storedFields
	}
	return readFromErrors
}

// words splits a filter of several values and validates them.
func words(name, text string, known []string) ([]string, error) {
	list := strings.Split(text, ",")
	for i, s := range list {
		list[i] = strings.TrimSpace(s)
		if !slices.Contains(known, list[i]) {
			return nil, fmt.Errorf("%w: unknown %s %q; use one of %s", engine.ErrQuery, name, list[i], strings.Join(known, ", "))
		}
	}
	return list, nil
}

// oneOf adds a condition that an expression equals one of several texts.
func (w *where) oneOf(expr string, list []string) {
	args := make([]any, len(list))
	for i, s := range list {
		args[i] = s
	}
	w.add(expr+" IN (?"+strings.Repeat(", ?", len(list)-1)+")", args...)
}

// eventConditions reads the filters of events: w narrows the list (alias e), x the rows that a
// search scans (alias x).
func eventConditions(q engine.Query) (w, x where, costly bool, err error) {
	if q.Trigger != "" {
		w.add("e.trigger = ?", q.Trigger)
		x.add("x.trigger = ?", q.Trigger)
	}
	idBounds(q, &w, &x, "e.id")
	identity := identityFilters[q.Status]
	if identity != "" {
		w.add(identity)
	}
	if id, ok := eventOf(q.Grep); ok {
		w.add("e.id = ?", id)
		q.Grep = ""
	} else if id, rerr := engine.ParseRunID(strings.TrimSpace(q.Grep)); rerr == nil {
		w.add("e.id = (SELECT event_id FROM runs WHERE id = ?)", int64(id))
		q.Grep = ""
	}
	indexed := len(w.parts)
	if q.Type != "" {
		w.add("e.type = ?", q.Type)
	}
	if q.Workflow != "" {
		w.add("EXISTS (SELECT 1 FROM decisions d WHERE d.event_id = e.id AND d.workflow = ?)", q.Workflow)
	}
	switch {
	case q.Status == "", identity != "":
	case q.Status == engine.Unreadable:
		w.add(unreadable) // it has its own index
		indexed++
	case q.Status == "test":
		w.add(isTest + " = 1")
	case q.Status == engine.Invalid:
		w.add(`substr(e.flag, 1, ?) = ?`, len(engine.InvalidFlag), engine.InvalidFlag)
	default:
		if err := eventStatus(&w, q.Status); err != nil {
			return w, x, false, err
		}
	}
	if q.Grep != "" {
		p := like(q.Grep)
		w.add(`(e.key LIKE ? ESCAPE '\' OR e.type LIKE ? ESCAPE '\' OR `+bodyAsText+` LIKE ? ESCAPE '\')`, p, p, p)
	}
	return w, x, len(w.parts) > indexed, nil
}

// eventOf parses an event's id in a search text.
func eventOf(text string) (int64, bool) {
	id, err := engine.ParseEventID(strings.TrimSpace(text))
	return int64(id), err == nil
}

// idBounds bounds a list by the time contained in ids.
func idBounds(q engine.Query, w, x *where, column string) {
	if !q.Since.IsZero() {
		w.add(column+" >= ?", engine.FirstID(q.Since))
		x.add("x.id >= ?", engine.FirstID(q.Since))
	}
	if !q.Until.IsZero() {
		w.add(column+" < ?", engine.FirstID(q.Until))
		x.add("x.id < ?", engine.FirstID(q.Until))
	}
}

// runConditions reads the filters of runs, as eventConditions does (aliases r and x).
func (h *History) runConditions(q engine.Query) (w, x where, costly bool, err error) {
	if q.Workflow != "" {
		w.add("r.workflow = ?", q.Workflow)
		x.add("x.workflow = ?", q.Workflow)
	}
	if q.DeadOnly {
		w.add(deadLetters)
		x.add("(x.status = 'failed' OR x.status = 'timed_out')")
		deadBounds(q, &w)
	} else {
		idBounds(q, &w, &x, "r.id")
	}
	if q.Event != "" {
		id, err := engine.ParseEventID(q.Event)
		if err != nil {
			return w, x, false, fmt.Errorf("%w: event: %w", engine.ErrQuery, err)
		}
		w.add("r.event_id = ?", int64(id))
	}
	if q.Status != "" {
		list, err := words("status", q.Status, engine.RunStatuses)
		if err != nil {
			return w, x, false, err
		}
		costly = runStatus(&w, list)
	}
	if q.WaitsFor != "" {
		if err := waitsFor(&w, q.WaitsFor); err != nil {
			return w, x, false, err
		}
	}
	costly = runHosts(&w, q, h.deadFields()) || costly
	if q.Reason != "" {
		code := errorCode
		if q.DeadOnly {
			code = h.deadFields().code
		}
		w.oneOf(code, trimmed(q.Reason))
		costly = costly || !q.DeadOnly
	}
	if q.Trigger != "" {
		w.add(ofTrigger, q.Trigger)
		costly = true
	}
	if q.Type != "" {
		w.add(ofType, q.Type)
		costly = true
	}
	costly = runText(&w, q) || costly
	return w, x, costly && q.Event == "", nil
}

// deadBounds bounds dead letters by the time they failed.
func deadBounds(q engine.Query, w *where) {
	if !q.Since.IsZero() {
		w.add("r.finished_at >= ?", q.Since.UnixMilli())
	}
	if !q.Until.IsZero() {
		w.add("r.finished_at < ?", q.Until.UnixMilli())
	}
}

// runStatus narrows runs to some statuses, by an index where there is one.
func runStatus(w *where, list []string) (costly bool) {
	var either []string
	open := true
	for _, s := range list {
		// The words are known ones. As parameters they would hide from PostgreSQL which index serves.
		either = append(either, "r.status = '"+s+"'")
		switch engine.RunStatus(s) {
		case engine.Waiting, engine.Queued:
		case engine.Running:
			open = false
		default:
			open, costly = false, true
		}
	}
	cond := "(" + strings.Join(either, " OR ") + ")"
	if open {
		cond += " AND r.id IN (SELECT id FROM runs INDEXED BY runs_due WHERE " + openRun + ")"
	}
	w.add(cond)
	if len(list) == 1 && slices.Contains([]engine.RunStatus{engine.Failed, engine.TimedOut, engine.Cancelled}, engine.RunStatus(list[0])) {
		return false
	}
	return costly || len(list) > 1 && !open
}

// waitsFor narrows runs to those that wait for something. All of these are open.
func waitsFor(w *where, text string) error {
	list, err := words("waits_for", text, engine.WaitKinds)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(list, func(s string) bool { return s != "approval" && s != "review" }) {
		w.add("r.id IN (SELECT id FROM runs INDEXED BY runs_due WHERE " + openRun + ")")
	} else {
		w.add(asksAPerson)
	}
	w.oneOf(runWaitsFor, list)
	return nil
}

// hostNames are the forms in which a host is recorded.
func hostNames(host string) []string {
	host = strings.TrimRight(strings.ToLower(strings.TrimSpace(host)), "/")
	if strings.Contains(host, "://") {
		return []string{host}
	}
	return []string{"https://" + host, "http://" + host}
}

// runHosts narrows runs by host.
func runHosts(w *where, q engine.Query, dead deadFields) (costly bool) {
	if q.Host == "" {
		return false
	}
	names := hostNames(q.Host)
	if q.DeadOnly {
		failedAt(w, names)
		w.oneOf(dead.at, names)
		w.parts[len(w.parts)-1] += "))"
		return false
	}
	// With OFFSET, PostgreSQL looks at the steps of each run instead of reading all steps for the host.
	w.oneOf(`EXISTS (SELECT 1 FROM steps f WHERE f.run_id = r.id AND f.destination`, names)
	w.parts[len(w.parts)-1] += " LIMIT 1 OFFSET 0)"
	return true
}

// failedAt narrows runs to those that failed at one of some hosts, by the index of failed steps.
func failedAt(w *where, hosts []string) {
	w.oneOf(failedRuns, hosts)
	w.parts[len(w.parts)-1] += "))"
}

// runText narrows runs by a text, or by an id.
func runText(w *where, q engine.Query) (costly bool) {
	text := strings.TrimSpace(q.Grep)
	if text == "" {
		return false
	}
	if id, err := engine.ParseRunID(text); err == nil {
		w.add("r.id = ?", int64(id))
		return false
	}
	if id, ok := eventOf(text); ok {
		w.add("r.event_id = ?", id)
		return false
	}
	p := like(q.Grep)
	w.add(`(r.workflow LIKE ? ESCAPE '\' OR r.error LIKE ? ESCAPE '\' OR r.output LIKE ? ESCAPE '\' OR `+runHost+` LIKE ? ESCAPE '\'
		OR (SELECT e.key LIKE ? ESCAPE '\' OR e.type LIKE ? ESCAPE '\' FROM events e WHERE e.id = r.event_id))`, p, p, p,
		p, p, p)
	return true
}

// ruleConditions reads the filters of dead letters for failed rules (aliases d, e).
func ruleConditions(q engine.Query) (w where) {
	if q.Workflow != "" {
		w.add("d.workflow = ?", q.Workflow)
	}
	if q.Trigger != "" {
		w.add("e.trigger = ?", q.Trigger)
	}
	if q.Type != "" {
		w.add("e.type = ?", q.Type)
	}
	if !q.Since.IsZero() {
		w.add("d.at >= ?", q.Since.UnixMilli())
	}
	if !q.Until.IsZero() {
		w.add("d.at < ?", q.Until.UnixMilli())
	}
	if id, ok := eventOf(q.Grep); ok {
		w.add("d.event_id = ?", id)
	} else if q.Grep != "" {
		p := like(q.Grep)
		w.add(`(d.workflow LIKE ? ESCAPE '\' OR d.reason LIKE ? ESCAPE '\' OR e.type LIKE ? ESCAPE '\' OR e.key LIKE ? ESCAPE '\')`, p, p,
			p, p)
	}
	return w
}

// ruleTables are the tables of decisions with conditions of ruleConditions. Each decision has its event, so that events
// are read only for conditions on them.
func ruleTables(w where) string {
	if !slices.ContainsFunc(w.parts, func(part string) bool { return strings.Contains(part, "e.") }) {
		return "decisions d"
	}
	return "decisions d JOIN events e ON e.id = d.event_id"
}

// deadRules reports whether the filters of dead letters include failed rules.
func deadRules(q engine.Query) bool {
	has := func(list string) bool { return list == "" || slices.Contains(trimmed(list), "rule_failed") }
	return q.Host == "" && has(q.Status) && has(q.Reason)
}

func trimmed(text string) []string {
	list := strings.Split(text, ",")
	for i, s := range list {
		list[i] = strings.TrimSpace(s)
	}
	return list
}

// checkDead rejects filters that no dead letter can match.
func (h *History) checkDead(ctx context.Context, q engine.Query) error {
	if q.Status != "" {
		if _, err := words("status of dead letters", q.Status, []string{"failed", "timed_out", "rule_failed"}); err != nil {
			return err
		}
	}
	return h.checkReason(ctx, q.Reason, engine.ErrorCodes,
		`SELECT DISTINCT `+errorCode+` FROM runs r WHERE `+deadLetters+` AND r.error IS NOT NULL LIMIT 100`)
}

// checkReason rejects reasons that are neither known nor recorded.
func (h *History) checkReason(ctx context.Context, text string, known []string, onRecord string) error {
	if text == "" || !slices.ContainsFunc(trimmed(text), func(s string) bool { return !slices.Contains(known, s) }) {
		return nil
	}
	found, err := collect(ctx, h.db, onRecord, nil, func(s scanner) (v string, err error) {
		err = s.Scan(&v)
		return v, err
	})
	if err != nil {
		return err
	}
	all := slices.Concat(known, found)
	slices.Sort(all)
	_, err = words("reason", text, slices.Compact(all))
	return err
}

// refusalConditions reads the filters of refused deliveries.
func (h *History) refusalConditions(ctx context.Context, w *where, q engine.Query) error {
	if q.Trigger != "" {
		w.add("trigger = ?", q.Trigger)
	}
	for _, reason := range []string{q.Status, q.Reason} {
		if reason == "" {
			continue
		}
		if err := h.checkReason(ctx, reason, engine.RefusalReasons, `SELECT DISTINCT reason FROM quarantine LIMIT 100`); err != nil {
			return err
		}
		w.oneOf("reason", trimmed(reason))
	}
	timeBounds(q, w)
	if q.Grep != "" {
		p := like(q.Grep)
		w.add(`('ref_' || id = ? OR trigger LIKE ? ESCAPE '\' OR reason LIKE ? ESCAPE '\' OR detail LIKE ? ESCAPE '\'
			OR diagnosis LIKE ? ESCAPE '\'
			OR remote LIKE ? ESCAPE '\' OR path LIKE ? ESCAPE '\' OR CAST(body AS TEXT) LIKE ? ESCAPE '\')`,
			strings.TrimSpace(q.Grep), p, p, p, p, p, p, p)
	}
	return nil
}

// timeBounds bounds a table that has its own time column.
func timeBounds(q engine.Query, w *where) {
	if !q.Since.IsZero() {
		w.add("at >= ?", q.Since.UnixMilli())
	}
	if !q.Until.IsZero() {
		w.add("at < ?", q.Until.UnixMilli())
	}
}

// auditConditions reads the filters of the audit log.
func auditConditions(q engine.Query) (w where) {
	timeBounds(q, &w)
	if q.Who != "" {
		w.add("who = ?", q.Who)
	}
	if q.Action != "" {
		w.oneOf("action", trimmed(q.Action))
	}
	if q.Grep != "" {
		p := like(q.Grep)
		w.add(`(who LIKE ? ESCAPE '\' OR action LIKE ? ESCAPE '\' OR target LIKE ? ESCAPE '\' OR detail LIKE ? ESCAPE '\')`, p, p, p, p)
	}
	return w
}
