package triggers_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// privateKeys are made once: with a private key as its secret, an asymmetric
// preset can be signed for.
var privateKeys = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	write := func(kind string, k any, err error) {
		if err != nil {
			panic(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			panic(err)
		}
		out[kind] = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	for _, n := range []string{"", " old"} {
		_, ed, err := ed25519.GenerateKey(rand.Reader)
		write("ed25519"+n, ed, err)
		ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		write("ecdsa"+n, ec, err)
		rs, err := rsa.GenerateKey(rand.Reader, 2048)
		write("rsa"+n, rs, err)
	}
	return out
})

// secretFor returns a secret of the form that a scheme takes.
func secretFor(v *workflows.Verify, old bool) string {
	suffix, text := "", "new"
	if old {
		suffix, text = " old", "old"
	}
	keys := privateKeys()
	switch {
	case v.Algorithm == "ed25519":
		return keys["ed25519"+suffix]
	case strings.HasPrefix(v.Algorithm, "ecdsa"):
		return keys["ecdsa"+suffix]
	case strings.HasPrefix(v.Algorithm, "rsa"):
		return keys["rsa"+suffix]
	case v.Algorithm == "jwt" && strings.HasPrefix(v.JWT.Algorithms[0], "RS"):
		return keys["rsa"+suffix]
	case v.Algorithm == "jwt" && v.JWT.Algorithms[0] == "ES256":
		return keys["ecdsa"+suffix]
	case v.Algorithm == "basic-auth":
		return "hook:" + text + "-password:with-colon"
	}
	switch v.KeyEncoding {
	case "hex":
		return strings.Repeat(map[bool]string{false: "a1", true: "b2"}[old], 32)
	case "base64":
		return map[bool]string{false: "bmV3LXNlY3JldC1vZi10aGlzLXRlc3Q=", true: "b2xkLXNlY3JldC1vZi10aGlzLXRlc3Q="}[old]
	case "whsec_base64":
		return map[bool]string{false: "whsec_bmV3LXNlY3JldC1vZi10aGlzLXRlc3Q=", true: "whsec_b2xkLXNlY3JldC1vZi10aGlzLXRlc3Q="}[old]
	}
	return text + "-secret-of-this-test-0123456789abcdef"
}

// presetProject is a project whose trigger hook uses one variant of a preset.
// more is written beside the webhook, and after the triggers.
func presetProject(t testing.TB, p *workflows.Preset, v *workflows.Verify, more ...string) (*workflows.Project,
	func(string) (string, bool)) {
	t.Helper()
	params := map[string]string{}
	for _, x := range p.Params {
		params[x.Name] = x.Default
		if x.Default == "" {
			params[x.Name] = "https://sample.example.com/" + x.Name
		}
		if strings.HasPrefix(x.Name, "topic_arn") {
			params[x.Name] = "arn:aws:sns:eu-central-1:123456789012:orders"
		}
	}
	delete(params, "primary")
	delete(params, "secondary")
	b, err := json.Marshal(params)
	if err != nil {
		t.Fatal(err)
	}
	more = append(more, "", "")
	secret := `["${{ secrets.NEW }}", "${{ secrets.OLD }}"]`
	if v.SecretNth == 2 {
		secret = `["${{ secrets.OTHER }}", "${{ secrets.NEW }}"]`
	}
	project := load(t, fmt.Sprintf("server: {public_url: https://hooks.example.com}\ntriggers:\n  hook: {webhook: {provider: %s, variant: "+
		"%s, params: %s, secret: %s}%s}\n%s", p.Name, v.Variant, b, secret, more[0], more[1]))
	values := map[string]string{"NEW": secretFor(v, false), "OLD": secretFor(v, true), "OTHER": "another-secret-of-this-test"}
	return project, func(n string) (string, bool) { s, ok := values[n]; return s, ok }
}

// TestEveryPresetAcceptsOnlyGenuineDeliveries holds promise 2 for each
// variant of each preset: genuine, tampered, signed by another secret, stale,
// repeated, and signed by the old secret while two are configured.
func TestEveryPresetAcceptsOnlyGenuineDeliveries(t *testing.T) {
	library, err := triggers.Presets()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range library.Names() {
		p, err := library.Read(name)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, v := range p.Verify {
			t.Run(name+"/"+v.Variant, func(t *testing.T) {
				if v.Key != nil && v.Key.Format == "x5c" {
					t.Skip("only a chain up to the pinned root signs: TestTokenWithItsOwnCertificateChain")
				}
				tryVariant(t, p, v)
			})
		}
	}
}

