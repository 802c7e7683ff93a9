package triggers

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine/signature"
)

// sign signs the delivery, or makes its signature wrong as the variant requires.
func (s *SampleRequest) sign(r *route, o SampleOrder) error {
	if len(r.proofs) == 0 {
		return s.render()
	}
	p := r.sampleProof()
	v := p.verifier
	now := o.Now
	if o.Variant == "expired" {
		switch {
		case v.Algorithm == "jwt" && !v.JWT.Detached:
			now = now.Add(-time.Hour)
		case v.Timestamp != nil:
			now = now.Add(-v.Timestamp.Tolerance - 5*time.Minute)
		default:
			return fmt.Errorf("%w: %s signs no timestamp, so its deliveries cannot expire", ErrCannotSample, r.trigger.Name)
		}
	}
	key, err := r.sampleKey(p, o.Variant)
	if err != nil {
		return err
	}
	s.fit(p, r.params, o.ID)
	if t := v.Timestamp; t != nil {
		text := signature.FormatClock(t.Unit, now)
		if t.From.JSON != "" {
			set(s.body, t.From.JSON, clockValue(t.Unit, text))
		} else if t.From.Form != "" {
			set(s.body, t.From.Form, text)
		}
	}
	if err := s.render(); err != nil {
		return err
	}
	if v.Each != "" {
		err = s.signEach(r, v, key, now)
	} else {
		err = s.signWhole(r, v, key, now, o.Base)
	}
	if err != nil {
		return err
	}
	if o.Variant == "tampered" {
		return s.tamper(r, p)
	}
	return nil
}

// fit adds what the scheme reads: the values of its condition, the headers and fields that are
// signed, a form if its fields are signed.
func (s *SampleRequest) fit(p *proof, params map[string]string, id string) {
	w := p.written
	if w.When != nil {
		w.When.Places.Each(func(f signature.Place, values []string) {
			text := values[0]
			if text == "!" {
				return
			}
			if text == "*" {
				text = "sample"
			}
			switch {
			case f.Header != "":
				s.Header.Set(f.Header, text)
			case f.Query != "":
				s.Query.Set(f.Query, text)
			case f.JSON != "":
				set(s.body, f.JSON, text)
			}
		})
	}
	for _, q := range w.Require {
		if q.Place.JSON != "" && !q.IfSet {
			set(s.body, q.Place.JSON, signature.FillParams(q.Want[0], params))
		}
	}
	if w.Each != "" && len(elements(s.body, strings.Split(w.Each, "."))) == 0 {
		set(s.body, w.Each, []any{""})
	}
	forms := []string{w.From.Form}
	for _, c := range w.SignedContent {
		for _, name := range namesIn(c, "{header:") {
			if s.Header.Get(name) == "" {
				s.Header.Set(name, id)
			}
		}
		for _, name := range namesIn(c, "{query:") {
			s.Query.Set(name, id)
		}
		forms = append(forms, namesIn(c, "{form:")...)
	}
	forms = slices.DeleteFunc(forms, func(n string) bool { return n == "" })
	if len(forms) > 0 || strings.HasPrefix(s.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		s.becomeForm(forms, id)
	}
}

// namesIn lists the names of one kind of variable in a template.
func namesIn(template, kind string) []string {
	var out []string
	for {
		_, after, found := strings.Cut(template, kind)
		name, rest, closed := strings.Cut(after, "}")
		if !found || !closed {
			return out
		}
		name, _, _ = strings.Cut(name, "|")
		out = append(out, name)
		template = rest
	}
}

// sampleProof is the scheme with which a sample is signed: the first that has a key.
func (r *route) sampleProof() *proof {
	for _, p := range r.proofs {
		if len(p.keys) > 0 && p.secret[0] >= 0 {
			return p
		}
	}
	return r.proofs[0]
}

// clockValue is a number in JSON, except for texts.
func clockValue(unit, text string) any {
	if strings.HasPrefix(unit, "unix_") {
		return json.Number(text)
	}
	return text
}

func (s *SampleRequest) inbound(r *route, base string) *inbound {
	public := r.public
	if public == "" {
		public = strings.TrimRight(base, "/")
	}
	in := &inbound{method: s.Method, path: s.Path, header: s.Header, query: s.Query, publicURL: public + s.Path, body: s.Body}
	if len(s.Query) > 0 {
		in.publicURL += "?" + s.Query.Encode()
	}
	in.prepare(r)
	return in
}

