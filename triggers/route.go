package triggers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/workflows"
)

// neverBefore is any moment, to ask whether a cron ever comes.
var neverBefore = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// route is one webhook inlet made ready: everything a request needs is looked
// up or compiled when the project is loaded.
type route struct {
	trigger  *workflows.Trigger
	webhook  *workflows.Webhook
	preset   *workflows.Preset
	variant  *workflows.Verify
	verifier *signature.Verifier
	keys     []signature.Key
	auth     *token
	params   map[string]string
	key      []*workflows.Expr
	kind     *workflows.Expr
	data     string
	clock    *workflows.Expr
	methods  map[string]bool
	allow    string // for 405
	hide     map[string]bool
	public   string
	// want is what is read of a body before it is stored.
	want workflows.Wanted
}

// token is auth: a shared secret instead of a signature.
type token struct{ header, want string }

// newRoute prepares a trigger's webhook. secrets looks values up.
func newRoute(p *workflows.Project, t *workflows.Trigger, secret func(string) (string, bool)) (*route, error) {
	w := t.Webhook
	r := &route{trigger: t, webhook: w, key: w.Key, kind: w.EventType, methods: map[string]bool{}, hide: map[string]bool{"authorization": true, "cookie": true, "proxy-authorization": true}, public: p.Server.PublicURL}
	if w.Data != nil {
		r.data = w.Data.Text
	}
	env := secretEnv(p, secret)
	var err error
	if r.params, err = texts(w.Params, env); err != nil {
		return nil, fmt.Errorf("trigger %s: params: %w", t.Name, err)
	}
	r.variant = w.Verify
	if w.Provider != "" {
		r.usePreset(p.Presets[w.Provider])
	}
	for _, m := range w.Methods {
		r.methods[m] = true
	}
	if r.variant != nil {
		for _, h := range r.variant.Handshakes {
			if h.Detect.Method != "" {
				r.methods[h.Detect.Method] = true
			}
		}
		err = r.useScheme(env)
	} else if w.Auth != nil {
		err = r.useAuth(env)
	}
	r.allow = strings.Join(w.Methods, ", ")
	r.wanted()
	if err != nil {
		return nil, fmt.Errorf("trigger %s: %w", t.Name, err)
	}
	return r, nil
}

// wanted gathers the parts of a body that keys, types and schemes read.
func (r *route) wanted() {
	for _, e := range append([]*workflows.Expr{r.kind, r.clock}, r.key...) {
		r.want.WantExpr(e)
	}
	if r.variant == nil {
		return
	}
	for _, p := range []string{r.variant.Signature.From.JSON, timestampJSON(r.variant)} {
		if p != "" {
			r.want.WantPath(p)
		}
	}
	r.wantTemplate(r.variant.SignedContent)
	for _, h := range r.variant.Handshakes {
		for p := range h.Detect.JSON {
			r.want.WantPath(p)
		}
		r.wantTemplate(h.Body)
		for _, v := range h.Headers {
			r.wantTemplate(v)
		}
	}
}

// wantTemplate wants what {json:path} in a template reads.
func (r *route) wantTemplate(rest string) {
	for {
		_, after, found := strings.Cut(rest, "{json:")
		path, tail, closed := strings.Cut(after, "}")
		if !found || !closed {
			return
		}
		path, _, _ = strings.Cut(path, "|")
		r.want.WantPath(path)
		rest = tail
	}
}

func (r *route) usePreset(p *workflows.Preset) {
	r.preset = p
	for _, v := range p.Verify {
		if r.variant == nil && (r.webhook.Variant == "" || r.webhook.Variant == v.Variant) {
			r.variant = v
		}
	}
	if len(r.key) == 0 {
		r.key = p.Key
	}
	if r.kind == nil {
		r.kind = p.EventType
	}
	if r.data == "" && p.Data != nil {
		r.data = p.Data.Text
	}
	r.clock = p.Time
}

func (r *route) useScheme(env *workflows.Env) error {
	v, err := signature.Compile(scheme(r.variant))
	if err != nil {
		return err
	}
	r.verifier = v
	r.hide[strings.ToLower(v.From.Header)] = true
	for i, s := range r.webhook.Secrets {
		x, err := s.Render(env, workflows.FillPlain)
		if err != nil {
			return fmt.Errorf("secret %d: %w", i+1, err)
		}
		text, _ := x.(string)
		if text == "" {
			if i > 0 {
				continue // an old secret that is gone: rotation is over
			}
			return fmt.Errorf("its secret is not set: %w", signature.ErrEmptyKey)
		}
		k, err := v.NewKey(text)
		if err != nil {
			return fmt.Errorf("secret %d: %w", i+1, err)
		}
		r.keys = append(r.keys, k)
	}
	if len(r.keys) == 0 {
		return signature.ErrEmptyKey
	}
	return nil
}

