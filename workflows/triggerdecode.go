package workflows

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"github.com/hookloom/hookloom/workflows/spelling"
	"gopkg.in/yaml.v3"
)

// trigger reads the inlets of a trigger from a map with webhook, poll, schedule.
func (d *decoder) trigger(name string, at Pos, o *objectNode) *Trigger {
	t := &Trigger{Name: name, File: d.name, Pos: at, src: d.source}
	if w := o.object("webhook"); w != nil {
		t.Webhook = d.webhook(name, w)
	}
	if p := o.object("poll"); p != nil {
		t.Poll = d.poll(p)
	}
	if v := o.vals["schedule"]; v != nil {
		nodes := []*yaml.Node{v}
		if v.Kind == yaml.SequenceNode {
			nodes = v.Content
		}
		for _, n := range nodes {
			if s := d.object(n, "schedule"); s != nil {
				t.Schedules = append(t.Schedules, d.schedule(s))
			}
		}
	}
	return t
}

func (d *decoder) common(o *objectNode) InletCommon {
	c := InletCommon{
		Key:    d.expressions(o.vals["key"]),
		Dedupe: DefaultDedupe,
		Sample: o.text("sample", ""),
		Start:  o.boolean("start", true),
	}
	if v := o.vals["data"]; v != nil {
		c.Data = d.expression(v)
	}
	if v := o.vals["dedupe"]; v != nil {
		c.Dedupe, c.DedupeWritten = 0, true
		if v.Value != "off" {
			c.Dedupe = o.duration("dedupe", DefaultDedupe)
		}
	}
	return c
}

func (d *decoder) webhook(name string, o *objectNode) *Webhook {
	w := &Webhook{InletCommon: d.common(o), Provider: o.text("provider", ""), Variant: o.text("variant", ""),
		CallbackURL: o.text("callback_url", ""),
		Params:      d.value(o.vals["params"]), Events: o.texts("events"), Path: o.text("path", "/hooks/"+name), Methods: o.texts("method"),
		MaxBody: o.size("max_body", 0), pos: o.pos(), pathPos: o.at("path"), providerPos: o.at("provider"), eventsPos: o.at("events"),
		eventPos: o.places("events")}
	d.webAddress(o, "callback_url")
	if v := o.vals["secret"]; v != nil {
		w.Secrets = d.secretValues(v)
	}
	if v := o.vals["event_type"]; v != nil {
		w.EventType = d.expression(v)
	}
	w.ReplaysBody = o.text("replays", "") == "body"
	if v := o.vals["split"]; v != nil {
		w.Split = d.expression(v)
	}
	if v := o.object("verify"); v != nil {
		w.Verify = d.verify(v)
	}
	if v := o.vals["auth"]; v != nil {
		w.AuthNone = v.Value == "none"
		if a := o.object("auth"); a != nil {
			w.Auth = d.auth(a)
		}
	}
	w.Schema = d.dataRule(o, Refuse)
	w.MediaTypes = d.mediaTypes(o)
	if w.MethodsWritten = len(w.Methods) > 0; !w.MethodsWritten {
		w.Methods = []string{"POST"}
	}
	for _, m := range w.Methods {
		if spelling.Nearest(m, methods) != m && !slices.Contains(methods, m) {
			d.add(o.at("method"), "unknown-word", fmt.Sprintf("method %q is not known", m), spelling.Suggest(m, methods))
		}
	}
	if w.MaxBody > LargestMaxBody {
		d.add(o.at("max_body"), "out-of-range", "max_body must be at most 32MiB", "")
	}
	d.webhookControls(o, w)
	w.Respond = d.respond(o)
	w.keyPos = o.at("key")
	d.reconcile(o, w)
	if x := o.object("expect"); x != nil {
		if w.Expect = Learned; x.text("within", "") != "learned" {
			w.Expect = x.duration("within", time.Hour)
		}
	}
	d.webhookProof(o, w)
	if !strings.HasPrefix(w.Path, "/") {
		d.add(o.at("path"), "bad-path", fmt.Sprintf("path %q does not begin with /", w.Path), "write /"+w.Path)
	}
	return w
}

