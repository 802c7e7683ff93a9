package triggers_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
	"gopkg.in/yaml.v3"
)

// identityCase says of one preset which deliveries are one event and which are
// several. The cases stand in testdata/identity, by the preset's name.
type identityCase struct {
	// Variant is the scheme to sign by, the preset's first by default.
	Variant string `yaml:"variant"`
	// With changes the preset's sample into the first delivery.
	With patch `yaml:"with"`
	// Retry changes the first delivery into its repetition by the provider. Where it
	// changes nothing, the same bytes come again, signed at a later time.
	Retry patch `yaml:"retry"`
	// Others change the first delivery into further events, each an event of its own:
	// other states of the same object, mostly.
	Others []patch `yaml:"others"`
	// Unnamed says why nothing names the provider's events. They are known by content.
	Unnamed string `yaml:"unnamed"`
	// ByHeader reports whether the preset has no key of its own, and a standard id header
	// names the events.
	ByHeader bool `yaml:"by_header"`
}

// patch is a small change of a delivery.
type patch struct {
	Type string `yaml:"type"`
	// Header sets headers; one that is empty is left out.
	Header map[string]string `yaml:"header"`
	// Set gives values to dot paths of the body, or to fields of a form. Drop removes them.
	Set  map[string]any `yaml:"set"`
	Drop []string       `yaml:"drop"`
	// Body takes the place of the whole body.
	Body any `yaml:"body"`
	// Replace changes text in a body that is text.
	Replace map[string]string `yaml:"replace"`
}

func identityCases(t *testing.T) map[string]identityCase {
	t.Helper()
	files, err := filepath.Glob("testdata/identity/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	all := map[string]identityCase{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		cases := map[string]identityCase{}
		d := yaml.NewDecoder(bytes.NewReader(text))
		d.KnownFields(true)
		if err := d.Decode(&cases); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		for name, c := range cases {
			if _, twice := all[name]; twice {
				t.Errorf("%s: %s has a case in another file too", f, name)
			}
			all[name] = c
		}
	}
	return all
}

// TestRetryIsTheSameEventAndANewStateIsAnother holds, for each preset, what
// its key is for: what the provider repeats is one event, and nothing that it
// sends once is taken for a repetition.
func TestRetryIsTheSameEventAndANewStateIsAnother(t *testing.T) {
	t.Parallel()
	library, err := triggers.Presets()
	if err != nil {
		t.Fatal(err)
	}
	cases := identityCases(t)
	for name := range cases {
		if !slices.Contains(library.Names(), name) {
			t.Errorf("a case for %s, which is no preset", name)
		}
	}
	for _, name := range library.Names() {
		c, ok := cases[name]
		if !ok {
			t.Errorf("%s has no case in testdata/identity", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := library.Read(name)
			if err != nil {
				t.Fatal(err)
			}
			tryIdentity(t, p, c)
		})
	}
}

func tryIdentity(t *testing.T, p *workflows.Preset, c identityCase) {
	if named := len(p.Key) > 0 || c.ByHeader; named == (c.Unnamed != "") {
		t.Fatalf("the preset has a key: %v; the case says that nothing names its events: %q", named, c.Unnamed)
	}
	if len(c.Others) == 0 {
		t.Fatal("the case has no other event")
	}
	x := newIdentityTrial(t, p, c)
	now := time.Now()
	first := x.deliver(c.With, patch{}, now.Add(-3*time.Second))
	if first.Duplicate {
		t.Fatal("the first delivery is a duplicate")
	}
	if c.Unnamed == "" {
		if again := x.deliver(c.With, c.Retry, now.Add(-time.Second)); !again.Duplicate || again.Event != first.Event {
			t.Errorf("the retry is another event: keys %q", x.keys)
		}
	} else {
		x.byContent(first)
	}
	seen := []engine.EventID{first.Event}
	for i, o := range c.Others {
		r := x.deliver(c.With, o, now)
		if r.Duplicate || slices.Contains(seen, r.Event) {
			t.Errorf("other event %d is taken for an earlier one: keys %q", i+1, x.keys)
		}
		seen = append(seen, r.Event)
	}
}

