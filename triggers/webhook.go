package triggers

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/content"
	"github.com/hookloom/hookloom/engine/lograte"
	"github.com/hookloom/hookloom/engine/memory"
	"github.com/hookloom/hookloom/workflows"
)

// Hooks is the HTTP handler of the hooks address. Create it with NewHooks, give it a
// project with Prepare, end it with Close. All methods may be called while it serves.
type Hooks struct {
	sink    engine.Sink
	log     *slog.Logger
	deps    Deps
	table   atomic.Pointer[table]
	refused *refusals
	// admission accounts for the memory of bodies; discards limits how many unwanted bodies
	// are read at once.
	admission *admission
	discards  chan struct{}
	// decoding is the memory budget for bodies that are decoded before they are answered.
	decoding *memory.Budget

	// often logs what each delivery of a flood would log.
	often *lograte.Log

	mu   sync.Mutex
	uses map[[2]string]*useCount // by trigger and secret
}

// quarantineBody is how much of a refused body is kept, in bytes. A longer body cannot be
// readmitted.
const quarantineBody = 64 << 10

// NewHooks returns the handler. Secrets are looked up by Prepare; deps provides how keys are
// fetched and captured secrets stored.
func NewHooks(sink engine.Sink, log *slog.Logger, deps Deps) (*Hooks, error) {
	h := &Hooks{sink: sink, log: log, deps: deps, uses: map[[2]string]*useCount{}, admission: newAdmission(),
		discards: make(chan struct{}, maxDiscards), often: lograte.New(lograte.Flood),
		decoding: memory.NewBudget(maxDecoding)}
	if h.deps.Windows == nil {
		h.deps.Windows = newWindows()
	}
	h.table.Store(newTable(nil))
	h.refused = newRefusals(h)
	return h, nil
}

// Prepare compiles the webhooks of a project, all or none. use puts them into service; until then
// those of the previous project are served.
func (h *Hooks) Prepare(p *workflows.Project, secret func(string) (string, bool)) (use func(), err error) {
	t := newTable(p.Server.TrustedProxies)
	deps := h.deps
	deps.Secret = secret
	for _, name := range sortedNames(p.Triggers) {
		tr := p.Triggers[name]
		if tr.Webhook == nil {
			continue
		}
		r, err := newRoute(p, tr, &deps)
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

// Close stores the refused deliveries that are queued and ends.
func (h *Hooks) Close() { h.refused.close() }

// Flush waits until the queued refused deliveries are stored.
func (h *Hooks) Flush() { h.refused.flush() }

// SecretUses returns how often each secret has verified a delivery since the last call.
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

// use returns the counter of a trigger's secret.
func (h *Hooks) use(trigger, secret string) *useCount {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := [2]string{trigger, secret}
	if h.uses[k] == nil {
		h.uses[k] = &useCount{}
	}
	return h.uses[k]
}

// ServeHTTP verifies and stores one delivery, then answers it.
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
	in := &inbound{method: req.Method, path: req.URL.Path, header: req.Header, query: content.ParseQuery(req.URL.RawQuery),
		publicURL: r.publicURL(req, from), at: now}
	if reason, detail := r.checkCaller(req, from); reason != "" {
		h.refuse(t, r, in, from.ip, verdict{reason: reason, detail: detail}, int(max(req.ContentLength, 0)))
		h.answered(r, "refused", now)
		h.decline(w, req, http.StatusForbidden, reply{Error: reason})
		return
	}
	c := h.admission.caller(from.ip, now)
	body, held, status, problem := h.read(w, req, r, c, c.proves(now) || r.guarded)
	if status != 0 {
		h.refuse(t, r, in, from.ip, verdict{reason: problem}, int(max(req.ContentLength, 0)))
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
	if h.deps.Served != nil {
		s := &servedResponse{ResponseWriter: w}
		defer func() { h.served(r, in, s) }()
		w = s
	}
	h.finish(w, req, t, r, in, from.ip, c)
}

func (h *Hooks) finish(w http.ResponseWriter, req *http.Request, t *table, r *route, in *inbound, ip netip.Addr, c *caller) {
	in.memory = h.decoding
	defer in.letGo()
	j, verified := h.verify(req.Context(), r, in, c)
	in.letGo()
	switch {
	case in.gone != nil:
		h.unavailable(w, engine.ErrBusy)
		h.answered(r, "unavailable", in.at)
		return
	case !verified:
		w.Header().Set("Retry-After", "1")
		answer(w, http.StatusTooManyRequests, reply{Error: "too many deliveries without proof"})
		h.answered(r, "limited", in.at)
		return
	case j.handshake != nil:
		r.used(j.secret, in.at)
		if err := r.confirm(req.Context(), j.handshake); err != nil {
			h.often.Error(h.log, "a handshake could not be completed", "trigger", r.trigger.Name, "error", err)
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
		// Last: from here on the request belongs to those who store it.
		h.refuse(t, r, in, ip, j, len(in.body))
		return
	}
	r.used(j.secret, in.at)
	if r.limiter != nil && h.limited(w, req, r, in) {
		return
	}
	receipts, err := r.accept(req.Context(), h.sink, j.deliveries)
	if err != nil {
		h.unavailable(w, err)
		h.answered(r, "unavailable", in.at)
		return
	}
	status, out := r.stored(j.deliveries, receipts)
	if s, ok := w.(*servedResponse); ok {
		s.deliveries, s.receipts = j.deliveries, receipts
	}
	if s := r.webhook.Respond; s != nil && s.Sync && len(receipts) > 0 && h.answerWithRun(w, req, r, receipts[0].Event) {
		h.answered(r, out.Status, in.at)
		return
	}
	r.answerStored(w, in, status, out)
	h.answered(r, out.Status, in.at)
}

// limited answers a delivery that the trigger's rate does not allow; it reports whether it did.
func (h *Hooks) limited(w http.ResponseWriter, req *http.Request, r *route, in *inbound) bool {
	wait, err := r.limiter.allow(req.Context())
	switch {
	case err != nil:
		h.unavailable(w, err)
		h.answered(r, "unavailable", in.at)
	case wait > 0:
		w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())+1))
		answer(w, http.StatusTooManyRequests, reply{Error: "too many deliveries"})
		h.answered(r, "limited", in.at)
	}
	return err != nil || wait > 0
}

// answered reports the outcome and duration of a delivery to Deps.Answered.
func (h *Hooks) answered(r *route, outcome string, since time.Time) {
	if h.deps.Answered == nil {
		return
	}
	trigger := ""
	if r != nil {
		trigger = r.trigger.Name
	}
	h.deps.Answered(trigger, outcome, time.Since(since))
}
