package workflows

import (
	"fmt"
	"maps"
	"mime"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/spelling"
	"gopkg.in/yaml.v3"
)

// Preset describes a provider's webhooks.
type Preset struct {
	Name, Title, Category, Docs, Confidence string
	Aliases, Sources                        []string
	// SecretName is the provider's name for the secret.
	SecretName string
	// SecretOptional reports whether the provider's published key is fetched if no secret is set.
	SecretOptional bool
	Params         []PresetParam
	// Setup lists the steps in the provider's dashboard; Delivery describes its retries.
	Setup    []string
	Delivery Delivery
	// IPs are the addresses that the provider publishes.
	IPs       []netip.Prefix
	IPsAsOf   string
	IPsSource string
	Verify    []*Verify
	// ProvesProvider reports whether the signature proves only that the provider sent the delivery:
	// each of its customers can have it send to any address.
	ProvesProvider bool
	// Methods are the HTTP methods of deliveries; none for POST.
	Methods []string
	// MediaTypes are the media types that the provider sends. A body with another type is parsed as
	// the first; empty if unknown.
	MediaTypes []string
	Handshakes []*Handshake
	// Answer is the response to a stored delivery, Refusal to one that failed verification; nil for
	// the default responses.
	Answer, Refusal *Respondent
	// BodyFromToken uses the claims of the token as the event's body.
	BodyFromToken bool
	Key           []*Expr
	// Split selects the list of events in a delivery; nil if each delivery is one event.
	Split *Expr
	// Batch selects the list of events that a delivery may contain. It is one event, with the type
	// of its first element, unless the trigger splits it.
	Batch *Expr
	// CommonIDs reports whether senders may use one of the common id headers.
	CommonIDs bool
	// IDSigned is false if a replay could change the id without breaking the signature; deliveries
	// are then also identified by their body.
	IDSigned bool
	// Dedupe is how long keys are remembered by default; 0 for the general default of 30d. The
	// content of a delivery without a key is remembered as long; 0 for the default of 1m.
	Dedupe time.Duration
	// Retries describes the provider's retries.
	Retries Retries
	// MaxBody is the provider's maximum body size in bytes, the default of a trigger's max_body; 0
	// if it documents none.
	MaxBody    int64
	EventType  *Expr
	Data, Time *Expr
	// APIVersion is the version of the provider's API that made a delivery; nil if deliveries do not have
	// one.
	APIVersion *Expr
	Events     []string
	// List describes how to list past events; nil if the provider has no API for it.
	List   *Poll
	Sample *Sample
	Notes  []string
}

// PresetParam is an additional configuration value of a preset.
type PresetParam struct {
	Name, Default, Help string
	Required            bool
	// Customer distinguishes this customer's deliveries from those of others.
	Customer bool
}

// Delivery describes how a provider delivers, in its own words.
type Delivery struct{ Timeout, Retry, Success string }

// Experimental reports whether the facts are from memory and unconfirmed.
func (p *Preset) Experimental() bool { return p.Confidence == "memory" }

// Captures reports whether the provider delivers its secret in a handshake, so that it may have no
// value at first.
func (p *Preset) Captures() bool {
	for _, h := range p.Handshakes {
		if h.Capture != "" {
			return true
		}
	}
	return false
}

// Param returns the parameter with a name.
func (p *Preset) Param(name string) *PresetParam {
	for i := range p.Params {
		if p.Params[i].Name == name {
			return &p.Params[i]
		}
	}
	return nil
}

// Sample is a realistic delivery of a provider, for hookloom send.
type Sample struct {
	Headers             map[string]string
	Type                string
	TypeHeader, IDField string
	TypeJSON, IDHeader  string
	ContentType         string
	Body                any
	// Bodies are those of other types, by the type or the part of it before the first dot.
	Bodies map[string]any
}

// BodyOf returns the body of a type, and whether the sample has one.
func (s *Sample) BodyOf(kind string) (any, bool) {
	head, _, _ := strings.Cut(kind, ".")
	for _, name := range []string{kind, head} {
		if b, ok := s.Bodies[name]; ok {
			return b, true
		}
	}
	return s.Body, kind == s.Type
}

