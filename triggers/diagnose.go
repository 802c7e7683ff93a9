package triggers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// diagnose explains to the operator why a delivery was refused, by computing which change
// would make it genuine. The sender never sees the result.
func (r *route) diagnose(in *inbound, j verdict, all []*route) string {
	switch signature.Reason(j.reason) {
	case signature.Missing, signature.Malformed:
		return r.diagnoseMissing(in, j)
	case signature.Stale:
		return "the signature is right: either it is a replay of an old delivery, or a clock is off (sender " + offset(in, r) + ")"
	case signature.Future:
		return "the signature is right: a clock is off (sender " + offset(in, r) + ")"
	case signature.Wrong, signature.NoClock:
	default:
		return ""
	}
	for _, try := range []func(*inbound, []*route) string{r.trySecretForms, r.tryBodies, r.tryOthers, r.tryVariants, r.tryURLs} {
		if found := try(in, all); found != "" {
			return found
		}
	}
	if r.onlyTokens() {
		return "the token is wrong"
	}
	return "the secret is wrong, or the request is forged: no re-encoding of the body, no other form of the secret, and no secret " +
		"of another " +
		"trigger explains it"
}

func (r *route) onlyTokens() bool {
	for _, p := range r.proofs {
		if !p.verifier.Secret() {
			return false
		}
	}
	return true
}

// offset describes the difference between the clock of the sender and ours.
func offset(in *inbound, r *route) string {
	for _, p := range r.proofs {
		if v := p.verifier.Verify(&in.request, p.keys, in.at); !v.Time.IsZero() {
			return v.Time.UTC().Format("2006-01-02 15:04:05") + ", here " + in.at.UTC().Format("2006-01-02 15:04:05")
		}
	}
	return "unknown"
}

// fits reports whether a request would be genuine if its clock were right.
func fits(v *signature.Verifier, in *inbound, keys []signature.Key) bool {
	got := v.Verify(&in.request, keys, in.at)
	return got.OK() || got.Reason == signature.Stale || got.Reason == signature.Future
}

func (r *route) anyFits(in *inbound) bool {
	for _, p := range r.proofs {
		if (p.when == nil || p.when.holds(in)) && fits(p.verifier, in, p.keys) {
			return true
		}
	}
	return false
}

// with copies the request with another body or URL.
func (in *inbound) with(r *route, body []byte, publicURL string) *inbound {
	c := &inbound{method: in.method, path: in.path, header: in.header, query: in.query, publicURL: publicURL, body: body, at: in.at}
	c.prepare(r)
	c.request.Fetch, c.request.Context = in.request.Fetch, in.request.Context
	return c
}

// looksSigned are header names that often carry a signature.
var looksSigned = regexp.MustCompile(`(?i)signature|hmac|hub-sig|digest|-sig$|token|^authorization$`)

func (r *route) diagnoseMissing(in *inbound, j verdict) string {
	if found := r.tryVariants(in, nil); found != "" {
		return found
	}
	var seen []string
	for name := range in.header {
		if looksSigned.MatchString(name) {
			seen = append(seen, strings.ToLower(name))
		}
	}
	slices.Sort(seen)
	if signature.Reason(j.reason) == signature.Malformed {
		return "there is a signature, but not in a supported form or version"
	}
	if len(seen) == 0 {
		return "the request carries no signature: perhaps no secret is set at the sender"
	}
	return "the request carries other headers that look like a signature: " + strings.Join(seen, ", ") +
		". Is it another provider, or another variant?"
}

// secretForms are other readings of a configured secret.
var secretForms = []struct {
	what string
	of   func(string) string
}{
	{"surrounding white space", strings.TrimSpace},
	{"quotes around it", func(s string) string { return strings.Trim(strings.TrimSpace(s), `"'`) }},
	{"a line feed at its end", func(s string) string { return s + "\n" }},
	{"its prefix", func(s string) string {
		if i := strings.IndexByte(s, '_'); i > 0 && i < 12 {
			return s[i+1:]
		}
		return s
	}},
}

