package plan

import (
	"strconv"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// WaitKind is what a step waits for.
type WaitKind string

// The kinds of waits.
const (
	WaitApproval    WaitKind = "approval"    // a person's answer
	WaitEvent       WaitKind = "event"       // an event of a trigger, by its key
	WaitCall        WaitKind = "call"        // the end of a called run
	WaitSleep       WaitKind = "sleep"       // a time
	WaitDestination WaitKind = "destination" // a permit of the attempt's destination
)

// Wait is one thing that a waiting step waits for.
type Wait struct {
	Kind WaitKind
	// Trigger and Key select the event of WaitEvent. From is the earliest time of receipt that
	// counts.
	Trigger, Key string
	From         time.Time
	// Event is the id of the event that began the called run of WaitCall, Workflow the
	// run's workflow. Ending is why the run is being ended; nil while it is not.
	Event, Workflow string
	Ending          *Error
	// Approval is the text of WaitApproval; By are the names that may answer, empty for anyone.
	Approval string
	By       []string
	// Until is when the step stops waiting; zero for never. Fixed reports that it is a calendar
	// time, which does not move when the clock is set back.
	Until time.Time
	Fixed bool
	// Destination is why the attempt of WaitDestination is held.
	Destination string
	// Any reports that the wait is one of wait: any.
	Any bool
}

// Shown returns waits in the form in which the output of a waiting step is shown.
func Shown(waits []Wait) map[string]any {
	out := map[string]any{}
	var list []any
	for _, w := range waits {
		if !w.Until.IsZero() {
			out["until"] = w.Until.UTC().Format(time.RFC3339Nano)
		}
		if w.Fixed {
			out["fixed"] = true
		}
		into := out
		if w.Any {
			one := map[string]any{}
			list = append(list, one)
			if w.Kind == WaitEvent {
				into = one // an approval is shown next to the list
			}
		}
		w.show(into)
	}
	if list != nil {
		out["any"] = list
	}
	return out
}

func (w Wait) show(out map[string]any) {
	switch w.Kind {
	case WaitApproval:
		out["approval"] = w.Approval
		if len(w.By) > 0 {
			by := make([]any, len(w.By))
			for i, b := range w.By {
				by[i] = b
			}
			out["by"] = by
		}
	case WaitEvent:
		out["event"], out["key"], out["from"] = w.Trigger, w.Key, w.From.UTC().Format(time.RFC3339Nano)
	case WaitCall:
		out["call"], out["workflow"] = w.Event, w.Workflow
		if e := w.Ending; e != nil {
			out["ending"] = map[string]any{"message": e.Message, "code": e.Code, "retryable": e.Retryable}
		}
	case WaitDestination:
		out["destination"] = w.Destination
	}
}

// Until is when a waiting step stops waiting; zero for never.
func (r *Record) Until() time.Time {
	if r.Status != Waiting || len(r.Waits) == 0 {
		return time.Time{}
	}
	return r.Waits[0].Until
}

// Call returns the wait for a called run; nil if the record waits for none.
func (r *Record) Call() *Wait {
	if r.Status != Waiting || len(r.Waits) == 0 || r.Waits[0].Kind != WaitCall {
		return nil
	}
	return &r.Waits[0]
}

// SetBack returns a waiting record with its end moved after the clock was set back; nil if the
// record does not wait for a duration.
func SetBack(r *Record, by time.Duration) *Record {
	if r.Until().IsZero() || r.Waits[0].Fixed {
		return nil
	}
	moved := *r
	moved.Waits = make([]Wait, len(r.Waits))
	for i, w := range r.Waits {
		w.Until = w.Until.Add(-by)
		moved.Waits[i] = w
	}
	return &moved
}

// waits makes the record of a waiting step.
func (p *planner) waits(s *workflows.Step, path string, list []Wait) *Record {
	r := &Record{Path: path, Attempt: 1, Action: s.Body, Status: Waiting, StartedAt: p.st.Now, Waits: list}
	p.st.AddRecord(r)
	p.out.Finished = append(p.out.Finished, r)
	return r
}

// endWait closes the record of a step that waited.
func (p *planner) endWait(r *Record, status Status, output any, err *Error) *Record {
	ended := &Record{Path: r.Path, Attempt: r.Attempt, Action: r.Action, Status: status, StartedAt: r.StartedAt, FinishedAt: p.st.Now,
		Output: output, Error: err}
	p.st.AddRecord(ended)
	p.out.Finished = append(p.out.Finished, ended)
	return ended
}

// questionsOf lists the approvals and events that a record waits for.
func questionsOf(r *Record) []Question {
	var out []Question
	for i, w := range r.Waits {
		q := Question{Path: r.Path, Attempt: r.Attempt, Kind: string(w.Kind), Until: w.Until, Any: w.Any, Index: i}
		switch w.Kind {
		case WaitApproval:
			q.Text, q.By = w.Approval, w.By
		case WaitEvent:
			q.Trigger, q.Key, q.From = w.Trigger, w.Key, w.From
			q.Text = "an event of " + w.Trigger + " with the key " + strconv.Quote(w.Key)
		default:
			continue
		}
		out = append(out, q)
	}
	return out
}

// AwaitedEvents are the events that a record waits for.
func AwaitedEvents(r *Record) []Question {
	if r.Status != Waiting {
		return nil
	}
	var out []Question
	for _, q := range questionsOf(r) {
		if q.Trigger != "" {
			out = append(out, q)
		}
	}
	return out
}

// Asked are the approvals that records wait for, in runs whose workflow can no longer be read.
func Asked(records []*Record, answers map[string]*Answer) []Question {
	var out []Question
	for _, r := range records {
		if a := answers[r.Path]; r.Status != Waiting || a != nil && a.Attempt == r.Attempt {
			continue
		}
		for _, q := range questionsOf(r) {
			if q.Kind == string(WaitApproval) {
				out = append(out, q)
			}
		}
	}
	return out
}