// BodyTypes returns the types of which the sample has a body.
func (s *Sample) BodyTypes() []string {
	return append([]string{s.Type}, slices.Sorted(maps.Keys(s.Bodies))...)
}

// ParsePreset parses a provider file, such as those embedded in package triggers.
func ParsePreset(name string, text []byte) (*Preset, error) {
	src := newSource(name, text)
	d := &decoder{source: src}
	var p *Preset
	if root := d.parse(); root != nil {
		if o := d.object(root, "preset"); o != nil {
			p = d.preset(o)
		}
	}
	if len(src.mistakes) > 0 {
		return nil, src.mistakes.sorted()
	}
	return p, nil
}

func (d *decoder) preset(o *objectNode) *Preset {
	p := &Preset{Name: o.text("provider", ""), Title: o.text("title", ""), Category: o.text("category", ""),
		Docs: o.text("docs", ""), Confidence: o.text("confidence", ""),
		Sources: o.texts("sources"), SecretName: o.text("secret", ""),
		SecretOptional: o.boolean("secret_optional", false), Setup: o.texts("setup"), Methods: o.texts("methods"),
		BodyFromToken: o.has("body_from"), Events: o.texts("events"), Notes: o.texts("notes"),
		Key: d.expressions(o.vals["key"]), Aliases: o.texts("aliases"),
		IDSigned: o.boolean("id_signed", true), Dedupe: o.duration("dedupe", 0), Retries: d.retries(o), Handshakes: d.handshakes(o),
		ProvesProvider: o.has("proves"), MediaTypes: d.mediaTypes(o), CommonIDs: o.boolean("common_ids", false)}
	if v := o.vals["verify"]; v != nil {
		for _, n := range v.Content {
			if x := d.object(n, "verify"); x != nil {
				p.Verify = append(p.Verify, d.verify(x))
			}
		}
	}
	if v := o.vals["params"]; v != nil {
		d.pairs(v, func(k, n *yaml.Node) {
			if x := d.object(n, "preset_param"); x != nil {
				p.Params = append(p.Params, PresetParam{
					Name:     k.Value,
					Default:  x.text("default", ""),
					Help:     x.text("help", ""),
					Required: x.boolean("required", false),
					Customer: x.boolean("customer", false),
				})
			}
		})
	}
	if x := o.object("delivery"); x != nil {
		p.Delivery = Delivery{x.text("timeout", ""), x.text("retry", ""), x.text("success", "")}
	}
	if x := o.object("ips"); x != nil {
		p.IPs, p.IPsAsOf, p.IPsSource = d.prefixes(x, "ranges"), x.text("as_of", ""), x.text("source", "")
	}
	for name, to := range map[string]**Respondent{"answer": &p.Answer, "refusal": &p.Refusal} {
		if x := o.object(name); x != nil {
			r := d.respondent(x)
			*to = &r
		}
	}
	if p.MaxBody = o.size("max_body", 0); p.MaxBody > LargestMaxBody {
		d.add(o.at("max_body"), "out-of-range", "max_body must be at most 32MiB", "")
	}
	d.presetExprs(o, p)
	if x := o.object("list"); x != nil {
		p.List = &Poll{InletCommon: InletCommon{Key: d.expressions(x.vals["key"])}, MaxPages: 1, Overlap: x.duration("overlap", 0)}
		if v := x.vals["data"]; v != nil {
			p.List.Data = d.expression(v)
		}
		d.listing(x, p.List)
		if n := x.vals["setup"]; n != nil {
			p.List.Setup = n.Value // shown, never evaluated
		}
		p.List.WebhookKey = d.expressions(x.vals["webhook_key"])
		pollExprs(p.List)
	}
	if s := o.object("sample"); s != nil {
		p.Sample = &Sample{Headers: d.textMap(s.vals["headers"]), Type: s.text("type", ""),
			TypeHeader: s.text("type_header", ""), TypeJSON: s.text("type_json", ""),
			IDHeader: s.text("id_header", ""), IDField: s.text("id_json", ""), ContentType: s.text("content_type", "application/json")}
		if b := s.vals["body"]; b != nil {
			p.Sample.Body = d.literal(b)
		}
		if b := s.vals["bodies"]; b != nil {
			p.Sample.Bodies, _ = d.literal(b).(map[string]any)
		}
	}
	return p
}

