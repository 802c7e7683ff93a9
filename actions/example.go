package actions

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/actions/auth"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// TryExample runs a connector's example call with the example's response. It returns how the
// request differs from the example; tried is false if the file shows no call.
func TryExample(ctx context.Context, spec *workflows.ActionSpec) (problems []string, tried bool, err error) {
	e := spec.Action.Call
	if e.Response == nil && e.Request == nil {
		return nil, false, nil
	}
	answers, out, failed, err := callExample(ctx, spec)
	if err != nil {
		return nil, false, err
	}
	if answers.request == nil {
		return []string{"the request cannot be created: " + failed.Error()}, true, nil
	}
	problems = answers.differs(e.Request, spec.Connector, answers.request)
	switch {
	case e.Response == nil:
	case failed != nil:
		problems = append(problems, "the response is an error: "+failed.Error())
	default:
		if e.HasOutput && !same(e.Output, out) {
			problems = append(problems, fmt.Sprintf("the output is %s, but the example has %s", shown(out), shown(e.Output)))
		}
		if p := spec.Action.Returns.Check("output", out); p != "" {
			problems = append(problems, "the output does not match returns: "+p)
		}
	}
	return problems, true, nil
}

// ExampleRequest returns the request of a connector's example, and its body.
func ExampleRequest(ctx context.Context, spec *workflows.ActionSpec) (*http.Request, []byte, error) {
	answers, _, failed, err := callExample(ctx, spec)
	if err != nil {
		return nil, nil, err
	}
	if answers.request == nil {
		return nil, nil, fmt.Errorf("the request of %s cannot be made: %w", spec.Name, failed)
	}
	return answers.request, answers.body, nil
}

// callExample runs an example call against a fake service. failed is the error of the action; err
// means that the call could not be prepared.
func callExample(ctx context.Context, spec *workflows.ActionSpec) (answers *fakeService, out any, failed, err error) {
	e := spec.Action.Call
	dir, err := os.MkdirTemp("", "hookloom-example-")
	if err != nil {
		return nil, nil, nil, err
	}
	defer os.RemoveAll(dir)
	kept, err := exampleFiles(dir, spec, e.With)
	if err != nil {
		return nil, nil, nil, err
	}
	s := *spec
	if a := *spec.Action; a.Pages != nil {
		p := *a.Pages
		p.Max = 1 // the example has one response
		a.Pages = &p
		s.Action = &a
	}
	answers = &fakeService{answer: e.Response}
	with := maps.Clone(e.With)
	if with == nil {
		with = map[string]any{}
	}
	out, failed = connectorAction{outbound{&http.Client{Transport: answers}, auth.Fixed("example-token")}}.Do(ctx, engine.Input{
		Spec: &s, With: with, Key: "hl_example", Run: 1, Path: "example", Attempt: 1,
		Now:         time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC),
		Connections: map[string]*workflows.Connection{spec.Connector.Name: spec.Connector.ExampleConnection()},
		Secret:      func(string) (string, bool) { return "example", true }, Files: kept})
	return answers, out, failed, nil
}

// exampleFiles creates the files that the example's inputs name.
func exampleFiles(dir string, spec *workflows.ActionSpec, with map[string]any) (*files.Store, error) {
	for _, in := range spec.Action.Inputs {
		name, _ := with[in.Name].(string)
		if m, ok := with[in.Name].(map[string]any); ok {
			name, _ = m["path"].(string)
		}
		if in.Type != "file" || !filepath.IsLocal(name) {
			continue
		}
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(full, []byte("example"), 0o600); err != nil {
			return nil, err
		}
	}
	return files.New(dir, 1<<20), nil
}

// fakeService answers instead of a service, and keeps the first request.
type fakeService struct {
	answer  *workflows.ExampleResponse
	request *http.Request
	body    []byte
}

// RoundTrip implements http.RoundTripper.
func (s *fakeService) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.request == nil {
		s.request = r
		if r.Body != nil {
			var err error
			if s.body, err = io.ReadAll(io.LimitReader(r.Body, maxRequest)); err != nil {
				return nil, err
			}
		}
	}
	resp := &http.Response{StatusCode: 200, Header: http.Header{}, Request: r, Body: http.NoBody, ProtoMajor: 1, ProtoMinor: 1}
	if s.answer == nil {
		return resp, nil
	}
	resp.StatusCode = s.answer.Status
	for k, v := range s.answer.Headers {
		resp.Header.Set(k, v)
	}
	if s.answer.Body == nil {
		return resp, nil
	}
	raw := []byte(value.Shown(s.answer.Body))
	if _, isText := s.answer.Body.(string); !isText || resp.Header.Get("Content-Type") == "" {
		b, err := value.EncodeJSON(s.answer.Body)
		if err != nil {
			return nil, err
		}
		raw = b
		resp.Header.Set("Content-Type", "application/json")
	}
	resp.Body = io.NopCloser(bytes.NewReader(raw))
	return resp, nil
}

// differs compares a request with the example's.
func (s *fakeService) differs(want map[string]any, c *workflows.Connector, r *http.Request) []string {
	var out []string
	differ := func(what string, got, want any) {
		out = append(out, fmt.Sprintf("%s is %s, but the example has %s", what, shown(got), shown(want)))
	}
	if m, ok := want["method"].(string); ok && m != r.Method {
		differ("method", r.Method, m)
	}
	if p, ok := want["path"].(string); ok {
		// The path is relative to base_url.
		if got := s.below(c, r.URL); got != p {
			differ("path", got, p)
		}
	}
	if q, ok := want["query"].(map[string]any); ok {
		had := r.URL.Query()
		for _, k := range slices.Sorted(maps.Keys(q)) {
			if got := had[k]; !slices.Equal(got, texts(q[k])) {
				differ("query "+k, strings.Join(got, ", "), q[k])
			}
		}
	}
	if h, ok := want["headers"].(map[string]any); ok {
		for _, k := range slices.Sorted(maps.Keys(h)) {
			if got := r.Header.Get(k); got != value.Shown(h[k]) {
				differ("header "+k, got, h[k])
			}
		}
	}
	if f, ok := want["form"].(map[string]any); ok {
		form, err := url.ParseQuery(string(s.body))
		if err != nil {
			return append(out, "the body is not a form")
		}
		for _, k := range slices.Sorted(maps.Keys(f)) {
			if !slices.Equal(form[k], texts(f[k])) {
				differ("form "+k, strings.Join(form[k], ", "), f[k])
			}
		}
	}
	if b, has := want["body"]; has {
		got, err := value.DecodeJSON(s.body)
		if err != nil {
			got = string(s.body)
		}
		if !same(b, got) {
			differ("body", got, b)
		}
	}
	return out
}

// below returns the path of a request relative to the base URL of the example's connection.
func (s *fakeService) below(c *workflows.Connector, u *url.URL) string {
	fields := map[string]any{}
	for name, v := range c.ExampleConnection().Fields {
		fields[name], _ = v.IsConstant()
	}
	base, err := c.Base(fields)
	if err != nil {
		return u.EscapedPath()
	}
	b, err := url.Parse(base)
	if err != nil {
		return u.EscapedPath()
	}
	return strings.TrimPrefix(u.EscapedPath(), strings.TrimRight(b.EscapedPath(), "/"))
}

func texts(v any) []string {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = value.Shown(e)
	}
	return out
}

// same compares data as JSON.
func same(a, b any) bool { return shown(a) == shown(b) }

func shown(v any) string {
	b, err := value.EncodeJSON(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
