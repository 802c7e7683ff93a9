package triggers

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/workflows"
)

// Variants are the deliveries that hookloom send can make.
var Variants = []string{"valid", "expired", "wrong-secret", "tampered", "duplicate"}

// SampleOrder says what delivery to make.
type SampleOrder struct {
	// Type and Body replace those of the provider's sample.
	Type string
	Body []byte
	// ID is the event's id; random by default.
	ID      string
	Variant string
	Now     time.Time
}

// SampleRequest is a signed delivery, ready to be sent.
type SampleRequest struct {
	Method, Path string
	Query        url.Values
	Header       http.Header
	Body         []byte
}

// Sample makes a delivery of a trigger's provider, signed by the very data that
// verifies it.
func Sample(p *workflows.Project, trigger string, secret func(string) (string, bool), o SampleOrder) (*SampleRequest, error) {
	t := p.Triggers[trigger]
	if t == nil || t.Webhook == nil {
		return nil, fmt.Errorf("no trigger %q with a webhook inlet", trigger)
	}
	r, err := newRoute(p, t, secret)
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
	s := &SampleRequest{Method: t.Webhook.Methods[0], Path: t.Webhook.Path, Query: url.Values{}, Header: http.Header{}}
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

// fill writes body and headers: the preset's sample with id and type set.
func (s *SampleRequest) fill(r *route, o SampleOrder) error {
	sample := &workflows.Sample{Body: map[string]any{"type": "sample.created", "message": "a sample of hookloom send"}, TypeJSON: "type", IDField: "id"}
	if r.preset != nil {
		sample = r.preset.Sample
	}
	for k, v := range sample.Headers {
		s.Header.Set(k, v)
	}
	if sample.ContentType != "" {
		s.Header.Set("Content-Type", sample.ContentType)
	}
	kind := o.Type
	if kind == "" && sample.TypeHeader != "" {
		kind = r.sampleType(sample)
	}
	if sample.TypeHeader != "" {
		// GitHub's type is the header and the body's action joined by a dot.
		head, action, _ := strings.Cut(kind, ".")
		if r.preset.Name == "github" && action != "" {
			kind = head
			sample = withBody(sample, "action", action)
		}
		s.Header.Set(sample.TypeHeader, kind)
	}
	if sample.IDHeader != "" {
		s.Header.Set(sample.IDHeader, o.ID)
	}
	if o.Body != nil {
		s.Body = o.Body
		return nil
	}
	if sample.TypeJSON != "" && o.Type != "" {
		sample = withBody(sample, sample.TypeJSON, o.Type)
	}
	if sample.IDField != "" {
		sample = withBody(sample, sample.IDField, o.ID)
	}
	if r.preset != nil && !r.preset.IDSigned {
		// Known by its body too, so that two samples are two events.
		sample = withBody(sample, "sample_id", o.ID)
	}
	var err error
	s.Body, err = workflows.EncodeJSON(sample.Body)
	return err
}

// sampleType is the first type the trigger takes, else one the provider sends.
func (r *route) sampleType(s *workflows.Sample) string {
	for _, e := range append(append([]string{}, r.webhook.Events...), r.preset.Events...) {
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

// withBody copies a sample with one value of its body replaced, at a dot path.
func withBody(s *workflows.Sample, path string, value any) *workflows.Sample {
	c := *s
	c.Body = replaced(s.Body, strings.Split(path, "."), value)
	return &c
}

func replaced(v any, path []string, value any) any {
	if len(path) == 0 {
		return value
	}
	out := map[string]any{}
	m, _ := v.(map[string]any)
	for k, x := range m {
		out[k] = x
	}
	out[path[0]] = replaced(out[path[0]], path[1:], value)
	return out
}

// sign proves the delivery, or spoils the proof as the variant says.
func (s *SampleRequest) sign(r *route, o SampleOrder) error {
	if r.auth != nil {
		want := r.auth.want
		if o.Variant == "wrong-secret" {
			want += "-wrong"
		}
		s.Header.Set(r.auth.header, want)
		return nil
	}
	if r.verifier == nil {
		return nil
	}
	key, now := r.keys[0], o.Now
	switch o.Variant {
	case "expired":
		if r.verifier.Timestamp == nil {
			return fmt.Errorf("%s signs no timestamp, so its deliveries cannot expire", r.trigger.Name)
		}
		now = now.Add(-r.verifier.Timestamp.Tolerance - 5*time.Minute)
	case "wrong-secret":
		var err error
		if key, err = r.wrongKey(); err != nil {
			return err
		}
	}
	req := &signature.Request{Method: s.Method, Header: s.Header, Query: s.Query, PublicURL: r.public + s.Path, CallbackURL: r.webhook.CallbackURL, Body: s.Body, Params: r.params,
		JSON: (&inbound{header: s.Header, body: s.Body, want: &r.want}).json, Form: func() (url.Values, error) { return url.ParseQuery(string(s.Body)) }}
	if err := r.verifier.Sign(req, key, now); err != nil {
		return err
	}
	if o.Variant == "tampered" {
		s.Body = append([]byte(" "), s.Body...)
	}
	return nil
}

// wrongKey is a secret of the right form that is not configured.
func (r *route) wrongKey() (signature.Key, error) {
	id, err := randomID()
	if err != nil {
		return signature.Key{}, err
	}
	text := "wrong_" + id
	switch r.verifier.KeyEncoding {
	case "whsec_base64", "base64":
		text = "d3JvbmctaG9va2xvb20tc2VjcmV0"
	case "hex":
		text = strings.ReplaceAll(id, "-", "")
	}
	return r.verifier.NewKey(text)
}
