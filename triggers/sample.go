package triggers

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/spelling"
	"github.com/hookloom/hookloom/workflows/value"
)

// Variants are the deliveries that hookloom send can make.
var Variants = []string{"valid", "expired", "wrong-secret", "tampered", "duplicate", "old-secret"}

// SampleOrder describes the delivery to make.
type SampleOrder struct {
	// Type and Body replace those of the provider's sample.
	Type string
	Body []byte
	// ID is the event's id; random by default.
	ID      string
	Variant string
	Now     time.Time
	// Base is the server's address, for schemes that sign the URL if server.public_url is not set.
	Base string
}

// SampleRequest is a signed delivery, ready to be sent.
type SampleRequest struct {
	Method, Path string
	Query        url.Values
	Header       http.Header
	Body         []byte
	// Note describes differences from the provider's delivery; usually empty.
	Note string
	// body is the sample as a value, while it can be changed.
	body any
	form bool
}

// ErrCannotSample is wrapped when a trigger's scheme has no such delivery.
var ErrCannotSample = errors.New("no such sample")

// withoutWebhook says why nothing can be delivered to a trigger.
func withoutWebhook(p *workflows.Project, trigger string) error {
	t := p.Triggers[trigger]
	switch {
	case t == nil:
		return fmt.Errorf("no trigger %q: hookloom triggers lists them", trigger)
	case t.Poll != nil:
		return fmt.Errorf("trigger %q has no webhook: hookloom poll %s polls it now", trigger, trigger)
	}
	return fmt.Errorf("trigger %q has no webhook, so nothing can be sent to it: to start a workflow by hand, add manual "+
		"to its on:, and write hookloom send WORKFLOW", trigger)
}

// Sample makes a delivery of the provider of a trigger, signed with the same scheme that
// verifies it.
func Sample(p *workflows.Project, trigger string, secret func(string) (string, bool), o SampleOrder) (*SampleRequest, error) {
	t := p.Triggers[trigger]
	if t == nil || t.Webhook == nil {
		return nil, withoutWebhook(p, trigger)
	}
	r, err := newRoute(p, t, &Deps{Secret: secret})
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
	s.Header.Set("User-Agent", engine.SampleAgent)
	if err := s.fill(r, o); err != nil {
		return nil, err
	}
	return s, s.sign(r, o)
}

// noteOtherBody notes that the body is an example of another type; meant is the result of meantType.
func (s *SampleRequest) noteOtherBody(own, kind, meant string) {
	s.Note = fmt.Sprintf("the body is that of %s with another type: --body FILE sends one of %s%s", own, kind, meant)
}

// meantType asks for the type that a misspelt one probably means; it returns "" for one that the provider sends.
func (r *route) meantType(kind string) string {
	if r.preset == nil || slices.Contains(r.preset.Events, kind) {
		return ""
	}
	if near := spelling.Nearest(kind, r.preset.Events); near != "" {
		return fmt.Sprintf(" (did you mean %s?)", near)
	}
	return ""
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
var plainSample = &workflows.Sample{Body: map[string]any{"type": "sample.created", "message": "a sample of hookloom send"},
	TypeJSON: "type", IDField: "id"}

// fill writes body and headers: the preset's sample with id and type set.
func (s *SampleRequest) fill(r *route, o SampleOrder) error {
	sample := plainSample
	if r.preset != nil {
		sample = r.preset.Sample
	}
	for k, v := range sample.Headers {
		if !strings.EqualFold(k, "User-Agent") { // a sample's marks it as a test
			s.Header.Set(k, v)
		}
	}
	if sample.ContentType != "" {
		s.Header.Set("Content-Type", sample.ContentType)
	}
	s.form = strings.HasPrefix(s.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
	kind := o.Type
	if kind == "" {
		kind = r.sampleType(sample)
	}
	example, known := sample.BodyOf(kind)
	if !known && o.Type != "" && o.Body == nil && len(sample.Bodies) > 0 {
		return fmt.Errorf("there is no example of type %s%s: --body FILE sends one; there are examples of %s", kind,
			r.meantType(kind), strings.Join(sample.BodyTypes(), ", "))
	}
	if !known && o.Body == nil && sample.TypeHeader != "" && sample.Type != "" {
		s.noteOtherBody(sample.Type, kind, r.meantType(kind))
	}
	whole := clone(example, o.ID)
	body := whole
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
			s.noteOtherBody(own, o.Type, r.meantType(o.Type))
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
		// The body differs too, so two samples are two events.
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
		s.Body, err = value.EncodeJSON(s.body)
		return err
	}
	form := url.Values{}
	for k, v := range m {
		text, err := value.Text(v)
		if err != nil {
			return fmt.Errorf("writing the form: %w", err)
		}
		form.Set(k, text)
	}
	s.Body = []byte(form.Encode())
	return nil
}

// sampleType is the first type that the trigger accepts, else the sample's own.
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

// set sets a value at a dot path of keys and indexes, creating maps on the way.
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

// becomeForm converts the body to a form with the named fields: a JSON body becomes the field
// payload, or its texts become fields.
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
			if text, err := value.EncodeJSON(m); err == nil {
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
