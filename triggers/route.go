package triggers

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// route is one compiled webhook inlet: everything that a request needs is looked up or compiled
// when the project is loaded.
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
	// deliver are the methods of deliveries; methods those that are answered, handshakes included.
	deliver []string
	identity
	data    string
	methods map[string]bool
	allow   string // for 405
	// hide are headers that are never stored; hideSecret those that hold a token, and
	// with false those that hold a signature: with it a refused delivery can be verified
	// again. Others are hidden by their names, see workflows.SensitiveHeader.
	hide, hideSecret map[string]bool
	public           string
	// dedupe is how long keys are remembered, contentDedupe how long the content of events without
	// a key is.
	dedupe, contentDedupe time.Duration
	// list is the expression that split reads; nil if there is none. keyOfItem reports whether the
	// key reads the list's elements.
	list      *workflows.Expr
	keyOfItem bool
	dataExpr  *workflows.Expr
	// commonIDs reports whether a common id header names events. keyHeaders are the headers
	// that the key reads; keyOutside reports whether it reads more than those and the body.
	commonIDs, keyOutside bool
	keyHeaders            []string
	// trusted are the proxies whose headers count.
	trusted []netip.Prefix
	// guarded reports whether callers are checked by address or certificate before the body is
	// read.
	guarded bool
	// cors answers browsers; nil if they are not answered.
	cors *cors
	// maxBody is the largest accepted body, in bytes.
	maxBody int64
	limiter limiter
	// urlSecret reports whether the last segment of the path may be the secret.
	urlSecret bool
	// pending is the name of a secret that the provider's handshake has not delivered yet.
	pending string
	deps    *Deps
	// want are the parts of a body that are read before it is stored.
	want value.FieldSet
	// subscribed reports that a workflow listens to the trigger: its rules read the body at once, usually all of it.
	subscribed bool
	// unread are names of a delivery that no expression reads before it is stored; they are
	// not computed.
	unread map[string]bool
	// readHeaders are the headers that are read; nil for all.
	readHeaders []string
}

// alwaysHidden are headers whose values are never stored.
func alwaysHidden() map[string]bool {
	return map[string]bool{"authorization": true, "cookie": true, "proxy-authorization": true}
}

// newRoute prepares a trigger's webhook to verify deliveries.
func newRoute(p *workflows.Project, t *workflows.Trigger, o *Deps) (*route, error) {
	env := secretEnv(p, o.Secret)
	params, err := texts(t.Webhook.Params, env)
	if err != nil {
		return nil, fmt.Errorf("trigger %s: params: %w", t.Name, err)
	}
	r := newReader(p, t, o, params)
	if w := t.Webhook; w.RateLimit > 0 {
		r.limiter = newLimiter(t.Name, w.RateLimit, w.RatePer, o.Permits)
	}
	for _, m := range r.deliver {
		r.methods[m] = true
	}
	if err = r.prepare(env); err != nil {
		return nil, fmt.Errorf("trigger %s: %w", t.Name, err)
	}
	r.allow = strings.Join(slices.Sorted(maps.Keys(r.methods)), ", ")
	r.cors = newCORS(t.Webhook.Origins, r.deliver)
	r.wanted()
	r.subscribed = listens(p, t.Name)
	return r, nil
}

// listens reports whether a workflow that is not switched off starts by a trigger.
func listens(p *workflows.Project, trigger string) bool {
	for _, w := range p.Workflows {
		for _, s := range w.Starts {
			if w.Enabled && s.Kind == "trigger" && s.Trigger == trigger {
				return true
			}
		}
	}
	return false
}

// newReader makes the part of a route that reads events; it verifies nothing.
func newReader(p *workflows.Project, t *workflows.Trigger, o *Deps, params map[string]string) *route {
	w := t.Webhook
	r := &route{
		zone:       p.Timezone,
		trigger:    t,
		webhook:    w,
		identity:   identity{key: w.Key, eventType: w.EventType},
		params:     params,
		methods:    map[string]bool{},
		public:     strings.TrimRight(p.Server.PublicURL, "/"),
		dedupe:     w.Dedupe,
		maxBody:    p.MaxBody(w),
		trusted:    p.Server.TrustedProxies,
		guarded:    len(w.AllowIPs) > 0 || w.AllowProvider || w.ClientCert,
		deps:       o,
		hide:       alwaysHidden(),
		hideSecret: alwaysHidden(),
		deliver:    w.Methods,
	}
	r.useIdentity()
	r.usePreset(p.Preset(w))
	r.readKey()
	return r
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
	if r.eventType == nil {
		r.eventType = p.EventType
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
	r.eventTime = p.Time
}

// prepare compiles schemes, handshakes and answers.
func (r *route) prepare(env *expr.Env) error {
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
		return fmt.Errorf("the secret does not match any of the provider's schemes: %w", r.whyNone(written))
	}
	for _, p := range r.proofs {
		r.hideOf(p)
		r.urlSecret = r.urlSecret || p.verifier.From.URL
	}
	return r.prepareAnswers(written)
}

// wanted records the parts of a body that keys, types and schemes read.
func (r *route) wanted() {
	r.unread = map[string]bool{}
	for _, name := range []string{"raw", "headers", "query", "method", "url", "path"} {
		read := r.list != nil && r.webhook.Data.Reads(name) || r.dataExpr.Reads(name)
		for _, e := range append([]*workflows.Expr{r.eventType, r.eventTime, r.list}, r.key...) {
			read = read || e.Reads(name)
		}
		r.unread[name] = !read
	}
	var headers value.FieldSet
	for _, e := range append([]*workflows.Expr{r.eventType, r.eventTime, r.list}, r.key...) {
		e.AddFields(&r.want, "body")
		e.AddFields(&headers, "headers")
	}
	if keys, all := headers.Keys(); !all && r.list == nil && !r.dataExpr.Reads("headers") {
		r.readHeaders = []string{}
		for _, k := range keys {
			r.readHeaders = append(r.readHeaders, strings.ToLower(k))
		}
	}
	if r.webhook.Schema != nil {
		r.want.Add() // the entire body
	}
	if r.list != nil && r.webhook.Data != nil {
		r.webhook.Data.AddFields(&r.want, "body")
	}
	for _, p := range r.proofs {
		v := p.written
		for _, path := range []string{v.From.JSON, v.Each, timestampJSON(v)} {
			if path != "" {
				r.want.AddPath(path)
			}
		}
		for _, text := range v.SignedContent {
			r.wantTemplate(text)
		}
		for _, q := range v.Require {
			r.wantFrom(q.Place)
		}
		if v.When != nil {
			v.When.Places.Each(func(f signature.Place, _ []string) { r.wantFrom(f) })
		}
		if v.Key != nil {
			r.wantTemplate(v.Key.URL)
		}
	}
	for _, h := range r.handshakes {
		h.reads(r)
	}
}

func (r *route) wantFrom(f signature.Place) {
	if f.JSON != "" {
		r.want.AddPath(f.JSON)
	}
}

// wantTemplate records the body fields that {json:path} in a template reads.
func (r *route) wantTemplate(text string) {
	if t, err := signature.ParseTemplate(text); err == nil {
		t.Reads(r.want.AddPath)
	}
}

func timestampJSON(v *workflows.Verify) string {
	if v.Timestamp == nil {
		return ""
	}
	return v.Timestamp.From.JSON
}
