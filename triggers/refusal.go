package triggers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/lograte"
	"golang.org/x/time/rate"
)

// refusals stores refused deliveries in the background: the time of an answer reveals
// nothing about the reason, and a flood of forged requests does not delay genuine ones.
// Its one goroutine ends with close.
type refusals struct {
	hooks *Hooks
	queue chan refusal
	ended chan struct{}
	once  sync.Once
	// open counts the deliveries that are queued or being stored.
	mu   sync.Mutex
	idle *sync.Cond
	open int
	// bytes of bodies in the queue.
	bytes int
	// lost is the number of those that were not kept since loggedAt, when it was logged last.
	lost     int
	loggedAt time.Time
	// closed reports that nothing more is accepted.
	closed bool
	// shares are the queued deliveries and the remaining allowance of each trigger.
	shares map[string]*refusalShare
	// budget is the time that diagnoses may take.
	budget diagnosisBudget
}

// refusalShare is the part of one trigger, so that a flood at one trigger neither
// displaces the refused deliveries of another nor fills the disk.
type refusalShare struct {
	open, bytes int
	kept        *rate.Limiter
}

// diagnosisBudget limits the time for diagnoses over all triggers. One goroutine uses it.
type diagnosisBudget struct {
	left time.Duration
	at   time.Time
}

const (
	// diagnosisPerSecond is the time per second for diagnoses, diagnosisMost the most that
	// accumulates.
	diagnosisPerSecond = 100 * time.Millisecond
	diagnosisMost      = time.Second
	// notDiagnosed is stored if the budget was spent.
	notDiagnosed = "not diagnosed: too many deliveries are refused at once"
)

// grant reports whether there is time for a diagnosis.
func (b *diagnosisBudget) grant(now time.Time) bool {
	if b.at.IsZero() {
		b.left = diagnosisMost
	} else {
		b.left = min(diagnosisMost, b.left+time.Duration(float64(diagnosisPerSecond)*now.Sub(b.at).Seconds()))
	}
	b.at = now
	return b.left > 0
}

// spend deducts the time of one diagnosis.
func (b *diagnosisBudget) spend(d time.Duration) { b.left -= d }

// refusal is one refused delivery with what is needed to find the cause.
type refusal struct {
	route *route
	table *table
	in    *inbound
	ip    netip.Addr
	j     verdict
	size  int
	share *refusalShare
}

const (
	// maxRefusals is how many refused deliveries are queued; further ones are only counted.
	maxRefusals = 256
	// maxRefusalBytes limits the bytes of their bodies.
	maxRefusalBytes = 16 << 20
	// triggerRefusals and triggerRefusalBytes are the same limits for one trigger.
	triggerRefusals     = maxRefusals / 4
	triggerRefusalBytes = maxRefusalBytes / 4
	// keptPerSecond and keptBurst limit how many refused deliveries of one trigger are stored.
	keptPerSecond = 5
	keptBurst     = 500
)

func newRefusals(h *Hooks) *refusals {
	r := &refusals{hooks: h, queue: make(chan refusal, maxRefusals), ended: make(chan struct{}), shares: map[string]*refusalShare{}}
	r.idle = sync.NewCond(&r.mu)
	go r.run()
	return r
}

func (r *refusals) run() {
	defer close(r.ended)
	for x := range r.queue {
		r.keep(x)
		r.mu.Lock()
		r.open--
		r.bytes -= len(x.in.body)
		x.share.open--
		x.share.bytes -= len(x.in.body)
		lost := 0
		if r.lost > 0 && time.Since(r.loggedAt) >= lograte.Flood {
			lost, r.lost, r.loggedAt = r.lost, 0, time.Now()
		}
		r.idle.Broadcast()
		r.mu.Unlock()
		if lost > 0 {
			r.hooks.log.Warn("refused deliveries were not kept: too many at once", "count", lost)
		}
	}
}

