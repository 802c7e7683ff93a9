package signature

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// JWT says what a token must claim. A token proves who signed it, but not what it does not bind
// (often the body).
type JWT struct {
	// Algorithms are the accepted ones; none is never accepted, and HS and RS are never mixed.
	Algorithms []string
	// Present are required claims. exp and nbf are always checked if present.
	Present []string
	// Claims must equal one of the templates; a list claim must contain one of them.
	Claims []Claim
	// Hashes bind parts of the request.
	Hashes []ClaimHash
	// Leeway is the permitted clock difference; MaxAge is the maximum age of iat, 0 for any.
	Leeway, MaxAge time.Duration
	// Detached reports whether the payload is the body (RFC 7797).
	Detached bool

	claims []requirementOf
	hashes []hashOf
}

// Claim is a claim, by name or dot path, with templates one of which it must equal. An Optional
// claim may be missing; Either names alternatives, separated by spaces, that may contain it.
type Claim struct {
	Name, Either string
	Want         []string
	// Optional reports whether templates without a value are skipped: parameters that need not be
	// configured.
	Optional bool
}

// ClaimHash is a claim with the SHA-256 of a part of the request.
type ClaimHash struct {
	Name string
	// Of is a template of what is hashed, or canonical_request.
	Of string
	// Encoding is hex, base64 or base64url.
	Encoding string
	// EmptyAbsent reports whether the claim is missing if the part is empty.
	EmptyAbsent bool
}

type requirementOf struct {
	Claim
	want []*Template
}

type hashOf struct {
	ClaimHash
	of *Template
}

func (j *JWT) compile(v *Verifier) error {
	own := *j
	v.JWT, j = &own, &own
	j.claims, j.hashes = nil, nil
	hs := strings.HasPrefix(j.Algorithms[0], "HS")
	for _, a := range j.Algorithms {
		if strings.HasPrefix(a, "HS") != hs || jwt.GetSigningMethod(a) == nil || a == "none" {
			return fmt.Errorf("jwt.algorithms: %q is not allowed", a)
		}
	}
	for _, c := range j.Claims {
		r := requirementOf{Claim: c}
		for _, w := range c.Want {
			t, err := ParseTemplate(w)
			if err != nil {
				return fmt.Errorf("jwt.claims.%s: %w", c.Name, err)
			}
			r.want = append(r.want, t)
		}
		j.claims = append(j.claims, r)
	}
	for _, h := range j.Hashes {
		r := hashOf{ClaimHash: h}
		if h.Of != "canonical_request" {
			t, err := ParseTemplate(h.Of)
			if err != nil {
				return fmt.Errorf("jwt.hashes.%s: %w", h.Name, err)
			}
			r.of = t
		}
		j.hashes = append(j.hashes, r)
	}
	return nil
}

// verifyToken verifies one token with one key set and returns its claims.
func (v *Verifier) verifyToken(req *Request, token string, keys []Key, now time.Time) (claims json.RawMessage, key int, reason Reason,
	detail string) {
	if v.JWT.Detached {
		return v.verifyDetached(req, token, keys, now)
	}
	for i := range keys {
		var parsed jwt.MapClaims
		if parsed, reason, detail = v.parseToken(req, token, &keys[i], now); reason != Accepted {
			if reason == Wrong {
				continue
			}
			return nil, -1, reason, detail
		}
		if reason, detail = v.checkClaims(req, parsed, now); reason != Accepted {
			return nil, -1, reason, detail
		}
		b, err := json.Marshal(parsed)
		if err != nil {
			return nil, -1, Malformed, "the claims cannot be read"
		}
		return b, i, Accepted, ""
	}
	if detail == "" {
		detail = "no key"
	}
	return nil, -1, Wrong, detail
}

func (v *Verifier) parseToken(req *Request, token string, k *Key, now time.Time) (jwt.MapClaims, Reason, string) {
	if why := checkTokenForm(token); why != "" {
		return nil, Malformed, why
	}
	claims := jwt.MapClaims{}
	var unavailable error
	options := []jwt.ParserOption{jwt.WithValidMethods(v.JWT.Algorithms), jwt.WithLeeway(v.JWT.Leeway),
		jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithJSONNumber(), jwt.WithIssuedAt()}
	if slices.Contains(v.JWT.Present, "exp") {
		options = append(options, jwt.WithExpirationRequired())
	}
	_, err := jwt.NewParser(options...).ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		set, err := v.tokenKeys(req, t.Header, k, now)
		unavailable = err
		return set, err
	})
	switch {
	case err == nil:
		return claims, Accepted, ""
	case errors.Is(unavailable, ErrUnavailable):
		return nil, Unavailable, unavailable.Error()
	case unavailable != nil:
		return nil, Wrong, unavailable.Error()
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, Stale, "the token has expired"
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return nil, Future, "the token is not valid yet: a clock is off"
	case errors.Is(err, jwt.ErrTokenMalformed):
		return nil, Malformed, "it is not a token"
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return nil, NoClock, "the token has no exp"
	case strings.Contains(err.Error(), "signing method"):
		return nil, Wrong, "the token's algorithm is not one of " + strings.Join(v.JWT.Algorithms, ", ")
	}
	return nil, Wrong, "the token's signature does not match"
}

