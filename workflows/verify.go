package workflows

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Verify is a signature scheme as written: the terms of a provider preset, and
// of verify: in a project.
type Verify struct {
	Variant string
	// Explicit is true for schemes that prove less than the provider's others:
	// they are used only when variant: asks for them.
	Explicit bool
	// SecretPrefix makes the scheme one for secrets that begin so.
	SecretPrefix string
	// SecretNth, from 1, ties the scheme to one of several secrets; SecretParam
	// names a parameter that may hold it instead.
	SecretNth   int
	SecretParam string
	When        *Detect
	Algorithm   string
	KeyEncoding string
	Key         *KeySource
	Signature   SignatureFrom
	Timestamp   *TimestampFrom
	// SignedContent are templates of the signed bytes, of which one must fit;
	// empty for tokens.
	SignedContent []string
	// Body is the form that what is signed must have: json or base64_xml; empty for any.
	Body    string
	Require Places
	// RequireIfSet is Require for what a parameter says that may be left out.
	RequireIfSet Places
	Each         string
	JWT          *JWT
	// SingleUse, when it is written, says whether the same signed content is the same
	// delivery; else SignsMoment computes it.
	SingleUse  *bool
	Handshakes []*Handshake
}

// From names a place in a request; exactly one field is set.
type From struct {
	Header, Query, Form, JSON, XML, SignatureField string
	Headers                                        []string
	Body, URL                                      bool
}

// SignatureFrom says where signatures stand and how to read them.
type SignatureFrom struct {
	From           From
	Prefix         string
	PrefixOptional bool
	Encodings      []string
	Parse          Parse
}

// Parse says how several values share one text; Format is empty for one value.
type Parse struct {
	Format, Separator, TimestampKey, Select, KeyID, Sample string
	SignatureKeys, AcceptVersions                          []string
	Groups                                                 bool
}

// TimestampFrom says where the sender's clock stands.
type TimestampFrom struct {
	From      From
	Unit      string
	Tolerance time.Duration
}

// KeySource says where a provider publishes its public key.
type KeySource struct {
	URL, Method, Body, Suffix, Format, At, Root, KID string
	Headers                                          map[string]string
	Hosts, Purposes                                  []string
	Chain                                            bool
	Cache                                            time.Duration
	Token                                            *KeyToken
}

// KeyToken is a client credentials grant for the key's address.
type KeyToken struct{ URL, ID, Secret, Scope string }

// JWT says what a token must claim.
type JWT struct {
	Algorithms, Present    []string
	Claims, OptionalClaims map[string][]string
	Either                 map[string]string
	Hashes                 map[string]JWTHash
	Leeway, MaxAge         time.Duration
	Detached               bool
}

// JWTHash is a claim that binds a part of the request.
type JWTHash struct {
	Of, Encoding string
	EmptyAbsent  bool
}

// Places are texts at places of a request.
type Places struct {
	Header, Query, Form, JSON, XML map[string][]string
}

// Empty tells whether no place is named.
func (p *Places) Empty() bool {
	return len(p.Header)+len(p.Query)+len(p.Form)+len(p.JSON)+len(p.XML) == 0
}

// Detect recognises a request by what it carries; all must hold. The value *
// stands for any text, ! for none, [] for an empty list.
type Detect struct {
	Methods []string
	Places
}

// Handshake is a special request that a provider sends to prove that the URL is
// ours, answered without making an event.
type Handshake struct {
	Detect        Detect
	VerifyFirst   bool
	Check         Places
	CheckOptional bool
	Compute       *Compute
	// Capture is a template of the secret that the provider hands over.
	Capture string
	Visit   *Visit
	// Refuse is the status for one whose check fails.
	Refuse  int
	Respond Respondent
}

// Compute is a value of an answer that proves that we know the secret.
type Compute struct{ Algorithm, KeyEncoding, Message, Matches, Encoding string }

// Visit is an address that confirms the URL when it is visited.
type Visit struct {
	URL   string
	Hosts []string
}

// Respondent is an answer as data; Body and Headers are templates.
type Respondent struct {
	Status            int
	ContentType, Body string
	Headers           map[string]string
	// HasBody tells that a body is prescribed, be it empty.
	HasBody bool
}

