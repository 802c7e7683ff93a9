package console

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// named reads the id in a path; what is no id is answered.
func named[T any](c *Console, w http.ResponseWriter, r *http.Request, parse func(string) (T, error)) (id T, ok bool) {
	id, err := parse(r.PathValue("id"))
	switch {
	case err == nil:
		return id, true
	case strings.HasPrefix(r.URL.Path, "/api/"):
		problem(w, http.StatusBadRequest, err.Error())
	default:
		c.sorry(w, r, http.StatusBadRequest, err.Error())
	}
	return id, false
}

// refusalID checks the id of a refused delivery.
func refusalID(s string) (string, error) {
	n, err := strconv.ParseInt(strings.TrimPrefix(s, "ref_"), 10, 64)
	if err != nil || n < 1 || !strings.HasPrefix(s, "ref_") {
		return "", fmt.Errorf("%q is not the id of a refused delivery: ref_ and a number", s)
	}
	return s, nil
}

func (c *Console) oneRefusal(w http.ResponseWriter, r *http.Request) {
	id, ok := named(c, w, r, refusalID)
	if !ok {
		return
	}
	item, _, err := c.o.Log.Refusal(r.Context(), id)
	if err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusOK, item)
}

// admit judges a refused delivery again and stores it when it is genuine now.
func (c *Console) admit(w http.ResponseWriter, r *http.Request) {
	id, ok := named(c, w, r, refusalID)
	if !ok {
		return
	}
	receipt, err := c.o.Admit(r.Context(), id)
	if err != nil {
		c.conflict(w, err)
		return
	}
	reply(w, http.StatusAccepted, statusAnswer{stored(receipt), receipt.Event.String()})
}

func (c *Console) oneEvent(w http.ResponseWriter, r *http.Request) {
	id, ok := named(c, w, r, engine.ParseEventID)
	if !ok {
		return
	}
	d, err := c.o.Log.EventDetail(r.Context(), id)
	if err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusOK, d)
}

func (c *Console) oneRun(w http.ResponseWriter, r *http.Request) {
	id, ok := named(c, w, r, engine.ParseRunID)
	if !ok {
		return
	}
	d, err := c.o.Log.RunDetail(r.Context(), id)
	if err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusOK, d)
}

func readOrder(r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil && r.ContentLength != 0 {
		return fmt.Errorf("the body is not what is expected: %w", err)
	}
	return nil
}

func (o *replayOrder) check() error {
	if o.From == "" {
		o.From = "start"
	}
	if o.Version == "" {
		o.Version = "pinned"
	}
	if o.From != "start" && o.From != "failed" {
		return errors.New("from is start or failed")
	}
	if o.Version != "pinned" && o.Version != "current" {
		return errors.New("version is pinned or current")
	}
	return nil
}

// conflict answers an order that cannot be carried out as things stand.
func (c *Console) conflict(w http.ResponseWriter, err error) {
	if errors.Is(err, engine.ErrNotFound) {
		problem(w, http.StatusNotFound, err.Error()) // an order names several things
		return
	}
	if errors.Is(err, engine.ErrFull) || errors.Is(err, engine.ErrBusy) || errors.Is(err, engine.ErrQuery) {
		c.fail(w, err)
		return
	}
	problem(w, http.StatusConflict, err.Error())
}

func (c *Console) cancelRun(w http.ResponseWriter, r *http.Request) {
	id, ok := named(c, w, r, engine.ParseRunID)
	if !ok {
		return
	}
	if err := c.o.Operator.Cancel(r.Context(), id); err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusAccepted, statusAnswer{Status: "cancelled"})
}

// pollNow asks a trigger's service for what is new.
func (c *Console) pollNow(w http.ResponseWriter, r *http.Request) {
	report, err := c.o.Poll(r.Context(), r.PathValue("name"))
	switch {
	case errors.Is(err, engine.ErrNotFound):
		problem(w, http.StatusNotFound, err.Error())
	case err != nil:
		problem(w, http.StatusBadGateway, err.Error())
	default:
		reply(w, http.StatusOK, report)
	}
}