// TestRetriesWithTheFirstSignatureAreAccepted: where a provider repeats a delivery
// with its first signature, the last repetition is within the tolerance.
func TestRetriesWithTheFirstSignatureAreAccepted(t *testing.T) {
	library, err := triggers.Presets()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range library.Names() {
		p, err := library.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		if p.Retries.Signed != "first" {
			continue
		}
		for _, v := range p.Verify {
			if v.Timestamp == nil {
				continue
			}
			found++
			project, secret := presetProject(t, p, v)
			sent := time.Now().Truncate(time.Second)
			s, err := triggers.Sample(project, "hook", secret, triggers.SampleOrder{Now: sent})
			if err != nil {
				t.Fatalf("%s/%s: %v", name, v.Variant, err)
			}
			var raw bytes.Buffer
			fmt.Fprintf(&raw, "%s %s?%s HTTP/1.1\r\nHost: hooks.example.com\r\n", s.Method, s.Path, s.Query.Encode())
			if err := s.Header.Write(&raw); err != nil {
				t.Fatal(err)
			}
			raw.WriteString("\r\n")
			raw.Write(s.Body)
			verdict, err := triggers.Verify(project, "hook", &triggers.Deps{Secret: secret}, raw.Bytes(), "", sent.Add(p.Retries.Window))
			if err != nil || verdict.Result != "accepted" {
				t.Errorf("%s/%s: the repetition after %s: %+v %v", name, v.Variant, p.Retries.Window, verdict, err)
			}
		}
	}
	if found < 3 {
		t.Errorf("only %d schemes repeat under the first signature", found)
	}
}

// headerInKey finds the headers that a key reads.
var headerInKey = regexp.MustCompile(`headers\["([^"]+)"\]`)

// TestUnsignedKeyIsReported: where a key reads a header that some scheme
// does not sign, somebody else can give a captured delivery another key.
func TestUnsignedKeyIsReported(t *testing.T) {
	library, err := triggers.Presets()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range library.Names() {
		p, err := library.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range p.Key {
			for _, m := range headerInKey.FindAllStringSubmatch(key.Text, -1) {
				for _, v := range p.Verify {
					if p.IDSigned && v.SignsBody() && !slices.Contains(v.SignedHeaders(), m[1]) {
						t.Errorf("%s/%s: the key reads %s, which is not signed: id_signed: false is missing", name, v.Variant, m[1])
					}
				}
			}
		}
	}
}

// byContent sends the bytes of the last delivery again: within the window they are
// the same event, after it another.
func (x *identityTrial) byContent(first engine.Receipt) {
	x.t.Helper()
	if again := x.send(); !again.Duplicate || again.Event != first.Event {
		x.t.Errorf("the same bytes within the window are another event: keys %q", x.keys)
	}
	x.late = x.window + time.Second
	if late := x.send(); late.Duplicate {
		x.t.Errorf("the same bytes after %s are no event of their own", x.window)
	}
	x.late = 0
}

// identityTrial sends deliveries of one preset through its route into a store.
type identityTrial struct {
	t       *testing.T
	p       *workflows.Preset
	project *workflows.Project
	secret  func(string) (string, bool)
	hooks   *triggers.Hooks
	store   *store.Store
	request *triggers.SampleRequest
	next    engine.EventID
	receipt *engine.Receipt
	keys    []string
	// late is added to the time of arrival; window is how long the key counts.
	late, window time.Duration
	sample       workflows.Sample
}

func newIdentityTrial(t *testing.T, p *workflows.Preset, c identityCase) *identityTrial {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), store.Options{Synchronous: "OFF"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	v := p.Verify[0]
	for _, other := range p.Verify {
		if other.Variant == c.Variant {
			v = other
		}
	}
	if c.Variant != "" && v.Variant != c.Variant {
		t.Fatalf("no variant %q", c.Variant)
	}
	x := &identityTrial{t: t, store: s}
	x.project, x.secret = presetProject(t, p, v)
	x.p = x.project.Presets.Get(p.Name)
	if v.Key != nil && v.Key.Format == "x5c" {
		// Only the provider's own chain signs: a token of ours stands in for it.
		x.p.BodyFromToken = false
		*x.variant(v.Variant) = workflows.Verify{Scheme: signature.Scheme{Variant: v.Variant, Algorithm: "static-token",
			From: signature.Place{Header: "X-Token"}, Encodings: []string{"raw"}}}
		x.secret = func(string) (string, bool) { return "a-token-that-stands-in", true }
	}
	x.sample = *x.p.Sample
	x.hooks = hooksWith(t, x.project, x, x.secret)
	return x
}

func (x *identityTrial) variant(name string) *workflows.Verify {
	for _, v := range x.p.Verify {
		if v.Variant == name {
			return v
		}
	}
	return nil
}

