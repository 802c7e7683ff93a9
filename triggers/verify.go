package triggers

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/content"
	"github.com/hookloom/hookloom/workflows"
)

// Verdict is what hookloom verify prints.
type Verdict struct {
	// Result is accepted, refused or handshake.
	Result string `json:"result"`
	Reason string `json:"reason,omitempty"`
	// Diagnosis is the change that would make a refused request genuine.
	Diagnosis string        `json:"diagnosis,omitempty"`
	Event     *VerdictEvent `json:"event,omitempty"`
	// Events are those of a request that split takes apart.
	Events   []VerdictEvent `json:"events,omitempty"`
	Response *Answer        `json:"response,omitempty"`
	// Secret names the secret that matched.
	Secret string `json:"secret,omitempty"`
	// Notes list what the server checks and a captured request does not contain.
	Notes []string `json:"notes,omitempty"`
}

// VerdictEvent is the event that an accepted request would make.
type VerdictEvent struct {
	Key  string `json:"key"`
	Type string `json:"type"`
	// Identity is the source of its identity: key (of the trigger), provider, header or content;
	// Dedupe is how long it is remembered.
	Identity string `json:"identity"`
	Dedupe   string `json:"dedupe"`
	// Flag describes what is wrong with its key or body.
	Flag string `json:"flag,omitempty"`
}

// Verify reads a captured raw HTTP request (request line, headers, blank line, body) and
// verifies it as the server would at the given time. publicURL overrides the URL that the
// sender used.
func Verify(p *workflows.Project, trigger string, deps *Deps, raw []byte, publicURL string, now time.Time) (*Verdict, error) {
	t := p.Triggers[trigger]
	if t == nil || t.Webhook == nil {
		return nil, withoutWebhook(p, trigger)
	}
	r, err := newRoute(p, t, deps)
	if err != nil {
		return nil, err
	}
	req, in, err := readCaptured(raw, r, publicURL, now)
	if err != nil {
		return nil, err
	}
	notes, v := r.verifyHead(req, in)
	if v == nil {
		v = r.report(in, others(p, r, deps))
	}
	v.Notes = notes
	return v, nil
}

// verifyHead does the checks that precede reading a body. It returns a verdict if one of
// them decides, and notes on what could not be checked.
func (r *route) verifyHead(req *http.Request, in *inbound) (notes []string, v *Verdict) {
	own := newTable(r.trusted)
	if own.add(r); own.lookup(in.path) != r {
		notes = append(notes, "its path "+clip(in.path, 100)+" is not that of the trigger, "+r.webhook.Path)
	}
	if is, allowed := r.cors.preflight(req); is && !allowed {
		return notes, &Verdict{Result: "refused", Reason: "origin not allowed"}
	} else if is {
		return notes, &Verdict{Result: "handshake", Response: &Answer{Status: http.StatusNoContent}}
	}
	if !r.methods[in.method] {
		return notes, &Verdict{Result: "refused", Reason: "wrong method: " + in.method}
	}
	switch from, known := r.sentFrom(req); {
	case known:
		if reason, detail := r.checkAddress(from); reason != "" {
			return notes, &Verdict{Result: "refused", Reason: reason + ": " + detail}
		}
	case len(r.webhook.AllowIPs) > 0 || r.webhook.AllowProvider:
		notes = append(notes, "allow_ips is not checked: --from sets the sender's address")
	}
	if r.webhook.ClientCert {
		notes = append(notes, "the client certificate is not checked")
	}
	if e := req.Header.Get("Content-Encoding"); e != "" && !knownCoding(e) {
		return notes, &Verdict{Result: "refused", Reason: wrongCoding}
	}
	return notes, nil
}

// sentFrom returns the address that counts for a captured request: the given one or,
// behind a trusted proxy, the one that the proxy reports.
func (r *route) sentFrom(req *http.Request) (from sender, known bool) {
	given := r.deps.From.Unmap().WithZone("")
	switch {
	case given.IsValid() && !within(r.trusted, given):
		return sender{ip: given}, true
	case given.IsValid() || len(r.trusted) > 0 && len(forwardedFor(req.Header)) > 0:
		return behind(r.trusted, given, req.Header), true
	}
	return sender{}, false
}

// others prepares the routes of the other triggers, to find out whose secret was used.
// Triggers that cannot be prepared are left out.
func others(p *workflows.Project, r *route, deps *Deps) []*route {
	var out []*route
	for _, name := range sortedNames(p.Triggers) {
		if t := p.Triggers[name]; t.Webhook != nil && name != r.trigger.Name {
			if o, err := newRoute(p, t, deps); err == nil {
				out = append(out, o)
			}
		}
	}
	return out
}