// mediaTypes reads a list of types without parameters.
func (d *decoder) mediaTypes(o *objectNode) []string {
	list := o.texts("media_types")
	for _, t := range list {
		kind, params, err := mime.ParseMediaType(t)
		if err != nil || kind != t || len(params) > 0 || !strings.Contains(t, "/") {
			d.add(o.at("media_types"), "wrong-type",
				fmt.Sprintf("%q is not a media type: write it in lower case and without parameters", t), "media_types: [application/json]")
		}
	}
	return list
}

func (d *decoder) presetExprs(o *objectNode, p *Preset) {
	sc := &expr.Scope{Where: "a preset", Names: webhookNames()}
	for name, to := range map[string]**Expr{"split": &p.Split, "batch": &p.Batch} {
		if v := o.vals[name]; v != nil {
			if *to = d.expression(v); *to != nil {
				(*to).check(sc, reflect.Invalid)
			}
		}
	}
	// Nil if a delivery is one event; a trigger may split it even if its preset does not.
	sc.Names["item"] = expr.Any
	for name, to := range map[string]**Expr{"event_type": &p.EventType, "data": &p.Data, "time": &p.Time,
		"api_version": &p.APIVersion} {
		if v := o.vals[name]; v != nil {
			if *to = d.expression(v); *to != nil {
				(*to).check(sc, reflect.Invalid)
			}
		}
	}
	for _, e := range p.Key {
		e.check(sc, reflect.Invalid)
	}
}

// variant returns the scheme with a name; "any" and "" stand for all of them.
func (p *Preset) variant(name string) *Verify {
	for _, v := range p.Verify {
		if v.Variant == name || name == "" || name == AnyVariant {
			return v
		}
	}
	return nil
}

// AnyVariant is the variant that stands for all schemes of a provider that prove as much as its
// strongest.
const AnyVariant = "any"

// Preset returns the preset of a webhook, nil if it names none.
func (p *Project) Preset(w *Webhook) *Preset {
	if w == nil || w.Provider == "" {
		return nil
	}
	return p.Presets.Get(w.Provider)
}

// MaxBody returns the maximum body size of a webhook in bytes: the one in the file, else the
// provider's, else DefaultMaxBody.
func (p *Project) MaxBody(w *Webhook) int64 {
	if w.MaxBody > 0 {
		return w.MaxBody
	}
	if x := p.Preset(w); x != nil {
		return max(x.MaxBody, DefaultMaxBody)
	}
	return DefaultMaxBody
}

// Presets provides provider presets by name. It reads only those requested, since most projects use
// two or three of two hundred.
type Presets interface {
	// Get returns a preset by name or alias, nil if there is none.
	Get(name string) *Preset
	// Names lists all names, without aliases, sorted.
	Names() []string
}

// presetOf looks up a preset; all may be nil.
func presetOf(all Presets, name string) *Preset {
	if all == nil || name == "" {
		return nil
	}
	return all.Get(name)
}

// maxAPIVersion bounds the version that a delivery states, in bytes.
const maxAPIVersion = 40

// APIVersion returns the version of the provider's API that a received event states; empty if it states
// none. names are what expressions see of the event; an event of a poll has the version in its headers.
func (p *Project) APIVersion(trigger string, headers map[string]string, names map[string]any) string {
	t := p.Triggers[trigger]
	if t == nil {
		return ""
	}
	if names["inlet"] == string(InletPoll) {
		return headers[PollVersionHeader]
	}
	if t.Webhook == nil || names["body"] == nil {
		return ""
	}
	return presetOf(p.Presets, t.Webhook.Provider).version(names)
}

// ItemVersion returns the version of the API that a polled item states, in the way of the deliveries of
// the poll's provider; otherwise the one that the request of the poll names.
func (p *Project) ItemVersion(poll *Poll, item any) string {
	if preset := presetOf(p.Presets, poll.Provider); preset != nil {
		if v := preset.version(map[string]any{"body": item, "headers": map[string]any{}, "query": map[string]any{}}); v != "" {
			return v
		}
	}
	return p.PolledVersion(poll)
}

