package workflows

import (
	"fmt"
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

// Preset is what Hookloom knows of one provider's webhooks.
type Preset struct {
	Name, Title, Category, Docs, Confidence string
	Aliases, Sources                        []string
	// SecretName is what the provider's dashboard calls the secret.
	SecretName string
	// SecretOptional reports whether the provider's published key is fetched when no
	// secret pins one.
	SecretOptional bool
	Params         []PresetParam
	// Setup are the steps in the provider's dashboard; Delivery how it retries.
	Setup    []string
	Delivery Delivery
	// IPs are the addresses that it publishes.
	IPs       []netip.Prefix
	IPsAsOf   string
	IPsSource string
	Verify    []*Verify
	// ProvesProvider reports whether the proof says no more than that the provider sent it:
	// all of its customers can have it send to any address.
	ProvesProvider bool
	// Methods are those of deliveries; none for POST.
	Methods []string
	// MediaTypes are those that it sends. A body that is declared as another is read
	// as the first; none where what it sends is not known.
	MediaTypes []string
	Handshakes []*Handshake
	// Answer is what the provider must hear for a stored delivery, Refusal for one
	// that is not genuine; nil for the answers that all hear.
	Answer, Refusal *Respondent
	// BodyFromToken makes the claims of the token the event's body.
	BodyFromToken bool
	Key           []*Expr
	// Split is the list that the provider's deliveries are, each element an event; nil
	// for one event a delivery.
	Split *Expr
	// Batch is the list in which a delivery may bring several events. It is one event unless the
	// trigger splits it, of the type of its first element.
	Batch *Expr
	// CommonIDs reports whether senders name events by a common id header.
	CommonIDs bool
	// IDSigned is false when a replay could change the id without breaking the
	// signature; deliveries are then known by their body too.
	IDSigned bool
	// Dedupe is how long keys are remembered by default; 0 for the language's 30d. What
	// has no key is remembered by its content as long; 0 for the language's 1m.
	Dedupe time.Duration
	// Retries is how the provider repeats a delivery.
	Retries Retries
	// MaxBody is the provider's largest body in bytes, the default of a trigger's
	// max_body; 0 where it documents none.
	MaxBody    int64
	EventType  *Expr
	Data, Time *Expr
	Events     []string
	// List is how to ask the provider for what it sent; nil where it has no API for it.
	List   *Poll
	Sample *Sample
	Notes  []string
}

// PresetParam is one further configuration value of a preset.
type PresetParam struct {
	Name, Default, Help string
	Required            bool
	// Customer tells this customer's deliveries from those of others.
	Customer bool
}

// Delivery is how a provider delivers, in its own words.
type Delivery struct{ Timeout, Retry, Success string }

// Experimental reports whether the facts are from memory and not checked.
func (p *Preset) Experimental() bool { return p.Confidence == "memory" }

// Captures reports whether the provider hands its secret over in a handshake, so
// that it may be unset at first.
func (p *Preset) Captures() bool {
	for _, h := range p.Handshakes {
		if h.Capture != "" {
			return true
		}
	}
	return false
}

// Param finds a parameter by name.
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
}

// ParsePreset reads a provider file, such as those embedded in triggers.
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
		d.add(o.at("max_body"), "out-of-range", "max_body is at most 32MiB", "")
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
	// Nil where a delivery is one event; a trigger may split what its preset does not.
	sc.Names["item"] = expr.Any
	for name, to := range map[string]**Expr{"event_type": &p.EventType, "data": &p.Data, "time": &p.Time} {
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

// variant finds a scheme by name; any and no name stand for all of them.
func (p *Preset) variant(name string) *Verify {
	for _, v := range p.Verify {
		if v.Variant == name || name == "" || name == AnyVariant {
			return v
		}
	}
	return nil
}

// AnyVariant is the variant that stands for all schemes of a provider that prove
// as much as its best.
const AnyVariant = "any"

// Preset returns the preset of a webhook, nil when it names none.
func (p *Project) Preset(w *Webhook) *Preset {
	if w == nil || w.Provider == "" {
		return nil
	}
	return p.Presets.Get(w.Provider)
}

// MaxBody is the largest body that a webhook takes, in bytes: what is written,
// else the largest that its provider sends, else DefaultMaxBody.
func (p *Project) MaxBody(w *Webhook) int64 {
	if w.MaxBody > 0 {
		return w.MaxBody
	}
	if x := p.Preset(w); x != nil {
		return max(x.MaxBody, DefaultMaxBody)
	}
	return DefaultMaxBody
}

// Presets gives provider presets by name. Only those that are asked for are
// read: most projects use two or three of two hundred.
type Presets interface {
	// Get returns a preset by name or alias, nil when there is none.
	Get(name string) *Preset
	// Names lists all names, without aliases, sorted.
	Names() []string
}

// presetOf looks a preset up; it stands where the catalog may have none.
func presetOf(all Presets, name string) *Preset {
	if all == nil || name == "" {
		return nil
	}
	return all.Get(name)
}

// checkPreset checks what a webhook says of its provider.
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
	c.eventNames(t.src, w.eventsPos, w, w.Events)
	c.batchTypes(t.src, w.eventsPos, w, w.Events)
}

// warnOfOthers says that a proof does not tell the customers of a provider apart.
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

// takesParam reports whether a scheme names the parameter as its secret.
func (p *Preset) takesParam(name string) bool {
	for _, v := range p.Verify {
		if v.SecretParam == name {
			return true
		}
	}
	return false
}
