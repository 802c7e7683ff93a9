package console

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

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
	c.sent(r.Context(), d, c.flowOf(r.Context(), d))
	reply(w, http.StatusOK, d)
}

// sent sets the requests and responses of a run's attempts. flow is the version that ran, nil if it
// cannot be read.
func (c *Console) sent(ctx context.Context, d *engine.RunDetail, flow *workflows.Workflow) {
	if c.o.Sent == nil {
		return
	}
	c.o.Sent(ctx, d, func(version string) *workflows.Workflow {
		if version == d.Version {
			return flow
		}
		return c.versionOf(ctx, d.Workflow, version)
	})
}

func readOrder(r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil && r.ContentLength != 0 {
		return fmt.Errorf("the body is invalid: %w", err)
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
		return errors.New("from must be start or failed")
	}
	if o.Version != "pinned" && o.Version != "current" {
		return errors.New("version must be pinned or current")
	}
	return nil
}

// conflict responds to a request that is not possible in the current state.
func (c *Console) conflict(w http.ResponseWriter, err error) {
	if errors.Is(err, engine.ErrNotFound) {
		problem(w, http.StatusNotFound, err.Error()) // a request may name several things
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

// hasToken reports whether name is one of the personal tokens. Its owner can answer with it, so
// nobody else may obtain a link that answers in this name.
func (c *Console) hasToken(name string) bool {
	_, is := c.tokens().Named[name]
	return is
}

// answerRun records a person's answer to a run that waits for one.
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
	by := callerOf(r)
	if o.Link {
		if c.hasToken(o.By) && by.proved && by.Name != o.By {
			problem(w, http.StatusConflict,
				fmt.Sprintf("the token is that of %s and cannot make a link for %s, who has a token: use the token of %s", by.Name, o.By, o.By))
			return
		}
		// The caller is recorded as the one who hands the link out; o.By is the one who answers.
		token, q, err := c.o.Operator.Link(r.Context(), id, o.Step, o.By)
		if err != nil {
			c.conflict(w, err)
			return
		}
		setTarget(r, id.String()+" "+q.Path+" link for "+cmp.Or(o.By, "anybody"), "")
		notKept(w) // whoever has the link can answer
		reply(w, http.StatusOK, answerAnswer{Run: id.String(), Step: q.Path, Question: q.Text, Link: c.hooksURL() + ApprovePath + token})
		return
	}
	if by.proved && o.By != "" && o.By != by.Name {
		problem(w, http.StatusConflict,
			fmt.Sprintf("the token is that of %s and cannot answer as %s: leave by out, or use the token of %s", by.Name, o.By, o.By))
		return
	}
	response := engine.Response{Path: o.Step, Verdict: cmp.Or(o.Verdict, "approve"), By: authorOf(r, o.By), Proof: nameProof(r),
		Comment: o.Comment}
	if len(o.Result) > 0 {
		v, err := value.DecodeJSON(o.Result)
		if err != nil {
			problem(w, http.StatusBadRequest, "result: "+err.Error())
			return
		}
		response.Result = v
	}
	note(r, "step", response.Path, "verdict", response.Verdict, "comment", response.Comment)
	q, err := c.o.Operator.Answer(r.Context(), id, response)
	if err != nil {
		c.conflict(w, err)
		return
	}
	reply(w, http.StatusAccepted, answerAnswer{Run: id.String(), Step: q.Path, Question: q.Text, Verdict: response.Verdict})
}

// fire starts a workflow manually.
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
			problem(w, http.StatusBadRequest, "inputs must be an object")
			return
		}
		inputs = m
	}
	if flow := c.o.Project().Workflows[r.PathValue("id")]; flow != nil {
		if _, problems := workflows.CheckInputs(flow.Inputs, inputs); len(problems) > 0 {
			problem(w, http.StatusUnprocessableEntity, flow.ID+": "+strings.Join(problems, "; "))
			return
		}
	}
	receipt, err := c.o.Operator.Fire(r.Context(), r.PathValue("id"), inputs, authorOf(r, o.By), o.Why)
	if err != nil {
		c.conflict(w, err)
		return
	}
	note(r, "why", o.Why, "event", receipt.Event.String())
	reply(w, http.StatusAccepted, statusAnswer{"accepted", receipt.Event.String()})
}

// nameProof describes what authenticates a caller's name: a personal token, or nothing.
func nameProof(r *http.Request) string {
	if callerOf(r).proved {
		return "token"
	}
	return ""
}

// authorOf returns the name to record for a request: the one authenticated by a token or a session,
// or with a shared token the one that the caller gives.
func authorOf(r *http.Request, said string) string {
	by := callerOf(r)
	if by.session != "" || by.proved || said == "" {
		return by.Name
	}
	setTarget(r, "", said)
	return said
}
