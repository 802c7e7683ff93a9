package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/actions/openapi"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/workflows"
)

// verdicts counts the results of calls of a mock.
type verdicts struct{ valid, refused int }

// called has the results of a document's mock: of calls whose inputs are all from the document, and of
// calls with generated samples, which need not be valid.
type called struct {
	operations     int
	shown, sampled verdicts
	unsure         int
	first          []string
}

// refusals are the suffixes of Prism's error types for invalid requests.
var refusals = []string{"errors#UNPROCESSABLE_ENTITY", "errors#UNAUTHORIZED", "errors#NO_PATH_MATCHED", "errors#NO_METHOD_MATCHED",
	"errors#INVALID_CONTENT_TYPE", "errors#NO_SERVER_MATCHED", "errors#NO_SERVER_CONFIGURATION"}

// prismTable calls every imported operation of documents on a mock that checks requests against
// the document (Stoplight Prism, npm @stoplight/prism-cli, --errors), and prints the results.
func prismTable(ctx context.Context, modules string, list []string, most int) error {
	fmt.Println("            with the document's values   with samples")
	fmt.Println("operations  valid  refused               valid  refused   mock failed  document")
	all := called{}
	line := func(r *called, name string) {
		fmt.Printf("%10d %6d %8d %19d %8d %13d  %s\n", r.operations, r.shown.valid, r.shown.refused,
			r.sampled.valid, r.sampled.refused, r.unsure, name)
	}
	for _, file := range list {
		r, err := prismOne(ctx, modules, file, most)
		if err != nil {
			fmt.Printf("  %s: %v\n", filepath.Base(file), err)
			continue
		}
		line(r, filepath.Base(file))
		for _, p := range r.first[:min(len(r.first), 4)] {
			fmt.Println("    " + p)
		}
		all.operations, all.unsure = all.operations+r.operations, all.unsure+r.unsure
		all.shown.valid, all.shown.refused = all.shown.valid+r.shown.valid, all.shown.refused+r.shown.refused
		all.sampled.valid, all.sampled.refused = all.sampled.valid+r.sampled.valid, all.sampled.refused+r.sampled.refused
	}
	line(&all, "all")
	return nil
}

func prismOne(ctx context.Context, modules, file string, most int) (*called, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	imported, err := openapi.Import(ctx, text, openapi.Options{Name: "api", Source: filepath.Base(file)})
	if err != nil {
		return nil, err
	}
	c, mistakes := workflows.CheckConnector("connectors/api.yaml", imported.Text)
	if mistakes.Errors() > 0 {
		return nil, mistakes
	}
	base, stop, err := prism(ctx, modules, file)
	if err != nil {
		return nil, err
	}
	defer stop()
	out := &called{}
	specs := c.Specs()
	step := max(1, (len(specs)+most-1)/most)
	for i := 0; i < len(specs); i += step {
		out.operations++
		a, sampled, err := prismCall(ctx, base, specs[i])
		kind := &out.shown
		if sampled {
			kind = &out.sampled
		}
		switch {
		case err != nil:
			kind.refused++
			out.first = append(out.first, specs[i].Name+": "+err.Error())
		case slices.ContainsFunc(refusals, func(r string) bool { return strings.Contains(a.said, r) }):
			kind.refused++
			if !sampled || len(out.first) == 0 {
				out.first = append(out.first, fmt.Sprintf("%s: %d %s", specs[i].Name, a.status, a.said[:min(len(a.said), 300)]))
			}
		case strings.Contains(a.said, "prism/errors#") && !strings.Contains(a.said, "; response."):
			// A violation in the response is the mock's own: the request was valid.
			if out.unsure++; out.unsure == 1 {
				out.first = append(out.first, fmt.Sprintf("%s: the mock failed: %d %s", specs[i].Name, a.status, a.said[:min(len(a.said), 200)]))
			}
		default:
			kind.valid++
		}
	}
	return out, nil
}

