package triggers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// Fetch sends a request through the egress guard and gives a bounded body.
type Fetch = func(ctx context.Context, r *http.Request) ([]byte, error)

// Hooks is the HTTP handler of the hooks address. Make it with NewHooks, hand it
// a project with Prepare, end it with Close; all are safe while it serves.
type Hooks struct {
	sink    engine.Sink
	log     *slog.Logger
	outside Outside
	// windows are open while an operator waits for a provider's secret.
	windows *windows
	table   atomic.Pointer[table]
	refused *refusals
	// admission accounts for bodies in memory; discards bounds how many unwanted
	// bodies are read at once.
	admission *admission
	discards  chan struct{}
	// decoding is the memory for bodies that are decoded before they are answered.
	decoding *engine.Budget

	mu   sync.Mutex
	uses map[[2]string]*useCount // by trigger and secret
}

// quarantineBody is how much of a refused body is kept, in bytes. A longer one
// cannot be admitted again.
const quarantineBody = 64 << 10

// NewHooks makes the handler. Secrets are looked up by Prepare; outside says how
// keys are fetched and captured secrets kept.
func NewHooks(sink engine.Sink, log *slog.Logger, outside Outside) (*Hooks, error) {
	h := &Hooks{sink: sink, log: log, outside: outside, windows: newWindows(), uses: map[[2]string]*useCount{}, admission: newAdmission(), discards: make(chan struct{}, maxDiscards),
		decoding: engine.NewBudget(maxDecoding)}
	h.outside.awaited, h.outside.taken = h.windows.awaited, h.windows.take
	h.table.Store(newTable(nil))
	h.refused = newRefusals(h)
	return h, nil
}

// Prepare makes a project's webhooks ready, all or none. They are reachable from
// the call of use on; until then those of the project before are.
func (h *Hooks) Prepare(p *workflows.Project, secret func(string) (string, bool)) (use func(), err error) {
	t := newTable(p.Server.TrustedProxies)
	outside := h.outside
	outside.Secret = secret
	for _, name := range sortedNames(p.Triggers) {
		tr := p.Triggers[name]
		if tr.Webhook == nil {
			continue
		}
		r, err := newRoute(p, tr, &outside)
		if err != nil {
			return nil, err
		}
		if err := r.refuseWeak(); err != nil {
			return nil, fmt.Errorf("trigger %s: %w", name, err)
		}
		for _, u := range r.secrets {
			u.useCount = h.use(name, u.name)
		}
		t.add(r)
	}
	return func() { h.table.Swap(t) }, nil
}

// Close ends the keeping of refused deliveries after those at hand are kept.
func (h *Hooks) Close() { h.refused.close() }

// Flush waits until the refused deliveries at hand are kept.
func (h *Hooks) Flush() { h.refused.flush() }

// SecretUses gives, and begins anew, how often each secret has proved a delivery.
func (h *Hooks) SecretUses() []engine.SecretUse {
	var out []engine.SecretUse
	h.mu.Lock()
	defer h.mu.Unlock()
	for k, u := range h.uses {
		if n := u.count.Swap(0); n > 0 {
			out = append(out, engine.SecretUse{Trigger: k[0], Secret: k[1], Count: n, LastAt: time.UnixMilli(u.last.Load()).UTC()})
		}
	}
	return out
}

// use gives the counter of a trigger's secret.
func (h *Hooks) use(trigger, secret string) *useCount {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := [2]string{trigger, secret}
	if h.uses[k] == nil {
		h.uses[k] = &useCount{}
	}
	return h.uses[k]
}

// refusedWords are what a sender hears, whatever was wrong with its signature.
const refusedWords = "signature verification failed"

