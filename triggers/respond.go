package triggers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file answers deliveries.

// accept passes the deliveries of a request to the sink.
func (r *route) accept(ctx context.Context, sink engine.Sink, ds []*engine.Delivery) (receipts []engine.Receipt, err error) {
	if len(ds) == 1 {
		receipt, err := sink.Accept(ctx, ds[0])
		return []engine.Receipt{receipt}, err
	}
	if len(ds) == 0 {
		return nil, nil // an empty list: there are no events
	}
	return sink.AcceptAll(ctx, ds)
}

// stored returns status and reply for stored deliveries, as docs/providers.md lists
// them. A list counts as accepted if one of its events is new.
func (r *route) stored(ds []*engine.Delivery, receipts []engine.Receipt) (status int, out reply) {
	best := -1
	for i, x := range receipts {
		rank := 2
		switch {
		case x.Duplicate:
			rank = 1
		case !workflows.MatchType(r.webhook.Events, ds[i].Type):
			rank = 0
		}
		if rank > best {
			best = rank
			out = reply{Status: [...]string{"filtered", "duplicate", "accepted"}[rank], Event: x.Event.String()}
		}
	}
	switch best {
	case -1:
		return http.StatusOK, reply{Status: "filtered"}
	case 2:
		return http.StatusAccepted, out
	}
	return http.StatusOK, out
}

// answerStored answers a stored delivery. Some providers require a status or a body of
// their own and treat all others as a failure.
func (r *route) answerStored(w http.ResponseWriter, in *inbound, status int, out reply) {
	if s := r.webhook.Respond; s != nil && !s.Sync {
		if s.Body == nil && s.Headers == nil {
			if status == http.StatusAccepted {
				status = s.Status
			}
			answer(w, status, out)
			return
		}
		r.render(w, s, nil, time.Time{})
		return
	}
	if r.answer == nil {
		answer(w, status, out)
		return
	}
	if a, err := r.answer.fill(&in.request, ""); err == nil {
		if a.Body != "" || r.answer.HasBody {
			a.write(w)
			return
		}
		for k, v := range a.Headers {
			if k != "Content-Type" {
				w.Header().Set(k, v)
			}
		}
		status = a.Status
	}
	answer(w, status, out)
}

// answerWithRun waits for the run of an event and answers with its output. A repeated delivery of
// the same event gets the same answer and starts no second run. It returns false if there is no run
// to wait for.
func (h *Hooks) answerWithRun(w http.ResponseWriter, req *http.Request, r *route, event engine.EventID) bool {
	s := r.webhook.Respond
	// The write deadline of the server is meant for answers that do not wait.
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.Timeout + 10*time.Second)); err != nil {
		h.log.Debug("the response's deadline cannot be extended", "trigger", r.trigger.Name, "error", err)
	}
	ctx, cancel := context.WithTimeout(req.Context(), s.Timeout)
	defer cancel()
	ended, err := h.sink.Await(ctx, event)
	switch {
	case err != nil && (ended == nil || !errors.Is(err, context.DeadlineExceeded)):
		if req.Context().Err() == nil {
			h.often.Error(h.log, "the response for a sender was not found", "trigger", r.trigger.Name, "event", event,
				"error", err)
		}
		return false
	case ended.Run == nil:
		return false
	case err != nil:
		// The run continues; the response has its id.
		answer(w, http.StatusAccepted, reply{Status: "accepted", Event: event.String(), Run: ended.Run.ID.String()})
		return true
	case ended.Run.Status != engine.Succeeded:
		code := string(ended.Run.Status)
		if ended.Run.Error != nil {
			code = ended.Run.Error.Code
		}
		// The message is not shown: it may contain internal data.
		writeJSON(w, http.StatusInternalServerError, map[string]any{"run": ended.Run.ID.String(), "error": map[string]any{"code": code}})
		return true
	}
	r.render(w, s, ended.Names, ended.Run.FinishedAt)
	return true
}

