package triggers

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/workflows"
	"golang.org/x/time/rate"
)

// route is one webhook inlet made ready: everything a request needs is looked
// up or compiled when the project is loaded.
type route struct {
	// zone is the project's timezone, of now() in expressions.
	zone    *time.Location
	trigger *workflows.Trigger
	webhook *workflows.Webhook
	preset  *workflows.Preset
	// proofs are the schemes of which one must hold; none for auth: none.
	proofs     []*proof
	secrets    []*secretUse
	handshakes []*handshake
	answer     *answerTemplate
	refusal    *answerTemplate
	params     map[string]string
	// deliver are the methods that deliveries come with; methods those that are
	// answered, handshakes included.
	deliver []string
	key     []*workflows.Expr
	kind    *workflows.Expr
	data    string
	clock   *workflows.Expr
	methods map[string]bool
	allow   string // for 405
	// hide are headers that are never stored; hideSecret those that hold a token, and
	// with false those that hold a signature: with it a refused delivery can be judged
	// again. Others are hidden by their names, see workflows.SensitiveHeader.
	hide, hideSecret map[string]bool
	public           string
	// dedupe is how long keys are remembered, contentDedupe how long the content of what
	// has none.
	dedupe, contentDedupe time.Duration
	// list is what split takes apart; nil for none. keyOfItem tells that the key reads its
	// elements.
	list      *workflows.Expr
	keyOfItem bool
	dataExpr  *workflows.Expr
	// commonIDs tells that a common id header names events. keyHeaders are the headers
	// that the key reads; keyOutside tells that it reads more than those and the body.
	commonIDs, keyOutside bool
	keyHeaders            []string
	// trusted are the proxies whose headers count.
	trusted []netip.Prefix
	// guarded tells that callers are known by address or certificate before anything
	// of a body is read.
	guarded bool
	// cors answers browsers; nil for not at all.
	cors *cors
	// maxBody is the largest body that is taken, in bytes.
	maxBody int64
	limiter *rate.Limiter
	// urlSecret tells that the last segment of the path may be the secret.
	urlSecret bool
	// pending tells that the secret is still to come, by the provider's handshake.
	pending string
	outside *Outside
	// want is what is read of a body before it is stored.
	want workflows.Wanted
	// unread are names of a delivery that no key, type or other expression reads
	// before it is stored: they need not be made.
	unread map[string]bool
	// readHeaders are those that are read; nil for all.
	readHeaders []string
}

// proof is one scheme with the keys that belong to it.
type proof struct {
	written  *workflows.Verify
	verifier *signature.Verifier
	keys     []signature.Key
	// secret is, for each key, its place in route.secrets; -1 for none.
	secret []int
	when   *detect
	// signs tells that it is no mere token; signsBody that it signs the whole body;
	// moment that what it signs is of one delivery.
	signs, signsBody, moment bool
	// inBody are the places in the body that the scheme itself writes.
	inBody [][]string
	// signedHeaders are those that the scheme signs, in lower case; unsignedKey those
	// that the key reads and the scheme does not sign.
	signedHeaders, unsignedKey []string
}

// secretUse is one secret of a route.
type secretUse struct {
	name string
	text string
	*useCount
}

// useCount counts how often a secret has proved a delivery and when last. It
// outlives the loading of a project.
type useCount struct {
	count atomic.Int64
	last  atomic.Int64 // Unix milliseconds
}

// Outside is what triggers need of the process around them.
type Outside struct {
	// Secret looks a secret up.
	Secret func(name string) (string, bool)
	// Fetch sends a request through the egress guard and gives a bounded body; nil
	// where there is no network.
	Fetch Fetch
	// From is the address that a captured request came from, where Judge shall know it.
	From netip.Addr
	// Capture keeps a secret that a provider handed over; nil to keep none.
	Capture func(trigger, secret, value string) error
	// awaited tells whether an operator waits for a trigger's secret, and taken that
	// it has come; nil where no server waits.
	awaited, taken func(trigger string, at time.Time) bool
	// Answered is told how a delivery was answered, and in what time; nil for nobody.
	// The outcome is accepted, duplicate, filtered, handshake, refused, limited or
	// unavailable; the trigger is empty for unknown paths.
	Answered func(trigger, outcome string, took time.Duration)
}

