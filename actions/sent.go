package actions

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file reconstructs the requests of recorded attempts. The action itself builds the request
// again from the recorded input, with an HTTP client that keeps it and sends nothing.

// maxShownBody is the maximum number of bytes shown of a request's body.
const maxShownBody = 64 << 10

// errNotSent ends a request that was built only to be shown.
var errNotSent = errors.New("the request is only shown")

// Versions returns a version of a run's workflow, nil if it cannot be read.
type Versions func(version string) *workflows.Workflow

// Sent sets the requests and responses of a run's attempts. An attempt that was kept from an earlier
// run has the request that this run sent. p has the current connections.
func Sent(ctx context.Context, d *engine.RunDetail, versions Versions, p *workflows.Project) {
	id, err := engine.ParseRunID(d.ID)
	if err != nil || p == nil {
		return
	}
	flows := map[string]*workflows.Workflow{}
	v := viewer{run: id, detail: d, project: p, mark: "hl" + strings.ToLower(rand.Text()) + ".", began: map[string]time.Time{},
		sent: &recordingTransport{most: maxShownBody}}
	v.table = Executors(Options{Client: &http.Client{Transport: v.sent}})
	v.marks = regexp.MustCompile(regexp.QuoteMeta(v.mark) + `([A-Za-z0-9_]+)\.`)
	for i := range d.Steps {
		s := &d.Steps[i]
		if v.began[s.Path].IsZero() {
			v.began[s.Path] = s.StartedAt
		}
		version := d.Version
		if s.Origin != nil {
			version = s.Origin.Version
		}
		flow, read := flows[version]
		if !read {
			flow = versions(version)
			flows[version] = flow
		}
		if flow == nil {
			continue
		}
		step := flow.StepAt(s.Path)
		if step == nil || step.Uses != s.Action || step.Spec == nil || !sendsOne(step) {
			continue
		}
		failure := failureOf(s)
		s.Response = response(s, step, failure)
		switch {
		case !was(s, failure):
		case s.Kept && s.Origin == nil:
			s.Request = &engine.SentRequest{Note: "The request cannot be shown: the earlier run that sent it was pruned (history:)."}
		default:
			s.Request = v.request(ctx, s, step)
		}
	}
}

// sendsOne reports whether each attempt of a step is a single request, determined by its input.
func sendsOne(s *workflows.Step) bool {
	return strings.HasPrefix(s.Uses, "http/") || s.Uses == "webhook/send" || s.Uses == cloudEventsSpec.Name || s.Spec.Connector != nil
}

// failure is the recorded error of an attempt.
type failure struct {
	Code    string          `json:"code"`
	Status  int             `json:"status"`
	Details json.RawMessage `json:"details"`
}

func failureOf(s *engine.StepItem) (f failure) {
	if json.Unmarshal(s.Error, &f) != nil {
		return failure{}
	}
	return f
}

// unsent are the error codes of attempts that ended before their request was sent.
var unsent = []string{plan.TokenCode, plan.CutCode, "address_not_allowed", "no_credential", "no_connection", "invalid_connection",
	"invalid_request", "invalid_input", "unsupported"}

// was reports whether the request of an attempt was or may have been sent.
func was(s *engine.StepItem, f failure) bool {
	switch s.Status {
	case "succeeded", "running", "unknown":
		return string(s.Input) != "null"
	case "failed":
		return string(s.Input) != "null" && !slices.Contains(unsent, f.Code)
	}
	return false
}

// response reads the response of an attempt: from the error of a failed one, or from the output of
// a succeeded one, unless a connector or output: transformed it.
func response(s *engine.StepItem, step *workflows.Step, f failure) *engine.SentResponse {
	raw := f.Details
	if s.Status == "succeeded" {
		if step.Output != nil || step.Spec.Connector != nil {
			return nil
		}
		raw = s.Output
	}
	var r struct {
		Status  int             `json:"status"`
		Headers map[string]any  `json:"headers"`
		Body    json.RawMessage `json:"body"`
	}
	if json.Unmarshal(raw, &r) != nil || r.Status == 0 {
		return nil
	}
	out := &engine.SentResponse{Status: r.Status, Headers: map[string]string{}, Body: r.Body}
	for k, v := range r.Headers {
		out.Headers[k] = value.Shown(v)
	}
	return out
}