func (r *route) useAuth(env *workflows.Env) error {
	a := r.webhook.Auth
	render := func(v *workflows.Value) (string, error) {
		x, err := v.Render(env, workflows.FillNonempty)
		if err != nil {
			return "", err
		}
		s, err := workflows.Text(x)
		if err == nil && s == "" {
			err = signature.ErrEmptyKey
		}
		return s, err
	}
	switch {
	case a.Bearer != nil:
		s, err := render(a.Bearer)
		r.auth = &token{"Authorization", "Bearer " + s}
		return err
	case a.BasicUser != nil:
		user, err := render(a.BasicUser)
		if err != nil {
			return err
		}
		password, err := render(a.BasicPassword)
		req := &http.Request{Header: http.Header{}}
		req.SetBasicAuth(user, password)
		r.auth = &token{"Authorization", req.Header.Get("Authorization")}
		return err
	case a.HeaderName != "":
		s, err := render(a.HeaderValue)
		r.auth = &token{a.HeaderName, s}
		r.hide[strings.ToLower(a.HeaderName)] = true
		return err
	}
	return errors.New("auth: a webhook takes bearer, basic or header")
}

func secretEnv(p *workflows.Project, secret func(string) (string, bool)) *workflows.Env {
	values := map[string]any{}
	for _, n := range p.SecretNames() {
		if v, ok := secret(n); ok {
			values[n] = v
		} else {
			values[n] = ""
		}
	}
	return &workflows.Env{Names: workflows.Names{"secrets": values}}
}

func texts(v *workflows.Value, env *workflows.Env) (map[string]string, error) {
	x, err := v.Render(env, workflows.FillPlain)
	if err != nil {
		return nil, err
	}
	m, _ := x.(map[string]any)
	out := map[string]string{}
	for k, e := range m {
		if out[k], err = workflows.Text(e); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// inbound is one request as received, whole.
type inbound struct {
	method, path string
	header       http.Header
	query        url.Values
	publicURL    string
	body         []byte
	at           time.Time
	want         *workflows.Wanted

	decoded   any
	decodeErr error
	isDecoded bool
}

// value reads the wanted parts of the body, once.
func (in *inbound) value() (any, error) {
	if !in.isDecoded {
		in.decoded, in.decodeErr = engine.DecodeBodyPart(in.header.Get("Content-Type"), in.body, in.want)
		in.isDecoded = true
	}
	return in.decoded, in.decodeErr
}

func timestampJSON(v *workflows.Verify) string {
	if v.Timestamp == nil {
		return ""
	}
	return v.Timestamp.From.JSON
}

// json reads a scalar at a dot path, for schemes that look into the body.
func (in *inbound) json(path string) (string, bool) {
	v, err := in.value()
	if err != nil {
		return "", false
	}
	for _, k := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[k]
		case []any:
			i, err := strconv.Atoi(k)
			if err != nil || i < 0 || i >= len(x) {
				return "", false
			}
			v = x[i]
		default:
			return "", false
		}
	}
	switch v.(type) {
	case nil, map[string]any, []any:
		return "", false
	}
	s, err := workflows.Text(v)
	return s, err == nil
}

// judgement is what becomes of a request.
type judgement struct {
	// delivery is set when it is genuine and an event.
	delivery *engine.Delivery
	// handshake is set when it is answered at once.
	handshake *Answer
	// status and reason are set when it is refused; detail explains.
	status         int
	reason, detail string
	// secret is the index of the secret that matched.
	secret int
}