// compare sets the webhook of a trigger against its poll.
func (c *Console) compare(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("trigger")
	if c.o.Project().Triggers[name] == nil {
		problem(w, http.StatusNotFound, "no trigger is named "+name)
		return
	}
	now := time.Now()
	since := now.Add(-30 * 24 * time.Hour)
	if text := r.URL.Query().Get("since"); text != "" {
		var err error
		if since, err = Moment("since", text, now, c.o.Project().Zone()); err != nil {
			problem(w, http.StatusBadRequest, err.Error())
			return
		}
	}
	s, err := c.o.Log.Sightings(r.Context(), name, since)
	if err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusOK, engine.Compare(name, since.UTC(), now, s))
}

// listDestinations tells how the hosts stand that steps go to.
func (c *Console) listDestinations(w http.ResponseWriter, r *http.Request) {
	host := r.URL.Query().Get("host")
	err := c.names(r.Context(), engine.Query{Host: host})
	var items []destinationItem
	if err == nil {
		items, err = c.destinations(r.Context())
	}
	if err != nil {
		c.fail(w, err)
		return
	}
	if host != "" {
		items = slices.DeleteFunc(items, func(x destinationItem) bool { return bareHost(x.Name) != bareHost(host) })
	}
	reply(w, http.StatusOK, destinationsAnswer{items, c.o.Operator.Paused()})
}

// NoRoomAfterPrune says what helps where pruning does not make room on a full disk.
const NoRoomAfterPrune = "the disk is full, and what may be removed does not make room: free some space on it, or keep less with shorter --keep and --bodies"

// prune removes old history; what is not given is as hookloom.yaml says.
func (c *Console) prune(w http.ResponseWriter, r *http.Request) {
	var o pruneOrder
	if err := readOrder(r, &o); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	h, err := c.o.Project().History.With(o.Keep, o.Bodies, o.MaxSize)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	note(r, "keep", o.Keep, "bodies", o.Bodies, "max_size", o.MaxSize)
	n, err := c.o.Operator.Prune(r.Context(), h)
	if errors.Is(err, engine.ErrFull) {
		w.Header().Set("Retry-After", "10")
		problem(w, http.StatusServiceUnavailable, NoRoomAfterPrune)
		return
	}
	if err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusOK, n)
}

// resumeEndpoint lets an endpoint go on that answered 410, or a destination that is held.
func (c *Console) resumeEndpoint(w http.ResponseWriter, r *http.Request) {
	var o resumeOrder
	if err := readOrder(r, &o); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	aimAt(r, o.Endpoint, "")
	n, err := c.o.Operator.Unpause(r.Context(), o.Endpoint)
	switch {
	case err != nil:
		c.fail(w, err)
	case n == 0:
		problem(w, http.StatusNotFound, "no such endpoint is paused, and nothing holds a destination of that name")
	default:
		reply(w, http.StatusOK, resumedAnswer{n})
	}
}

// answerRun gives a person's word to a run that waits for one.
func (c *Console) answerRun(w http.ResponseWriter, r *http.Request) {
	id, ok := named(c, w, r, engine.ParseRunID)
	if !ok {
		return
	}
	var o answerOrder
	if err := readOrder(r, &o); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if o.Link {
		// Who hands it out is on record as the caller; who answers by it is o.By.
		token, q, err := c.o.Operator.Link(r.Context(), id, o.Step, o.By)
		if err != nil {
			c.conflict(w, err)
			return
		}
		aimAt(r, id.String()+" "+q.Path+" link for "+cmp.Or(o.By, "anybody"), "")
		notKept(w) // whoever has the link may answer
		reply(w, http.StatusOK, answerAnswer{Run: id.String(), Step: q.Path, Question: q.Text, Link: c.hooksURL() + ApprovePath + token})
		return
	}
	if by := callerOf(r); by.proved && o.By != "" && o.By != by.Name {
		problem(w, http.StatusConflict, fmt.Sprintf("the token is that of %s and cannot answer as %s: leave by out, or use the token of %s", by.Name, o.By, o.By))
		return
	}
	word := engine.Word{Path: o.Step, Verdict: cmp.Or(o.Verdict, "approve"), By: signer(r, o.By), Proof: nameProof(r), Comment: o.Comment}
	if len(o.Result) > 0 {
		v, err := value.DecodeJSON(o.Result)
		if err != nil {
			problem(w, http.StatusBadRequest, "result: "+err.Error())
			return
		}
		word.Result = v
	}
	note(r, "step", word.Path, "verdict", word.Verdict, "comment", word.Comment)
	q, err := c.o.Operator.Answer(r.Context(), id, word)
	if err != nil {
		c.conflict(w, err)
		return
	}
	reply(w, http.StatusAccepted, answerAnswer{Run: id.String(), Step: q.Path, Question: q.Text, Verdict: word.Verdict})
}