// newRoute prepares a trigger's webhook.
func newRoute(p *workflows.Project, t *workflows.Trigger, o *Outside) (*route, error) {
	w := t.Webhook
	r := &route{zone: p.Timezone, trigger: t, webhook: w, key: w.Key, kind: w.EventType, methods: map[string]bool{}, public: strings.TrimRight(p.Server.PublicURL, "/"), dedupe: w.Dedupe, maxBody: p.MaxBody(w), trusted: p.Server.TrustedProxies,
		guarded: len(w.AllowIPs) > 0 || w.AllowProvider || w.ClientCert, outside: o,
		hide: map[string]bool{"authorization": true, "cookie": true, "proxy-authorization": true}, hideSecret: map[string]bool{"authorization": true, "cookie": true, "proxy-authorization": true}}
	r.useIdentity()
	if w.RateLimit > 0 {
		r.limiter = rate.NewLimiter(rate.Limit(float64(w.RateLimit)/w.RatePer.Seconds()), w.RateLimit)
	}
	env := secretEnv(p, o.Secret)
	var err error
	if r.params, err = texts(w.Params, env); err != nil {
		return nil, fmt.Errorf("trigger %s: params: %w", t.Name, err)
	}
	r.deliver = w.Methods
	r.usePreset(p.Preset(w))
	r.readKey()
	for _, m := range r.deliver {
		r.methods[m] = true
	}
	if err = r.prepare(env); err != nil {
		return nil, fmt.Errorf("trigger %s: %w", t.Name, err)
	}
	var allowed []string
	for m := range r.methods {
		allowed = append(allowed, m)
	}
	slices.Sort(allowed)
	r.allow = strings.Join(allowed, ", ")
	r.cors = newCORS(w.Origins, r.deliver)
	r.wanted()
	return r, nil
}

func (r *route) usePreset(p *workflows.Preset) {
	if p == nil {
		return
	}
	r.preset = p
	if len(p.Methods) > 0 && !r.webhook.MethodsWritten {
		r.deliver = p.Methods
	}
	for _, x := range p.Params {
		if r.params[x.Name] == "" && x.Default != "" {
			r.params[x.Name] = x.Default
		}
	}
	if len(r.key) == 0 {
		r.key = p.Key
	}
	if r.kind == nil {
		r.kind = p.EventType
	}
	if r.data == "" && p.Data != nil {
		r.data, r.dataExpr = p.Data.Text, p.Data
	}
	if p.Dedupe > 0 && !r.webhook.DedupeWritten {
		r.dedupe, r.contentDedupe = p.Dedupe, p.Dedupe
	}
	if r.list == nil {
		r.list = p.Split
	}
	r.commonIDs = len(p.Key) == 0 && p.CommonIDs && len(r.webhook.Key) == 0
	r.keyOfItem = readsAny(r.key, "item")
	r.clock = p.Time
}

// prepare compiles schemes, handshakes and answers.
func (r *route) prepare(env *workflows.Env) error {
	if err := r.readSecrets(env); err != nil {
		return err
	}
	written := r.variants()
	if a, err := r.authScheme(env); err != nil {
		return err
	} else if a != nil {
		written = []*workflows.Verify{a}
	}
	for _, v := range written {
		p, err := r.newProof(v, len(written) > 1)
		if err != nil {
			return err
		}
		if p != nil {
			r.proofs = append(r.proofs, p)
		}
	}
	if len(written) > 0 && len(r.proofs) == 0 && r.pending == "" {
		return fmt.Errorf("the secret fits none of the provider's schemes: %w", r.whyNone(written))
	}
	for _, p := range r.proofs {
		r.hideOf(p)
		r.urlSecret = r.urlSecret || p.verifier.From.URL
	}
	return r.prepareAnswers(written)
}

// whyNone says why the first secret fits no scheme.
func (r *route) whyNone(written []*workflows.Verify) error {
	if len(r.secrets) == 0 {
		return signature.ErrEmptyKey
	}
	v, err := signature.Compile(scheme(written[0], r.params))
	if err == nil {
		_, err = v.NewKey(r.secrets[0].text)
	}
	if err == nil {
		err = errors.New("its form is another one")
	}
	return err
}