func tryVariant(t *testing.T, p *workflows.Preset, v *workflows.Verify) {
	project, lookup := presetProject(t, p, v)
	sink := &memory{events: map[string]engine.EventID{}}
	h := hooksWith(t, project, sink, lookup)
	send := func(variant string) (int, string, bool) {
		s, err := triggers.Sample(project, "hook", lookup, triggers.SampleOrder{Variant: variant})
		if errors.Is(err, triggers.ErrCannotSample) {
			return 0, "", false
		}
		if err != nil {
			t.Fatalf("%s: %v", variant, err)
		}
		target := s.Path
		if len(s.Query) > 0 {
			target += "?" + s.Query.Encode()
		}
		w := post(h, s.Method, target, s.Header, s.Body)
		if variant == "valid" {
			before := len(sink.taken)
			again := post(h, s.Method, target, s.Header, s.Body)
			if again.Code/100 != 2 || len(sink.taken) != before {
				t.Errorf("the same again: %d %s, %d events", again.Code, again.Body, len(sink.taken))
			}
		}
		return w.Code, w.Body.String(), true
	}
	h.Flush()
	code, body, _ := send("valid")
	if code/100 != 2 || len(sink.taken) != 1 {
		h.Flush()
		t.Fatalf("genuine: %d %s, %d events; %s", code, body, len(sink.taken), reasons(sink))
	}
	d := sink.taken[0]
	if d.Key == "" || d.Flag != "" || d.Type == "" {
		t.Errorf("key %q flag %q type %q", d.Key, d.Flag, d.Type)
	}
	for _, variant := range []string{"tampered", "wrong-secret", "expired"} {
		code, body, possible := send(variant)
		if possible && (code != http.StatusUnauthorized || len(sink.taken) != 1) {
			t.Errorf("%s: %d %s, %d events", variant, code, body, len(sink.taken))
		}
		if !possible && variant == "wrong-secret" {
			t.Errorf("no wrong secret can be made")
		}
	}
	if v.SecretNth == 0 {
		if code, body, _ := send("old-secret"); code/100 != 2 || len(sink.taken) != 2 {
			t.Errorf("rotated: %d %s, %d events", code, body, len(sink.taken))
		}
	}
	noProof(t, project, lookup, h, sink)
	h.Flush()
	for _, kept := range []any{sink.taken, sink.refusals} {
		text := fmt.Sprintf("%+v", kept)
		for _, n := range []string{"NEW", "OLD"} {
			if s, _ := lookup(n); !strings.Contains(s, "PRIVATE KEY") && strings.Contains(text, s) && p.Name != "salesforce-outbound" {
				t.Errorf("the secret is kept: %.400s", text)
			}
		}
	}
}

func reasons(m *memory) string {
	var out []string
	for _, r := range m.refusals {
		out = append(out, r.Reason+": "+r.Detail+" ("+r.Diagnosis+")")
	}
	return strings.Join(out, "\n")
}

// noProof sends a sample without what proves it: no header, no query, no body
// field may be missing unnoticed.
func noProof(t *testing.T, project *workflows.Project, lookup func(string) (string, bool), h http.Handler, sink *memory) {
	t.Helper()
	before := len(sink.taken)
	w := post(h, "POST", "/hooks/hook", http.Header{"Content-Type": {"application/json"}}, []byte(`{"id":"1","type":"x"}`))
	if w.Code == http.StatusAccepted || len(sink.taken) != before {
		t.Errorf("without any proof: %d %s", w.Code, w.Body)
	}
}

// TestAliasIndexMatchesThePresetFiles: the index is read by a shortcut.
func TestAliasIndexMatchesThePresetFiles(t *testing.T) {
	library, err := triggers.Presets()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(library.Names()); n < 200 {
		t.Errorf("%d presets, at least 200 are promised", n)
	}
	taken := map[string]string{}
	for _, name := range library.Names() {
		p, err := library.Read(name)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, a := range append([]string{name}, p.Aliases...) {
			if other := taken[a]; other != "" {
				t.Errorf("%s and %s are both named %s", other, name, a)
			}
			taken[a] = name
			if got := library.Get(a); got == nil || got.Name != name {
				t.Errorf("%s does not lead to %s", a, name)
			}
		}
		if p.SecretName == "" || len(p.Setup) == 0 || len(p.Sources) == 0 && name != "generic" {
			t.Errorf("%s: secret, setup or sources are missing", name)
		}
	}
}

// listed says, for each preset with a list, how a service shows there what its
// webhook carries as a body.
// Where each new item is asked for, that answer is the second.
var listed = map[string]func(body map[string]any) any{
	"github": func(b map[string]any) any {
		return []any{[]any{map[string]any{"id": 12345, "guid": "evt-both-ways", "event": "push", "delivered_at": "2026-01-01T10:00:00Z"}},
			map[string]any{"request": map[string]any{"payload": b}}}
	},
	"stripe": func(b map[string]any) any { return map[string]any{"data": []any{b}, "has_more": false} },
	"paddle": func(b map[string]any) any { return map[string]any{"data": []any{b}} },
	"chargebee": func(b map[string]any) any {
		return map[string]any{"list": []any{map[string]any{"event": b}}}
	},
	"paypal": func(b map[string]any) any {
		return map[string]any{"events": []any{b}, "links": []any{map[string]any{"rel": "self", "href": "https://x"}}}
	},
	"mailgun": func(b map[string]any) any {
		return map[string]any{"items": []any{b["event-data"]}, "paging": map[string]any{"next": "/events/end"}}
	},
	"easypost":    func(b map[string]any) any { return map[string]any{"events": []any{b}, "has_more": false} },
	"shopify":     func(b map[string]any) any { return map[string]any{"orders": []any{b}} },
	"woocommerce": func(b map[string]any) any { return []any{b} },
}

