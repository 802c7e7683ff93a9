package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/hookloom/hookloom/engine"
)

// This file handles the forms of the pages. Each responds with a page: the result, or the reason
// for the failure.

// redirectDone redirects to a page that reports what was done.
func redirectDone(w http.ResponseWriter, r *http.Request, path, what string) {
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	http.Redirect(w, r, path+sep+"said="+what, http.StatusSeeOther)
}

// actionFailed shows why a request was not carried out.
func (c *Console) actionFailed(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, engine.ErrNotFound) || errors.Is(err, engine.ErrFull) || errors.Is(err, engine.ErrBusy) ||
		errors.Is(err, engine.ErrClosed) {
		c.showError(w, r, err)
		return
	}
	c.errorPage(w, r, http.StatusConflict, err.Error())
}

func (c *Console) formOrder(r *http.Request) (replayOrder, error) {
	o := replayOrder{From: r.PostForm.Get("from"), Version: r.PostForm.Get("version"), By: callerOf(r).Name,
		Again: r.PostForm.Get("again") != ""}
	return o, o.check()
}

func (c *Console) doReplay(w http.ResponseWriter, r *http.Request) {
	id, ok := named(c, w, r, engine.ParseRunID)
	if !ok {
		return
	}
	o, err := c.formOrder(r)
	if err != nil {
		c.errorPage(w, r, http.StatusBadRequest, err.Error())
		return
	}
	note(r, "from", o.From, "version", o.Version)
	n, err := c.o.Operator.ReplayRun(r.Context(), id, o.order())
	if err != nil {
		c.actionFailed(w, r, err)
		return
	}
	note(r, "as", n.Run.String())
	redirectDone(w, r, "/runs/"+n.Run.String(), map[bool]string{false: "replayed", true: "already"}[n.Already])
}

func (c *Console) doReplayEvent(w http.ResponseWriter, r *http.Request) {
	id, ok := named(c, w, r, engine.ParseEventID)
	if !ok {
		return
	}
	o, err := c.formOrder(r)
	if err != nil {
		c.errorPage(w, r, http.StatusBadRequest, err.Error())
		return
	}
	note(r, "workflow", r.PostForm.Get("workflow"), "from", o.From, "version", o.Version)
	items, err := c.runAgain(r.Context(), id, replayEventOrder{replayOrder: o, Workflow: r.PostForm.Get("workflow")})
	switch {
	case err != nil:
		c.actionFailed(w, r, err)
	case len(items) == 1 && items[0].Run != "":
		redirectDone(w, r, "/runs/"+items[0].Run, map[bool]string{false: "replayed", true: "already"}[items[0].AlreadyReplayed])
	case len(items) == 1:
		redirectDone(w, r, "/events/"+id.String(), "decided")
	default:
		redirectDone(w, r, "/events/"+id.String(), "many")
	}
}

func (c *Console) doCancel(w http.ResponseWriter, r *http.Request) {
	id, ok := named(c, w, r, engine.ParseRunID)
	if !ok {
		return
	}
	if err := c.o.Operator.Cancel(r.Context(), id); err != nil {
		c.actionFailed(w, r, err)
		return
	}
	redirectDone(w, r, "/runs/"+id.String(), "cancelled")
}

func (c *Console) doAnswer(w http.ResponseWriter, r *http.Request) {
	id, ok := named(c, w, r, engine.ParseRunID)
	if !ok {
		return
	}
	response := engine.Response{Path: r.PostForm.Get("step"), Verdict: r.PostForm.Get("verdict"),
		By: authorOf(r, strings.TrimSpace(r.PostForm.Get("by"))), Proof: nameProof(r), Comment: r.PostForm.Get("comment")}
	note(r, "step", response.Path, "verdict", response.Verdict, "comment", response.Comment)
	if _, err := c.o.Operator.Answer(r.Context(), id, response); err != nil {
		c.actionFailed(w, r, err)
		return
	}
	redirectDone(w, r, "/runs/"+id.String(), "answered")
}