// variants are the written schemes that may prove a delivery: the one asked for,
// else all of the provider's that prove as much as its best.
func (r *route) variants() []*workflows.Verify {
	if r.webhook.Verify != nil {
		return []*workflows.Verify{r.webhook.Verify}
	}
	if r.preset == nil {
		return nil
	}
	var out []*workflows.Verify
	for _, v := range r.preset.Verify {
		if v.Variant == r.webhook.Variant || (r.webhook.Variant == "" || r.webhook.Variant == workflows.AnyVariant) && !v.Explicit {
			out = append(out, v)
		}
	}
	return out
}

func (r *route) readSecrets(env *workflows.Env) error {
	for i, s := range r.webhook.Secrets {
		x, err := s.Render(env, workflows.FillPlain)
		if err != nil {
			return fmt.Errorf("secret %d: %w", i+1, err)
		}
		text, err := workflows.Text(x)
		if err != nil {
			return fmt.Errorf("secret %d: %w", i+1, err)
		}
		if text, err = trimmed(text); err != nil {
			return fmt.Errorf("secret %s: %w", r.webhook.SecretLabels()[i], err)
		}
		name := s.SecretName()
		if text == "" {
			switch {
			case r.preset != nil && r.preset.Captures() && name != "" && r.pending == "":
				r.pending = name
				continue
			case i > 0:
				continue // an old secret that is gone: rotation is over
			case r.preset != nil && r.preset.SecretOptional:
				continue
			}
			return fmt.Errorf("its secret is not set: %w", signature.ErrEmptyKey)
		}
		r.secrets = append(r.secrets, &secretUse{r.webhook.SecretLabels()[i], text, &useCount{}})
	}
	return nil
}

// newProof compiles one scheme with its keys; nil when no secret is of its form
// and others may take it. It changes nothing of the route: a diagnosis asks it
// while the route serves.
func (r *route) newProof(v *workflows.Verify, choice bool) (*proof, error) {
	s := scheme(v, r.params)
	if s.Timestamp != nil && r.webhook.Tolerance > 0 {
		s.Timestamp.Tolerance = r.webhook.Tolerance
	}
	if err := namesSet(v, r.params); err != nil {
		return nil, err
	}
	compiled, err := signature.Compile(s)
	if err != nil {
		return nil, err
	}
	if v == r.webhook.Verify {
		if err := looseContent(v, compiled); err != nil {
			return nil, err
		}
	}
	p := r.proofOf(v, compiled)
	if v.When != nil {
		p.when = &detect{*v.When}
	}
	add := func(text string, secret int) error {
		k, err := compiled.NewKey(schemeWordOff(v, text))
		if err != nil {
			if choice {
				return nil
			}
			return fmt.Errorf("secret %d: %w", secret+1, err)
		}
		p.keys, p.secret = append(p.keys, k), append(p.secret, secret)
		return nil
	}
	if own := r.params[v.SecretParam]; v.SecretParam != "" && own != "" {
		return p, add(own, -1)
	}
	for i, u := range r.secrets {
		pinned := v.SecretPrefix != "" && strings.Contains(u.text, "-----BEGIN") && compiled.Asymmetric()
		if v.SecretNth > 0 && i != v.SecretNth-1 || !hasForm(u.text, v.SecretPrefix) && !pinned {
			continue
		}
		if err := add(u.text, i); err != nil {
			return nil, err
		}
	}
	if len(p.keys) == 0 && v.Key != nil && len(r.secrets) == 0 {
		// The provider's own key, fetched when it is needed.
		p.keys, p.secret = []signature.Key{{}}, []int{-1}
	}
	if len(p.keys) == 0 {
		if choice || r.pending != "" {
			return nil, nil
		}
		return nil, signature.ErrEmptyKey
	}
	return p, nil
}

// hasForm tells whether a secret begins as it must; a ! before the prefix turns
// it round.
func hasForm(text, prefix string) bool {
	if not, ok := strings.CutPrefix(prefix, "!"); ok {
		return !strings.HasPrefix(text, not)
	}
	return strings.HasPrefix(text, prefix)
}