func (d *decoder) verify(o *objectNode) *Verify {
	v := &Verify{Variant: o.text("variant", "default"), Explicit: o.boolean("explicit", false), SecretPrefix: o.text("secret_prefix", ""),
		Body: o.text("body", ""), Algorithm: o.text("algorithm", ""), KeyEncoding: o.text("key_encoding", "utf8"), SignedContent: o.texts("signed_content"), Each: o.text("each", "")}
	token := v.Algorithm == "static-token" || v.Algorithm == "basic-auth" || v.Algorithm == "jwt"
	if len(v.SignedContent) == 0 && !token {
		v.SignedContent = []string{"{body}"}
	}
	if w := o.object("when"); w != nil {
		det := d.detect(w)
		v.When = &det
	}
	if s := o.object("secret"); s != nil {
		v.SecretNth, v.SecretParam = s.integer("nth", 0), s.text("param", "")
	}
	if s := o.object("signature"); s != nil {
		v.Signature = d.signatureFrom(s)
	}
	if t := o.object("timestamp"); t != nil {
		v.Timestamp = &TimestampFrom{Unit: t.text("unit", ""), Tolerance: t.duration("tolerance", 5*time.Minute)}
		if f := t.object("from"); f != nil {
			v.Timestamp.From = d.from(f)
		}
	}
	if k := o.object("key"); k != nil {
		v.Key = d.keySource(k)
	}
	if r := o.object("require"); r != nil {
		v.Require = d.places(r)
	}
	if r := o.object("require_if_set"); r != nil {
		v.RequireIfSet = d.places(r)
	}
	if j := o.object("jwt"); j != nil {
		v.JWT = d.jwt(j)
	}
	v.SingleUse = d.singleUse(o)
	v.Handshakes = d.handshakes(o)
	if v.Algorithm == "jwt" && v.JWT == nil {
		d.add(o.pos(), "needs-key", "algorithm jwt needs jwt:", "jwt: {algorithms: [HS256]}")
	}
	d.checkSignedContent(o, v)
	return v
}

func (d *decoder) signatureFrom(s *objectNode) SignatureFrom {
	out := SignatureFrom{Prefix: s.text("prefix", ""), PrefixOptional: s.boolean("prefix_optional", false), Encodings: s.texts("encoding")}
	for _, e := range out.Encodings {
		if !contains(SignatureEncodings, e) {
			d.add(s.at("encoding"), "unknown-word", fmt.Sprintf("encoding %q is not known", e), suggest(e, SignatureEncodings))
		}
	}
	if f := s.object("from"); f != nil {
		out.From = d.from(f)
	}
	if p := s.object("parse"); p != nil {
		out.Parse = Parse{Format: p.text("format", ""), Separator: p.text("separator", ","), TimestampKey: p.text("timestamp_key", ""), Select: p.text("select", ""),
			KeyID: p.text("key_id", ""), Sample: p.text("sample", ""), SignatureKeys: p.texts("signature_key"), AcceptVersions: p.texts("accept_versions"), Groups: p.boolean("groups", false)}
		d.checkParse(p, &out.Parse)
	}
	return out
}

// checkParse names what a format cannot do without.
func (d *decoder) checkParse(o *objectNode, p *Parse) {
	need := map[string]string{"kv_list": "signature_key", "space_list": "accept_versions", "pair_list": "select", "json_base64": "signature_key"}[p.Format]
	if need != "" && !o.has(need) {
		d.add(o.pos(), "missing-key", fmt.Sprintf("format %s needs %s:", p.Format, need), "")
	}
	if p.Separator == "" {
		d.add(o.at("separator"), "out-of-range", "a separator has at least one letter", "")
	}
}

func (d *decoder) keySource(k *objectNode) *KeySource {
	out := &KeySource{URL: k.text("url", ""), Method: k.text("method", "GET"), Body: k.text("body", ""), Headers: d.textMap(k.vals["headers"]), Hosts: k.texts("hosts"),
		Suffix: k.text("suffix", ""), Format: k.text("format", ""), At: k.text("at", ""), KID: k.text("kid", ""), Chain: k.boolean("chain", false), Root: k.text("root", ""), Purposes: k.texts("purposes"), Cache: k.duration("cache", time.Hour)}
	if t := k.object("token"); t != nil {
		out.Token = &KeyToken{URL: t.text("url", ""), ID: t.text("id", ""), Secret: t.text("secret", ""), Scope: t.text("scope", "")}
	}
	return out
}

