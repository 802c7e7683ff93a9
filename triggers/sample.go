package triggers

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/workflows"
)

// Variants are the deliveries that hookloom send can make.
var Variants = []string{"valid", "expired", "wrong-secret", "tampered", "duplicate", "old-secret"}

// SampleOrder says what delivery to make.
type SampleOrder struct {
	// Type and Body replace those of the provider's sample.
	Type string
	Body []byte
	// ID is the event's id; random by default.
	ID      string
	Variant string
	Now     time.Time
	// Base is the server's address, for schemes that sign the URL when no
	// server.public_url is set.
	Base string
}

// SampleRequest is a signed delivery, ready to be sent.
type SampleRequest struct {
	Method, Path string
	Query        url.Values
	Header       http.Header
	Body         []byte
	// Note says what is not as the provider would send it; mostly empty.
	Note string
	// body is the sample as a value, as long as it can be changed.
	body any
	form bool
}

// ErrCannotSample is wrapped when a trigger's scheme has no such delivery.
var ErrCannotSample = errors.New("no such sample")

// Sample makes a delivery of a trigger's provider, signed by the very data that
// verifies it.
func Sample(p *workflows.Project, trigger string, secret func(string) (string, bool), o SampleOrder) (*SampleRequest, error) {
	t := p.Triggers[trigger]
	if t == nil || t.Webhook == nil {
		return nil, fmt.Errorf("no trigger %q with a webhook inlet", trigger)
	}
	r, err := newRoute(p, t, &Outside{Secret: secret})
	if err != nil {
		return nil, err
	}
	if o.ID == "" {
		if o.ID, err = randomID(); err != nil {
			return nil, err
		}
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	s := &SampleRequest{Method: r.deliver[0], Path: t.Webhook.Path, Query: url.Values{}, Header: http.Header{}}
	s.Header.Set("Content-Type", "application/json")
	s.Header.Set("User-Agent", "hookloom-send")
	if err := s.fill(r, o); err != nil {
		return nil, err
	}
	return s, s.sign(r, o)
}

func randomID() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("making an id: %w", err)
	}
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:], nil
}

// plainSample is what a sender without a preset sends.
var plainSample = &workflows.Sample{Body: map[string]any{"type": "sample.created", "message": "a sample of hookloom send"}, TypeJSON: "type", IDField: "id"}