// webhookControls reads who may call, and the rate and time limits.
func (d *decoder) webhookControls(o *objectNode, w *Webhook) {
	w.AllowIPs = d.prefixes(o, "allow_ips")
	if v := o.vals["allow_ips"]; v != nil {
		for _, n := range v.Content {
			w.AllowProvider = w.AllowProvider || n.Value == allowProvider
		}
		if w.AllowProvider && w.Provider == "" {
			d.add(o.at("allow_ips"), "needs-key", "allow_ips: [provider] needs provider:", "")
		}
	}
	w.Tolerance, w.Timeout = o.duration("tolerance", 0), o.duration("timeout", DefaultTimeout)
	if v := o.vals["rate"]; v != nil {
		if n, per, err := parseRate(v.Value); err == nil {
			w.RateLimit, w.RatePer = n, per
		}
	}
	if x := o.object("cors"); x != nil {
		w.Origins = x.texts("origins")
		for i, origin := range w.Origins {
			if w.Origins[i] = strings.ToLower(strings.TrimSpace(origin)); !origins.MatchString(w.Origins[i]) {
				d.add(x.at("origins"), "bad-address", fmt.Sprintf("%q is not an origin", origin),
					"write scheme and host alone, such as https://www.example.com")
			}
		}
	}
	if v := o.vals["client_cert"]; v != nil {
		w.ClientCert = v.Value == "true"
		if v.Kind == yaml.SequenceNode {
			w.ClientCert, w.ClientNames = true, o.texts("client_cert")
		} else if v.Value != "true" && v.Value != "false" {
			d.add(o.at("client_cert"), "wrong-type", "client_cert is true, or a list of names", "client_cert: [partner.example.com]")
		}
	}
}

// origins matches an origin as browsers send it (RFC 6454, section 6.2), or *.
var origins = lazyregexp.New(`^(?:\*|[a-z][a-z0-9+.-]*://[a-z0-9._\[\]:-]+)$`)

// allowProvider in allow_ips stands for the provider's published addresses.
const allowProvider = "provider"

func (d *decoder) secretValues(v *yaml.Node) []*Value {
	nodes := []*yaml.Node{v}
	if v.Kind == yaml.SequenceNode {
		nodes = v.Content
	}
	var out []*Value
	for _, n := range nodes {
		x := d.value(n)
		constant := x.kind == constantValue && !x.broken
		switch kind := x.outerKind(); {
		case kind == "a map" || kind == "a list":
			d.add(d.pos(n), "wrong-kind", "each secret is text, got "+kind, `write secret: "${{ secrets.NAME }}"`)
		case constant && (x.constant == nil || x.constant == ""):
			if v.Kind != yaml.SequenceNode {
				return nil // it counts as missing
			}
			d.add(d.pos(n), "weak-secret", "a secret in the list is empty", `remove it, or write "${{ secrets.NAME }}"`)
		case constant:
			d.hide(n.Value)
			d.add(d.pos(n), "secret-in-file", secretInFile, nameTheSecret)
		}
		out = append(out, x)
	}
	return out
}