// keep diagnoses a refused delivery and stores it, masked and limited in size. A signature
// is kept, so that the delivery can be verified again once the cause is fixed; a token is
// not.
func (r *refusals) keep(x refusal) {
	in, route := x.in, x.route
	if route == nil {
		r.hooks.sink.Refuse(x.table.strayed(x))
		return
	}
	record := engine.Refusal{At: in.at, Trigger: route.trigger.Name, Reason: x.j.reason, Detail: x.j.detail, RemoteIP: x.ip.String(),
		Method: in.method,
		Path:   route.keepPath(in.path), URL: route.keepURL(in), Headers: keepHeaders(in.header, route.hideSecret),
		Body: route.maskTokens(in.body), Size: x.size}
	if in.body != nil && !in.undiagnosed {
		// The request has been answered: its context is over.
		in.request.Context = context.Background()
		record.Diagnosis = notDiagnosed
		if began := time.Now(); r.budget.grant(began) {
			record.Diagnosis = route.diagnose(in, x.j, x.table.routes)
			r.budget.spend(time.Since(began))
		}
	}
	if len(record.Body) > quarantineBody {
		record.Body = record.Body[:quarantineBody]
	}
	r.hooks.sink.Refuse(record)
}

// add queues a refused delivery, or counts it as lost.
func (r *refusals) add(x refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	name := ""
	if x.route != nil {
		name = x.route.trigger.Name
	}
	s := r.shares[name]
	if s == nil {
		s = &refusalShare{kept: rate.NewLimiter(keptPerSecond, keptBurst)}
		r.shares[name] = s
	}
	size := len(x.in.body)
	if r.open >= maxRefusals || s.open >= triggerRefusals || r.bytes+size > maxRefusalBytes || s.bytes+size > triggerRefusalBytes ||
		!s.kept.Allow() {
		r.lost++
		return
	}
	x.share = s
	s.open++
	s.bytes += size
	r.open++
	r.bytes += size
	r.queue <- x // never blocks: there is room for all that are open
}

func (r *refusals) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.open > 0 {
		r.idle.Wait()
	}
}

func (r *refusals) close() {
	r.once.Do(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.closed = true
		close(r.queue)
	})
	<-r.ended
}

// largestDiagnosed is the largest body that is diagnosed, in bytes.
const (
	largestDiagnosed = 2 << 20
	largeBody        = " (the body is too large to diagnose)"
)

// refuse queues a refused delivery to be stored.
func (h *Hooks) refuse(t *table, r *route, in *inbound, ip netip.Addr, j verdict, size int) {
	if len(in.body) > largestDiagnosed {
		// What is stored is copied, so that the rest can be freed.
		in = &inbound{method: in.method, path: in.path, header: in.header, query: in.query, publicURL: in.publicURL, at: in.at,
			body: slices.Clone(in.body[:quarantineBody]), undiagnosed: true}
		j.detail += largeBody
	}
	h.refused.add(refusal{route: r, table: t, in: in, ip: ip, j: j, size: size})
}

// keepURL returns the public URL without credentials.
func (r *route) keepURL(in *inbound) string {
	out := in.publicURL
	for _, u := range r.secrets {
		out = string(masked([]byte(out), u.text))
	}
	if r.urlSecret && r.keepPath(in.path) != in.path {
		out = strings.Replace(out, in.path, r.keepPath(in.path), 1)
	}
	for _, p := range r.proofs {
		if p.verifier != nil && p.verifier.Secret() {
			out = hideParameter(out, p.verifier.From.Query)
		}
	}
	for _, p := range r.proofs {
		if p.verifier != nil && p.verifier.SignsURL() {
			return out // without its other parameters it could not be verified again
		}
	}
	return hideParameters(out)
}