// render writes an answer of respond:.
func (r *route) render(w http.ResponseWriter, s *workflows.Respond, names expr.Names, now time.Time) {
	env := &expr.Env{Names: names, Now: r.localTime(now)}
	headers, err := s.Headers.Render(env, workflows.FillNonempty)
	var body any
	if err == nil {
		if s.Body == nil {
			body = names["output"]
		} else {
			body, err = s.Body.Render(env, workflows.FillPlain)
		}
	}
	var raw []byte
	kind := "application/json"
	if err == nil {
		switch x := body.(type) {
		case string:
			raw, kind = []byte(x), "text/plain; charset=utf-8"
		case nil:
		default:
			raw, err = value.EncodeJSON(x)
		}
	}
	if err != nil {
		code := "respond"
		if errors.Is(err, value.ErrTooLarge) {
			code = "too_large"
		}
		writeJSON(w, http.StatusInternalServerError, map[string]any{"error": map[string]any{"code": code}})
		return
	}
	hd := w.Header()
	hd["X-Content-Type-Options"], hd["Content-Security-Policy"] = noSniff, noPage
	if len(raw) > 0 {
		hd.Set("Content-Type", kind)
	}
	list, _ := headers.(map[string]any)
	for k, v := range list {
		text, err := value.Text(v)
		if err == nil && validHeader(text) {
			hd.Set(k, text)
		}
	}
	hd.Set("Content-Length", strconv.Itoa(len(raw)))
	w.WriteHeader(s.Status)
	_, _ = w.Write(raw) // the sender is gone if this fails
}

// validHeader reports whether a text may be a header's value (RFC 9110, 5.5).
func validHeader(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	raw, err := value.EncodeJSON(v)
	if err != nil {
		raw = []byte(fmt.Sprintf("{%q:%q}", "error", "the answer cannot be written"))
	}
	hd := w.Header()
	hd["Content-Type"], hd["X-Content-Type-Options"], hd["Content-Security-Policy"] = typeJSON, noSniff, noPage
	hd.Set("Content-Length", strconv.Itoa(len(raw)))
	w.WriteHeader(status)
	_, _ = w.Write(raw) // the sender is gone if this fails
}

// refusedWords is the answer to every failed verification, whatever the reason.
const refusedWords = "signature verification failed"

// answerRefused answers a refused delivery in the form that the provider requires.
func (r *route) answerRefused(w http.ResponseWriter, in *inbound, j verdict) {
	if j.status == http.StatusUnauthorized && r.refusal != nil {
		if a, err := r.refusal.fill(&in.request, ""); err == nil {
			a.write(w)
			return
		}
	}
	words := refusedWords
	if j.status != http.StatusUnauthorized {
		words = j.reason
	}
	if j.status == http.StatusUnprocessableEntity {
		words += ": " + j.detail // the sender is genuine and can correct it
	}
	if j.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "30")
	}
	answer(w, j.status, reply{Error: words})
}

// write sends an answer given as data.
func (a *Answer) write(w http.ResponseWriter) {
	for k, v := range a.Headers {
		w.Header().Set(k, v)
	}
	w.Header()["Content-Security-Policy"] = noPage
	w.Header().Set("Content-Length", strconv.Itoa(len(a.Body)))
	w.WriteHeader(a.Status)
	_, _ = io.WriteString(w, a.Body) // the sender is gone if this fails
}

// unavailable answers that nothing was stored, and when to retry.
func (h *Hooks) unavailable(w http.ResponseWriter, err error) {
	wait, words := "1", "cannot store now, try again"
	switch {
	case errors.Is(err, engine.ErrFull):
		wait, words = "10", "cannot store now: the disk is full; try again later"
		h.often.Error(h.log, "a delivery was not stored: the disk is full")
	case errors.Is(err, engine.ErrBusy), errors.Is(err, engine.ErrClosed):
	default:
		h.often.Error(h.log, "a delivery was not stored", "error", err)
	}
	w.Header().Set("Retry-After", wait)
	answer(w, http.StatusServiceUnavailable, reply{Error: words})
}

var (
	typeJSON = []string{"application/json"}
	noSniff  = []string{"nosniff"}
	noPage   = []string{"default-src 'none'; sandbox"}
)

// reply is the JSON object of an answer; empty fields are omitted.
type reply struct{ Status, Event, Run, Error string }

// answer writes one of the fixed answers of docs/providers.md. Its type and nosniff prevent a
// browser from rendering it as a page.
func answer(w http.ResponseWriter, status int, body reply) {
	// The names are canonical and the values shared: this runs for every delivery.
	hd := w.Header()
	hd["Content-Type"], hd["X-Content-Type-Options"] = typeJSON, noSniff
	b := make([]byte, 0, 128)
	for _, x := range [...][2]string{{",\"status\":", body.Status}, {",\"event\":", body.Event}, {",\"run\":", body.Run},
		{",\"error\":", body.Error}} {
		if x[1] != "" {
			b = value.AppendText(append(b, x[0]...), x[1])
		}
	}
	if len(b) == 0 {
		b = append(b, ',')
	}
	b = append(b, "}\n"...)
	b[0] = '{'
	hd["Content-Length"] = []string{strconv.Itoa(len(b))}
	w.WriteHeader(status)
	_, _ = w.Write(b) // the sender is gone if this fails
}
