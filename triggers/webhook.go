package triggers

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// Hooks is the HTTP handler of the hooks address. Make it with NewHooks, hand it
// a project with Prepare; both are safe while it serves.
type Hooks struct {
	sink   engine.Sink
	log    *slog.Logger
	table  atomic.Pointer[table]
	flight atomic.Int64
}

// table is the routing of one project, swapped whole.
type table struct {
	byPath  map[string]*route
	trusted []netip.Prefix
}

// maxFlight bounds the bytes of bodies being read at once.
const maxFlight = 128 << 20

// quarantineBody is how much of a refused body is kept, in bytes.
const quarantineBody = 64 << 10

// NewHooks makes the handler.
func NewHooks(sink engine.Sink, log *slog.Logger) *Hooks {
	h := &Hooks{sink: sink, log: log}
	h.table.Store(&table{byPath: map[string]*route{}})
	return h
}

// Prepare makes a project's webhooks ready, all or none. They are reachable from
// the call of use on; until then those of the project before are.
func (h *Hooks) Prepare(p *workflows.Project, secret func(string) (string, bool)) (use func(), err error) {
	t := &table{byPath: map[string]*route{}, trusted: p.Server.TrustedProxies}
	for _, tr := range p.Triggers {
		if tr.Webhook == nil {
			continue
		}
		r, err := newRoute(p, tr, secret)
		if err != nil {
			return nil, err
		}
		t.byPath[tr.Webhook.Path] = r
	}
	return func() { h.table.Store(t) }, nil
}

// refusedWords are what a sender hears, whatever was wrong with its signature.
const refusedWords = "signature verification failed"

// ServeHTTP answers one delivery, after it is stored.
func (h *Hooks) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	t := h.table.Load()
	r := t.byPath[req.URL.Path]
	if r == nil {
		answer(w, http.StatusNotFound, map[string]string{"error": "no such path"})
		return
	}
	if !r.methods[req.Method] {
		w.Header().Set("Allow", r.allow)
		answer(w, http.StatusMethodNotAllowed, map[string]string{"error": "method not allowed"})
		return
	}
	ip := remoteIP(req, t.trusted)
	if len(r.webhook.AllowIPs) > 0 && !within(r.webhook.AllowIPs, ip) {
		h.refuse(r, req, ip, nil, 0, "address not allowed", ip.String()+" is not in allow_ips")
		answer(w, http.StatusForbidden, map[string]string{"error": "address not allowed"})
		return
	}
	body, status, problem := h.read(w, req, r)
	if status != 0 {
		h.refuse(r, req, ip, nil, int(max(req.ContentLength, 0)), problem, "")
		if status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "1")
		}
		answer(w, status, map[string]string{"error": problem})
		return
	}
	defer h.flight.Add(-int64(len(body)))
	in := &inbound{method: req.Method, path: req.URL.Path, header: req.Header, query: req.URL.Query(), publicURL: r.publicURL(req), body: body, at: time.Now().UTC(), want: &r.want}
	h.finish(w, req, r, in, ip)
}

func (h *Hooks) finish(w http.ResponseWriter, req *http.Request, r *route, in *inbound, ip netip.Addr) {
	j := r.judge(in)
	switch {
	case j.handshake != nil:
		for k, v := range j.handshake.Headers {
			w.Header().Set(k, v)
		}
		w.WriteHeader(j.handshake.Status)
		_, _ = io.WriteString(w, j.handshake.Body) // the sender is gone if this fails
		return
	case j.delivery == nil:
		h.refuse(r, req, ip, in.body, len(in.body), j.reason, j.detail)
		words := refusedWords
		if j.status != http.StatusUnauthorized {
			words = j.reason
		}
		answer(w, j.status, map[string]string{"error": words})
		return
	}
	status, out, err := r.accept(req.Context(), h.sink, j.delivery)
	if err != nil {
		h.unavailable(w, err)
		return
	}
	answer(w, status, out)
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
	answer(w, http.StatusServiceUnavailable, map[string]string{"error": "cannot store now, try again"})
}