// webhookProof requires authentication of the sender: a missing secret must be a load error, never
// a skipped check (CVE-2026-54308 in n8n).
func (d *decoder) webhookProof(o *objectNode, w *Webhook) {
	n := 0
	for _, k := range []string{"provider", "verify", "auth"} {
		if o.has(k) {
			n++
		}
	}
	// An empty list and an empty text are no secret.
	w.hasSecret = o.has("secret") && (o.vals["secret"] == nil || len(w.Secrets) > 0)
	switch {
	case n == 0 && w.hasSecret:
		d.add(o.pos(), "no-proof", "the secret alone does not say how to verify the sender", "add provider: generic, or your provider's name")
	case n == 1 && w.AuthNone && w.hasSecret:
		d.add(o.keyAt("secret"), "exclusive-keys", "the secret is never checked: auth: none accepts every request",
			"remove auth: none and add provider: generic or your provider's name, or remove secret:")
	case n == 1 && w.Auth != nil && w.hasSecret:
		d.warn(o.keyAt("secret"), "exclusive-keys", "the secret is never checked: auth: says how to verify the sender",
			"remove secret:, or replace auth: by provider: generic or your provider's name")
	case n == 0:
		d.add(o.pos(), "no-proof", "specify how to verify the sender: provider, verify or auth", "write auth: none to accept every request")
	case n > 1:
		d.add(o.pos(), "exclusive-keys", "provider, verify and auth are mutually exclusive", "keep one")
	case w.Verify != nil && w.Verify.Key == nil && len(w.Secrets) == 0 && !w.hasSecret:
		d.add(o.pos(), "missing-key", "verify needs secret:", "secret: ${{ secrets.NAME }}")
	}
}

func (d *decoder) prefixes(o *objectNode, name string) []netip.Prefix {
	var out []netip.Prefix
	v := o.vals[name]
	if v == nil {
		return nil
	}
	for _, n := range v.Content {
		if name == "allow_ips" && n.Value == allowProvider {
			continue
		}
		p, err := parsePrefix(n.Value)
		if err != nil {
			d.add(d.pos(n), "bad-address", fmt.Sprintf("%q is not an address or CIDR block", n.Value),
				"write 203.0.113.7 or 203.0.113.0/24")
			continue
		}
		out = append(out, p)
	}
	return out
}

func parsePrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		return netip.ParsePrefix(s)
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

func (d *decoder) respond(o *objectNode) *Respond {
	v := o.vals["respond"]
	if v == nil {
		return nil
	}
	if v.Kind == yaml.ScalarNode {
		return &Respond{Sync: v.Value == "sync", Timeout: DefaultRespondTimeout, Status: 200}
	}
	r := o.object("respond")
	if r == nil {
		return nil
	}
	out := &Respond{Sync: r.text("mode", "async") == "sync", Timeout: r.duration("timeout", DefaultRespondTimeout),
		Status:  r.integer("status", 200),
		Headers: d.value(r.vals["headers"]), Body: d.value(r.vals["body"])}
	if out.Timeout > LongestRespond {
		d.add(r.at("timeout"), "out-of-range", "timeout: at most 5m: senders give up, and send the event again",
			"remove mode: sync if the run needs longer")
	}
	if !out.Sync {
		if !r.has("status") {
			out.Status = 202
		}
		for k, v := range map[string]*Value{"body": out.Body, "headers": out.Headers} {
			if v != nil && v.kind != constantValue {
				d.add(r.at(k), "needs-key", k+" with an expression needs mode: sync",
					"an asynchronous response is sent before the run begins")
			}
		}
		if r.has("timeout") {
			d.add(r.keyAt("timeout"), "needs-key", "timeout needs mode: sync", "an asynchronous response is sent at once")
		}
	}
	return out
}

func (d *decoder) auth(o *objectNode) *Auth {
	n := 0
	for _, f := range o.shape.fields {
		if o.has(f.name) {
			n++
		}
	}
	if n > 1 || n == 0 && !o.unknown {
		d.add(o.pos(), "exclusive-keys", "auth takes exactly one of bearer, basic, header, query", "")
	}
	return d.fixedAuth(o)
}

// What is said of a user with a colon: RFC 7617, section 2, ends the user at the first one.
const (
	basicUserColon = "the user of basic authentication contains a colon, and the receiver would read the rest as part of the password"
	basicUserHint  = "write the part before the colon as user, and the part after it as password"
)