// hideParameter replaces the values of a query parameter: the token of a refused delivery may be valid elsewhere, or
// the next one here. It also finds the name in other case, and after a wrong separator such as a second question mark.
func hideParameter(address, name string) string {
	base, query, found := strings.Cut(address, "?")
	if !found || name == "" {
		return address
	}
	parts := strings.Split(query, "&")
	for i, part := range parts {
		for from := 0; from >= 0; from = separatorAfter(part, from) {
			k, _, _ := strings.Cut(part[from:], "=")
			if plain, err := url.QueryUnescape(k); err == nil && strings.EqualFold(plain, name) {
				parts[i] = part[:from] + k + "=***" // to the end: a token may contain separators
				break
			}
		}
	}
	return base + "?" + strings.Join(parts, "&")
}

// separatorAfter returns where the text after the next ? or ; begins, or -1.
func separatorAfter(part string, from int) int {
	n := strings.IndexAny(part[from:], "?;")
	if n < 0 {
		return -1
	}
	return from + n + 1
}

// tokenParameter is a parameter of a URL that holds a credential by its name.
var tokenParameter = regexp.MustCompile(`(?i)([?&](?:[a-z]+[_-])?(?:token|api[_-]?key|secret|password|passwd|passphrase)=)[^&#]+`)

// hideParameters replaces the credentials in a URL that no scheme knows of: a sender may send more
// than the trigger asks for.
func hideParameters(url string) string { return tokenParameter.ReplaceAllString(url, "${1}***") }

// ErrNotVerified is wrapped if a quarantined delivery still does not verify.
var ErrNotVerified = errors.New("not admitted")

// VerifyAgain verifies a quarantined delivery again, as of the time it was received, with the
// current configuration, and stores it if it is genuine.
func (h *Hooks) VerifyAgain(ctx context.Context, q *engine.Refusal) (engine.Receipt, error) {
	t := h.table.Load()
	var r *route
	for _, x := range t.routes {
		if x.trigger.Name == q.Trigger {
			r = x
		}
	}
	if r == nil && q.Trigger == "" {
		return engine.Receipt{}, fmt.Errorf("%w: no trigger has the path %.200q; correct the URL at the sender", ErrNotVerified, q.Path)
	}
	if r == nil {
		return engine.Receipt{}, fmt.Errorf("%w: no trigger is named %q any more", ErrNotVerified, q.Trigger)
	}
	if len(q.Body) < q.Size {
		return engine.Receipt{}, fmt.Errorf("%w: only %d of its %d bytes were kept; have the provider send it again", ErrNotVerified,
			len(q.Body), q.Size)
	}
	in := &inbound{method: q.Method, path: q.Path, header: http.Header{}, query: url.Values{}, publicURL: q.URL, body: q.Body, at: q.At}
	for k, v := range q.Headers {
		in.header.Set(k, v)
	}
	if u, err := url.Parse(q.URL); err == nil {
		in.query = u.Query()
	}
	in.prepare(r)
	in.request.Context = ctx
	j := r.verify(in)
	if !j.genuine {
		why := strings.TrimSuffix(j.reason+": "+j.detail+"; "+r.diagnose(in, j, t.routes), "; ")
		if j.status == http.StatusUnauthorized && r.sendsSecret() {
			why = "the token of a refused delivery is not stored, so it cannot be verified again; have the provider send it again"
		}
		return engine.Receipt{}, fmt.Errorf("%w: %s", ErrNotVerified, why)
	}
	r.used(j.secret, in.at)
	receipts, err := r.accept(ctx, h.sink, j.deliveries)
	if err != nil {
		return engine.Receipt{}, fmt.Errorf("storing the delivery: %w", err)
	}
	if len(receipts) == 0 {
		return engine.Receipt{}, fmt.Errorf("%w: its list is empty", ErrNotVerified)
	}
	return receipts[0], nil
}

// sendsSecret reports whether each way to prove a delivery is a secret that it contains.
func (r *route) sendsSecret() bool {
	return len(r.proofs) > 0 && !slices.ContainsFunc(r.proofs, func(p *proof) bool { return p.verifier == nil || !p.verifier.Secret() })
}
