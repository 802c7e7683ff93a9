package workflows

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/workflows/spelling"
	"gopkg.in/yaml.v3"
)

// Verify is a method of verifying deliveries, in a provider preset or in verify: of a project: a
// signature scheme, and when it applies.
type Verify struct {
	signature.Scheme
	// Explicit is true for schemes that prove less than the provider's others: they are used only
	// if variant: selects them.
	Explicit bool
	// SecretPrefix restricts the scheme to secrets with this prefix.
	SecretPrefix string
	// SecretNth, from 1, ties the scheme to one of several secrets; SecretParam names a parameter
	// that may contain it instead.
	SecretNth   int
	SecretParam string
	When        *Detect
	// SingleUse says whether equal signed content means the same delivery; if it is nil,
	// SignsMoment decides.
	SingleUse  *bool
	Handshakes []*Handshake
}

// Places are texts at positions in a request.
type Places struct {
	Header, Query, Form, JSON, XML map[string][]string
}

// Empty reports whether no place is named.
func (p *Places) Empty() bool {
	return len(p.Header)+len(p.Query)+len(p.Form)+len(p.JSON)+len(p.XML) == 0
}

// Each calls visit for each place by kind and name, with its texts.
func (p *Places) Each(visit func(at signature.Place, texts []string)) {
	for _, kind := range []struct {
		texts map[string][]string
		at    func(name string) signature.Place
	}{
		{p.Header, func(n string) signature.Place { return signature.Place{Header: n} }},
		{p.Query, func(n string) signature.Place { return signature.Place{Query: n} }},
		{p.Form, func(n string) signature.Place { return signature.Place{Form: n} }},
		{p.JSON, func(n string) signature.Place { return signature.Place{JSON: n} }},
		{p.XML, func(n string) signature.Place { return signature.Place{XML: n} }},
	} {
		for _, name := range slices.Sorted(maps.Keys(kind.texts)) {
			visit(kind.at(name), kind.texts[name])
		}
	}
}

// Detect recognizes a request by its content; all conditions must hold. The value * stands for any
// text, ! for a missing value, [] for an empty list.
type Detect struct {
	Methods []string
	Places
}

// Handshake is a special request by which a provider verifies the URL. It is answered without
// creating an event.
type Handshake struct {
	Detect        Detect
	VerifyFirst   bool
	Check         Places
	CheckOptional bool
	Compute       *Compute
	// Capture is a template of the secret that the provider delivers.
	Capture string
	Visit   *Visit
	// Refuse is the response status if the check fails.
	Refuse  int
	Respond Respondent
}

// Compute is a value of a response that proves knowledge of the secret.
type Compute struct{ Algorithm, KeyEncoding, Message, Matches, Encoding string }

// Visit is a URL that confirms the endpoint when it is requested.
type Visit struct {
	URL   string
	Hosts []string
}

// Respondent is a response; Body and Headers are templates.
type Respondent struct {
	Status            int
	ContentType, Body string
	Headers           map[string]string
	// HasBody reports whether a body is given, even an empty one.
	HasBody bool
}

func (d *decoder) verify(o *objectNode) *Verify {
	v := &Verify{Explicit: o.boolean("explicit", false), SecretPrefix: o.text("secret_prefix", ""), Scheme: d.scheme(o)}
	if w := o.object("when"); w != nil {
		det := d.detect(w)
		v.When = &det
	}
	if s := o.object("secret"); s != nil {
		v.SecretNth, v.SecretParam = s.integer("nth", 0), s.text("param", "")
	}
	v.SingleUse = d.singleUse(o)
	v.Handshakes = d.handshakes(o)
	if v.Algorithm == "jwt" && v.JWT == nil {
		d.add(o.pos(), "needs-key", "algorithm jwt needs jwt:", "jwt: {algorithms: [HS256]}")
	}
	d.checkSignedContent(o, v)
	return v
}

// scheme reads what is computed from a request.
func (d *decoder) scheme(o *objectNode) signature.Scheme {
	v := signature.Scheme{
		Variant:       o.text("variant", "default"),
		Algorithm:     o.text("algorithm", ""),
		KeyEncoding:   o.text("key_encoding", "utf8"),
		SignedContent: o.texts("signed_content"),
		Body:          o.text("body", ""),
		Each:          o.text("each", ""),
	}
	token := v.Algorithm == "static-token" || v.Algorithm == "basic-auth" || v.Algorithm == "jwt"
	if len(v.SignedContent) == 0 && !token {
		v.SignedContent = []string{"{body}"}
	}
	if s := o.object("signature"); s != nil {
		d.signatureFrom(s, &v)
	}
	if t := o.object("timestamp"); t != nil {
		v.Timestamp = &signature.Timestamp{Unit: t.text("unit", ""), Tolerance: t.duration("tolerance", 5*time.Minute)}
		if f := t.object("from"); f != nil {
			v.Timestamp.From = d.from(f)
		}
	}
	if k := o.object("key"); k != nil {
		v.Key = d.keySource(k)
	}
	for _, key := range []string{"require", "require_if_set"} {
		if r := o.object(key); r != nil {
			places := d.places(r)
			places.Each(func(at signature.Place, want []string) {
				v.Require = append(v.Require, signature.Requirement{Place: at, Want: want, IfSet: key == "require_if_set"})
			})
		}
	}
	if j := o.object("jwt"); j != nil {
		v.JWT = d.jwt(j)
	}
	return v
}

