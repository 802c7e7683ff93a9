package triggers

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// proof is one compiled scheme with its keys.
type proof struct {
	written  *workflows.Verify
	verifier *signature.Verifier
	keys     []signature.Key
	// secret is the index in route.secrets of each key; -1 for none.
	secret []int
	when   *detect
	// signs reports whether the scheme is more than a token, signsBody whether it signs the
	// whole body, moment whether the signed content is unique to one delivery.
	signs, signsBody, moment bool
	// inBody are the body fields that the scheme writes.
	inBody [][]string
	// signedHeaders are those that the scheme signs, in lower case; unsignedKey those that the key
	// reads and the scheme does not sign.
	signedHeaders, unsignedKey []string
}

// secretUse is one secret of a route.
type secretUse struct {
	name string
	text string
	*useCount
}

// useCount counts how often a secret has verified a delivery, and when last. It survives a reload
// of the project.
type useCount struct {
	count atomic.Int64
	last  atomic.Int64 // Unix milliseconds
}

// whyNone returns why the first secret fits no scheme.
func (r *route) whyNone(written []*workflows.Verify) error {
	if len(r.secrets) == 0 {
		return signature.ErrEmptyKey
	}
	v, err := signature.Compile(written[0].WithParams(r.params))
	if err == nil {
		_, err = v.NewKey(r.secrets[0].text)
	}
	if err == nil {
		err = errors.New("its form is not valid")
	}
	return err
}

// variants returns the schemes that may verify a delivery: the one that variant: names,
// else all of the preset that are not explicit.
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

func (r *route) readSecrets(env *expr.Env) error {
	for i, s := range r.webhook.Secrets {
		x, err := s.Render(env, workflows.FillPlain)
		if err != nil {
			return fmt.Errorf("secret %d: %w", i+1, err)
		}
		text, err := value.Text(x)
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
				continue // an old secret that was removed: rotation is complete
			case r.preset != nil && r.preset.SecretOptional:
				continue
			}
			return fmt.Errorf("its secret is not set: %w", signature.ErrEmptyKey)
		}
		r.secrets = append(r.secrets, &secretUse{r.webhook.SecretLabels()[i], text, &useCount{}})
	}
	return nil
}