// namesSet insists that parameters in header names have values: an empty name
// would look nowhere.
func namesSet(v *workflows.Verify, params map[string]string) error {
	for _, n := range []string{v.Signature.From.Header, v.Signature.From.Query} {
		if i := strings.Index(n, "{param:"); i >= 0 {
			name, _, _ := strings.Cut(n[i+len("{param:"):], "}")
			if params[name] == "" {
				return fmt.Errorf("params: {%s: ...} is needed: the name of the header that carries the token", name)
			}
		}
	}
	return nil
}

// authScheme writes auth: as the scheme that it is.
func (r *route) authScheme(env *workflows.Env) (*workflows.Verify, error) {
	a := r.webhook.Auth
	if a == nil {
		return nil, nil
	}
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
	v := &workflows.Verify{Variant: "auth", Algorithm: "static-token", Signature: workflows.SignatureFrom{From: workflows.From{Header: "Authorization"}, Encodings: []string{"raw"}}}
	var value *workflows.Value
	switch {
	case a.Bearer != nil:
		v.Signature.Prefix, value = "Bearer ", a.Bearer
	case a.BasicUser != nil:
		user, err := render(a.BasicUser)
		if err != nil {
			return nil, err
		}
		v.Algorithm, v.Signature.Prefix, v.Signature.Encodings, value = "basic-auth", "Basic ", []string{"base64"}, a.BasicPassword
		r.params["user"] = user
	case a.HeaderName != "":
		v.Signature.From.Header, value = a.HeaderName, a.HeaderValue
	case a.QueryName != "":
		v.Signature.From, value = workflows.From{Query: a.QueryName}, a.QueryValue
	default:
		return nil, errors.New("auth: a webhook takes bearer, basic, header or query")
	}
	text, err := render(value)
	if err == nil {
		text, err = trimmed(text)
	}
	if err != nil {
		return nil, err
	}
	r.secrets = []*secretUse{{r.webhook.SecretLabels()[0], text, &useCount{}}}
	return v, nil
}

// hideOf notes which headers prove the sender: they are not stored.
func (r *route) hideOf(p *proof) {
	names := append([]string{p.verifier.From.Header}, p.verifier.From.Headers...)
	for _, n := range names {
		if n != "" {
			r.hide[strings.ToLower(n)] = true
			if name := strings.ToLower(n); p.verifier.Secret() || r.hideSecret[name] {
				r.hideSecret[name] = true
			} else {
				r.hideSecret[name] = false // a signature, whatever its header is called
			}
		}
	}
}

// wanted gathers the parts of a body that keys, types and schemes read.
func (r *route) wanted() {
	r.unread = map[string]bool{}
	for _, name := range []string{"raw", "headers", "query", "method", "url", "path"} {
		read := r.list != nil && r.webhook.Data.Reads(name) || r.dataExpr.Reads(name)
		for _, e := range append([]*workflows.Expr{r.kind, r.clock, r.list}, r.key...) {
			read = read || e.Reads(name)
		}
		r.unread[name] = !read
	}
	var headers workflows.Wanted
	for _, e := range append([]*workflows.Expr{r.kind, r.clock, r.list}, r.key...) {
		r.want.WantExpr(e)
		headers.WantOf("headers", e)
	}
	if keys, all := headers.Keys(); !all && r.list == nil && !r.dataExpr.Reads("headers") {
		r.readHeaders = []string{}
		for _, k := range keys {
			r.readHeaders = append(r.readHeaders, strings.ToLower(k))
		}
	}
	if r.list != nil && r.webhook.Data != nil {
		r.want.WantExpr(r.webhook.Data)
	}
	for _, p := range r.proofs {
		v := p.written
		for _, path := range []string{v.Signature.From.JSON, v.Each, timestampJSON(v)} {
			if path != "" {
				r.want.WantPath(path)
			}
		}
		for _, text := range v.SignedContent {
			r.wantTemplate(text)
		}
		eachPlace(&v.Require, func(f workflows.From, _ []string) { r.wantFrom(f) })
		eachPlace(&v.RequireIfSet, func(f workflows.From, _ []string) { r.wantFrom(f) })
		if v.When != nil {
			eachPlace(&v.When.Places, func(f workflows.From, _ []string) { r.wantFrom(f) })
		}
		if v.Key != nil {
			r.wantTemplate(v.Key.URL)
		}
	}
	for _, h := range r.handshakes {
		h.reads(r)
	}
}