// trySecretForms checks whether the secret is right but written in another form.
func (r *route) trySecretForms(in *inbound, _ []*route) string {
	for _, p := range r.proofs {
		for _, u := range r.secrets {
			for _, f := range secretForms {
				text := f.of(u.text)
				if text == u.text || text == "" {
					continue
				}
				if k, err := p.verifier.NewKey(text); err == nil && fits(p.verifier, in, []signature.Key{k}) {
					if len(text) > len(u.text) {
						return fmt.Sprintf("the sender's secret has %s, but %s does not", f.what, u.name)
					}
					return fmt.Sprintf("%s is the right secret except for %s", u.name, f.what)
				}
			}
			for _, encoding := range []string{"utf8", "base64", "hex", "whsec_base64"} {
				if encoding == p.verifier.KeyEncoding || p.verifier.Secret() {
					continue
				}
				s := p.verifier.Scheme
				s.KeyEncoding = encoding
				v, err := signature.Compile(s)
				if err != nil {
					continue
				}
				if k, err := v.NewKey(u.text); err == nil && fits(v, in, []signature.Key{k}) {
					return fmt.Sprintf("%s is the right secret, but its key is read as %s here and as %s by the sender", u.name,
						p.verifier.KeyEncoding, encoding)
				}
			}
		}
	}
	return ""
}

