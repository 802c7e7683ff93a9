package plan_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows/value"
)

// tracer carries a run out and writes every decision. What a step gives depends on its name: bad… fails and
// may be retried, gone… fails for good, doubt… is interrupted, no… is rejected; late… is never answered, slow… runs
// while the next decision is made, and held… waits for its destination first.
type tracer struct {
	st *plan.State
	// running are the attempts of slow… that end next.
	running []*plan.Record
	out     strings.Builder
}

func (tr *tracer) say(format string, args ...any) { fmt.Fprintf(&tr.out, "\t"+format+"\n", args...) }

// at is a time since the beginning of the run.
func (tr *tracer) at(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return "+" + t.Sub(tr.st.StartedAt).String()
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return value.Clip(string(b), 300)
}

func errorText(e *plan.Error) string {
	if e == nil {
		return ""
	}
	out := fmt.Sprintf(" error{%s: %s, status %d, step %s, %d attempts, retryable %t}", e.Code, e.Message, e.Status, e.Step, e.Attempts,
		e.Retryable)
	if e.Handler != nil {
		out += " handler" + errorText(e.Handler)
	}
	return out
}

func (tr *tracer) decision(d plan.Decision) {
	for _, r := range d.Finished {
		line := fmt.Sprintf("%s#%d %s %s %s..%s", r.Path, r.Attempt, r.Action, r.Shown(), tr.at(r.StartedAt), tr.at(r.FinishedAt))
		if r.Output != nil {
			line += " = " + text(r.Output)
		}
		if r.Waits != nil {
			line += " waits " + text(plan.Shown(r.Waits))
		}
		tr.say("%s%s", line, errorText(r.Error))
	}
	for _, x := range d.Due {
		tr.say("due %s#%d %s not before %s, began %s, deadline %s of %q %s", x.Path, x.Attempt, text(x.Shown), tr.at(x.NotBefore),
			tr.at(x.Began()),
			tr.at(x.Deadline), x.Group, x.GroupTimeout)
		if !x.HeldSince.IsZero() || x.Derived != nil || x.Notes != nil {
			tr.say("  held since %s, masked from now on %q, notes %q", tr.at(x.HeldSince), x.Derived, x.Notes)
		}
	}
	for _, c := range d.Calls {
		tr.say("call %s#%d %s %s detach %t, until %s", c.Path, c.Attempt, c.Workflow, text(c.Inputs), c.Detach, tr.at(c.Until))
	}
	for _, q := range d.Questions {
		tr.say("ask %s#%d %s: %s, key %q, from %s, until %s, by %v, any %t %d", q.Path, q.Attempt, q.Kind, q.Text, q.Key, tr.at(q.From),
			tr.at(q.Until), q.By, q.Any, q.Index)
	}
	if !d.Wake.IsZero() {
		tr.say("wake %s", tr.at(d.Wake))
	}
	if e := d.End; e != nil {
		tr.say("end %s = %s %q%s", e.Status, text(e.Output), e.Text, errorText(e.Error))
	}
}

func (tr *tracer) run() {
	for range 30 {
		d := plan.Next(tr.st)
		tr.decision(d)
		if d.End != nil {
			return
		}
		acted := false
		for _, x := range d.Due {
			if !x.NotBefore.After(tr.st.Now) {
				tr.attempt(x)
				acted = true
			} else if d.Wake.IsZero() || x.NotBefore.Before(d.Wake) {
				d.Wake = x.NotBefore
			}
		}
		for _, c := range d.Calls {
			tr.called(c)
			acted = true
		}
		for _, q := range d.Questions {
			acted = tr.answered(q) || acted
		}
		for _, r := range tr.running {
			if r.FinishedAt.IsZero() {
				ended := *r
				ended.Status, ended.FinishedAt, ended.Output = plan.Succeeded, tr.st.Now, "slow"
				tr.st.AddRecord(&ended)
				acted = true
			}
		}
		tr.running = nil
		for _, list := range tr.st.Records {
			if r := list[len(list)-1]; r.Status == plan.Running {
				tr.running = append(tr.running, r)
			}
		}
		switch {
		case acted || tr.running != nil:
			tr.st.Now = tr.st.Now.Add(time.Second)
		case d.Wake.After(tr.st.Now):
			tr.st.Now = d.Wake
		default:
			tr.say("it waits for ever")
			return
		}
	}
	tr.say("it does not end")
}

func lastOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