// ServeHTTP answers one delivery, after it is stored.
func (h *Hooks) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	t := h.table.Load()
	from := t.sender(req)
	now := time.Now().UTC()
	r := t.lookup(req.URL.Path)
	if r == nil {
		h.unknown(w, req, t, from, now)
		return
	}
	if r.cors != nil && r.cors.serve(w, req) {
		h.answered(r, "preflight", now)
		return
	}
	if !r.methods[req.Method] {
		w.Header().Set("Allow", r.allow)
		h.decline(w, req, http.StatusMethodNotAllowed, reply{Error: "method not allowed"})
		return
	}
	in := &inbound{method: req.Method, path: req.URL.Path, header: req.Header, query: engine.ParseQuery(req.URL.RawQuery), publicURL: r.publicURL(req, from), at: now}
	if reason, detail := r.keepsOut(req, from); reason != "" {
		h.refuse(t, r, in, from.ip, judgement{reason: reason, detail: detail}, int(max(req.ContentLength, 0)))
		h.answered(r, "refused", now)
		h.decline(w, req, http.StatusForbidden, reply{Error: reason})
		return
	}
	c := h.admission.caller(from.ip, now)
	body, held, status, problem := h.read(w, req, r, c, c.proves(now) || r.guarded)
	if status != 0 {
		h.refuse(t, r, in, from.ip, judgement{reason: problem}, int(max(req.ContentLength, 0)))
		if status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "1")
		}
		h.answered(r, "refused", now)
		h.decline(w, req, status, reply{Error: problem})
		return
	}
	defer h.admission.release(held)
	in.body = body
	in.prepare(r)
	in.request.Context = req.Context()
	h.finish(w, req, t, r, in, from.ip, c)
}

// keepsOut refuses callers by address or client certificate.
func (r *route) keepsOut(req *http.Request, from sender) (reason, detail string) {
	w := r.webhook
	if len(w.AllowIPs) > 0 || w.AllowProvider {
		if !from.ip.IsValid() {
			return "address not allowed", "the sender's address cannot be read: " + from.problem
		}
		if !within(w.AllowIPs, from.ip) && (!w.AllowProvider || r.preset == nil || !within(r.preset.IPs, from.ip)) {
			return "address not allowed", from.ip.String() + " is not in allow_ips"
		}
	}
	if !w.ClientCert {
		return "", ""
	}
	if req.TLS == nil || len(req.TLS.VerifiedChains) == 0 {
		return "client certificate needed", "no client certificate that server.tls.client_ca vouches for was shown"
	}
	if len(w.ClientNames) == 0 {
		return "", ""
	}
	leaf := req.TLS.VerifiedChains[0][0]
	names := append([]string{leaf.Subject.CommonName}, leaf.DNSNames...)
	for _, want := range w.ClientNames {
		for _, n := range names {
			if n != "" && n == want {
				return "", ""
			}
		}
	}
	return "client certificate not allowed", fmt.Sprintf("the certificate is for %.200q", strings.Join(names, ", "))
}

func (h *Hooks) finish(w http.ResponseWriter, req *http.Request, t *table, r *route, in *inbound, ip netip.Addr, c *caller) {
	in.memory = h.decoding
	defer in.letGo()
	j, judged := h.judge(req.Context(), r, in, c)
	in.letGo()
	switch {
	case in.gone != nil:
		h.unavailable(w, engine.ErrBusy)
		h.answered(r, "unavailable", in.at)
		return
	case !judged:
		w.Header().Set("Retry-After", "1")
		answer(w, http.StatusTooManyRequests, reply{Error: "too many deliveries without proof"})
		h.answered(r, "limited", in.at)
		return
	case j.handshake != nil:
		r.used(j.secret, in.at)
		if err := r.confirm(req.Context(), j.handshake); err != nil {
			h.log.Error("a handshake could not be followed", "trigger", r.trigger.Name, "error", err)
			w.Header().Set("Retry-After", "10")
			answer(w, http.StatusServiceUnavailable, reply{Error: "cannot confirm now, try again"})
			return
		}
		h.log.Info("handshake answered", "trigger", r.trigger.Name)
		j.handshake.write(w)
		h.answered(r, "handshake", in.at)
		return
	case !j.genuine:
		r.answerRefused(w, in, j)
		h.answered(r, "refused", in.at)
		// Last: from here on the request belongs to those who keep it.
		h.refuse(t, r, in, ip, j, len(in.body))
		return
	}
	r.used(j.secret, in.at)
	if r.limiter != nil && !r.limiter.Allow() {
		wait := r.limiter.Reserve()
		w.Header().Set("Retry-After", strconv.Itoa(int(wait.Delay().Seconds())+1))
		wait.Cancel()
		answer(w, http.StatusTooManyRequests, reply{Error: "too many deliveries"})
		h.answered(r, "limited", in.at)
		return
	}
	receipts, err := r.accept(req.Context(), h.sink, j.deliveries)
	if err != nil {
		h.unavailable(w, err)
		h.answered(r, "unavailable", in.at)
		return
	}
	status, out := r.stored(j.deliveries, receipts)
	if s := r.webhook.Respond; s != nil && s.Sync && len(receipts) > 0 && h.answerWithRun(w, req, r, receipts[0].Event) {
		h.answered(r, out.Status, in.at)
		return
	}
	r.answerStored(w, in, status, out)
	h.answered(r, out.Status, in.at)
}

