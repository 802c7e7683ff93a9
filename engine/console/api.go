package console

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// named parses the id in a path; it responds with an error if the id is invalid.
func named[T any](c *Console, w http.ResponseWriter, r *http.Request, parse func(string) (T, error)) (id T, ok bool) {
	id, err := parse(r.PathValue("id"))
	switch {
	case err == nil:
		return id, true
	case strings.HasPrefix(r.URL.Path, "/api/"):
		problem(w, http.StatusBadRequest, err.Error())
	default:
		c.errorPage(w, r, http.StatusBadRequest, err.Error())
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

// admit verifies a refused delivery again and stores it if it is valid now.
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

// pollNow polls a trigger's service.
func (c *Console) pollNow(w http.ResponseWriter, r *http.Request) {
	report, err := c.o.Poll(r.Context(), r.PathValue("name"))
	switch {
	case errors.Is(err, engine.ErrNotFound):
		problem(w, http.StatusNotFound, err.Error())
	case errors.Is(err, engine.ErrBusy):
		problem(w, http.StatusConflict, err.Error())
	case err != nil:
		problem(w, http.StatusBadGateway, err.Error())
	default:
		reply(w, http.StatusOK, report)
	}
}

// compare compares the webhook of a trigger with its poll.
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

// NoRoomAfterPrune is the advice if pruning does not free space on a full disk.
const NoRoomAfterPrune = "the disk is full, and pruning does not free enough space: " +
	"free some space on it, or keep less with shorter --keep and --bodies"

// prune removes old history; parameters that are not given come from hookloom.yaml.
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

// resumeEndpoint resumes an endpoint that answered 410, or a destination that is held.
func (c *Console) resumeEndpoint(w http.ResponseWriter, r *http.Request) {
	var o resumeOrder
	if err := readOrder(r, &o); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	setTarget(r, o.Endpoint, "")
	n, err := c.o.Operator.Unpause(r.Context(), o.Endpoint)
	switch {
	case err != nil:
		c.fail(w, err)
	case n == 0:
		problem(w, http.StatusNotFound, "no such endpoint is paused, and no destination of that name is held")
	default:
		reply(w, http.StatusOK, resumedAnswer{n})
	}
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

// stored describes the outcome of a delivery.
func stored(r engine.Receipt) string {
	if r.Duplicate {
		return "duplicate"
	}
	return "accepted"
}