// fixedAuth reads the kinds of auth that send the same credential with each request.
func (d *decoder) fixedAuth(o *objectNode) *Auth {
	a := &Auth{Bearer: d.value(o.vals["bearer"])}
	if b := o.object("basic"); b != nil {
		if n := b.vals["user"]; n != nil && n.Kind == yaml.ScalarNode && !strings.Contains(n.Value, "${{") && strings.Contains(n.Value, ":") {
			d.add(d.pos(n), "bad-name", basicUserColon, basicUserHint)
		}
		a.BasicUser, a.BasicPassword = d.value(b.vals["user"]), d.value(b.vals["password"])
	}
	if h := o.object("header"); h != nil {
		a.HeaderName, a.HeaderValue = h.text("name", ""), d.value(h.vals["value"])
	}
	if q := o.object("query"); q != nil {
		a.QueryName, a.QueryValue = q.text("name", ""), d.value(q.vals["value"])
	}
	return a
}

// values calls visit for the parts of an auth that contain expressions.
func (a *Auth) values() []*Value {
	if a == nil {
		return nil
	}
	return slices.Concat([]*Value{a.Bearer, a.BasicUser, a.BasicPassword, a.HeaderValue, a.QueryValue}, a.OAuth2.values(), a.JWT.values(),
		a.SigV4.values(), a.TLS.values())
}

func (d *decoder) textMap(n *yaml.Node) map[string]string {
	if n == nil {
		return nil
	}
	out := map[string]string{}
	d.pairs(n, func(k, v *yaml.Node) {
		if d.scalar(v, k.Value) {
			out[k.Value] = v.Value
		}
	})
	return out
}

func (d *decoder) poll(o *objectNode) *Poll {
	p := &Poll{InletCommon: d.common(o), Provider: o.text("provider", ""), Every: o.duration("every", 0),
		Cron: o.text("cron", ""), Backfill: o.boolean("backfill", false),
		Compare: o.boolean("compare", false), MaxItems: o.integer("max_items", defaultMaxItems),
		Overlap: o.duration("overlap", 0), OverlapWritten: o.has("overlap"), MaxPages: 1,
		pos: o.pos(), cronPos: o.at("cron"), cursorPos: o.at("cursor")}
	if p.Dedupe == 0 {
		p.Dedupe = DefaultDedupe // otherwise each poll would create every event again
	}
	p.Schema = d.dataRule(o, MarkInvalid)
	d.listing(o, p)
	p.Timezone = d.timezone(o, "timezone")
	d.pollShape(o, p)
	return p
}

// listing reads how to list items.
func (d *decoder) listing(o *objectNode, p *Poll) {
	if r := o.object("request"); r != nil {
		p.Request = d.value(o.vals["request"])
		if a := r.object("auth"); a != nil {
			d.auth(a) // checks its shape
		}
	}
	if x := o.object("detail"); x != nil {
		p.Detail = d.value(o.vals["detail"])
		if a := x.object("auth"); a != nil {
			d.auth(a)
		}
	}
	if pg := o.object("pages"); pg != nil {
		p.MaxPages = pg.integer("max", defaultMaxPages)
		p.Pages = d.paging(pg)
	}
	for name, to := range map[string]**Expr{"items": &p.Items, "cursor": &p.Cursor, "event_type": &p.EventType} {
		if v := o.vals[name]; v != nil {
			*to = d.expression(v)
		}
	}
	p.PerItem = p.Cursor != nil && p.Cursor.Reads("item")
}

// reconcile reads the listing that finds missed webhooks.
func (d *decoder) reconcile(o *objectNode, w *Webhook) {
	r := o.object("reconcile")
	if r == nil {
		return
	}
	p := &Poll{InletCommon: d.common(r), Every: r.duration("every", 15*time.Minute),
		MaxItems: r.integer("max_items", defaultMaxItems), Overlap: r.duration("overlap", 0), OverlapWritten: r.has("overlap"), MaxPages: 1,
		pos: o.keyAt("reconcile"), cursorPos: r.at("cursor")}
	if p.Every < 5*time.Second {
		d.add(r.at("every"), "out-of-range", "every must be at least 5s", "")
	}
	d.listing(r, p)
	p.Provider, p.Schema = w.Provider, w.Schema
	p.Dedupe = max(w.Dedupe, DefaultDedupe)
	w.Reconcile = p
}

