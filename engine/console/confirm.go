package console

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file asks for confirmation before a page's action takes effect: it shows what would happen.

// confirmation is a page that describes an action, with a button that executes it.
type confirmation struct {
	Title, Text string
	// Effects are the effects, one per line.
	Effects []string
	Button  string
	Danger  bool
	// Back is the link to the page with the form.
	Back string
}

// confirmed asks before it acts, unless the form contains the confirmation.
func (c *Console) confirmed(action string, ask func(*http.Request) (confirmation, error), do http.HandlerFunc) http.HandlerFunc {
	act := c.acting(action, do)
	return func(w http.ResponseWriter, r *http.Request) {
		if r.PostForm.Get("confirm") != "" {
			act(w, r)
			return
		}
		q, err := ask(r)
		if err != nil {
			c.actionFailed(w, r, err)
			return
		}
		fields := url.Values{}
		for name, values := range r.PostForm {
			if name != "csrf" {
				fields[name] = values
			}
		}
		c.render(w, r, http.StatusOK, "question", map[string]any{"Title": q.Title, "Q": q, "Action": r.URL.Path, "Fields": fields})
	}
}

func (c *Console) confirmReplayEvent(r *http.Request) (confirmation, error) {
	id, err := engine.ParseEventID(r.PathValue("id"))
	if err != nil {
		return confirmation{}, err
	}
	o, err := c.formOrder(r)
	if err != nil {
		return confirmation{}, err
	}
	workflow := r.PostForm.Get("workflow")
	q := confirmation{Title: "Run this event again?", Back: "/events/" + id.String(), Button: "Run it again"}
	if workflow != "" {
		q.Text = "Today's rule of the workflow decides about the event, and a run begins if it matches."
		q.Effects = []string{"decide by " + workflow}
		return q, nil
	}
	plan, err := c.runsOf(r.Context(), id, replayEventOrder{replayOrder: o})
	if err != nil {
		return q, err
	}
	q.Text = "New runs have new idempotency keys: what their steps do outside is done again."
	from := map[string]string{"start": "the start"}[o.From]
	if from == "" {
		from = "the failed step"
	}
	for _, x := range plan {
		if x.How == "repeat" {
			q.Effects = append(q.Effects, fmt.Sprintf("%s: repeat %s from %s", x.Workflow, x.Repeats, from))
		} else {
			q.Effects = append(q.Effects, x.Workflow+": decide again with the current rule, and run it if it matches")
		}
	}
	return q, nil
}

func (c *Console) confirmCancel(r *http.Request) (confirmation, error) {
	id, err := engine.ParseRunID(r.PathValue("id"))
	if err != nil {
		return confirmation{}, err
	}
	d, err := c.o.Log.RunDetail(r.Context(), id)
	if err != nil {
		return confirmation{}, err
	}
	q := confirmation{Title: "Cancel this run?", Back: "/runs/" + id.String(), Button: "Cancel the run", Danger: true,
		Text: fmt.Sprintf("%s of %s is %s. What its steps have done stays done.", id, d.Workflow, d.Status)}
	q.Effects = []string{"Runs that it called end too, unless they were called with detach: true."}
	if w := c.o.Project().Workflows[d.Workflow]; w != nil && len(w.Finally) > 0 {
		q.Effects = append(q.Effects, "Its finally: steps run. Cancelling it a second time stops them.")
	}
	return q, nil
}

func (c *Console) confirmDisable(r *http.Request) (confirmation, error) {
	id := r.PostForm.Get("id")
	if c.o.Project().Workflows[id] == nil {
		return confirmation{}, engine.ErrNotFound
	}
	q := confirmation{Title: "Switch off " + id + "?", Back: "/workflow?id=" + url.QueryEscape(id), Button: "Switch it off", Danger: true,
		Text: "It stays off after a restart, until somebody switches it on."}
	if r.PostForm.Get("hold") != "" {
		q.Effects = append(q.Effects, "New events are held, and run in order when it is switched on.")
	} else {
		q.Effects = append(q.Effects, "New events start no run. Switching it on shows how many it missed.")
	}
	q.Effects = append(q.Effects, "Queued runs wait. Runs that have begun continue.")
	return q, nil
}

// checkedSample is the predicted outcome of a sample delivery.
type checkedSample struct {
	Result, Reason string
	Events         []checkedEvent
}

type checkedEvent struct {
	Type, Key string
	Decisions []engine.Decision
}

// checkSample returns what the workflows would decide about a sample. It changes nothing.
func (c *Console) checkSample(r *http.Request) (*checkedSample, error) {
	name := r.PostForm.Get("name")
	result, reason, deliveries, err := c.o.Judge(r.Context(), name, r.PostForm.Get("kind"))
	if err != nil {
		return nil, err
	}
	p := c.o.Project()
	out := &checkedSample{Result: result, Reason: reason}
	for _, d := range deliveries {
		ev := &engine.Event{Delivery: *d}
		names, unreadable := ev.Names()
		x := checkedEvent{Type: d.Type, Key: d.Key}
		for _, id := range sortedNames(p.Workflows) {
			w := p.Workflows[id]
			for _, s := range w.Starts {
				if s.Kind != "trigger" || s.Trigger != name {
					continue
				}
				l := engine.Listener{Workflow: w, Start: s, Types: p.Triggers[name].Webhook.Events}
				if _, off := c.o.Operator.SwitchedOff()[id]; off || !w.Enabled {
					l.Off = engine.Disabled
				}
				x.Decisions = append(x.Decisions, l.Evaluate(ev, names, unreadable, time.Time{}))
			}
		}
		out.Events = append(out.Events, x)
	}
	return out, nil
}

func (c *Console) confirmSend(r *http.Request) (confirmation, error) {
	name := r.PostForm.Get("name")
	q := confirmation{Title: "Send a sample to " + name + "?", Back: "/trigger?name=" + url.QueryEscape(name), Button: "Send it",
		Text: "It is a delivery like any other: it is stored, and the workflows that match run, with all their effects."}
	j, err := c.checkSample(r)
	if err != nil {
		return q, err
	}
	for _, e := range j.Events {
		for _, d := range e.Decisions {
			if d.Outcome == engine.Matched {
				q.Effects = append(q.Effects, d.Workflow+" would run")
			}
		}
	}
	slices.Sort(q.Effects)
	if len(q.Effects) == 0 {
		q.Effects = []string{"No workflow would run."}
	}
	return q, nil
}

// trySend evaluates a sample, or asks for confirmation before it sends one.
func (c *Console) trySend(send http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.PostForm.Get("how") == "send" {
			send(w, r)
			return
		}
		j, err := c.checkSample(r)
		if err != nil {
			c.actionFailed(w, r, err)
			return
		}
		c.showTrigger(w, r, http.StatusOK, map[string]any{"Judged": j})
	}
}