// fill writes body and headers: the preset's sample with id and type set.
func (s *SampleRequest) fill(r *route, o SampleOrder) error {
	sample := plainSample
	if r.preset != nil {
		sample = r.preset.Sample
	}
	for k, v := range sample.Headers {
		s.Header.Set(k, v)
	}
	if sample.ContentType != "" {
		s.Header.Set("Content-Type", sample.ContentType)
	}
	s.form = strings.HasPrefix(s.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
	whole := clone(sample.Body, o.ID)
	body := whole
	kind := o.Type
	if kind == "" {
		kind = r.sampleType(sample)
	}
	if sample.TypeHeader != "" && kind != "" {
		// GitHub's type is the header and the body's action joined by a dot.
		if head, action, ok := strings.Cut(kind, "."); ok && sample.TypeJSON == "action" {
			kind = head
			set(body, "action", action)
		}
		s.Header.Set(sample.TypeHeader, kind)
	} else if sample.TypeJSON != "" && o.Type != "" {
		given, _ := at(body, sample.TypeJSON)
		if own, _ := given.(string); own != "" && own != o.Type && o.Body == nil {
			s.Note = fmt.Sprintf("the body is that of %s with another type: --body FILE sends one of %s", own, o.Type)
		}
		set(body, sample.TypeJSON, o.Type)
	}
	if sample.IDHeader != "" {
		s.Header.Set(sample.IDHeader, o.ID)
	} else if r.commonIDs {
		s.Header.Set("X-Event-Id", o.ID)
	}
	if sample.IDField != "" {
		set(body, sample.IDField, o.ID)
	}
	if l, ok := body.([]any); ok && len(l) > 0 {
		body = l[0]
	}
	if m, ok := body.(map[string]any); ok && r.preset != nil && (!r.preset.IDSigned || len(r.key) == 0) {
		// Known by its body too, so that two samples are two events.
		m["sample_id"] = o.ID
	}
	body = whole
	if o.Body != nil {
		s.Body = o.Body
		return nil
	}
	s.body = body
	return nil
}

// render writes the body's bytes.
func (s *SampleRequest) render() error {
	if s.body == nil {
		return nil
	}
	if text, ok := s.body.(string); ok {
		s.Body = []byte(text)
		return nil
	}
	m, isMap := s.body.(map[string]any)
	if !s.form || !isMap {
		var err error
		s.Body, err = workflows.EncodeJSON(s.body)
		return err
	}
	form := url.Values{}
	for k, v := range m {
		text, err := workflows.Text(v)
		if err != nil {
			return fmt.Errorf("writing the form: %w", err)
		}
		form.Set(k, text)
	}
	s.Body = []byte(form.Encode())
	return nil
}

// sampleType is the first type the trigger takes, else the sample's own.
func (r *route) sampleType(s *workflows.Sample) string {
	var known []string
	if r.preset != nil {
		known = r.preset.Events
	}
	if s.Type != "" {
		known = append([]string{s.Type}, known...)
	}
	for _, e := range append(slices.Clone(r.webhook.Events), known...) {
		if !strings.Contains(e, "*") {
			return e
		}
	}
	if m, ok := s.Body.(map[string]any); ok {
		t, _ := m["type"].(string)
		return t
	}
	return "sample"
}

// clone copies a sample's body; SAMPLE_ID inside a text is the event's id.
func clone(v any, id string) any {
	switch x := v.(type) {
	case string:
		return strings.ReplaceAll(x, "SAMPLE_ID", id)
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, e := range x {
			out[k] = clone(e, id)
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = clone(e, id)
		}
		return out
	}
	return v
}

// set writes a value at a dot path of keys and indexes, making maps on the way.
func set(v any, path string, value any) {
	k, rest, more := strings.Cut(path, ".")
	switch x := v.(type) {
	case map[string]any:
		if !more {
			x[k] = value
			return
		}
		if x[k] == nil {
			x[k] = map[string]any{}
		}
		set(x[k], rest, value)
	case []any:
		if i := int(k[0] - '0'); len(k) == 1 && i >= 0 && i < len(x) {
			if !more {
				x[i] = value
				return
			}
			set(x[i], rest, value)
		}
	}
}

// sign proves the delivery, or spoils the proof as the variant says.
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

// fit gives the sample what the scheme looks for: what its condition asks, the
// headers and fields that are signed, a form where fields of one are read.
func (s *SampleRequest) fit(p *proof, params map[string]string, id string) {
	w := p.written
	if w.When != nil {
		eachPlace(&w.When.Places, func(f workflows.From, values []string) {
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
	eachPlace(&w.Require, func(f workflows.From, values []string) {
		if f.JSON != "" {
			set(s.body, f.JSON, named(values[0], params))
		}
	})
	if w.Each != "" && len(elements(s.body, strings.Split(w.Each, "."))) == 0 {
		set(s.body, w.Each, []any{""})
	}
	forms := []string{w.Signature.From.Form}
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

// becomeForm makes a form of the body, with the fields named: a JSON body goes
// into the field payload, or its texts become fields.
func (s *SampleRequest) becomeForm(fields []string, id string) {
	m, ok := s.body.(map[string]any)
	if !ok {
		return
	}
	if !s.form {
		flat := map[string]any{}
		for k, v := range m {
			if _, plain := scalar(v); plain {
				flat[k] = v
			}
		}
		if slices.Contains(fields, "payload") {
			if text, err := workflows.EncodeJSON(m); err == nil {
				flat = map[string]any{"payload": string(text)}
			}
		}
		s.body, s.form, m = flat, true, flat
		s.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, f := range fields {
		if m[f] == nil {
			m[f] = id
		}
	}
}

// sampleProof is the scheme that a sample is signed by: the first that has a key.
func (r *route) sampleProof() *proof {
	for _, p := range r.proofs {
		if len(p.keys) > 0 && p.secret[0] >= 0 {
			return p
		}
	}
	return r.proofs[0]
}

// clockValue is a number in JSON, but for texts.
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

// signEach signs every element of the list that the scheme looks at.
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

// tamper changes what is signed, after it was signed.
func (s *SampleRequest) tamper(r *route, p *proof) error {
	bound := hashedParts(p.written)
	if !p.verifier.Secret() {
		bound = append(bound, p.written.SignedContent...)
	}
	for _, c := range bound {
		if strings.Contains(c, "{body") || strings.Contains(c, "{form_sorted") || strings.Contains(c, "{url_params_sorted") || strings.Contains(c, "{form_json") {
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
	return fmt.Errorf("%w: %s signs nothing of the body", ErrCannotSample, r.trigger.Name)
}

// sampleKey is the key that a variant is signed with.
func (r *route) sampleKey(p *proof, variant string) (signature.Key, error) {
	switch variant {
	case "wrong-secret":
		return p.wrongKey()
	case "old-secret":
		if len(p.keys) < 2 {
			return signature.Key{}, fmt.Errorf("%w: trigger %s has only one secret; write secret: as a list while you rotate", ErrCannotSample, r.trigger.Name)
		}
		return p.keys[len(p.keys)-1], nil
	}
	return p.keys[0], nil
}

// wrongKey is a secret of the right form that is not configured.
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