// signatureFrom reads where signatures are and how they are encoded.
func (d *decoder) signatureFrom(s *objectNode, out *signature.Scheme) {
	out.Prefix, out.PrefixOptional, out.Encodings = s.text("prefix", ""), s.boolean("prefix_optional", false), s.texts("encoding")
	for _, e := range out.Encodings {
		if !slices.Contains(signature.Encodings, e) {
			d.add(s.at("encoding"), "unknown-word", fmt.Sprintf("encoding %q is not known", e), spelling.Suggest(e, signature.Encodings))
		}
	}
	if f := s.object("from"); f != nil {
		out.From = d.from(f)
	}
	if p := s.object("parse"); p != nil {
		out.Parse = signature.Parse{
			Format:        p.text("format", ""),
			Separator:     p.text("separator", ","),
			TimestampKey:  p.text("timestamp_key", ""),
			Select:        p.text("select", ""),
			KeyID:         p.text("key_id", ""),
			Sample:        p.text("sample", ""),
			SignatureKeys: p.texts("signature_key"),
			Versions:      p.texts("accept_versions"),
			Groups:        p.boolean("groups", false),
		}
		d.checkParse(p, &out.Parse)
	}
}

// checkParse reports missing keys that a format requires.
func (d *decoder) checkParse(o *objectNode, p *signature.Parse) {
	need := map[string]string{"kv_list": "signature_key", "space_list": "accept_versions", "pair_list": "select",
		"json_base64": "signature_key"}[p.Format]
	if need != "" && !o.has(need) {
		d.add(o.pos(), "missing-key", fmt.Sprintf("format %s needs %s:", p.Format, need), "")
	}
	if p.Separator == "" {
		d.add(o.at("separator"), "out-of-range", "a separator must not be empty", "")
	}
}

func (d *decoder) keySource(k *objectNode) *signature.KeySource {
	out := &signature.KeySource{
		URL:      k.text("url", ""),
		Method:   k.text("method", "GET"),
		Body:     signature.EscapeJSON(k.text("body", "")),
		Headers:  d.textMap(k.vals["headers"]),
		Hosts:    k.texts("hosts"),
		Suffix:   k.text("suffix", ""),
		Format:   k.text("format", ""),
		At:       k.text("at", ""),
		KID:      k.text("kid", ""),
		Chain:    k.boolean("chain", false),
		Root:     k.text("root", ""),
		Purposes: k.texts("purposes"),
		Cache:    k.duration("cache", time.Hour),
	}
	if t := k.object("token"); t != nil {
		out.Token = &signature.TokenSource{URL: t.text("url", ""), ID: t.text("id", ""), Secret: t.text("secret", ""), Scope: t.text("scope", "")}
	}
	return out
}

func (d *decoder) jwt(j *objectNode) *signature.JWT {
	out := &signature.JWT{
		Algorithms: j.texts("algorithms"),
		Present:    j.texts("present"),
		Leeway:     j.duration("leeway", 0),
		MaxAge:     j.duration("max_age", 0),
		Detached:   j.boolean("detached", false),
	}
	either := d.textMap(j.vals["either"])
	for _, key := range []string{"claims", "optional_claims"} {
		claims := d.textsMap(j.vals[key])
		for _, name := range slices.Sorted(maps.Keys(claims)) {
			c := signature.Claim{Name: name, Either: either[name], Want: claims[name], Optional: key == "optional_claims"}
			out.Claims = append(out.Claims, c)
		}
	}
	for i, a := range out.Algorithms {
		if i > 0 && strings.HasPrefix(a, "HS") != strings.HasPrefix(out.Algorithms[0], "HS") {
			d.add(j.at("algorithms"), "exclusive-keys",
				"shared secrets (HS) and public keys cannot be mixed: a public key could be used as a secret", "write two variants")
		}
	}
	if h := j.vals["hashes"]; h != nil {
		d.pairs(h, func(k, n *yaml.Node) {
			if x := d.object(n, "jwt_hash"); x != nil {
				out.Hashes = append(out.Hashes, signature.ClaimHash{Name: k.Value, Of: x.text("of", ""), Encoding: x.text("encoding", ""),
					EmptyAbsent: x.boolean("empty_absent", false)})
			}
		})
		slices.SortFunc(out.Hashes, func(a, b signature.ClaimHash) int { return strings.Compare(a.Name, b.Name) })
	}
	return out
}