// tokenKeys returns the keys that may have signed: the configured one, or else the provider's, by
// the key id in the token's header.
func (v *Verifier) tokenKeys(req *Request, header map[string]any, k *Key, now time.Time) (any, error) {
	if k != nil && len(k.public) == 0 && !k.empty() {
		return k.bytes, nil
	}
	kid, _ := header["kid"].(string)
	var keys []PublicKey
	switch {
	case k != nil && len(k.public) > 0:
		keys = k.public
	case v.Key == nil:
		return nil, errors.New("no key is configured")
	case v.Key.Format == "x5c":
		p, err := headerChain(header, v.Key.Root, v.Key.Purposes, now)
		if err != nil {
			return nil, err
		}
		keys = []PublicKey{p}
	default:
		var err error
		if keys, err = v.fetched(req, kid, now); err != nil {
			return nil, err
		}
	}
	set := jwt.VerificationKeySet{}
	for _, p := range keys {
		if p.ID == "" || kid == "" || p.ID == kid {
			set.Keys = append(set.Keys, p.Key)
		}
	}
	if len(set.Keys) == 0 {
		return nil, fmt.Errorf("no key has the id %.80q", kid)
	}
	return set, nil
}

func headerChain(header map[string]any, root string, purposes []string, now time.Time) (PublicKey, error) {
	list, _ := header["x5c"].([]any)
	var der [][]byte
	for _, x := range list {
		s, _ := x.(string)
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return PublicKey{}, errors.New("x5c is not base64")
		}
		der = append(der, b)
	}
	certs, err := checkChain(der, root, now)
	if err != nil {
		return PublicKey{}, err
	}
	for i, want := range purposes {
		if i >= len(certs) || !hasExtension(certs[i], want) {
			return PublicKey{}, fmt.Errorf("x5c: certificate %d is not for this purpose (%s)", i+1, want)
		}
	}
	return PublicKey{Key: certs[0].PublicKey}, nil
}

// hasExtension reports whether a certificate carries an extension: by one of its own an
// authority says what a certificate is for, among all those that lead to its root.
func hasExtension(c *x509.Certificate, id string) bool {
	return slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.String() == id })
}

func (v *Verifier) checkClaims(req *Request, claims jwt.MapClaims, now time.Time) (Reason, string) {
	for _, n := range v.JWT.Present {
		if _, ok := claims[n]; !ok {
			return Wrong, "the token has no claim " + n
		}
	}
	if v.JWT.MaxAge > 0 {
		iat, err := claims.GetIssuedAt()
		if err != nil || iat == nil {
			return NoClock, "the token has no iat"
		}
		if off := now.Sub(iat.Time); off > v.JWT.MaxAge+v.JWT.Leeway {
			return Stale, fmt.Sprintf("the token is %s old, %s allowed", off.Round(time.Second), v.JWT.MaxAge)
		}
	}
	for i := range v.JWT.claims {
		if !v.JWT.claims[i].holds(req, claims) {
			return Wrong, fmt.Sprintf("the claim %s does not have the required value", v.JWT.claims[i].Name)
		}
	}
	for i := range v.JWT.hashes {
		if !v.JWT.hashes[i].holds(req, claims) {
			return Wrong, fmt.Sprintf("the claim %s does not match this request", v.JWT.hashes[i].Name)
		}
	}
	return Accepted, ""
}

func (c *requirementOf) holds(req *Request, claims jwt.MapClaims) bool {
	got := claimTexts(claimAt(claims, c.Name))
	for _, other := range strings.Fields(c.Either) {
		if len(got) == 0 {
			got = claimTexts(claimAt(claims, other))
		}
	}
	wanted := false
	for _, t := range c.want {
		s := &scope{req: req, url: req.PublicURL}
		b, err := t.render(nil, s)
		if err != nil || len(b) == 0 {
			continue
		}
		wanted = true
		if slices.Contains(got, string(b)) {
			return true
		}
	}
	return !wanted && c.Optional
}

