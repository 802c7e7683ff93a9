package triggers

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Braintree's handshake
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/workflows"
)

// Answer is an HTTP answer as data.
type Answer struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	// visit is the URL to request after verification.
	visit *url.URL
	// capture is a secret that the provider handed over.
	capture string
}

// detect matches a request by its content.
type detect struct{ workflows.Detect }

// holds reports whether all parts of the condition hold.
func (d *detect) holds(in *inbound) bool {
	if len(d.Methods) > 0 && !slices.Contains(d.Methods, in.method) {
		return false
	}
	ok := true
	d.Places.Each(func(f signature.Place, values []string) {
		ok = ok && in.carries(f, values)
	})
	return ok
}

// carries compares the value at a place: * matches any text, ! none, [] an empty list. Of
// a content type only the media type is compared.
func (in *inbound) carries(f signature.Place, values []string) bool {
	got, there := in.request.Read(f.WithParams(nil))
	if strings.EqualFold(f.Header, "content-type") {
		got, _, _ = strings.Cut(got, ";")
		got = strings.ToLower(strings.TrimSpace(got))
	}
	for _, want := range values {
		switch want {
		case "*":
			if there && got != "" {
				return true
			}
		case "!":
			if !there || got == "" {
				return true
			}
		case "[]":
			if in.emptyList(f) {
				return true
			}
		default:
			if there && got == want {
				return true
			}
		}
	}
	return false
}

func (in *inbound) emptyList(f signature.Place) bool {
	if f.Form != "" {
		got, _ := in.request.Read(f.WithParams(nil))
		return strings.TrimSpace(got) == "[]"
	}
	v, err := in.value()
	if err != nil {
		return false
	}
	found, _ := at(v, f.JSON)
	l, ok := found.([]any)
	return ok && len(l) == 0
}

// handshake is a compiled handshake of a preset.
type handshake struct {
	*workflows.Handshake
	when    *detect
	checks  []check
	message *signature.Template
	matches *regexp.Regexp
	capture *signature.Template
	visit   *signature.Template
	hosts   []*regexp.Regexp
	answer  *answerTemplate
	key     []byte
}

type check struct {
	from signature.Place
	want []*signature.Template
}

// answerTemplate is a compiled answer.
type answerTemplate struct {
	*workflows.Respondent
	body    *signature.Template
	headers map[string]*signature.Template
}

func newAnswer(w *workflows.Respondent) (*answerTemplate, error) {
	a := &answerTemplate{Respondent: w, headers: map[string]*signature.Template{}}
	var err error
	text := w.Body
	if strings.HasPrefix(w.ContentType, "application/json") {
		text = signature.EscapeJSON(text)
	}
	if a.body, err = signature.ParseTemplate(text); err != nil {
		return nil, fmt.Errorf("respond.body: %w", err)
	}
	for k, v := range w.Headers {
		if a.headers[k], err = signature.ParseTemplate(v); err != nil {
			return nil, fmt.Errorf("respond.headers.%s: %w", k, err)
		}
	}
	return a, nil
}

// fill renders the answer. Values inside JSON are escaped; header values cannot contain a
// line break.
func (a *answerTemplate) fill(req *signature.Request, computed string) (*Answer, error) {
	body, err := a.body.Fill(req, computed, strings.HasPrefix(a.ContentType, "application/json"))
	if err != nil {
		return nil, err
	}
	out := &Answer{Status: a.Status, Body: body, Headers: map[string]string{"X-Content-Type-Options": "nosniff"}}
	if a.ContentType != "" && a.Status != http.StatusNoContent {
		out.Headers["Content-Type"] = a.ContentType
	}
	for k, t := range a.headers {
		v, err := t.Fill(req, computed, false)
		if err != nil {
			return nil, err
		}
		if len(v) > 1024 || strings.ContainsAny(v, "\r\n\x00") {
			return nil, fmt.Errorf("the header %s cannot be answered with that value", k)
		}
		out.Headers[k] = v
	}
	return out, nil
}

// longestChallenge is the maximum length of a challenge, in bytes.
const longestChallenge = 4096

// prepareAnswers compiles the handshakes of the preset and of the written scheme, and the answers
// that the provider requires.
func (r *route) prepareAnswers(written []*workflows.Verify) error {
	var list []*workflows.Handshake
	if r.preset != nil {
		list = append(list, r.preset.Handshakes...)
		var err error
		if r.preset.Answer != nil {
			if r.answer, err = newAnswer(r.preset.Answer); err != nil {
				return err
			}
		}
		if r.preset.Refusal != nil {
			if r.refusal, err = newAnswer(r.preset.Refusal); err != nil {
				return err
			}
		}
	}
	for _, v := range written {
		list = append(list, v.Handshakes...)
	}
	for _, w := range list {
		h, err := r.newHandshake(w)
		if err != nil {
			return fmt.Errorf("handshake: %w", err)
		}
		r.handshakes = append(r.handshakes, h)
		for _, m := range w.Detect.Methods {
			r.methods[m] = true
		}
	}
	return nil
}

