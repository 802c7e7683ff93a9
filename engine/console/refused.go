package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file handles many refused deliveries at once: it groups them by cause, and verifies all with
// the same cause again once that is fixed.

type (
	// recheckOrder selects refused deliveries by trigger and reason.
	recheckOrder struct {
		Trigger string `json:"trigger"`
		Reason  string `json:"reason,omitempty"`
		Since   string `json:"since,omitempty"`
	}
	// recheckAnswer is the result of verifying them again.
	recheckAnswer struct {
		// Admitted are the created events; Refused is the number that still fail.
		Admitted []string `json:"admitted"`
		Refused  int      `json:"refused"`
		// Problem is why the last of those failed.
		Problem string `json:"problem,omitempty"`
		// Left is set if there are more.
		Left bool `json:"left,omitempty"`
	}
)

func (c *Console) listRefusalGroups(w http.ResponseWriter, r *http.Request) {
	q, err := query(r.URL.Query(), c.o.Project().Zone())
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	groups, err := c.o.Log.RefusalGroups(r.Context(), q)
	if err != nil {
		c.fail(w, err)
		return
	}
	n := len(groups)
	reply(w, http.StatusOK, engine.Page[engine.RefusalGroup]{Items: groups, Total: &n})
}

// maxRechecked is the maximum number of deliveries that one request verifies.
const maxRechecked = 1000

// recheck verifies the deliveries of a request, oldest first, as of the time each was received.
// Those that were admitted are skipped.
func (c *Console) recheck(ctx context.Context, o recheckOrder) (recheckAnswer, error) {
	a := recheckAnswer{Admitted: []string{}}
	q := engine.Query{Trigger: o.Trigger, Reason: o.Reason, Limit: maxRechecked, Ascending: true}
	if o.Since != "" {
		var err error
		if q.Since, err = Since(o.Since, time.Now()); err != nil {
			return a, err
		}
	}
	for {
		page, err := c.refusals(ctx, q)
		if err != nil {
			return a, err
		}
		for _, item := range page.Items {
			if item.Event != "" {
				continue
			}
			if len(a.Admitted)+a.Refused == maxRechecked {
				a.Left = true
				return a, nil
			}
			receipt, err := c.o.Admit(ctx, item.ID)
			switch {
			case errors.Is(err, engine.ErrFull), errors.Is(err, engine.ErrBusy), errors.Is(err, engine.ErrClosed), ctx.Err() != nil:
				return a, errors.Join(err, ctx.Err())
			case err != nil:
				a.Refused, a.Problem = a.Refused+1, item.ID+": "+err.Error()
			default:
				a.Admitted = append(a.Admitted, receipt.Event.String())
			}
		}
		if q.After = page.Next; q.After == "" {
			return a, nil
		}
	}
}

func (c *Console) recheckRefusals(w http.ResponseWriter, r *http.Request) {
	var o recheckOrder
	err := readOrder(r, &o)
	if err == nil && o.Trigger == "" {
		err = errors.New("trigger is needed; reason and since narrow it")
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	a, err := c.recheck(r.Context(), o)
	c.noteJudged(r, o, a)
	if err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusAccepted, a)
}

func (c *Console) noteJudged(r *http.Request, o recheckOrder, a recheckAnswer) {
	setTarget(r, o.Trigger, "")
	note(r, "reason", o.Reason, "since", o.Since, "admitted", strings.Join(firstN(a.Admitted, 50), ","), "refused", fmt.Sprint(a.Refused))
}

// doRecheckAll is recheckRefusals for the page of refused deliveries.
func (c *Console) doRecheckAll(w http.ResponseWriter, r *http.Request) {
	o := recheckOrder{Trigger: r.PostForm.Get("trigger"), Reason: r.PostForm.Get("reason")}
	a, err := c.recheck(r.Context(), o)
	c.noteJudged(r, o, a)
	if err != nil {
		c.actionFailed(w, r, err)
		return
	}
	c.shown(w, r, "judged", map[string]any{"Title": "Judged again", "A": a, "O": o, "Count": len(a.Admitted),
		"First": firstN(a.Admitted, 200)})
}

func (c *Console) confirmRecheckAll(r *http.Request) (confirmation, error) {
	trigger, reason := r.PostForm.Get("trigger"), r.PostForm.Get("reason")
	groups, err := c.o.Log.RefusalGroups(r.Context(), engine.Query{Trigger: trigger, Reason: reason})
	if err != nil {
		return confirmation{}, err
	}
	q := confirmation{Title: "Judge them again?", Back: "/quarantine", Button: "Judge them again",
		Text: fmt.Sprintf("Each delivery is verified with the current settings, as of the time it was received, at most %d at once. "+
			"Deliveries that pass become events, and the workflows that match run.", maxRechecked)}
	for _, g := range groups {
		q.Effects = append(q.Effects, fmt.Sprintf("%d of %s: %s", g.Count-g.Admitted, g.Trigger, g.Reason))
	}
	if len(groups) == 0 {
		return q, engine.ErrNotFound
	}
	return q, nil
}