// deliver signs a delivery at a time and sends it.
func (x *identityTrial) deliver(with, change patch, at time.Time) engine.Receipt {
	x.t.Helper()
	s := x.sample
	s.Headers = map[string]string{}
	for k, v := range x.sample.Headers {
		s.Headers[http.CanonicalHeaderKey(k)] = v
	}
	if id := http.CanonicalHeaderKey(s.IDHeader); id != "" && s.Headers[id] == "" {
		s.Headers[id] = "4aa5d1d6-0000-4000-8000-000000000001"
	}
	s.IDHeader, s.IDField = "", "" // the cases say what the id is
	s.Body = copyJSON(x.t, s.Body)
	kind := ""
	for _, p := range []patch{with, change} {
		p.apply(x.t, &s)
		if p.Type != "" {
			kind = p.Type
		}
	}
	x.p.Sample = &s
	var err error
	x.request, err = triggers.Sample(x.project, "hook", x.secret, triggers.SampleOrder{ID: "1c1b7f0e-0000-4000-8000-00000000000e",
		Type: kind, Now: at})
	if err != nil {
		x.t.Fatal(err)
	}
	return x.send()
}

// send sends the request at hand as it is.
func (x *identityTrial) send() engine.Receipt {
	x.t.Helper()
	target := x.request.Path
	if len(x.request.Query) > 0 {
		target += "?" + x.request.Query.Encode()
	}
	r := httptest.NewRequest(x.request.Method, target, bytes.NewReader(x.request.Body))
	r.Header = x.request.Header.Clone()
	w := httptest.NewRecorder()
	x.receipt = nil
	x.hooks.ServeHTTP(w, r)
	if w.Code/100 != 2 || x.receipt == nil {
		x.t.Fatalf("%d %s for %v %s", w.Code, w.Body, r.Header, x.request.Body)
	}
	return *x.receipt
}

// Accept implements engine.Sink.
func (x *identityTrial) Accept(ctx context.Context, d *engine.Delivery) (engine.Receipt, error) {
	x.next++
	x.keys, x.window = append(x.keys, d.Key), max(d.Dedupe, d.ClaimFor)
	d.ReceivedAt = d.ReceivedAt.Add(x.late)
	d.Unsubscribed = true
	if d.Flag != "" {
		x.t.Errorf("flag %q", d.Flag)
	}
	r, err := x.store.Accept(ctx, x.next, d)
	if err == nil {
		x.receipt = &r
	}
	return r, err
}

// AcceptAll implements engine.Sink; the last receipt counts.
func (x *identityTrial) AcceptAll(ctx context.Context, ds []*engine.Delivery) ([]engine.Receipt, error) {
	var out []engine.Receipt
	for _, d := range ds {
		r, err := x.Accept(ctx, d)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// Await implements engine.Sink.
func (x *identityTrial) Await(context.Context, engine.EventID) (*engine.AwaitResult, error) {
	return &engine.AwaitResult{}, nil
}

// Refuse implements engine.Sink.
func (x *identityTrial) Refuse(r engine.Refusal) { x.t.Logf("refused: %s %s", r.Reason, r.Detail) }

func (p *patch) apply(t *testing.T, s *workflows.Sample) {
	t.Helper()
	if p.Body != nil {
		s.Body = copyJSON(t, p.Body)
	}
	for k, v := range p.Header {
		k = http.CanonicalHeaderKey(k)
		if s.Headers[k] = v; v == "" {
			delete(s.Headers, k)
		}
	}
	for path, v := range p.Set {
		s.Body = setPath(t, s.Body, strings.Split(path, "."), copyJSON(t, v))
	}
	for _, path := range p.Drop {
		s.Body = setPath(t, s.Body, strings.Split(path, "."), nil)
	}
	text, isText := s.Body.(string)
	for from, to := range p.Replace {
		if !isText || !strings.Contains(text, from) {
			t.Fatalf("the body has no text %q", from)
		}
		text = strings.ReplaceAll(text, from, to)
		s.Body = text
	}
}

// copyJSON copies a value as the JSON that it is.
func copyJSON(t *testing.T, v any) any {
	t.Helper()
	b, err := value.EncodeJSON(v)
	if err != nil {
		t.Fatal(err)
	}
	out, err := value.DecodeJSON(b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// setPath sets the value at a path of keys and indexes, nil to remove it.
func setPath(t *testing.T, v any, path []string, value any) any {
	t.Helper()
	if len(path) == 0 {
		return value
	}
	switch x := v.(type) {
	case map[string]any:
		if len(path) == 1 && value == nil {
			delete(x, path[0])
			return x
		}
		x[path[0]] = setPath(t, x[path[0]], path[1:], value)
		return x
	case []any:
		i, err := strconv.Atoi(path[0])
		if err == nil && i == len(x) {
			x = append(x, nil)
		}
		if err != nil || i >= len(x) {
			t.Fatal(fmt.Errorf("no element %s", path[0]))
		}
		x[i] = setPath(t, x[i], path[1:], value)
		return x
	case nil:
		return setPath(t, map[string]any{}, path, value)
	}
	t.Fatalf("%v has no %s", v, path[0])
	return nil
}