// answered tells how a delivery was answered, since it had arrived.
func (h *Hooks) answered(r *route, outcome string, since time.Time) {
	if h.outside.Answered == nil {
		return
	}
	trigger := ""
	if r != nil {
		trigger = r.trigger.Name
	}
	h.outside.Answered(trigger, outcome, time.Since(since))
}

// answerRefused says no, in the words that the provider must hear.
func (r *route) answerRefused(w http.ResponseWriter, in *inbound, j judgement) {
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
	if j.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "30")
	}
	answer(w, j.status, reply{Error: words})
}

// write sends an answer that is data.
func (a *Answer) write(w http.ResponseWriter) {
	for k, v := range a.Headers {
		w.Header().Set(k, v)
	}
	w.Header()["Content-Security-Policy"] = noPage
	w.Header().Set("Content-Length", strconv.Itoa(len(a.Body)))
	w.WriteHeader(a.Status)
	_, _ = io.WriteString(w, a.Body) // the sender is gone if this fails
}

// unavailable says that nothing was stored and when to come again.
func (h *Hooks) unavailable(w http.ResponseWriter, err error) {
	wait := "1"
	switch {
	case errors.Is(err, engine.ErrFull):
		wait = "10"
		h.log.Error("a delivery was not stored: the disk is full")
	case errors.Is(err, engine.ErrBusy), errors.Is(err, engine.ErrClosed):
	default:
		h.log.Error("a delivery was not stored", "error", err)
	}
	w.Header().Set("Retry-After", wait)
	answer(w, http.StatusServiceUnavailable, reply{Error: "cannot store now, try again"})
}

var (
	typeJSON = []string{"application/json"}
	noSniff  = []string{"nosniff"}
	noPage   = []string{"default-src 'none'; sandbox"}
)

// reply is the JSON object of an answer; what is empty is left out.
type reply struct{ Status, Event, Run, Error string }