// read takes the body, bounded. Compressed bodies are refused: what was signed
// could not be told, and a small body could become a huge one.
func (h *Hooks) read(w http.ResponseWriter, req *http.Request, r *route) (body []byte, status int, problem string) {
	if e := req.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, http.StatusBadRequest, "compressed bodies are not accepted"
	}
	limit := r.webhook.MaxBody
	if req.ContentLength > limit {
		return nil, http.StatusRequestEntityTooLarge, fmt.Sprintf("body larger than %d bytes", limit)
	}
	expect := req.ContentLength
	if expect < 0 {
		expect = limit
	}
	if h.flight.Add(expect) > maxFlight {
		h.flight.Add(-expect)
		return nil, http.StatusServiceUnavailable, "too many bodies at once"
	}
	var err error
	if req.ContentLength >= 0 {
		body = make([]byte, req.ContentLength)
		_, err = io.ReadFull(req.Body, body)
	} else {
		body, err = io.ReadAll(http.MaxBytesReader(w, req.Body, limit))
	}
	h.flight.Add(int64(len(body)) - expect)
	if err == nil {
		return body, 0, ""
	}
	h.flight.Add(-int64(len(body)))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, http.StatusRequestEntityTooLarge, fmt.Sprintf("body larger than %d bytes", limit)
	}
	return nil, http.StatusBadRequest, "the body did not arrive whole"
}

// publicURL is the request's address as the sender knows it.
func (r *route) publicURL(req *http.Request) string {
	if r.public != "" {
		return r.public + req.URL.RequestURI()
	}
	scheme := "http"
	if req.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + req.Host + req.URL.RequestURI()
}

// refuse keeps a refused delivery, masked and bounded.
func (h *Hooks) refuse(r *route, req *http.Request, ip netip.Addr, body []byte, size int, reason, detail string) {
	if len(body) > quarantineBody {
		body = body[:quarantineBody]
	}
	h.sink.Refuse(engine.Refusal{At: time.Now().UTC(), Trigger: r.trigger.Name, Reason: reason, Detail: detail, RemoteIP: ip.String(), Method: req.Method,
		Path: req.URL.Path, Headers: r.keepHeaders(req.Header), Body: body, Size: size})
}

var (
	typeJSON = []string{"application/json"}
	noSniff  = []string{"nosniff"}
	noPage   = []string{"default-src 'none'; sandbox"}
)

// answer writes one of the fixed answers of design.md section 5. The
// Content-Security-Policy keeps a browser from making a page of it.
func answer(w http.ResponseWriter, status int, body map[string]string) {
	// The names are canonical and the values shared: this runs for every delivery.
	hd := w.Header()
	hd["Content-Type"], hd["X-Content-Type-Options"], hd["Content-Security-Policy"] = typeJSON, noSniff, noPage
	b := make([]byte, 0, 128)
	for _, k := range []string{"status", "event", "error"} {
		if v, ok := body[k]; ok {
			b = append(b, ",\""+k+"\":"...)
			b = workflows.AppendText(b, v)
		}
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
	Result   string        `json:"result"`
	Reason   string        `json:"reason,omitempty"`
	Event    *VerdictEvent `json:"event,omitempty"`
	Response *Answer       `json:"response,omitempty"`
}

// VerdictEvent is the event that an accepted request would make.
type VerdictEvent struct {
	Key  string `json:"key"`
	Type string `json:"type"`
}

// Judge reads a captured raw HTTP request (request line, headers, blank line,
// body bytes) and judges it as the server would at the given moment. publicURL
// overrides the address that the sender used.
func Judge(p *workflows.Project, trigger string, secret func(string) (string, bool), raw []byte, publicURL string, now time.Time) (*Verdict, error) {
	t := p.Triggers[trigger]
	if t == nil || t.Webhook == nil {
		return nil, fmt.Errorf("no trigger %q with a webhook inlet", trigger)
	}
	r, err := newRoute(p, t, secret)
	if err != nil {
		return nil, err
	}
	in, err := readCaptured(raw, r, publicURL, now)
	if err != nil {
		return nil, err
	}
	if !r.methods[in.method] {
		return &Verdict{Result: "refused", Reason: "wrong method: " + in.method}, nil
	}
	if int64(len(in.body)) > t.Webhook.MaxBody {
		return &Verdict{Result: "refused", Reason: "body too large"}, nil
	}
	j := r.judge(in)
	switch {
	case j.handshake != nil:
		return &Verdict{Result: "handshake", Response: j.handshake}, nil
	case j.delivery == nil:
		reason := j.reason
		if j.detail != "" {
			reason += ": " + j.detail
		}
		return &Verdict{Result: "refused", Reason: reason}, nil
	}
	return &Verdict{Result: "accepted", Event: &VerdictEvent{Key: j.delivery.Key, Type: j.delivery.Type}}, nil
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
		publicURL = r.publicURL(req)
	}
	// Editors and tools add a line feed at the end of a file; the length tells.
	if n := req.ContentLength; n >= 0 && int64(len(body)) > n && req.Header.Get("Content-Length") != "" {
		body = body[:n]
	}
	return &inbound{method: req.Method, path: req.URL.Path, header: req.Header, query: req.URL.Query(), publicURL: publicURL, body: body, at: now, want: &r.want}, nil
}