// prism starts the mock of a document.
func prism(ctx context.Context, modules, file string) (base string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	if err := l.Close(); err != nil {
		return "", nil, err
	}
	c := exec.CommandContext(ctx, "node", filepath.Join(modules, "@stoplight", "prism-cli", "dist", "index.js"), "mock", "--errors",
		"-h", "127.0.0.1", "-p", port, file)
	if err := c.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { _ = c.Process.Kill(); _ = c.Wait() }
	for range 600 {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			_ = conn.Close()
			return "http://127.0.0.1:" + port, stop, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	stop()
	return "", nil, fmt.Errorf("prism does not listen")
}

// aimed sends requests to the mock, without the path of the connector's base URL: Prism serves only
// the paths of the document.
type aimed struct {
	host, below string
	status      int
	said        string
}

// RoundTrip implements http.RoundTripper.
func (a *aimed) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.Host = "http", a.host, a.host
	if rest, ok := strings.CutPrefix(out.URL.EscapedPath(), a.below); ok {
		path, err := url.PathUnescape(rest)
		if err != nil {
			return nil, err
		}
		out.URL.Path, out.URL.RawPath = cmp.Or(path, "/"), cmp.Or(rest, "/")
	}
	resp, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	a.status = resp.StatusCode
	if strings.Contains(resp.Header.Get("Content-Type"), "problem+json") {
		problem := struct {
			Type, Title string
			Validation  []struct {
				Location      []string
				Message, Code string
			}
		}{}
		if err := json.Unmarshal(b, &problem); err == nil {
			a.said = problem.Type
			for _, v := range problem.Validation {
				a.said += fmt.Sprintf("; %s: %s", strings.Join(v.Location, "."), v.Message)
			}
		}
	}
	resp.Body = io.NopCloser(strings.NewReader(string(b)))
	return resp, nil
}

// prismCall makes one call with the inputs that the document shows, and with samples for required
// inputs without a value in the document. It reports whether there were any samples.
func prismCall(ctx context.Context, base string, spec *workflows.ActionSpec) (a *aimed, sampled bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	to, err := url.Parse(base)
	if err != nil {
		return nil, false, err
	}
	a = &aimed{host: to.Host}
	k := spec.Connector
	fields := map[string]any{}
	for _, f := range k.Fields {
		fields[f.Name] = "example"
		if f.Default != nil {
			fields[f.Name] = f.Default
		}
	}
	if own, err := k.Base(fields); err == nil {
		if u, err := url.Parse(own); err == nil {
			a.below = strings.TrimRight(u.EscapedPath(), "/")
		}
	}
	dir, err := os.MkdirTemp("", "hookloom-prism-")
	if err != nil {
		return nil, false, err
	}
	defer os.RemoveAll(dir)
	if err := os.MkdirAll(filepath.Join(dir, "files"), 0o700); err != nil {
		return nil, false, err
	}
	if err := os.WriteFile(filepath.Join(dir, "files", "a.bin"), []byte("example"), 0o600); err != nil {
		return nil, false, err
	}
	with := maps.Clone(spec.Action.Call.With)
	if with == nil {
		with = map[string]any{}
	}
	for _, in := range spec.Action.Inputs {
		switch {
		case in.Type == "file":
			with[in.Name] = "files/a.bin"
		case with[in.Name] == nil && in.Required:
			with[in.Name], sampled = sample(in), true
		}
	}
	one := *spec
	if spec.Action.Pages != nil {
		action, pages := *spec.Action, *spec.Action.Pages
		pages.Max, action.Pages, one.Action = 1, &pages, &action
	}
	table := actions.Executors(actions.Options{Client: &http.Client{Transport: a}})
	_, err = table["connector"].Do(ctx, engine.Input{Spec: &one, With: with, Key: "hl_key", Run: 1,
		Path: "a", Attempt: 1, Connections: map[string]*workflows.Connection{k.Name: k.ExampleConnection()},
		Secret: func(string) (string, bool) { return "example", true }, Files: files.New(dir, 1<<20),
		Now: time.Now()})
	if a.status != 0 {
		err = nil // the mock generates its responses, so they are not checked
	}
	return a, sampled, err
}

// sample returns a value of an input's type.
func sample(in workflows.Input) any {
	switch {
	case len(in.Options) > 0:
		return in.Options[0]
	case in.Type == "integer" || in.Type == "number":
		return 1
	case in.Type == "boolean":
		return true
	case in.Type == "list":
		return []any{}
	case in.Type == "object" || in.Type == "any":
		return map[string]any{}
	case in.Type == "date":
		return "2026-05-01"
	}
	return "example"
}