// UseListing sets what the file does not set from a preset's listing.
func (p *Poll) UseListing(list *Poll) {
	if list == nil || p.Request != nil {
		return
	}
	p.Request, p.Detail, p.Items, p.Pages, p.MaxPages = list.Request, list.Detail, list.Items, list.Pages, list.MaxPages
	if p.Cursor == nil {
		p.Cursor, p.PerItem = list.Cursor, list.PerItem
	}
	if len(p.Key) == 0 {
		p.Key = list.Key
	}
	if p.Data == nil {
		p.Data = list.Data
	}
	if p.EventType == nil {
		p.EventType = list.EventType
	}
	if p.Overlap == 0 {
		p.Overlap = list.Overlap
	}
}

func (d *decoder) pollShape(o *objectNode, p *Poll) {
	preset := o.has("provider")
	if !preset && !o.has("request") && !d.misspelt[fieldOfNode{o.node, "request"}] {
		d.add(o.pos(), "missing-key", "poll needs request:", `write request: {url: "https://api.example.com/orders"}`)
	}
	d.when(o, "poll", "every: 5m")
	if o.has("every") && p.Every < 5*time.Second && o.vals["every"] != nil {
		d.add(o.at("every"), "out-of-range", "every must be at least 5s", "")
	}
	if !preset && !o.has("key") && !o.has("cursor") {
		d.add(o.pos(), "poll-without-key", "without key: every poll would start a run for every item", "key: item.id")
	}
	if o.has("overlap") && !o.has("cursor") && !preset {
		d.add(o.keyAt("overlap"), "needs-key", "overlap needs cursor", "")
	}
	if o.has("timezone") && !o.has("cron") {
		d.add(o.keyAt("timezone"), "needs-key", "timezone needs cron", "")
	}
}

// when checks that exactly one of every and cron is set.
func (d *decoder) when(o *objectNode, what, hint string) {
	cron := o.vals["cron"]
	switch every := o.has("every"); {
	case every && cron != nil:
		d.add(o.pos(), "exclusive-keys", what+" needs every or cron, not both", "drop one of them")
	case !every && cron == nil && d.misspelt[fieldOfNode{o.node, "every"}]:
		// reported as an unknown key
	case !every && cron == nil:
		d.add(o.pos(), "missing-key", what+" needs every: or cron:", hint)
	case cron != nil && strings.TrimSpace(o.text("cron", "")) == "":
		d.add(o.at("cron"), "bad-cron", "cron is empty", "minute hour day month weekday, such as 0 7 * * 1-5")
	}
}

func (d *decoder) schedule(o *objectNode) *Schedule {
	s := &Schedule{InletCommon: d.common(o), ID: o.text("id", ""), Cron: o.text("cron", ""),
		Every: o.duration("every", 0), Timezone: d.timezone(o, "timezone"),
		Missed: o.text("missed", "skip"), Jitter: o.duration("jitter", 0), cronPos: o.at("cron")}
	d.when(o, "a schedule", `cron: "0 7 * * 1-5"`)
	if o.has("every") && s.Every < time.Second && o.vals["every"] != nil {
		d.add(o.at("every"), "out-of-range", "every must be at least 1s", "")
	}
	key, every := "every", s.Every
	if text, ok := strings.CutPrefix(s.Cron, "@every "); ok {
		key = "cron"
		every, _ = time.ParseDuration(strings.TrimSpace(text))
	}
	if every >= time.Second && every < 10*time.Second {
		d.warn(o.at(key), "often", fmt.Sprintf("this is %d events a day, each kept in the history", 24*time.Hour/every),
			"write a longer interval, such as every: 1m, if that is often enough")
	}
	return s
}