func (d *decoder) checkSignedContent(o *objectNode, v *Verify) {
	for _, rest := range v.SignedContent {
		rest = strings.NewReplacer("{{", "", "}}", "").Replace(rest)
		for {
			i := strings.IndexByte(rest, '{')
			if i < 0 {
				break
			}
			rest = rest[i+1:]
			j := strings.IndexByte(rest, '}')
			if j < 0 {
				d.add(o.at("signed_content"), "unclosed", "a { in signed_content is not closed", "")
				break
			}
			name, _, _ := strings.Cut(rest[:j], "|")
			head := name
			if k := strings.IndexByte(name, ':'); k >= 0 {
				head = name[:k+1]
			}
			if !slices.Contains(signature.Variables(), head) {
				d.add(o.at("signed_content"), "unknown-word", fmt.Sprintf("signed_content has no variable {%s}", name),
					spelling.Suggest(head, signature.Variables()))
			}
			if name == "timestamp" && v.Timestamp == nil {
				d.add(o.at("signed_content"), "needs-key", "{timestamp} needs timestamp:", "")
			}
			rest = rest[j+1:]
		}
	}
}

func (d *decoder) from(o *objectNode) signature.Place {
	p := signature.Place{
		Header:  o.text("header", ""),
		Headers: o.texts("headers"),
		Query:   o.text("query", ""),
		Form:    o.text("form", ""),
		JSON:    o.text("json", ""),
		XML:     o.text("xml", ""),
		Body:    o.boolean("body", false),
		URL:     o.boolean("url", false),
		Field:   o.text("signature_field", ""),
	}
	if len(o.vals) != 1 {
		d.add(o.pos(), "exclusive-keys", "from must name exactly one place",
			"header, headers, query, form, json, xml, body, url or signature_field")
	}
	return p
}

func (d *decoder) handshakes(o *objectNode) []*Handshake {
	h := o.vals["handshake"]
	if h == nil {
		return nil
	}
	var out []*Handshake
	for _, n := range h.Content {
		if x := d.object(n, "handshake"); x != nil {
			out = append(out, d.handshake(x))
		}
	}
	return out
}

func (d *decoder) handshake(o *objectNode) *Handshake {
	h := &Handshake{VerifyFirst: o.boolean("verify_first", true), CheckOptional: o.boolean("check_optional", false),
		Capture: o.text("capture", "")}
	if det := o.object("detect"); det != nil {
		h.Detect = d.detect(det)
		if h.Detect.Empty() && len(h.Detect.Methods) == 0 {
			d.add(det.pos(), "missing-key", "detect has no condition: every delivery would be treated as the handshake", "")
		}
	}
	if c := o.object("check"); c != nil {
		h.Check = d.places(c)
	}
	if c := o.object("compute"); c != nil {
		h.Compute = &Compute{Algorithm: c.text("algorithm", ""), KeyEncoding: c.text("key_encoding", "utf8"), Message: c.text("message", ""),
			Matches: c.text("matches", ""), Encoding: c.text("encoding", "")}
	}
	h.Refuse = o.integer("refuse", 403)
	if v := o.object("visit"); v != nil {
		h.Visit = &Visit{URL: v.text("url", ""), Hosts: v.texts("hosts")}
	}
	if r := o.object("respond"); r != nil {
		h.Respond = d.respondent(r)
	}
	return h
}

func (d *decoder) respondent(r *objectNode) Respondent {
	return Respondent{Status: r.integer("status", 200), ContentType: r.text("content_type", "text/plain; charset=utf-8"),
		Body: r.text("body", ""), HasBody: r.has("body"),
		Headers: d.textMap(r.vals["headers"])}
}

func (d *decoder) detect(o *objectNode) Detect {
	det := Detect{Methods: o.texts("method"), Places: d.places(o)}
	for _, m := range det.Methods {
		if !slices.Contains(methods, m) {
			d.add(o.at("method"), "unknown-word", fmt.Sprintf("method %q is not known", m), spelling.Suggest(m, methods))
		}
	}
	return det
}

func (d *decoder) places(o *objectNode) Places {
	return Places{Header: d.textsMap(o.vals["header"]), Query: d.textsMap(o.vals["query"]), Form: d.textsMap(o.vals["form"]),
		JSON: d.textsMap(o.vals["json"]), XML: d.textsMap(o.vals["xml"])}
}

// textsMap reads a map whose values are a text or a list of texts.
func (d *decoder) textsMap(n *yaml.Node) map[string][]string {
	if n == nil {
		return nil
	}
	out := map[string][]string{}
	d.pairs(n, func(k, v *yaml.Node) {
		nodes := []*yaml.Node{v}
		if v.Kind == yaml.SequenceNode {
			nodes = v.Content
		}
		for _, x := range nodes {
			if d.scalar(x, k.Value) {
				out[k.Value] = append(out[k.Value], x.Value)
			}
		}
	})
	return out
}