// bodyForms are common ways in which proxies rewrite a body.
var bodyForms = []struct {
	what string
	of   func([]byte) []byte
}{
	{"trailing white space was removed or added", func(b []byte) []byte { return bytes.TrimRight(b, " \t\r\n") }},
	{"its trailing line feed was removed", func(b []byte) []byte { return append(slices.Clone(b), '\n') }},
	{"its trailing carriage return and line feed were removed", func(b []byte) []byte { return append(slices.Clone(b), "\r\n"...) }},
	{"its line endings were changed", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")) }},
	{"its line endings were changed", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) }},
	{"a byte order mark was added before it", func(b []byte) []byte { return bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")) }},
	{"its JSON was re-encoded (the sender's is compact)", func(b []byte) []byte { return compact(b, false, false) }},
	{"its JSON was re-encoded (the sender escapes <, > and &)", func(b []byte) []byte { return compact(b, true, false) }},
	{"its JSON was re-encoded (the sender escapes non-ASCII letters)", func(b []byte) []byte { return asciiOnly(compact(b, false, false)) }},
	{"its JSON was re-encoded (the sender escapes /)", func(b []byte) []byte {
		return bytes.ReplaceAll(compact(b, false, false), []byte("/"),
			[]byte(`\/`))
	}},
	{"its JSON was re-encoded (the sender puts a blank after : and ,)", func(b []byte) []byte { return spaced(b) }},
	{"its JSON was re-encoded (the sender puts blanks and escapes non-ASCII letters)", func(b []byte) []byte { return asciiOnly(spaced(b)) }},
	{"its JSON was re-encoded (the sender indents by two)", func(b []byte) []byte { return indent(b, "  ") }},
	{"its JSON was re-encoded (the sender indents by four)", func(b []byte) []byte { return indent(b, "    ") }},
	{"its JSON was re-encoded, with its keys sorted", func(b []byte) []byte { return compact(b, false, true) }},
	{"its non-ASCII letters were escaped or unescaped", unescaped},
}

// tryBodies checks whether a proxy has parsed and rewritten the body.
func (r *route) tryBodies(in *inbound, _ []*route) string {
	tried := map[string]bool{string(in.body): true}
	for _, f := range bodyForms {
		b := f.of(in.body)
		if b == nil || tried[string(b)] {
			continue
		}
		tried[string(b)] = true
		if r.anyFits(in.with(r, b, in.publicURL)) {
			return "the secret is right, but the body was changed on the way: " + f.what +
				". Configure the proxy in front of Hookloom to pass bodies through unchanged"
		}
	}
	return ""
}

func compact(b []byte, escapeHTML, sorted bool) []byte {
	if sorted {
		var v any
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if d.Decode(&v) != nil {
			return nil
		}
		out, err := value.EncodeJSON(v)
		if err != nil {
			return nil
		}
		return out
	}
	var out bytes.Buffer
	if json.Compact(&out, b) != nil {
		return nil
	}
	if !escapeHTML {
		return out.Bytes()
	}
	var escaped bytes.Buffer
	json.HTMLEscape(&escaped, out.Bytes())
	return escaped.Bytes()
}

// spaced writes ", " and ": " as Python's json.dumps does.
func spaced(b []byte) []byte {
	c := compact(b, false, false)
	if c == nil {
		return nil
	}
	var out []byte
	quoted, escaped := false, false
	for _, x := range c {
		out = append(out, x)
		switch {
		case escaped:
			escaped = false
		case quoted && x == '\\':
			escaped = true
		case x == '"':
			quoted = !quoted
		case !quoted && (x == ',' || x == ':'):
			out = append(out, ' ')
		}
	}
	return out
}

func indent(b []byte, by string) []byte {
	var out bytes.Buffer
	if json.Indent(&out, b, "", by) != nil {
		return nil
	}
	return out.Bytes()
}

func asciiOnly(b []byte) []byte {
	if b == nil {
		return nil
	}
	return signature.EscapeNonASCII(b)
}

// unescaped writes \uXXXX as letters, nothing else changed.
func unescaped(b []byte) []byte {
	return regexp.MustCompile(`\\u[0-9a-fA-F]{4}(?:\\u[dD][c-fC-F][0-9a-fA-F]{2})?`).ReplaceAllFunc(b, func(m []byte) []byte {
		var s string
		if json.Unmarshal([]byte(`"`+string(m)+`"`), &s) != nil || len(s) == 1 {
			return m
		}
		return []byte(s)
	})
}

// tryOthers checks whether the secret of another trigger was used.
func (r *route) tryOthers(in *inbound, all []*route) string {
	for _, o := range all {
		if o.trigger.Name == r.trigger.Name {
			continue
		}
		for _, u := range o.secrets {
			if slices.ContainsFunc(r.secrets, func(own *secretUse) bool { return own.text == u.text }) {
				continue
			}
			for _, p := range r.proofs {
				if k, err := p.verifier.NewKey(u.text); err == nil && fits(p.verifier, in, []signature.Key{k}) {
					return fmt.Sprintf("it is signed with the secret of trigger %s (%s): the provider calls the wrong URL, or the secrets were mixed up",
						o.trigger.Name, u.name)
				}
			}
		}
	}
	return ""
}

// tryVariants checks the schemes of the provider that this trigger does not use.
func (r *route) tryVariants(in *inbound, _ []*route) string {
	if r.preset == nil {
		return ""
	}
	for _, w := range r.preset.Verify {
		if slices.ContainsFunc(r.proofs, func(p *proof) bool { return p.written == w }) {
			continue
		}
		p, err := r.newProof(w, true)
		if err != nil || p == nil || p.when != nil && !p.when.holds(in) || !p.verifier.Applies(&in.request) {
			continue
		}
		if fits(p.verifier, in, p.keys) {
			return fmt.Sprintf("only this provider's scheme %s matches, which proves less: "+
				"configure the provider to use the stronger one, or write variant: %s",
				w.Variant, w.Variant)
		}
	}
	return ""
}

// tryURLs checks whether another public URL was signed, if the URL is part of the signed
// content.
func (r *route) tryURLs(in *inbound, _ []*route) string {
	signed := false
	for _, p := range r.proofs {
		for _, c := range append(slices.Clone(p.written.SignedContent), hashedParts(p.written)...) {
			signed = signed || strings.Contains(c, "url") || c == "canonical_request"
		}
	}
	if !signed {
		return ""
	}
	for _, u := range otherURLs(in.publicURL, in.header) {
		if r.anyFits(in.with(r, in.body, u)) {
			return fmt.Sprintf("the secret is right, but the sender signed the URL %s, while here it is %s: set server.public_url (or "+
				"callback_url) to the URL registered at the provider", u, in.publicURL)
		}
	}
	return ""
}

func hashedParts(v *workflows.Verify) []string {
	var out []string
	if v.JWT != nil {
		for _, h := range v.JWT.Hashes {
			out = append(out, h.Of)
		}
		for _, c := range v.JWT.Claims {
			if !c.Optional {
				out = append(out, c.Want...)
			}
		}
	}
	return out
}

// otherURLs returns forms of the URL that proxies and dashboards commonly produce.
func otherURLs(raw string, h http.Header) []string {
	var out []string
	add := func(u string) {
		if u != raw && u != "" {
			out = append(out, u)
		}
	}
	swapped := strings.Replace(raw, "http://", "https://", 1)
	if swapped == raw {
		swapped = strings.Replace(raw, "https://", "http://", 1)
	}
	base, query, _ := strings.Cut(raw, "?")
	for _, u := range []string{swapped, base, strings.TrimRight(base, "/"), base + "/"} {
		add(u)
	}
	host := firstOf(h.Get("X-Forwarded-Host"))
	if host == "" {
		host = h.Get("Host")
	}
	if i := strings.Index(base, "://"); i >= 0 && host != "" {
		rest := base[i+3:]
		path := ""
		if j := strings.IndexByte(rest, '/'); j >= 0 {
			path = rest[j:]
		}
		if query != "" {
			path += "?" + query
		}
		add("https://" + host + path)
		add("http://" + host + path)
	}
	return out
}