func (d *decoder) jwt(j *objectNode) *JWT {
	out := &JWT{Algorithms: j.texts("algorithms"), Present: j.texts("present"), Claims: d.textsMap(j.vals["claims"]), OptionalClaims: d.textsMap(j.vals["optional_claims"]),
		Either: d.textMap(j.vals["either"]), Leeway: j.duration("leeway", 0), MaxAge: j.duration("max_age", 0), Detached: j.boolean("detached", false), Hashes: map[string]JWTHash{}}
	for i, a := range out.Algorithms {
		if i > 0 && strings.HasPrefix(a, "HS") != strings.HasPrefix(out.Algorithms[0], "HS") {
			d.add(j.at("algorithms"), "exclusive-keys", "shared secrets (HS) and public keys cannot be mixed: a public key could be used as a secret", "write two variants")
		}
	}
	if h := j.vals["hashes"]; h != nil {
		d.pairs(h, func(k, n *yaml.Node) {
			if x := d.object(n, "jwt_hash"); x != nil {
				out.Hashes[k.Value] = JWTHash{Of: x.text("of", ""), Encoding: x.text("encoding", ""), EmptyAbsent: x.boolean("empty_absent", false)}
			}
		})
	}
	return out
}

// templateNames are the variables of a signed_content; those with a colon take
// a name after it. A test holds the list together with the signature package's.
var templateNames = []string{"body", "timestamp", "method", "public_url", "public_url_decoded", "callback_url", "secret", "LF", "body_sha256_hex", "body_sha256_base64", "body_sha256_raw",
	"body_crc32_decimal", "query_sorted", "path_query_encoded", "form_json", "computed", "kid",
	"header:", "query:", "form:", "json:", "param:", "xml:", "form_sorted:", "form_serialized:", "json_lines:", "header_lines:", "url_params_sorted:", "signature:", "http_signature:"}

// TemplateNames gives the variables of a signed_content.
func TemplateNames() []string { return slices.Clone(templateNames) }

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
			if !contains(templateNames, head) {
				d.add(o.at("signed_content"), "unknown-word", fmt.Sprintf("signed_content has no variable {%s}", name), suggest(head, templateNames))
			}
			if name == "timestamp" && v.Timestamp == nil {
				d.add(o.at("signed_content"), "needs-key", "{timestamp} needs timestamp:", "")
			}
			rest = rest[j+1:]
		}
	}
}

func (d *decoder) from(o *objectNode) From {
	f := From{Header: o.text("header", ""), Headers: o.texts("headers"), Query: o.text("query", ""), Form: o.text("form", ""), JSON: o.text("json", ""), XML: o.text("xml", ""),
		Body: o.boolean("body", false), URL: o.boolean("url", false), SignatureField: o.text("signature_field", "")}
	if len(o.vals) != 1 {
		d.add(o.pos(), "exclusive-keys", "from names exactly one place", "header, headers, query, form, json, xml, body, url or signature_field")
	}
	return f
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
	h := &Handshake{VerifyFirst: o.boolean("verify_first", true), CheckOptional: o.boolean("check_optional", false), Capture: o.text("capture", "")}
	if det := o.object("detect"); det != nil {
		h.Detect = d.detect(det)
		if h.Detect.Empty() && len(h.Detect.Methods) == 0 {
			d.add(det.pos(), "missing-key", "detect names nothing: every delivery would be taken for the handshake", "")
		}
	}
	if c := o.object("check"); c != nil {
		h.Check = d.places(c)
	}
	if c := o.object("compute"); c != nil {
		h.Compute = &Compute{Algorithm: c.text("algorithm", ""), KeyEncoding: c.text("key_encoding", "utf8"), Message: c.text("message", ""), Matches: c.text("matches", ""), Encoding: c.text("encoding", "")}
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
	return Respondent{Status: r.integer("status", 200), ContentType: r.text("content_type", "text/plain; charset=utf-8"), Body: r.text("body", ""), HasBody: r.has("body"),
		Headers: d.textMap(r.vals["headers"])}
}

func (d *decoder) detect(o *objectNode) Detect {
	det := Detect{Methods: o.texts("method"), Places: d.places(o)}
	for _, m := range det.Methods {
		if !contains(methods, m) {
			d.add(o.at("method"), "unknown-word", fmt.Sprintf("method %q is not known", m), suggest(m, methods))
		}
	}
	return det
}

func (d *decoder) places(o *objectNode) Places {
	return Places{Header: d.textsMap(o.vals["header"]), Query: d.textsMap(o.vals["query"]), Form: d.textsMap(o.vals["form"]), JSON: d.textsMap(o.vals["json"]), XML: d.textsMap(o.vals["xml"])}
}

// textsMap reads a map whose values are one text or several.
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