// fire starts a workflow by hand.
func (c *Console) fire(w http.ResponseWriter, r *http.Request) {
	var o fireOrder
	if err := readOrder(r, &o); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	inputs := map[string]any{}
	if len(o.Inputs) > 0 {
		v, err := value.DecodeJSON(o.Inputs)
		m, isMap := v.(map[string]any)
		if err != nil {
			problem(w, http.StatusBadRequest, "inputs: "+err.Error())
			return
		}
		if !isMap {
			problem(w, http.StatusBadRequest, "inputs is an object")
			return
		}
		inputs = m
	}
	receipt, err := c.o.Operator.Fire(r.Context(), r.PathValue("id"), inputs, signer(r, o.By), o.Why)
	if err != nil {
		c.conflict(w, err)
		return
	}
	note(r, "why", o.Why, "event", receipt.Event.String())
	reply(w, http.StatusAccepted, statusAnswer{"accepted", receipt.Event.String()})
}

// nameProof is what proves a caller's name: a token of his own, or nothing.
func nameProof(r *http.Request) string {
	if callerOf(r).proved {
		return "token"
	}
	return ""
}

// signer is who an order is by: the name that a token proves stands, and that of a
// session; a caller with a shared token may say.
func signer(r *http.Request, said string) string {
	by := callerOf(r)
	if by.session != "" || by.proved || said == "" {
		return by.Name
	}
	aimAt(r, "", said)
	return said
}

// sendSample sends a signed sample delivery.
func (c *Console) sendSample(w http.ResponseWriter, r *http.Request) {
	var o sendOrder
	if err := readOrder(r, &o); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	status, answer, err := c.o.Send(r.Context(), r.PathValue("name"), o.Type)
	note(r, "type", o.Type, "answered", strconv.Itoa(status))
	switch {
	case errors.Is(err, engine.ErrNotFound):
		problem(w, http.StatusNotFound, err.Error())
	case err != nil:
		problem(w, http.StatusConflict, err.Error())
	default:
		reply(w, http.StatusOK, sentAnswer{status, answer})
	}
}

// stands tells how the whole stands, as of a few seconds ago at most.
func (c *Console) stands(ctx context.Context) (engine.Standing, error) {
	return c.standing.get(true, time.Now(), func() (engine.Standing, error) { return c.o.Log.Standing(ctx) })
}

// overview tells how the whole stands, and what happened lately.
func (c *Console) overview(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	since, step, err := now.Add(-24*time.Hour), time.Hour, error(nil)
	if text := r.URL.Query().Get("since"); text != "" {
		since, err = Moment("since", text, now, c.o.Project().Zone())
	}
	if text := r.URL.Query().Get("step"); text != "" && err == nil {
		step, err = workflows.ParseDuration(text)
	}
	if err == nil && (step < time.Second || now.Sub(since)/step > 1000) {
		err = errors.New("step is at least a second, and there are at most 1000 of them")
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	standing, err := c.stands(r.Context())
	if err != nil {
		c.fail(w, err)
		return
	}
	buckets, err := c.activity.get(r.Context(), c.o.Log, now, step, int(now.Sub(since)/step)+1)
	if err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusOK, overviewAnswer{standing, buckets, c.o.State()})
}

// listAlerts lists the alerts whose condition holds.
func (c *Console) listAlerts(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, engine.Page[engine.OpenAlert]{Items: c.o.Operator.OpenAlerts()})
}

// triggerItem is one line of the list of triggers.
type triggerItem struct {
	Name     string   `json:"name"`
	Path     string   `json:"path,omitempty"`
	Provider string   `json:"provider,omitempty"`
	Methods  []string `json:"methods,omitempty"`
	// Identity says what names the webhook's events.
	Identity string `json:"identity,omitempty"`
	// Secrets are named, with their use; their values are not here.
	Secrets []engine.SecretState `json:"secrets,omitempty"`
	// Inlets are its polls, with how they stand.
	Inlets []engine.InletHealth `json:"inlets,omitempty"`
	engine.TriggerStats
	// Expect is how long it may be quiet, in seconds; 0 for ever, or when that is not
	// learned yet.
	Expect float64 `json:"expect,omitempty"`
	// Silent tells that it is quiet for longer.
	Silent bool `json:"silent,omitempty"`
}