// Answer is an HTTP answer as data.
type Answer struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// judge proves a request and reads its event. Nothing of the body is used
// before the sender is proved, except where a handshake needs no proof.
func (r *route) judge(in *inbound) judgement {
	req := &signature.Request{Method: in.method, Header: in.header, Query: in.query, PublicURL: in.publicURL, CallbackURL: r.webhook.CallbackURL, Body: in.body,
		JSON: in.json, Form: func() (url.Values, error) { return url.ParseQuery(string(in.body)) }, Params: r.params}
	if h := r.handshake(in, false); h != nil {
		return judgement{handshake: h}
	}
	secret, refused := r.prove(req, in.at)
	if refused != nil {
		return *refused
	}
	if h := r.handshake(in, true); h != nil {
		return judgement{handshake: h}
	}
	if !r.webhookMethod(in.method) {
		return judgement{status: http.StatusMethodNotAllowed, reason: "wrong method", detail: in.method + " is only for the provider's handshake"}
	}
	d, err := r.delivery(in)
	if err != nil {
		return judgement{status: http.StatusBadRequest, reason: "malformed body", detail: err.Error()}
	}
	return judgement{delivery: d, secret: secret}
}

func (r *route) webhookMethod(m string) bool {
	for _, x := range r.webhook.Methods {
		if x == m {
			return true
		}
	}
	return false
}

func (r *route) prove(req *signature.Request, now time.Time) (int, *judgement) {
	switch {
	case r.verifier != nil:
		v := r.verifier.Verify(req, r.keys, now)
		if !v.OK() {
			return -1, &judgement{status: http.StatusUnauthorized, reason: string(v.Reason), detail: v.Detail}
		}
		return v.Key, nil
	case r.auth != nil:
		got := sha256.Sum256([]byte(req.Header.Get(r.auth.header)))
		want := sha256.Sum256([]byte(r.auth.want))
		if len(req.Header.Values(r.auth.header)) == 0 {
			return -1, &judgement{status: http.StatusUnauthorized, reason: string(signature.Missing), detail: "header " + r.auth.header + " is missing"}
		}
		if !constantTimeEqual(got, want) {
			return -1, &judgement{status: http.StatusUnauthorized, reason: string(signature.Wrong), detail: "the token in " + r.auth.header + " is another one"}
		}
	}
	return 0, nil
}

func constantTimeEqual(a, b [sha256.Size]byte) bool {
	var diff byte
	for i := range a {
		diff |= a[i] ^ b[i]
	}
	return diff == 0
}

// handshake answers a request by which a provider checks that the URL is ours.
// proved says whether the signature has been checked.
func (r *route) handshake(in *inbound, proved bool) *Answer {
	if r.variant == nil {
		return nil
	}
	for _, h := range r.variant.Handshakes {
		if h.VerifyFirst != proved || !in.carries(h.Detect) {
			continue
		}
		body, ok := in.fill(h.Body)
		if !ok {
			continue
		}
		headers := map[string]string{"Content-Type": h.ContentType, "X-Content-Type-Options": "nosniff"}
		for k, v := range h.Headers {
			if headers[k], ok = in.fill(v); !ok {
				return nil
			}
		}
		return &Answer{Status: h.Status, Headers: headers, Body: body}
	}
	return nil
}

func (in *inbound) carries(d workflows.Detect) bool {
	if d.Method != "" && d.Method != in.method {
		return false
	}
	for k, want := range d.Header {
		if in.header.Get(k) != want {
			return false
		}
	}
	for k, want := range d.Query {
		if in.query.Get(k) != want {
			return false
		}
	}
	for k, want := range d.JSON {
		if got, ok := in.json(k); !ok || got != want {
			return false
		}
	}
	return true
}

// fill writes a handshake's answer: {json:path}, {query:name}, {header:name}.
// Echoed text is bounded: a challenge is short.
func (in *inbound) fill(template string) (string, bool) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(template, "{")
		name, after, closed := strings.Cut(rest, "}")
		kind, key, _ := strings.Cut(name, ":")
		if !found || !closed || kind != "json" && kind != "query" && kind != "header" {
			b.WriteString(template)
			return b.String(), true
		}
		b.WriteString(before)
		var v string
		ok := true
		switch kind {
		case "json":
			v, ok = in.json(key)
		case "query":
			v = in.query.Get(key)
		case "header":
			v = in.header.Get(key)
		}
		if !ok || v == "" || len(v) > 1024 || strings.ContainsAny(v, "\r\n") {
			return "", false
		}
		b.WriteString(v)
		template = after
	}
}