func (r *route) wantFrom(f workflows.From) {
	if f.JSON != "" {
		r.want.WantPath(f.JSON)
	}
}

// wantTemplate wants what {json:path} in a template reads.
func (r *route) wantTemplate(text string) {
	if t, err := signature.ParseTemplate(text); err == nil {
		t.Reads(r.want.WantPath)
	}
}

func timestampJSON(v *workflows.Verify) string {
	if v.Timestamp == nil {
		return ""
	}
	return v.Timestamp.From.JSON
}

// setSecrets gives the secrets that are set: an expression that names another one
// fails.
func setSecrets(p *workflows.Project, secret func(string) (string, bool)) *workflows.Env {
	values := map[string]any{}
	for _, n := range p.SecretNames() {
		if v, ok := secret(n); ok {
			values[n] = v
		}
	}
	return &workflows.Env{Names: workflows.Names{"secrets": values}}
}

// secretEnv gives all secrets, "" for one that is not set: a trigger may go on
// without an old one, and says itself when it cannot.
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

// judgement is what becomes of a request.
type judgement struct {
	// genuine tells that it is what the provider sent; deliveries are its events, of
	// which there is one unless split takes a list apart.
	genuine    bool
	deliveries []*engine.Delivery
	// handshake is set when it is answered at once.
	handshake *Answer
	// status and reason are set when it is refused; detail explains.
	status         int
	reason, detail string
	// secret is the place of the secret that matched; -1 for none.
	secret int
	// scheme is the variant that was looked at last, for a refusal.
	scheme string
}

// judge proves a request and reads its event. Nothing of the body is used
// before the sender is proved, except where a handshake needs no proof.
func (r *route) judge(in *inbound) judgement {
	if j := r.shakeHands(in, false); j != nil {
		return *j
	}
	verdict, secret, refused := r.prove(in)
	if refused != nil {
		return *refused
	}
	in.claims = verdict.Claims
	if j := r.shakeHands(in, true); j != nil {
		j.secret = secret
		return *j
	}
	if !slices.Contains(r.deliver, in.method) {
		return judgement{status: http.StatusMethodNotAllowed, reason: "wrong method", detail: in.method + " is only for the provider's handshake", secret: -1}
	}
	ds := r.eventsOf(in)
	proof := r.provedBy(in, secret)
	for _, d := range ds {
		d.Proof = proof
	}
	return judgement{genuine: true, deliveries: ds, secret: secret}
}

// provedBy says what proved a request that is genuine.
func (r *route) provedBy(in *inbound, secret int) engine.Proof {
	name := ""
	if secret >= 0 && secret < len(r.secrets) {
		name = r.secrets[secret].name
	}
	switch p := in.proof; {
	case p == nil && r.webhook.ClientCert:
		return engine.ByCertificate
	case p == nil:
		return engine.NoProof
	case p.written.Algorithm == "static-token" || p.written.Algorithm == "basic-auth" || p.written.JWT != nil && !p.signsBody:
		return engine.ProofOf(engine.ByToken, name)
	case p.signsBody:
		return engine.ProofOf(engine.BySignature, name)
	}
	return engine.ProofOf(engine.BySender, name)
}

// prove tries the schemes whose signature the request carries. A request that
// carries none is judged by the first that could apply, to say what is missing.
func (r *route) prove(in *inbound) (signature.Verdict, int, *judgement) {
	if len(r.proofs) == 0 {
		if r.webhook.AuthNone {
			return signature.Verdict{}, -1, nil
		}
		return signature.Verdict{}, -1, &judgement{status: http.StatusUnauthorized, reason: string(signature.Missing), secret: -1,
			detail: "no secret is set yet: the provider's handshake has to come first"}
	}
	var worst *judgement
	tried := false
	for _, carried := range []bool{true, false} {
		for _, p := range r.proofs {
			if p.when != nil && !p.when.holds(in) || tried && !carried || p.verifier.Applies(&in.request) != carried {
				continue
			}
			tried = true
			v := p.verifier.Verify(&in.request, p.keys, in.at)
			if v.OK() {
				if why := r.answerable(p, in); why != "" {
					v = signature.Verdict{Reason: signature.Unmet, Detail: why, Key: -1}
				} else {
					in.proof, in.verdict = p, v
					return v, p.secretOf(v.Key), nil
				}
			}
			j := &judgement{status: http.StatusUnauthorized, reason: string(v.Reason), detail: v.Detail, secret: -1, scheme: p.written.Variant}
			if v.Reason == signature.Unavailable {
				j.status = http.StatusServiceUnavailable
			}
			if worst == nil || closer(v.Reason, signature.Reason(worst.reason)) {
				worst = j
			}
		}
	}
	if worst == nil {
		worst = &judgement{status: http.StatusUnauthorized, reason: string(signature.Missing), secret: -1, detail: "the request is of no kind that this trigger verifies: " + r.whens()}
	}
	return signature.Verdict{}, -1, worst
}