// canned answers every request of a poll, whatever its host.
type canned struct{ answers []string }

func (c *canned) RoundTrip(r *http.Request) (*http.Response, error) {
	body := c.answers[0]
	if len(c.answers) > 1 {
		c.answers = c.answers[1:]
	}
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// TestPollAndWebhookOfAProviderMakeOneEvent: poll: {provider: X, every: 5m} beside
// the webhook is enough. Whichever inlet sees an event first, it is one, of the same
// key, type and data.
func TestPollAndWebhookOfAProviderMakeOneEvent(t *testing.T) {
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
		if p.List == nil {
			continue
		}
		found++
		t.Run(name, func(t *testing.T) {
			wrap := listed[name]
			if wrap == nil {
				t.Fatal("how its list shows an event is not said here")
			}
			setup := strings.NewReplacer("SITE", "site", "SHOP", "shop", "DOMAIN", "domain", "OWNER/REPO/hooks/HOOK_ID", "o/r/hooks/1").Replace(
				p.List.Setup)
			project, secret := presetProject(t, p, p.Verify[0], fmt.Sprintf(", poll: {provider: %s, every: 1h, backfill: true}", name), setup+"\n")
			known := secret
			secret = func(n string) (string, bool) {
				if s, ok := known(n); ok {
					return s, ok
				}
				return "a-credential", true
			}
			var seen []string
			for _, first := range []string{"webhook", "poll"} {
				seen = append(seen, byInlets(t, project, secret, first, wrap))
			}
			if seen[0] != seen[1] {
				t.Errorf("by the webhook first %s, by the poll first %s", seen[0], seen[1])
			}
		})
	}
	if found != len(listed) {
		t.Errorf("%d presets with a list, %d known here", found, len(listed))
	}
}

// byInlets brings one event by both inlets and gives its key, type and data.
func byInlets(t *testing.T, p *workflows.Project, secret func(string) (string, bool), first string, wrap func(map[string]any) any) string {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), store.Options{Synchronous: "OFF"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	e := machine.New(machine.Options{Store: s, Secrets: secret})
	if err := e.Use(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	x, err := triggers.Sample(p, "hook", secret, triggers.SampleOrder{ID: "evt-both-ways"})
	if err != nil {
		t.Fatal(err)
	}
	body, err := value.DecodeJSON(x.Body)
	if err != nil {
		t.Fatal(err)
	}
	answers := []any{wrap(body.(map[string]any)), map[string]any{}}
	if p.Triggers["hook"].Poll.Detail != nil {
		answers = answers[0].([]any)
	}
	var texts []string
	for _, a := range answers {
		b, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(b))
	}
	in := triggers.NewInlets(e, slog.New(slog.DiscardHandler))
	client := &http.Client{Transport: &canned{texts}}
	if err := in.Use(p, actions.Ask(p.Connections, secret, client, nil), secret); err != nil {
		t.Fatal(err)
	}
	h, err := triggers.NewHooks(e, slog.New(slog.DiscardHandler), triggers.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	use, err := h.Prepare(p, secret)
	if err != nil {
		t.Fatal(err)
	}
	use()
	ways := map[string]func(){
		"webhook": func() {
			r := httptest.NewRequest(x.Method, x.Path, bytes.NewReader(x.Body))
			r.Header = x.Header.Clone()
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, r); w.Code >= 300 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		},
		"poll": func() {
			if r, err := in.Poll(t.Context(), "hook"); err != nil || r.Items != 1 {
				t.Fatalf("%+v %v", r, err)
			}
		},
	}
	ways[first]()
	delete(ways, first)
	for _, way := range ways {
		way()
	}
	items, err := s.History().Events(t.Context(), engine.Query{})
	if err != nil || len(items) != 1 || items[0].Duplicates != 1 || string(items[0].Inlet) != first {
		t.Fatalf("%+v %v", items, err)
	}
	id, err := engine.ParseEventID(items[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.History().EventDetail(t.Context(), id)
	if err != nil || first == "webhook" && string(d.Sightings[0].Differences) != "" && string(d.Sightings[0].Differences) != "{}" {
		t.Errorf("both ways differ: %s %v", d.Sightings[0].Differences, err)
	}
	return items[0].Key + " " + items[0].Type
}