func (tr *tracer) attempt(x plan.Due) {
	name := lastOf(strings.TrimRight(x.Path, "/0123456789"))
	r := &plan.Record{Path: x.Path, Attempt: x.Attempt, Action: x.Step.Uses, Status: plan.Succeeded, StartedAt: tr.st.Now,
		FinishedAt: tr.st.Now.Add(time.Second)}
	output, err := x.Output(tr.st.RunID, map[string]any{"n": x.With["n"], "path": x.Path})
	r.Output = output
	if err != nil {
		r.Status, r.Output, r.Error = plan.Failed, nil, &plan.Error{Message: err.Error(), Code: "expression", Step: x.Path}
	}
	switch {
	case strings.HasPrefix(name, "bad"):
		r.Status, r.Output, r.Error = plan.Failed, nil, &plan.Error{Message: "503", Code: "http_status", Status: 503, Retryable: true}
	case strings.HasPrefix(name, "gone"):
		r.Status, r.Output, r.Error = plan.Failed, nil, &plan.Error{Message: "404", Code: "http_status", Status: 404}
	case strings.HasPrefix(name, "slow"):
		r.Status, r.Output, r.FinishedAt = plan.Running, nil, time.Time{}
	case strings.HasPrefix(name, "held") && x.HeldSince.IsZero():
		r.Status, r.Output, r.FinishedAt = plan.Waiting, nil, time.Time{}
		r.Waits = []plan.Wait{{Kind: plan.WaitDestination, Destination: "https://a.example"}}
	case strings.HasPrefix(name, "doubt") && x.Attempt == 1:
		r.Status, r.Output = plan.Unknown, nil
	}
	tr.st.AddRecord(r)
}

func (tr *tracer) called(c plan.Call) {
	r := &plan.Record{Path: c.Path, Attempt: c.Attempt, Action: "call", StartedAt: tr.st.Now, Status: plan.Waiting,
		Waits: []plan.Wait{{Kind: plan.WaitCall, Event: "evt_c", Workflow: c.Workflow, Until: c.Until}}}
	if c.Detach {
		r.Status, r.FinishedAt, r.Waits = plan.Succeeded, tr.st.Now, nil
		r.Output, _ = c.Output(tr.st.RunID, map[string]any{"event": "evt_c"})
	}
	tr.st.AddRecord(r)
}

// answered answers a question once; it reports whether it did.
func (tr *tracer) answered(q plan.Question) bool {
	if a := tr.st.Answers[q.Path]; a != nil && a.Attempt == q.Attempt {
		return false
	}
	a := &plan.Answer{Attempt: q.Attempt, Verdict: "approve", Output: map[string]any{"by": "ada", "comment": "fine"}, Index: q.Index}
	name := lastOf(q.Path)
	switch {
	case strings.HasPrefix(name, "late"):
		last := tr.st.Records[q.Path]
		if call := last[len(last)-1].Call(); call == nil || call.Ending == nil {
			return false
		}
		a.Err = &plan.Error{Message: "its run was ended", Code: "cancelled", InDoubt: true}
	case q.Kind == "review":
		a.Verdict = map[string]string{"doubtfail": "fail", "doubtdone": "done"}[name]
	case strings.HasPrefix(name, "no"):
		a.Verdict = "reject"
	case q.Kind == "event":
		a.Verdict, a.Output = "event", map[string]any{"id": "evt_x", "data": map[string]any{"key": q.Key}}
	case q.Kind == "call" && strings.HasPrefix(name, "bad"):
		a.Err = &plan.Error{Message: "its run failed", Code: "fail", Step: q.Path, Retryable: true}
	case q.Kind == "call":
		a.Output = map[string]any{"called": true}
	}
	if tr.st.Answers == nil {
		tr.st.Answers = map[string]*plan.Answer{}
	}
	tr.st.Answers[q.Path] = a
	return true
}

// TestRunsAreDecidedAsInTheGoldenFile carries out the workflows of the golden file, and checks every decision: what
// ends, what is due and when, what the run calls, asks and waits for, and how it ends.
func TestRunsAreDecidedAsInTheGoldenFile(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/traces.golden")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for i, section := range strings.Split(strings.TrimSuffix(string(b), "\n"), "\n== ") {
		if i == 0 {
			got.WriteString(section + "\n")
			continue
		}
		var source strings.Builder
		title, body, _ := strings.Cut(section, "\n")
		for line := range strings.Lines(body + "\n") {
			if !strings.HasPrefix(line, "\t") {
				source.WriteString(line)
			}
		}
		tr := &tracer{st: state(flowWith(t, source.String()), map[string]any{"no": false, "n": 5, "list": []any{1, 2, 3},
			"long": strings.Repeat("x", 100)})}
		tr.st.Secrets = map[string]any{"TOKEN": "hunter2hunter2"}
		tr.st.Began = tr.st.StartedAt.Add(-time.Minute)
		if strings.Contains(title, "(cancelled") {
			tr.st.Cancelled = &plan.Error{Message: "cancelled by ada", Code: "cancelled"}
		}
		if strings.Contains(title, "(timed out") {
			tr.st.TimedOut = true
		}
		if strings.Contains(title, "(gone") {
			tr.st.GoneTriggers = map[string]bool{"hook": true}
		}
		if strings.Contains(title, "(removed") {
			tr.st.Workflow.Steps[0].Gone = "it was removed"
		}
		tr.run()
		got.WriteString("== " + title + "\n" + source.String() + tr.out.String())
	}
	testgolden.Compare(t, "traces.golden", got.String())
}