// whens names the conditions of the schemes, for a request that none takes.
func (r *route) whens() string {
	var out []string
	for _, p := range r.proofs {
		out = append(out, p.written.Variant)
	}
	return strings.Join(out, ", ")
}

// closer tells whether a reason says more about a near miss than another.
func closer(a, b signature.Reason) bool {
	rank := map[signature.Reason]int{signature.Unavailable: 5, signature.Stale: 4, signature.Future: 4, signature.Unmet: 3, signature.NoClock: 2, signature.Wrong: 1}
	return rank[a] > rank[b]
}

func (p *proof) secretOf(key int) int {
	if key < 0 || key >= len(p.secret) {
		return -1
	}
	return p.secret[key]
}

// used notes which secret proved a delivery.
func (r *route) used(secret int, at time.Time) {
	if secret >= 0 && secret < len(r.secrets) {
		r.secrets[secret].count.Add(1)
		r.secrets[secret].last.Store(at.UnixMilli())
	}
}

// maxSplit bounds the events that one request can become.
const maxSplit = 10_000

// eventsOf reads the events of a proved request: one, or with split one of each
// element of a list. It never fails: what cannot be read, or not be taken apart, is
// one event that says so.
func (r *route) eventsOf(in *inbound) []*engine.Delivery {
	if r.preset != nil && r.preset.BodyFromToken {
		in.becomeClaims()
	}
	body, raw, unreadable := in.content()
	d := &engine.Delivery{Trigger: r.trigger.Name, Inlet: "webhook", Type: r.trigger.Name, Time: in.at, ReceivedAt: in.at, Method: in.method, Path: r.keepPath(in.path),
		Headers: keepHeaders(in.header, r.hide), Query: r.keepQuery(in.query), Raw: r.withoutTokens(raw), DataExpr: r.data, Dedupe: r.dedupe}
	if kind := in.contentType(); kind != "" || d.Headers["content-type"] != "" {
		d.Headers["content-type"] = kind // the event is read again as it was read here
	}
	env := &workflows.Env{Names: in.names(d, body), Now: r.localTime(in.at)}
	if r.list != nil && unreadable == nil {
		ds, err := r.split(d, in, body, env)
		if err == nil {
			return ds
		}
		unreadable = err
	}
	r.identify(d, env, in, raw, "")
	d.ContentSum = r.contentSum(in, env)
	d.NotReadable(unreadable)
	return []*engine.Delivery{d}
}

// split makes an event of each element of a list.
func (r *route) split(d *engine.Delivery, in *inbound, body any, env *workflows.Env) ([]*engine.Delivery, error) {
	v, err := r.list.Eval(env)
	if err != nil {
		return nil, fmt.Errorf("split: %w", err)
	}
	items, ok := v.([]any)
	if !ok { // also where it is not there: what is proved is kept
		return nil, fmt.Errorf("split: %s did not give a list", r.list.Text)
	}
	if len(items) > maxSplit {
		return nil, fmt.Errorf("split: %d elements; %d at most", len(items), maxSplit)
	}
	out := make([]*engine.Delivery, len(items))
	equal := map[string]int{}
	for i, item := range items {
		if out[i], err = r.element(*d, in, body, item, equal); err != nil {
			return nil, fmt.Errorf("split: element %d: %w", i, err)
		}
	}
	return out, nil
}