// viewer builds the requests of a run. A secret is replaced by a mark with its name: a random text,
// so that no payload can contain one.
type viewer struct {
	run     engine.RunID
	detail  *engine.RunDetail
	project *workflows.Project
	mark    string
	marks   *regexp.Regexp
	table   map[string]engine.Action
	began   map[string]time.Time
	// sent keeps the requests that the actions of table send.
	sent *recordingTransport
}

func (v *viewer) secret(name string) (string, bool) { return v.mark + name + ".", true }

// recordingTransport is an http.RoundTripper that keeps a request and sends nothing.
type recordingTransport struct {
	// most is how many bytes of the body it keeps; cut reports that there were more.
	most    int64
	request *http.Request
	body    []byte
	cut     bool
}

// RoundTrip implements http.RoundTripper.
func (k *recordingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	k.request = r
	if r.Body != nil {
		b, err := io.ReadAll(io.LimitReader(r.Body, k.most+1))
		if err = errors.Join(err, r.Body.Close()); err != nil {
			return nil, err
		}
		k.cut, k.body = int64(len(b)) > k.most, b[:min(int64(len(b)), k.most)]
	}
	return nil, errNotSent
}

// Preview implements backtest.Previewer.
func (x connectorAction) Preview(ctx context.Context, in engine.Input, most int64) (*http.Request, []byte, error) {
	k := &recordingTransport{most: most}
	x.client = &http.Client{Transport: k}
	_, err := x.Do(ctx, in)
	return k.request, k.body, err
}

// request builds the request of an attempt.
func (v *viewer) request(ctx context.Context, s *engine.StepItem, step *workflows.Step) *engine.SentRequest {
	recorded, err := value.DecodeStored(s.Input)
	with, isMap := recorded.(map[string]any)
	if err != nil || !isMap {
		return nil
	}
	with = v.named(with, step.With)
	var notes []string
	// These affect how the request is sent and how the response is processed, but not the request
	// itself.
	for _, name := range []string{"proxy", "cert", "key", "ca", "save", "cache", "follow"} {
		if in := step.Spec.Input(name); in != nil && step.Spec.Connector == nil {
			delete(with, name)
		}
	}
	if step.Uses == "webhook/send" && with["secret"] != nil {
		delete(with, "secret")
		delete(with, "scheme")
		delete(with, "signing")
		notes = append(notes, "Each attempt is signed anew; the headers of the signature are not shown.")
	}
	if with["pages"] != nil || step.Spec.Connector != nil && step.Spec.Action.Pages != nil {
		notes = append(notes, "This is the first page's request.")
	}
	k := v.sent
	k.request, k.body, k.cut = nil, nil, false
	run, began := v.run, v.began[s.Path]
	if s.Origin != nil {
		run, began = s.Origin.Run, s.Origin.Began
	}
	in := engine.Input{Spec: step.Spec, With: with, Key: v.detail.IdempotencyKey(s), Run: run, Workflow: v.detail.Workflow,
		Path: s.Path, Attempt: s.Attempt, Now: began.In(v.project.Timezone), Connections: v.project.Connections, Secret: v.secret,
		Redact: func(t string) string { return t }, Preview: v.mark,
		Link: with["connection"] != nil && step.With.Field("url").IsExpression()}
	if headers := v.detail.Keys.EventHeaders; headers["traceparent"] != "" {
		event, err := engine.ParseEventID(v.detail.Event)
		if err == nil {
			ctx = engine.WithTraceparent(ctx, engine.TraceOf(event, headers).Header(engine.AttemptSpan(run, s.Path, s.Attempt)))
		}
	}
	_, err = v.table[engine.ActionName(step)].Do(ctx, in)
	if k.request == nil {
		return &engine.SentRequest{Note: "The request cannot be shown" + v.shown(because(err)) + "."}
	}
	return v.seen(k, notes)
}

// named inserts the marks of secrets into a recorded input, as far as the step says which they are.
func (v *viewer) named(recorded map[string]any, written *workflows.Value) map[string]any {
	out := maps.Clone(recorded)
	for k, x := range recorded {
		out[k] = v.mask(x, written.Field(k))
	}
	return out
}