// version returns the version of the API that a delivery states; empty for none.
func (p *Preset) version(names map[string]any) string {
	preset := p
	if preset == nil || preset.APIVersion == nil || !preset.APIVersion.Compiled() {
		return ""
	}
	v, err := preset.APIVersion.Eval(&expr.Env{Names: expr.Names{"body": names["body"], "headers": names["headers"], "query": names["query"],
		"raw": "", "method": "POST", "url": "", "path": "", "claims": nil, "item": nil}, Now: time.Unix(0, 0)})
	text, ok := v.(string)
	if err != nil || !ok || len(text) > maxAPIVersion || strings.Contains(text, Mask) {
		return ""
	}
	return text
}

// checkPreset checks the provider settings of a webhook.
func (c *checker) checkPreset(t *Trigger, w *Webhook) {
	p := presetOf(c.catalog.Presets, w.Provider)
	if p == nil {
		var names []string
		if c.catalog.Presets != nil {
			names = c.catalog.Presets.Names()
		}
		t.src.add(w.providerPos, "unknown-provider", fmt.Sprintf("no provider %q", w.Provider), spelling.Suggest(w.Provider, names))
		return
	}
	if w.Variant != "" && p.variant(w.Variant) == nil {
		var names []string
		for _, v := range p.Verify {
			names = append(names, v.Variant)
		}
		t.src.add(w.pos, "unknown-provider", fmt.Sprintf("provider %s has no variant %q", w.Provider, w.Variant),
			spelling.Suggest(w.Variant, names))
	}
	if len(w.Secrets) == 0 && !p.SecretOptional && !w.hasSecret {
		t.src.add(w.pos, "missing-key", fmt.Sprintf("provider %s needs secret:", w.Provider), "secret: ${{ secrets.NAME }}")
	}
	var names []string
	for _, x := range p.Params {
		names = append(names, x.Name)
		if x.Required && !slices.Contains(w.Params.Keys(), x.Name) {
			t.src.add(w.pos, "missing-key", fmt.Sprintf("provider %s needs params: {%s: ...}", w.Provider, x.Name), x.Help)
		}
	}
	for _, k := range w.Params.Keys() {
		if !slices.Contains(names, k) && k != "user" && !p.takesParam(k) {
			t.src.add(w.pos, "unknown-key", fmt.Sprintf("provider %s has no parameter %q", w.Provider, k), spelling.Suggest(k, names))
		}
	}
	c.warnOfOthers(t, w, p)
	if w.AllowProvider && len(p.IPs) == 0 {
		t.src.add(w.pos, "bad-address", fmt.Sprintf("the addresses of provider %s are not known", w.Provider),
			"list them in allow_ips, or leave it out")
	}
	c.eventNames(t.src, w.eventPos, w, w.Events)
	c.batchTypes(t.src, w.eventsPos, w, w.Events)
}

// warnOfOthers warns that the signature does not distinguish the provider's customers.
func (c *checker) warnOfOthers(t *Trigger, w *Webhook, p *Preset) {
	if !p.ProvesProvider || w.Variant != "" && w.Variant != AnyVariant && p.variant(w.Variant) != nil && p.variant(w.Variant).Explicit {
		return
	}
	hint := "check in each rule that the event is yours: by account, project or an id that you chose"
	for _, x := range p.Params {
		if !x.Customer {
			continue
		}
		if slices.Contains(w.Params.Keys(), x.Name) {
			return
		}
		hint = fmt.Sprintf("set params: {%s: ...}: %s", x.Name, x.Help)
	}
	t.src.warn(w.pos, "proves-provider",
		fmt.Sprintf("provider %s signs with the same key for all of its customers: "+
			"any of them can have it send events to this trigger", p.Name), hint)
}

// takesParam reports whether a scheme uses the parameter as its secret.
func (p *Preset) takesParam(name string) bool {
	for _, v := range p.Verify {
		if v.SecretParam == name {
			return true
		}
	}
	return false
}