func (r *route) report(in *inbound, others []*route) *Verdict {
	if int64(len(in.body)) > r.maxBody {
		return &Verdict{Result: "refused", Reason: "body too large"}
	}
	j := r.verify(in)
	switch {
	case j.handshake != nil:
		return &Verdict{Result: "handshake", Response: j.handshake}
	case !j.genuine:
		reason := j.reason
		if j.detail != "" {
			reason += ": " + j.detail
		}
		return &Verdict{Result: "refused", Reason: reason, Diagnosis: r.diagnose(in, j, others)}
	}
	v := &Verdict{Result: "accepted"}
	for i, d := range j.deliveries {
		e := VerdictEvent{Key: d.Key, Type: d.Type, Identity: d.Identity.String(), Dedupe: "off", Flag: d.Flag}
		if d.Dedupe > 0 {
			e.Dedupe = workflows.DurationText(d.Dedupe)
		}
		if i == 0 {
			v.Event = &e
		}
		if len(j.deliveries) > 1 {
			v.Events = append(v.Events, e)
		}
	}
	if j.secret >= 0 {
		v.Secret = r.secrets[j.secret].name
	}
	return v
}

// readCaptured parses the head with net/http and takes all following bytes as the body,
// since captures often lack a correct Content-Length.
func readCaptured(raw []byte, r *route, publicURL string, now time.Time) (*http.Request, *inbound, error) {
	head, body, found := bytes.Cut(raw, []byte("\r\n\r\n"))
	if lf, lfBody, ok := bytes.Cut(raw, []byte("\n\n")); ok && (!found || len(lf) < len(head)) {
		head, body, found = lf, lfBody, true
	}
	if !found {
		head = bytes.TrimRight(raw, "\r\n")
	}
	req, err := http.ReadRequest(bufio.NewReader(io.MultiReader(bytes.NewReader(head), bytes.NewReader([]byte("\r\n\r\n")))))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the request's head: %w", err)
	}
	if publicURL == "" {
		from, known := r.sentFrom(req)
		if !known {
			from = behind(r.trusted, netip.Addr{}, req.Header)
		}
		publicURL = r.publicURL(req, from)
	}
	// Editors and tools add a line feed at the end of a file; the length reveals it.
	if n := req.ContentLength; n >= 0 && int64(len(body)) > n && req.Header.Get("Content-Length") != "" {
		body = body[:n]
	}
	in := &inbound{method: req.Method, path: req.URL.Path, header: req.Header, query: content.ParseQuery(req.URL.RawQuery),
		publicURL: publicURL, body: body, at: now}
	in.prepare(r)
	return req, in, nil
}

// verdict is the result of verifying a request.
type verdict struct {
	// genuine reports whether the request is verified; deliveries are its events, one unless
	// split is used.
	genuine    bool
	deliveries []*engine.Delivery
	// handshake is set when it is answered at once.
	handshake *Answer
	// status and reason are set when it is refused; detail explains them.
	status         int
	reason, detail string
	// secret is the index of the secret that matched; -1 for none.
	secret int
	// scheme is the variant that was checked last, for a refusal.
	scheme string
}

// verify verifies a request and reads its events. No part of the body is used before the
// sender is verified, except by handshakes that need no proof.
func (r *route) verify(in *inbound) verdict {
	if j := r.handshake(in, false); j != nil {
		return *j
	}
	result, secret, refused := r.prove(in)
	if refused != nil {
		return *refused
	}
	in.claims = result.Claims
	if j := r.handshake(in, true); j != nil {
		j.secret = secret
		return *j
	}
	if !slices.Contains(r.deliver, in.method) {
		return verdict{status: http.StatusMethodNotAllowed, reason: "wrong method", detail: in.method +
			" is only for the provider's handshake", secret: -1}
	}
	ds := r.eventsOf(in)
	if in.invalid != nil && r.webhook.Schema.OnInvalid == workflows.Refuse {
		return verdict{status: http.StatusUnprocessableEntity, reason: engine.InvalidFlag, detail: in.invalid.Error(), secret: secret}
	}
	proof := r.provedBy(in, secret)
	for _, d := range ds {
		d.Proof = proof
	}
	return verdict{genuine: true, deliveries: ds, secret: secret}
}

// longestTurn is how long a request of an address with too many failures waits to be
// verified.
const longestTurn = time.Second

// verify verifies a request. Requests of an unverified address with too many failures are
// verified one at a time, so that a flood of forged requests uses at most one processor.
// It returns false if the turn did not come in time.
func (h *Hooks) verify(ctx context.Context, r *route, in *inbound, c *caller) (verdict, bool) {
	if h.admission.floods(c, in.at) {
		timer := time.NewTimer(longestTurn)
		defer timer.Stop()
		select {
		case c.turn <- struct{}{}:
			defer func() { <-c.turn }()
		case <-timer.C:
			return verdict{}, false
		case <-ctx.Done():
			return verdict{}, false
		}
	}
	j := r.verify(in)
	switch {
	case (j.genuine || j.status == http.StatusUnprocessableEntity) && len(r.proofs) > 0:
		if at := in.at.Unix(); c != h.admission.others && c.provedAt.Load() != at {
			c.provedAt.Store(at)
		}
	case !j.genuine && j.handshake == nil && j.status != http.StatusServiceUnavailable && j.status != http.StatusUnprocessableEntity:
		h.admission.failed(c, in.at)
	}
	return j, true
}