func (r *route) newHandshake(w *workflows.Handshake) (*handshake, error) {
	h := &handshake{Handshake: w, when: &detect{w.Detect}}
	var err error
	if h.answer, err = newAnswer(&w.Respond); err != nil {
		return nil, err
	}
	w.Check.Each(func(f signature.Place, values []string) {
		c := check{from: f}
		for _, v := range values {
			t, e := signature.ParseTemplate(v)
			if e != nil {
				err = e
				return
			}
			c.want = append(c.want, t)
		}
		h.checks = append(h.checks, c)
	})
	if err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	if w.Capture != "" {
		if h.capture, err = signature.ParseTemplate(w.Capture); err != nil {
			return nil, fmt.Errorf("capture: %w", err)
		}
	}
	if w.Visit != nil {
		if h.visit, err = signature.ParseTemplate(w.Visit.URL); err != nil {
			return nil, fmt.Errorf("visit: %w", err)
		}
		for _, p := range w.Visit.Hosts {
			re, err := regexp.Compile(`^(?:` + p + `)$`)
			if err != nil {
				return nil, fmt.Errorf("visit.hosts: %w", err)
			}
			h.hosts = append(h.hosts, re)
		}
	}
	return h, r.prepareCompute(h)
}

func (r *route) prepareCompute(h *handshake) error {
	c := h.Compute
	if c == nil {
		return nil
	}
	var err error
	if h.message, err = signature.ParseTemplate(c.Message); err != nil {
		return fmt.Errorf("compute.message: %w", err)
	}
	if form := challengeForm(c); form != "" {
		if h.matches, err = regexp.Compile(`\A(?:` + form + `)\z`); err != nil {
			return fmt.Errorf("compute.matches: %w", err)
		}
	}
	if strings.HasPrefix(c.Algorithm, "hmac-") && len(r.secrets) > 0 {
		if h.key, err = signature.DecodeKey(c.KeyEncoding, r.secrets[0].text); err != nil {
			return fmt.Errorf("compute: %w", err)
		}
	}
	return nil
}

// reads records which parts of the body the handshake reads.
func (h *handshake) reads(r *route) {
	h.Detect.Places.Each(func(f signature.Place, _ []string) { r.wantFrom(f) })
	h.Check.Each(func(f signature.Place, _ []string) { r.wantFrom(f) })
	templates := []*signature.Template{h.message, h.capture, h.visit, h.answer.body}
	for _, t := range h.answer.headers {
		templates = append(templates, t)
	}
	for _, t := range templates {
		if t != nil {
			t.Reads(r.want.AddPath)
		}
	}
}

// handshake answers a request by which a provider checks that the URL is ours. proved reports
// whether the signature has been checked.
func (r *route) handshake(in *inbound, proved bool) *verdict {
	for _, h := range r.handshakes {
		if h.VerifyFirst != proved || !h.when.holds(in) {
			continue
		}
		if detail := h.refuses(in); detail != "" {
			return &verdict{status: h.Refuse, reason: "handshake refused", detail: detail, secret: -1}
		}
		repeated := h.capture != nil && r.known(h, in)
		if h.capture != nil && !repeated {
			if detail := r.unawaited(in.at); detail != "" {
				return &verdict{status: h.Refuse, reason: "handshake refused", detail: detail, secret: -1}
			}
		}
		computed, err := h.compute(in)
		if err != nil {
			return &verdict{status: http.StatusBadRequest, reason: "malformed handshake", detail: err.Error(), secret: -1}
		}
		a, err := h.answer.fill(&in.request, computed)
		if err == nil && len(a.Body) > longestChallenge {
			err = fmt.Errorf("the challenge is longer than %d bytes", longestChallenge)
		}
		if err != nil {
			return &verdict{status: http.StatusBadRequest, reason: "malformed handshake", detail: err.Error(), secret: -1}
		}
		if detail := h.follow(in, a); detail != "" {
			return &verdict{status: h.Refuse, reason: "handshake refused", detail: detail, secret: -1}
		}
		if repeated {
			a.capture = ""
		}
		return &verdict{handshake: a, secret: -1}
	}
	return nil
}