// answer writes one of the fixed answers of design.md section 5. The
// Content-Security-Policy keeps a browser from making a page of it.
func answer(w http.ResponseWriter, status int, body reply) {
	// The names are canonical and the values shared: this runs for every delivery.
	hd := w.Header()
	hd["Content-Type"], hd["X-Content-Type-Options"], hd["Content-Security-Policy"] = typeJSON, noSniff, noPage
	b := make([]byte, 0, 128)
	for _, x := range [...][2]string{{",\"status\":", body.Status}, {",\"event\":", body.Event}, {",\"run\":", body.Run}, {",\"error\":", body.Error}} {
		if x[1] != "" {
			b = workflows.AppendText(append(b, x[0]...), x[1])
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

// Verdict is what hookloom verify prints.
type Verdict struct {
	// Result is accepted, refused or handshake.
	Result string `json:"result"`
	Reason string `json:"reason,omitempty"`
	// Diagnosis is what would have made a refused request genuine.
	Diagnosis string        `json:"diagnosis,omitempty"`
	Event     *VerdictEvent `json:"event,omitempty"`
	// Events are those of a request that split takes apart.
	Events   []VerdictEvent `json:"events,omitempty"`
	Response *Answer        `json:"response,omitempty"`
	// Secret names the secret that matched.
	Secret string `json:"secret,omitempty"`
}

// VerdictEvent is the event that an accepted request would make.
type VerdictEvent struct {
	Key  string `json:"key"`
	Type string `json:"type"`
	// Identity is what named it: key (of the trigger), provider, header or content;
	// Dedupe how long that is remembered.
	Identity string `json:"identity"`
	Dedupe   string `json:"dedupe"`
	// Flag says what is wrong with its key or body.
	Flag string `json:"flag,omitempty"`
}

// Judge reads a captured raw HTTP request (request line, headers, blank line,
// body bytes) and judges it as the server would at the given moment. publicURL
// overrides the address that the sender used.
func Judge(p *workflows.Project, trigger string, outside *Outside, raw []byte, publicURL string, now time.Time) (*Verdict, error) {
	t := p.Triggers[trigger]
	if t == nil || t.Webhook == nil {
		return nil, fmt.Errorf("no trigger %q with a webhook inlet", trigger)
	}
	r, err := newRoute(p, t, outside)
	if err != nil {
		return nil, err
	}
	in, err := readCaptured(raw, r, publicURL, now)
	if err != nil {
		return nil, err
	}
	return r.verdict(in, others(p, r, outside)), nil
}

// others prepares the other triggers' routes, to tell whose secret was used. A
// trigger that cannot be prepared has no secret to compare with.
func others(p *workflows.Project, r *route, outside *Outside) []*route {
	var out []*route
	for _, name := range sortedNames(p.Triggers) {
		if t := p.Triggers[name]; t.Webhook != nil && name != r.trigger.Name {
			if o, err := newRoute(p, t, outside); err == nil {
				out = append(out, o)
			}
		}
	}
	return out
}

func (r *route) verdict(in *inbound, others []*route) *Verdict {
	if !r.methods[in.method] {
		return &Verdict{Result: "refused", Reason: "wrong method: " + in.method}
	}
	if int64(len(in.body)) > r.maxBody {
		return &Verdict{Result: "refused", Reason: "body too large"}
	}
	j := r.judge(in)
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
	if j.secret >= 0 && j.secret < len(r.secrets) {
		v.Secret = r.secrets[j.secret].name
	}
	return v
}

// readCaptured parses the head with net/http and takes the body as the bytes
// that follow, since captures often lack a true Content-Length.
func readCaptured(raw []byte, r *route, publicURL string, now time.Time) (*inbound, error) {
	head, body, found := bytes.Cut(raw, []byte("\r\n\r\n"))
	if lf, lfBody, ok := bytes.Cut(raw, []byte("\n\n")); ok && (!found || len(lf) < len(head)) {
		head, body, found = lf, lfBody, true
	}
	if !found {
		head = bytes.TrimRight(raw, "\r\n")
	}
	req, err := http.ReadRequest(bufio.NewReader(io.MultiReader(bytes.NewReader(head), bytes.NewReader([]byte("\r\n\r\n")))))
	if err != nil {
		return nil, fmt.Errorf("reading the request's head: %w", err)
	}
	if publicURL == "" {
		publicURL = r.publicURL(req, behind(r.trusted, netip.Addr{}, req.Header))
	}
	// Editors and tools add a line feed at the end of a file; the length tells.
	if n := req.ContentLength; n >= 0 && int64(len(body)) > n && req.Header.Get("Content-Length") != "" {
		body = body[:n]
	}
	in := &inbound{method: req.Method, path: req.URL.Path, header: req.Header, query: engine.ParseQuery(req.URL.RawQuery), publicURL: publicURL, body: body, at: now}
	in.prepare(r)
	return in, nil
}