func (s *SampleRequest) signWhole(r *route, v *signature.Verifier, key signature.Key, now time.Time, base string) error {
	in := s.inbound(r, base)
	parts, err := v.Sign(&in.request, key, now)
	if err != nil {
		return err
	}
	for _, p := range parts {
		switch {
		case p.Place.Body:
			s.body, s.Body = nil, []byte(p.Text)
			continue
		case p.Place.JSON != "":
			set(s.body, p.Place.JSON, p.Text)
		case p.Place.Form != "":
			set(s.body, p.Place.Form, p.Text)
		case p.Place.XML != "":
			text, _ := s.body.(string)
			s.body = strings.ReplaceAll(text, "SECRET", p.Text)
		}
		if err := s.render(); err != nil {
			return err
		}
	}
	return nil
}

// signEach signs every element of the list that the scheme reads.
func (s *SampleRequest) signEach(r *route, v *signature.Verifier, key signature.Key, now time.Time) error {
	for i, e := range elements(s.body, strings.Split(v.Each, ".")) {
		in := s.inbound(r, "")
		in.request.JSON = func(path string) (string, bool) {
			x, ok := at(e, path)
			if !ok {
				return "", false
			}
			return scalar(x)
		}
		parts, err := v.Sign(&in.request, key, now)
		if err != nil {
			return err
		}
		for _, p := range parts {
			if p.Place.JSON == "." {
				set(s.body, fmt.Sprintf("%s.%d", v.Each, i), p.Text)
				continue
			}
			set(e, p.Place.JSON, p.Text)
		}
	}
	return s.render()
}

// tamper changes the signed content after signing.
func (s *SampleRequest) tamper(r *route, p *proof) error {
	bound := hashedParts(p.written)
	if !p.verifier.Secret() {
		bound = append(bound, p.written.SignedContent...)
	}
	for _, c := range bound {
		if strings.Contains(c, "{body") || strings.Contains(c, "{form_sorted") || strings.Contains(c, "{url_params_sorted") ||
			strings.Contains(c, "{form_json") {
			s.Body = append([]byte(" "), s.Body...)
			return nil
		}
	}
	if p.verifier.Secret() && len(bound) == 0 || s.body == nil {
		return fmt.Errorf("%w: %s proves the sender, not the body", ErrCannotSample, r.trigger.Name)
	}
	for _, c := range bound {
		for _, kind := range []string{"{json:", "{form:", "{json_lines:", "{form_serialized:"} {
			_, after, found := strings.Cut(c, kind)
			name, _, _ := strings.Cut(after, "}")
			name, _, _ = strings.Cut(name, ",")
			if !found {
				continue
			}
			target := s.body
			if p.verifier.Each != "" {
				target = elements(s.body, strings.Split(p.verifier.Each, "."))[0]
			}
			if kind == "{form_serialized:" {
				name = "sample_id"
			}
			set(target, name, "tampered")
			return s.render()
		}
	}
	return fmt.Errorf("%w: %s does not sign the body", ErrCannotSample, r.trigger.Name)
}

// sampleKey is the key with which a variant is signed.
func (r *route) sampleKey(p *proof, variant string) (signature.Key, error) {
	switch variant {
	case "wrong-secret":
		return p.wrongKey()
	case "old-secret":
		if len(p.keys) < 2 {
			return signature.Key{}, fmt.Errorf("%w: trigger %s has only one secret; write secret: as a list while you rotate", ErrCannotSample,
				r.trigger.Name)
		}
		return p.keys[len(p.keys)-1], nil
	}
	return p.keys[0], nil
}

// wrongKey returns a secret of the right form that is not configured.
func (p *proof) wrongKey() (signature.Key, error) {
	id, err := randomID()
	if err != nil {
		return signature.Key{}, err
	}
	bare := strings.ReplaceAll(id, "-", "")
	for _, text := range []string{"whsec_" + bare, bare, "wrong_" + id, "wrong:" + id} {
		if !hasForm(text, p.written.SecretPrefix) {
			continue
		}
		if k, err := p.verifier.NewKey(text); err == nil {
			return k, nil
		}
	}
	// A private key of the scheme's kind.
	for _, make := range []func() (any, error){
		func() (any, error) { _, k, err := ed25519.GenerateKey(rand.Reader); return k, err },
		func() (any, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
		func() (any, error) { return rsa.GenerateKey(rand.Reader, 2048) },
	} {
		k, err := make()
		if err != nil {
			return signature.Key{}, fmt.Errorf("making a key: %w", err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			return signature.Key{}, fmt.Errorf("making a key: %w", err)
		}
		text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
		if key, err := p.verifier.NewKey(text); err == nil {
			return key, nil
		}
	}
	return signature.Key{}, fmt.Errorf("%w: no wrong secret can be made for %s", ErrCannotSample, p.written.Algorithm)
}