func (c *Console) doAdmit(w http.ResponseWriter, r *http.Request) {
	id, ok := named(c, w, r, refusalID)
	if !ok {
		return
	}
	receipt, err := c.o.Admit(r.Context(), id)
	if err != nil {
		c.actionFailed(w, r, err)
		return
	}
	redirectDone(w, r, "/events/"+receipt.Event.String(), "admitted")
}

func (c *Console) doSend(w http.ResponseWriter, r *http.Request) {
	name := r.PostForm.Get("name")
	setTarget(r, name, "")
	status, answer, err := c.o.Send(r.Context(), name, r.PostForm.Get("kind"))
	if err != nil {
		c.actionFailed(w, r, err)
		return
	}
	note(r, "type", r.PostForm.Get("kind"), "answered", strconv.Itoa(status))
	c.keep(w, r, "/trigger?name="+url.QueryEscape(name), map[string]any{"Sent": fmt.Sprintf("%d %s", status, strings.TrimSpace(answer))})
}

func (c *Console) doPoll(w http.ResponseWriter, r *http.Request) {
	name := r.PostForm.Get("name")
	setTarget(r, name, "")
	if _, err := c.o.Poll(r.Context(), name); err != nil {
		c.actionFailed(w, r, err)
		return
	}
	redirectDone(w, r, "/trigger?name="+url.QueryEscape(name), "polled")
}

func (c *Console) doSwitch(w http.ResponseWriter, r *http.Request) {
	id := r.PostForm.Get("id")
	setTarget(r, id, "")
	on := strings.HasSuffix(r.URL.Path, "/enable")
	o := engine.SwitchOrder{Workflow: id, On: on, Hold: !on && r.PostForm.Get("hold") != "", By: callerOf(r).Name}
	note(r, "hold", r.PostForm.Get("hold"))
	x, err := c.o.Operator.Switch(r.Context(), o)
	if err != nil {
		c.actionFailed(w, r, err)
		return
	}
	what := map[bool]string{true: "enabled", false: "disabled"}[on]
	if on && x.Held > 0 {
		what = "draining"
	} else if o.Hold {
		what = "holding"
	}
	redirectDone(w, r, "/workflow?id="+url.QueryEscape(id), what)
}

func (c *Console) doResume(w http.ResponseWriter, r *http.Request) {
	endpoint := r.PostForm.Get("endpoint")
	setTarget(r, endpoint, "")
	n, err := c.o.Operator.Unpause(r.Context(), endpoint)
	if err == nil && n == 0 {
		err = engine.ErrNotFound
	}
	if err != nil {
		c.actionFailed(w, r, err)
		return
	}
	redirectDone(w, r, "/destinations", "resumed")
}

const (
	// deadShown is the number of dead letters that a page groups, deadAtOnce the number that one
	// request replays.
	deadShown  = 500
	deadAtOnce = 1000
)

// madeRun is a dead letter and the run created from it.
type madeRun struct {
	Of, Run string
	Already bool
}

// replayMany replays dead letters one at a time; a failure does not stop the others. A rule that
// failed is evaluated again; it is identified by event id and workflow.
func (c *Console) replayMany(ctx context.Context, ids []string, o replayOrder) (made []madeRun, problems []string) {
	made = []madeRun{}
	for _, text := range ids {
		m, err := c.replayDead(ctx, text, o)
		if err != nil {
			problems = append(problems, err.Error())
		} else {
			made = append(made, m)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return made, problems
}

func (c *Console) replayDead(ctx context.Context, text string, o replayOrder) (madeRun, error) {
	m := madeRun{Of: text}
	if event, workflow, ok := strings.Cut(text, " "); ok {
		id, err := engine.ParseEventID(event)
		if err != nil {
			return m, err
		}
		m.Of = event
		x, err := c.o.Operator.DecideAgain(ctx, id, workflow, false, o.By)
		if err == nil && x.Run == "" {
			err = fmt.Errorf("%s: the current rule of %s gives %s: %s", event, workflow, x.Outcome, x.Reason)
		}
		m.Run, m.Already = x.Run, x.AlreadyReplayed
		return m, err
	}
	id, err := engine.ParseRunID(text)
	if err != nil {
		return m, err
	}
	x, err := c.o.Operator.ReplayRun(ctx, id, o.order())
	m.Run, m.Already = x.Run.String(), x.Already
	return m, err
}