func (v *viewer) mask(recorded any, written *workflows.Value) any {
	switch x := recorded.(type) {
	case map[string]any:
		return v.named(x, written)
	case string:
		if !written.UsesSecrets() || !strings.Contains(x, workflows.Mask) {
			return x
		}
		secrets, names := map[string]any{}, written.SecretNames()
		for _, n := range names {
			secrets[n], _ = v.secret(n)
		}
		// A text of constants and secrets only is rendered again. A text with data, or whose
		// secrets are transformed by functions, stays as recorded.
		text, err := written.Text(secrets)
		if err == nil && !slices.ContainsFunc(names, func(n string) bool { return !strings.Contains(text, v.mark+n+".") }) {
			return text
		}
		// One inserted secret has one mask.
		if len(names) == 1 && strings.Count(x, workflows.Mask) == 1 && strings.Count(written.Template(), "{}") > 0 {
			return strings.Replace(x, workflows.Mask, v.mark+names[0]+".", 1)
		}
		return x
	}
	return recorded
}

// shown replaces marks by $NAME.
func (v *viewer) shown(s string) string { return v.marks.ReplaceAllString(s, "$$$1") }

// seen describes a kept request.
func (v *viewer) seen(k *recordingTransport, notes []string) *engine.SentRequest {
	r := k.request
	out := &engine.SentRequest{Method: r.Method, URL: v.shown(r.URL.String()), Headers: map[string]string{}}
	curl := []string{"curl"}
	switch r.Method {
	case http.MethodHead:
		curl = append(curl, "--head")
	default:
		curl = append(curl, "-X", r.Method)
	}
	// --globoff: brackets in the URL are not patterns (curl's manual, "--globoff").
	curl = append(curl, "--globoff", v.quoted(r.URL.String()))
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		text := strings.Join(r.Header[name], ", ")
		if credentials, basic := v.basic(name, text); basic {
			out.Headers[name] = "Basic base64(" + v.shown(credentials) + ")"
			curl = append(curl, "--user", v.quoted(credentials))
			continue
		}
		if workflows.SensitiveHeader(name) && !v.marks.MatchString(text) {
			text = workflows.Mask
		}
		out.Headers[name] = v.shown(text)
		written := name + ": " + text
		if text == "" {
			written = name + ";" // curl would remove a header that ends with a colon
		}
		curl = append(curl, "-H", v.quoted(written))
	}
	switch {
	case k.cut:
		out.Body = v.shown(strings.ToValidUTF8(string(k.body), ""))
		notes = append(notes, fmt.Sprintf("Only the first %d KiB of the body are shown.", maxShownBody>>10))
	case !utf8.Valid(k.body) || strings.ContainsRune(string(k.body), 0):
		out.Body, notes = base64.StdEncoding.EncodeToString(k.body), append(notes, "The body is not text; it is shown as base64.")
	default:
		out.Body = v.shown(string(k.body))
		if len(k.body) > 0 {
			curl = append(curl, "--data-raw", v.quoted(string(k.body)))
		}
		out.Curl = strings.Join(curl, " ")
	}
	out.Note = strings.Join(notes, " ")
	return out
}

// basic returns the user and password of basic authentication, if one of them is a secret.
func (v *viewer) basic(name, text string) (string, bool) {
	encoded, ok := strings.CutPrefix(text, "Basic ")
	if !ok || name != "Authorization" {
		return "", false
	}
	b, err := base64.StdEncoding.DecodeString(encoded)
	return string(b), err == nil && v.marks.Match(b)
}

// quoted returns a word of a POSIX shell in which only the marks are variables (POSIX.1-2017, Shell
// Command Language, 2.2.2 Single-Quotes).
func (v *viewer) quoted(s string) string {
	var b strings.Builder
	at := 0
	for _, m := range v.marks.FindAllStringSubmatchIndex(s, -1) {
		b.WriteString(quote(s[at:m[0]]))
		b.WriteString(`"$` + s[m[2]:m[3]] + `"`)
		at = m[1]
	}
	if at < len(s) || at == 0 {
		b.WriteString(quote(s[at:]))
	}
	return b.String()
}

func quote(s string) string {
	if s == "" {
		return ""
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