// delivery reads key, type, time and body of a proved request.
func (r *route) delivery(in *inbound) (*engine.Delivery, error) {
	body, err := in.value()
	if err != nil {
		return nil, err
	}
	d := &engine.Delivery{Trigger: r.trigger.Name, Inlet: "webhook", Type: r.trigger.Name, Time: in.at, ReceivedAt: in.at, Method: in.method, Path: in.path,
		Headers: r.keepHeaders(in.header), Query: keepQuery(in.query), Raw: in.body, DataExpr: r.data, Dedupe: r.webhook.Dedupe}
	headers, query := make(map[string]any, len(d.Headers)), make(map[string]any, len(d.Query))
	for k, v := range d.Headers {
		headers[k] = v
	}
	for k, v := range d.Query {
		query[k] = v
	}
	env := &workflows.Env{Names: workflows.Names{"body": body, "headers": headers, "query": query, "raw": string(in.body), "method": in.method, "url": in.publicURL, "path": in.path}, Now: in.at}
	if r.kind != nil {
		if v, err := r.kind.Eval(env); err == nil {
			if s, err := workflows.Text(v); err == nil && s != "" {
				d.Type = clip(s, 200)
			}
		}
	}
	if r.clock != nil {
		if v, err := r.clock.Eval(env); err == nil {
			if t, ok := v.(time.Time); ok && t.Year() > 1970 && t.Year() < 2200 {
				d.Time = t.UTC()
			}
		}
	}
	d.Key, d.Flag = r.eventKey(env, in.body)
	d.BodyToo = r.preset != nil && !r.preset.IDSigned && len(r.webhook.Key) == 0 && d.Flag == ""
	return d, nil
}

// eventKey evaluates the key. One that comes out empty falls back to the hash
// of the body, and says so.
func (r *route) eventKey(env *workflows.Env, body []byte) (key, flag string) {
	var parts []string
	for _, e := range r.key {
		v, err := e.Eval(env)
		if err != nil {
			flag = "key failed: " + err.Error()
			break
		}
		s, err := scalarText(v)
		if err != nil {
			flag = "key failed: " + err.Error()
			break
		}
		if s == "" {
			flag = "key is empty: " + e.Text
			break
		}
		parts = append(parts, s)
	}
	if flag == "" && len(parts) > 0 {
		if key := strings.Join(parts, "/"); len(key) <= 300 {
			return key, ""
		}
		body = []byte(strings.Join(parts, "/")) // too long to keep; its hash tells it as well
	}
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:]), clip(flag, 300)
}

func scalarText(v any) (string, error) {
	switch v.(type) {
	case map[string]any, []any:
		return "", errors.New("a key must be text, number or boolean")
	}
	return workflows.Text(v)
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// keepHeaders stores header names in lower case, values that come twice joined
// by a comma, what proves the sender as ***.
func (r *route) keepHeaders(h http.Header) map[string]string {
	out := make(map[string]string, len(h))
	for k, v := range h {
		name := strings.ToLower(k)
		if r.hide[name] {
			out[name] = "***"
			continue
		}
		out[name] = strings.ToValidUTF8(strings.Join(v, ", "), "\ufffd")
	}
	return out
}

func keepQuery(q url.Values) map[string]string {
	out := make(map[string]string, len(q))
	for k, v := range q {
		out[k] = strings.ToValidUTF8(strings.Join(v, ", "), "\ufffd")
	}
	return out
}

// remoteIP is the caller's address: the connection's, or behind trusted proxies
// the last address of X-Forwarded-For that is none of them.
func remoteIP(r *http.Request, trusted []netip.Prefix) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	ip := ap.Addr().Unmap()
	if !within(trusted, ip) {
		return ip
	}
	chain := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(chain) - 1; i >= 0; i-- {
		a, err := netip.ParseAddr(strings.TrimSpace(chain[i]))
		if err != nil {
			break
		}
		ip = a.Unmap()
		if !within(trusted, ip) {
			break
		}
	}
	return ip
}

func within(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// accept hands a delivery to the sink.
func (r *route) accept(ctx context.Context, sink engine.Sink, d *engine.Delivery) (int, map[string]string, error) {
	receipt, err := sink.Accept(ctx, d)
	if err != nil {
		return 0, nil, err
	}
	out := map[string]string{"status": "accepted", "event": receipt.Event.String()}
	switch {
	case receipt.Duplicate:
		out["status"] = "duplicate"
		return http.StatusOK, out, nil
	case !workflows.MatchType(r.webhook.Events, d.Type):
		out["status"] = "filtered"
		return http.StatusOK, out, nil
	}
	return http.StatusAccepted, out, nil
}