// known reports whether a handshake brings a secret that is set. Its provider repeats it if it got no
// answer, as when the server ended after the secret was stored, and is answered as the first time.
func (r *route) known(h *handshake, in *inbound) bool {
	text, err := h.capture.Fill(&in.request, "", false)
	if err != nil {
		return false
	}
	if text, err = trimmed(text); err != nil || text == "" {
		return false
	}
	known := false
	for _, u := range r.secrets {
		known = subtle.ConstantTimeCompare([]byte(u.text), []byte(text)) == 1 || known
	}
	return known
}

// refuses checks the required values of the handshake, in constant time. It returns what
// is wrong, or "".
func (h *handshake) refuses(in *inbound) string {
	for _, c := range h.checks {
		got, there := in.request.Read(c.from.WithParams(nil))
		held, wanted := false, false
		for _, t := range c.want {
			want, err := t.Fill(&in.request, "", false)
			if err != nil || want == "" {
				continue
			}
			wanted = true
			for _, one := range strings.Fields(want) {
				held = held || there && subtle.ConstantTimeCompare([]byte(one), []byte(got)) == 1
			}
		}
		if !held && (wanted || !h.CheckOptional) {
			what := c.from.WithParams(nil).String() + " does not match the configured value"
			if !wanted {
				what += ": set " + c.want[0].Text + " under params"
			}
			return what
		}
	}
	return ""
}

// compute returns the value that proves to the provider that we have the secret.
func (h *handshake) compute(in *inbound) (string, error) {
	if h.Compute == nil {
		return "", nil
	}
	message, err := h.message.Fill(&in.request, "", false)
	if err != nil {
		return "", err
	}
	if len(message) > longestChallenge || h.matches != nil && !h.matches.MatchString(message) {
		// Otherwise the handshake would sign any text that a caller chooses.
		return "", fmt.Errorf("the challenge does not have the expected form")
	}
	var d hash.Hash
	switch h.Compute.Algorithm {
	case "hmac-sha1":
		d = hmac.New(sha1.New, h.key)
	case "hmac-sha256":
		d = hmac.New(sha256.New, h.key)
	case "hmac-sha512":
		d = hmac.New(sha512.New, h.key)
	default:
		d = sha256.New()
	}
	if strings.HasPrefix(h.Compute.Algorithm, "hmac-") && len(h.key) == 0 {
		return "", signature.ErrEmptyKey
	}
	d.Write([]byte(message))
	if h.Compute.Encoding == "hex" {
		return hex.EncodeToString(d.Sum(nil)), nil
	}
	return base64.StdEncoding.EncodeToString(d.Sum(nil)), nil
}

// follow records what the handshake asks for besides its answer.
func (h *handshake) follow(in *inbound, a *Answer) string {
	if h.capture != nil {
		text, err := h.capture.Fill(&in.request, "", false)
		if err != nil || len(text) < 8 || len(text) > 1024 || strings.ContainsAny(text, "\r\n\x00") {
			return "the secret in the handshake is not valid"
		}
		a.capture = text
	}
	if h.visit != nil {
		text, err := h.visit.Fill(&in.request, "", false)
		if err != nil {
			return err.Error()
		}
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "https" || u.User != nil || u.Port() != "" ||
			!slices.ContainsFunc(h.hosts, func(re *regexp.Regexp) bool { return re.MatchString(strings.ToLower(u.Host)) }) {
			return "the confirmation URL is not the provider's"
		}
		a.visit = u
	}
	return ""
}

// confirm stores the secret that a handshake brought, if none is set, and requests the
// confirmation URL.
func (r *route) confirm(ctx context.Context, a *Answer) error {
	if a.capture != "" && r.pending != "" {
		if r.deps.Windows != nil && !r.deps.Windows.Take(r.trigger.Name, time.Now()) {
			return fmt.Errorf("the secret of trigger %s was set a moment ago", r.trigger.Name)
		}
		if r.deps.Capture == nil {
			return fmt.Errorf("the secret that trigger %s received cannot be saved here", r.trigger.Name)
		}
		if err := r.deps.Capture(r.trigger.Name, r.pending, a.capture); err != nil {
			return fmt.Errorf("saving the secret that trigger %s received: %w", r.trigger.Name, err)
		}
	}
	if a.visit == nil {
		return nil
	}
	if r.deps.Fetch == nil {
		return fmt.Errorf("%s cannot be called: no network is available", a.visit.Host)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.visit.String(), nil)
	if err != nil {
		return fmt.Errorf("confirming at %s: %w", a.visit.Host, err)
	}
	if _, err := r.deps.Fetch(ctx, req); err != nil {
		return fmt.Errorf("confirming at %s: %w", a.visit.Host, err)
	}
	return nil
}