// element makes the event of one element of a list. What is stored as its body is
// its data, so that a list of a thousand is stored once and not a thousand times. Its
// key is its own: of what a preset or key: reads of it, else of the list's id and its
// content. equal counts the elements of equal content.
func (r *route) element(d engine.Delivery, in *inbound, body, item any, equal map[string]int) (*engine.Delivery, error) {
	names := in.names(&d, body)
	names["item"] = item
	data := item
	if e := r.webhook.Data; e != nil {
		var err error
		if data, err = e.Eval(&workflows.Env{Names: names, Now: r.localTime(in.at)}); err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
	}
	raw, err := workflows.EncodeJSON(data)
	if err != nil {
		return nil, err
	}
	d.Raw, d.DataExpr = r.withoutTokens(raw), ""
	d.Headers = maps.Clone(d.Headers)
	d.Headers["content-type"] = "application/json"
	list, wholeIsList := body.([]any)
	written := len(r.webhook.Key) > 0
	if !written && wholeIsList && len(list) > 0 {
		// What a preset says of a list of one holds for each of its elements.
		names["body"] = []any{item}
	}
	content := raw
	if item, err := workflows.EncodeJSON(item); err == nil {
		content = item
	}
	nth := equal[string(content)]
	equal[string(content)]++
	r.identify(&d, &workflows.Env{Names: names, Now: r.localTime(in.at)}, in, content, fmt.Sprintf("%x#%d", sha256.Sum256(content), nth))
	if d.Identity == engine.ByHeader || d.Identity == engine.ByProvider && !wholeIsList && !r.keyOfItem {
		d.Key = splitKey(d.Key, content, nth) // the provider's id is that of the whole list
	}
	return &d, nil
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// keepHeaders stores header names in lower case, values that come twice joined
// by a comma, what proves the sender as ***.
// lowered are the names of headers that most deliveries have, which need not be made
// again for each.
var lowered = func() map[string]string {
	out := map[string]string{}
	for _, n := range []string{"Accept", "Accept-Encoding", "Connection", "Content-Length", "Content-Type", "Traceparent", "User-Agent", "X-Event-Id", "X-Event-Type", "X-Signature", "X-Forwarded-For", "X-Forwarded-Proto",
		"X-Real-Ip", "X-Request-Id", "Stripe-Signature", "X-Github-Event", "X-Github-Delivery", "X-Hub-Signature-256", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"} {
		out[n] = strings.ToLower(n)
	}
	return out
}()

func keepHeaders(h http.Header, hide map[string]bool) map[string]string {
	out := make(map[string]string, len(h))
	for k, v := range h {
		name, common := lowered[k]
		if !common {
			name = strings.ToLower(k)
		}
		if hidden, said := hide[name]; hidden || !common && !said && workflows.SensitiveHeader(name) {
			out[name] = "***"
			continue
		}
		out[name] = strings.ToValidUTF8(strings.Join(v, ", "), "\ufffd")
	}
	return out
}

// keepQuery stores parameters as text, those that prove the sender as ***.
func (r *route) keepQuery(q url.Values) map[string]string {
	out := make(map[string]string, len(q))
	for k, v := range q {
		out[k] = strings.ToValidUTF8(strings.Join(v, ", "), "\ufffd")
		for _, p := range r.proofs {
			if k == p.verifier.From.Query || p.verifier.From.URL && slices.ContainsFunc(r.secrets, func(u *secretUse) bool { return slices.Contains(v, u.text) }) {
				out[k] = "***"
			}
		}
	}
	return out
}

// keepPath stores the path without a secret in its last segment.
func (r *route) keepPath(path string) string {
	base, form := plainPath(r.webhook.Path), plainPath(path)
	if r.urlSecret && form != base && strings.HasPrefix(form, base+"/") {
		return base + "/***"
	}
	return path
}

// withoutTokens masks a token that stands in the body itself, such as Figma's
// passcode: the body is stored, the token is not.
func (r *route) withoutTokens(raw []byte) []byte {
	for _, p := range r.proofs {
		f := p.verifier.From
		if p.verifier.Secret() && (f.JSON != "" || f.Form != "") {
			for _, u := range r.secrets {
				raw = masked(raw, u.text)
			}
		}
	}
	return raw
}

// localTime is a moment as now() shows it.
func (r *route) localTime(at time.Time) time.Time {
	if r.zone == nil {
		return at.UTC()
	}
	return at.In(r.zone)
}