// claimAt returns a claim by its name, or else by a dot path.
func claimAt(claims map[string]any, path string) any {
	if v, ok := claims[path]; ok {
		return v
	}
	var v any = claims
	for _, name := range strings.Split(path, ".") {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

// setClaim sets a claim so that claimAt finds it.
func setClaim(claims map[string]any, path, value string) {
	names := strings.Split(path, ".")
	if strings.Contains(path, "://") {
		names = []string{path} // a name that is a URL is not a path
	}
	for _, name := range names[:len(names)-1] {
		next, ok := claims[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			claims[name] = next
		}
		claims = next
	}
	claims[names[len(names)-1]] = value
}

func claimTexts(v any) []string {
	switch x := v.(type) {
	case string:
		return []string{x}
	case bool, json.Number:
		return []string{fmt.Sprint(x)}
	case []any:
		var out []string
		for _, e := range x {
			out = append(out, claimTexts(e)...)
		}
		return out
	}
	return nil
}

func (h *hashOf) holds(req *Request, claims jwt.MapClaims) bool {
	var content []byte
	if h.of == nil {
		content = []byte(canonicalRequest(req.Method, req.PublicURL))
	} else {
		var err error
		if content, err = h.of.render(nil, &scope{req: req, url: req.PublicURL}); err != nil {
			return false
		}
	}
	got, _ := claims[h.Name].(string)
	if got == "" {
		return h.EmptyAbsent && len(content) == 0
	}
	sum := sha256.Sum256(content)
	switch h.Encoding {
	case "hex":
		b, err := hex.DecodeString(got)
		return err == nil && slices.Equal(b, sum[:])
	default:
		b, err := decodeBase64(got)
		return err == nil && slices.Equal(b, sum[:])
	}
}

// verifyDetached verifies header..signature over the raw body (RFC 7797, b64 false; with
// b64 true the body is encoded first).
func (v *Verifier) verifyDetached(req *Request, token string, keys []Key, now time.Time) (json.RawMessage, int, Reason, string) {
	head, rest, _ := strings.Cut(token, ".")
	middle, sig, ok := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	signature, err2 := base64.RawURLEncoding.DecodeString(sig)
	var header map[string]any
	if !ok || middle != "" || err != nil || err2 != nil || json.Unmarshal(raw, &header) != nil {
		return nil, -1, Malformed, "it is not a detached token"
	}
	if namesTwice(raw) {
		return nil, -1, Malformed, "the token's header has a duplicate member"
	}
	if why := critical(header, "b64"); why != "" {
		return nil, -1, Malformed, why
	}
	alg, _ := header["alg"].(string)
	if !slices.Contains(v.JWT.Algorithms, alg) {
		return nil, -1, Wrong, "the token's algorithm is not one of " + strings.Join(v.JWT.Algorithms, ", ")
	}
	content := head + "." + string(req.Body)
	if b64, set := header["b64"].(bool); !set || b64 {
		content = head + "." + base64.RawURLEncoding.EncodeToString(req.Body)
	}
	for i := range keys {
		set, err := v.tokenKeys(req, header, &keys[i], now)
		if errors.Is(err, ErrUnavailable) {
			return nil, -1, Unavailable, err.Error()
		}
		if err != nil {
			continue
		}
		list := []any{set}
		if s, ok := set.(jwt.VerificationKeySet); ok {
			list = nil
			for _, k := range s.Keys {
				list = append(list, k)
			}
		}
		for _, k := range list {
			if jwt.GetSigningMethod(alg).Verify(content, signature, k) == nil {
				return nil, i, Accepted, ""
			}
		}
	}
	return nil, -1, Wrong, "the token's signature does not match"
}

// checkTokenForm returns why a token is refused whoever signed it. A duplicate name may mean one thing
// here and another to its sender (RFC 7515, 4; RFC 7519, 4), and an extension that a header marks
// as critical must not be ignored (RFC 7515, 4.1.11). No extension is supported for tokens that
// contain their payload.
func checkTokenForm(token string) string {
	head, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return "it is not a token"
	}
	claims, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return "it is not a token"
	}
	var header map[string]any
	switch {
	case json.Unmarshal(raw, &header) != nil:
		return "it is not a token"
	case namesTwice(raw):
		return "the token's header has a duplicate member"
	case namesTwice(claims):
		return "the token has a duplicate claim"
	}
	return critical(header)
}

// critical reports whether a header requires an extension that is not among the known ones.
func critical(header map[string]any, known ...string) string {
	crit, there := header["crit"]
	if !there {
		return ""
	}
	list, _ := crit.([]any)
	for _, x := range list {
		if name, _ := x.(string); !slices.Contains(known, name) {
			return fmt.Sprintf("the token's crit names %.80q, which is not supported", name)
		}
	}
	if len(list) == 0 {
		return "the token's crit is not a list of names"
	}
	return ""
}

// namesTwice reports whether an object in JSON text has a duplicate name. Invalid JSON is left to
// its decoder.
func namesTwice(text []byte) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	type level struct {
		names map[string]bool
		key   bool // the next string is a name
	}
	var open []level
	for {
		t, err := d.Token()
		if err != nil {
			return false
		}
		top := len(open) - 1
		if name, ok := t.(string); ok && top >= 0 && open[top].key {
			if open[top].names[name] {
				return true
			}
			open[top].names[name], open[top].key = true, false
			continue
		}
		switch t {
		case json.Delim('{'):
			open = append(open, level{names: map[string]bool{}})
		case json.Delim('['):
			open = append(open, level{})
		case json.Delim('}'), json.Delim(']'):
			open = open[:top]
		}
		// Behind a brace or a value, an object has a name.
		if top = len(open) - 1; top >= 0 {
			open[top].key = open[top].names != nil
		}
	}
}