// newProof compiles one scheme with its keys; nil if no secret has its form and another scheme may
// use it. It does not change the route: a diagnosis calls it while the route is in use.
func (r *route) newProof(v *workflows.Verify, choice bool) (*proof, error) {
	s := v.WithParams(r.params)
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
		pinned := strings.Contains(u.text, "-----BEGIN") && compiled.Asymmetric()
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

// hasForm reports whether a secret begins with the prefix; a ! before the prefix negates
// it.
func hasForm(text, prefix string) bool {
	if not, ok := strings.CutPrefix(prefix, "!"); ok {
		return !strings.HasPrefix(text, not)
	}
	return strings.HasPrefix(text, prefix)
}

// namesSet returns an error if a parameter in a header name has no value.
func namesSet(v *workflows.Verify, params map[string]string) error {
	for _, n := range []string{v.From.Header, v.From.Query} {
		if i := strings.Index(n, "{param:"); i >= 0 {
			name, _, _ := strings.Cut(n[i+len("{param:"):], "}")
			if params[name] == "" {
				return fmt.Errorf("params: {%s: ...} is needed: the name of the header that carries the token", name)
			}
		}
	}
	return nil
}

// authScheme returns the scheme that auth: stands for.
func (r *route) authScheme(env *expr.Env) (*workflows.Verify, error) {
	a := r.webhook.Auth
	if a == nil {
		return nil, nil
	}
	render := func(v *workflows.Value) (string, error) {
		x, err := v.Render(env, workflows.FillNonempty)
		if err != nil {
			return "", err
		}
		s, err := value.Text(x)
		if err == nil && s == "" {
			err = signature.ErrEmptyKey
		}
		return s, err
	}
	v := &workflows.Verify{Scheme: signature.Scheme{Variant: "auth", Algorithm: "static-token",
		From: signature.Place{Header: "Authorization"}, Encodings: []string{"raw"}}}
	var value *workflows.Value
	switch {
	case a.Bearer != nil:
		v.Prefix, value = "Bearer ", a.Bearer
	case a.BasicUser != nil:
		user, err := render(a.BasicUser)
		if err != nil {
			return nil, err
		}
		if strings.Contains(user, ":") {
			return nil, errors.New("auth: the user of basic authentication contains a colon, so no sender can send it (RFC 7617, section 2)")
		}
		v.Algorithm, v.Prefix, v.Encodings, value = "basic-auth", "Basic ", []string{"base64"}, a.BasicPassword
		r.params["user"] = user
	case a.HeaderName != "":
		v.From.Header, value = a.HeaderName, a.HeaderValue
	case a.QueryName != "":
		v.From, value = signature.Place{Query: a.QueryName}, a.QueryValue
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

// provedBy returns how a genuine request was verified.
func (r *route) provedBy(in *inbound, secret int) engine.Proof {
	name := ""
	if secret >= 0 {
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

// prove tries the schemes whose signature the request carries. If it carries none, the first
// applicable scheme reports what is missing.
func (r *route) prove(in *inbound) (signature.Verdict, int, *verdict) {
	if len(r.proofs) == 0 {
		if r.webhook.AuthNone {
			return signature.Verdict{}, -1, nil
		}
		return signature.Verdict{}, -1, &verdict{status: http.StatusUnauthorized, reason: string(signature.Missing), secret: -1,
			detail: "no secret is set yet: the provider sends it in its handshake"}
	}
	var worst *verdict
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
			j := &verdict{status: http.StatusUnauthorized, reason: string(v.Reason), detail: v.Detail, secret: -1, scheme: p.written.Variant}
			if v.Reason == signature.Unavailable {
				j.status = http.StatusServiceUnavailable
			}
			if worst == nil || closer(v.Reason, signature.Reason(worst.reason)) {
				worst = j
			}
		}
	}
	if worst == nil {
		worst = &verdict{status: http.StatusUnauthorized, reason: string(signature.Missing), secret: -1,
			detail: "this trigger cannot verify this kind of request: " + r.whens()}
	}
	return signature.Verdict{}, -1, worst
}

// whens lists the variants, for a request that matches no condition.
func (r *route) whens() string {
	var out []string
	for _, p := range r.proofs {
		out = append(out, p.written.Variant)
	}
	return strings.Join(out, ", ")
}

// closer reports whether reason a says more about a near miss than b.
func closer(a, b signature.Reason) bool {
	rank := map[signature.Reason]int{signature.Unavailable: 5, signature.Stale: 4, signature.Future: 4, signature.Unmet: 3,
		signature.NoClock: 2, signature.Wrong: 1}
	return rank[a] > rank[b]
}

func (p *proof) secretOf(key int) int {
	if key < 0 || key >= len(p.secret) {
		return -1
	}
	return p.secret[key]
}

// used counts a use of the secret that verified a delivery.
func (r *route) used(secret int, at time.Time) {
	if secret >= 0 && secret < len(r.secrets) {
		r.secrets[secret].count.Add(1)
		r.secrets[secret].last.Store(at.UnixMilli())
	}
}

// proofOf computes the properties of a scheme that do not depend on a request.
func (r *route) proofOf(v *workflows.Verify, compiled *signature.Verifier) *proof {
	token := v.Algorithm == "static-token" || v.Algorithm == "basic-auth"
	fromToken := r.preset != nil && r.preset.BodyFromToken
	p := &proof{written: v, verifier: compiled, signs: !token, moment: v.SignsMoment(fromToken), inBody: inBody(v)}
	p.signsBody = v.SignsBody()
	p.signedHeaders = v.SignedHeaders()
	for _, name := range r.keyHeaders {
		if !slices.Contains(p.signedHeaders, name) {
			p.unsignedKey = append(p.unsignedKey, http.CanonicalHeaderKey(name))
		}
	}
	if v.JWT != nil {
		p.signsBody = fromToken || v.JWT.Detached || len(v.JWT.Hashes) > 0
		p.signs = p.signsBody // a bearer token does not sign the body
	}
	return p
}