// triggers lists the project's triggers, with how they did since a moment.
func (c *Console) triggers(ctx context.Context, since time.Time) ([]triggerItem, error) {
	items := []triggerItem{}
	uses, err := c.o.Log.SecretUses(ctx)
	if err != nil {
		return nil, err
	}
	all := c.o.Project().Triggers
	for _, name := range sortedNames(all) {
		t := all[name]
		i := triggerItem{Name: name}
		if t.Webhook != nil {
			i.Path, i.Provider, i.Methods = t.Webhook.Path, t.Webhook.Provider, t.Webhook.Methods
			i.Identity = c.o.Project().IdentityWords(t.Webhook)
			i.Secrets = engine.SecretStates(name, t.Webhook.SecretLabels(), uses, time.Now())
		}
		for _, inlet := range t.Polled() {
			st, err := c.o.Log.InletState(ctx, name, inlet)
			if err != nil {
				return nil, err
			}
			i.Inlets = append(i.Inlets, st.Health(inlet))
		}
		if i.TriggerStats, err = c.o.Log.TriggerStats(ctx, name, since); err != nil {
			return nil, err
		}
		if t.Webhook != nil {
			within := t.Webhook.Expect
			if within == workflows.Learned {
				if within, err = c.o.Log.Rhythm(ctx, name); err != nil {
					return nil, err
				}
			}
			i.Expect = within.Seconds()
			i.Silent = within > 0 && (i.LastAt == nil || time.Since(*i.LastAt) > within)
		}
		items = append(items, i)
	}
	return items, nil
}

func (c *Console) listTriggers(w http.ResponseWriter, r *http.Request) {
	items, err := c.triggers(r.Context(), time.Now().Add(-24*time.Hour))
	if err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusOK, engine.Page[triggerItem]{Items: items})
}

// workflowItem is one line of the list of workflows.
type workflowItem struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	File        string `json:"file"`
	Version     string `json:"version"`
	Enabled     bool   `json:"enabled"`
	// SwitchedOffBy names who switched it off here, whatever its file says.
	SwitchedOffBy string `json:"switched_off_by,omitempty"`
	// Holds tells that events are held for it; Draining that it is switched on, and what
	// was held is being decided.
	Holds    bool `json:"holds,omitempty"`
	Draining bool `json:"draining,omitempty"`
	engine.WorkflowStats
}

func (c *Console) workflows(ctx context.Context, back time.Duration) ([]workflowItem, error) {
	items := []workflowItem{}
	now := time.Now()
	by, err := c.stats.get(back, now, func() (map[string]engine.WorkflowStats, error) { return c.o.Log.WorkflowStats(ctx, now.Add(-back)) })
	if err != nil {
		return nil, err
	}
	all, off := c.o.Project().Workflows, c.o.Operator.SwitchedOff()
	for _, id := range sortedNames(all) {
		f := all[id]
		x, isOff := off[id]
		i := workflowItem{ID: f.ID, Name: f.Name, Description: f.Description, File: f.File, Version: f.Version, Enabled: f.Enabled && !isOff}
		if isOff {
			i.SwitchedOffBy = cmp.Or(x.By, "somebody")
			i.Holds, i.Draining = x.State == engine.SwitchHold, x.State == engine.SwitchDraining
		}
		i.WorkflowStats = by[id]
		items = append(items, i)
	}
	return items, nil
}

func (c *Console) listWorkflows(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	since := now.Add(-7 * 24 * time.Hour)
	if text := r.URL.Query().Get("since"); text != "" {
		var err error
		if since, err = Moment("since", text, now, c.o.Project().Zone()); err != nil {
			problem(w, http.StatusBadRequest, err.Error())
			return
		}
	}
	items, err := c.workflows(r.Context(), now.Sub(since))
	if err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusOK, engine.Page[workflowItem]{Items: items})
}

// stored says what became of a delivery.
func stored(r engine.Receipt) string {
	if r.Duplicate {
		return "duplicate"
	}
	return "accepted"
}
