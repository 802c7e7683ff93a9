package triggers

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/lograte"
	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/workflows"
)

// fixedLimiter gives one answer to every delivery.
type fixedLimiter struct {
	wait time.Duration
	err  error
}

func (l fixedLimiter) allow(context.Context) (time.Duration, error) { return l.wait, l.err }

// TestDeliveryOverTheRateIsNotAccepted, nor one of which the rate is not known: each is answered once.
func TestDeliveryOverTheRateIsNotAccepted(t *testing.T) {
	h := &Hooks{log: slog.New(slog.DiscardHandler), often: lograte.New(lograte.Flood)}
	for _, c := range []struct {
		limiter fixedLimiter
		limited bool
		status  int
	}{
		{fixedLimiter{}, false, 200}, {fixedLimiter{wait: time.Second}, true, 429}, {fixedLimiter{err: errors.New("no database")}, true, 503},
	} {
		w := httptest.NewRecorder()
		r := &route{limiter: c.limiter, trigger: &workflows.Trigger{Name: "shop"}}
		got := h.limited(w, httptest.NewRequest(http.MethodPost, "/hooks/shop", nil), r, &inbound{at: time.Now()})
		if got != c.limited || w.Code != c.status {
			t.Errorf("%+v: limited is %t, the answer is %d", c.limiter, got, w.Code)
		}
	}
}

// TestCredentialInARefusedURLIsMasked, unless the URL is signed: it could not be verified again.
func TestCredentialInARefusedURLIsMasked(t *testing.T) {
	for content, masked := range map[string]bool{"": true, "{body}": true, "{public_url}": false} {
		r := &route{webhook: &workflows.Webhook{Path: "/hooks/t"}, proofs: []*proof{{}}}
		if content != "" {
			v, err := signature.Compile(signature.Scheme{Algorithm: "hmac-sha256", From: signature.Place{Header: "X-S"},
				Encodings: []string{"hex"}, SignedContent: []string{content}})
			if err != nil {
				t.Fatal(err)
			}
			r.proofs[0].verifier = v
		}
		want := "https://a.example/hooks/t?n=1&token=abc"
		in := &inbound{path: "/hooks/t", publicURL: want}
		if masked {
			want = "https://a.example/hooks/t?n=1&token=***"
		}
		if got := r.keepURL(in); got != want {
			t.Errorf("signed %q: %s", content, got)
		}
	}
}

// TestTokenInARefusedURLIsMasked, whatever its parameter is called: also one that is not that of the trigger.
func TestTokenInARefusedURLIsMasked(t *testing.T) {
	v, err := signature.Compile(signature.Scheme{Algorithm: "static-token", From: signature.Place{Query: "k y"}})
	if err != nil {
		t.Fatal(err)
	}
	r := &route{webhook: &workflows.Webhook{Path: "/hooks/t"}, proofs: []*proof{{verifier: v}}}
	for query, want := range map[string]string{"": "", "?a=1&k+y=wrong&b=%20&k%20y=2": "?a=1&k+y=***&b=%20&k%20y=***",
		"?kx=1&%zz=2": "?kx=1&%zz=2", "??k+y=a": "??k+y=***", "?a=1?K+Y=b?c;d&e": "?a=1?K+Y=***&e", "?a;b;k%20y=c;k": "?a;b;k%20y=***"} {
		if got := r.keepURL(&inbound{path: "/hooks/t", publicURL: "https://a.example/hooks/t" +
			query}); got != "https://a.example/hooks/t"+want {
			t.Errorf("%s: %s", query, got)
		}
	}
}

// TestTokenInARefusedURLIsMaskedBesideASignature: another proof signs the URL, but a token may be valid elsewhere.
func TestTokenInARefusedURLIsMaskedBesideASignature(t *testing.T) {
	r := &route{webhook: &workflows.Webhook{Path: "/hooks/t"}}
	for _, s := range []signature.Scheme{{Algorithm: "hmac-sha256", From: signature.Place{Header: "X-S"}, Encodings: []string{"hex"},
		SignedContent: []string{"{public_url}"}}, {Algorithm: "static-token", From: signature.Place{Query: "key"}}} {
		v, err := signature.Compile(s)
		if err != nil {
			t.Fatal(err)
		}
		r.proofs = append(r.proofs, &proof{verifier: v})
	}
	in := &inbound{path: "/hooks/t", publicURL: "https://a.example/hooks/t?n=1&key=abc"}
	if got := r.keepURL(in); got != "https://a.example/hooks/t?n=1&key=***" {
		t.Error(got)
	}
}

// TestTokenInAnUnknownPathIsMasked: the trigger that knew it may have been renamed or removed.
func TestTokenInAnUnknownPathIsMasked(t *testing.T) {
	for path, want := range map[string]string{
		"/hooks/old/T0KENt0kenT0KEN1": "/hooks/old/***", "/hooks/old/4f1c2d3e-0a9b-4c8d-8e7f-001122334455/": "/hooks/old/***/",
		"/hooks/old/qWeRtYuIoPaSdFgHjK": "/hooks/old/***", "/hooks/old/123456789012345678": "/hooks/old/***",
		"/hooks/order-created-2024-webhook": "/hooks/order-created-2024-webhook", "/hooks/shop2": "/hooks/shop2",
		"/hooks/GitHub":             "/hooks/GitHub",
		"/hooks/shopifyOrdersPaid2": "/hooks/shopifyOrdersPaid2", "/hooks/ShopifyOrdersPaid": "/hooks/ShopifyOrdersPaid",
		"/hooks/aBcDeFgHiJkLmNopQrSt":  "/hooks/***",
		"/hooks/a_rather_long_name_v2": "/hooks/a_rather_long_name_v2", "/": "/",
	} {
		x := refusal{in: &inbound{path: path}}
		if got := (&table{}).strayed(x).Path; got != want {
			t.Errorf("%s becomes %s, expected %s", path, got, want)
		}
	}
}

// TestPathsHaveOneForm: without empty segments, and without a slash at the end.
func TestPathsHaveOneForm(t *testing.T) {
	for path, want := range map[string]string{"": "", "/": "/", "//": "/", "/a": "/a", "/a/": "/a", "//a//b/": "/a/b", "a/": "/a"} {
		if got := plainPath(path); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

// TestURLOfAProxyKeepsItsQuery in a diagnosis: the sender may have signed it.
func TestURLOfAProxyKeepsItsQuery(t *testing.T) {
	for raw, want := range map[string]string{"https://a.example/x?q=1": "https://b.example/x?q=1",
		"https://a.example/x": "https://b.example/x",
		"https://a.example":   "http://b.example"} {
		if got := otherURLs(raw, http.Header{"X-Forwarded-Host": {"b.example"}}); !slices.Contains(got, want) {
			t.Errorf("%s: %q lacks %s", raw, got, want)
		}
	}
}

// TestEachScheduleOfAProjectIsUsed, and with it the clock of the engine.
func TestEachScheduleOfAProjectIsUsed(t *testing.T) {
	p := &workflows.Project{Triggers: map[string]*workflows.Trigger{
		"a": {Name: "a", Schedules: []*workflows.Schedule{{Every: time.Hour}, {Cron: "0 * * * *"}}}}}
	n := NewInlets(nil, slog.New(slog.DiscardHandler))
	if err := n.Use(p, nil, func(string) (string, bool) { return "", false }); err != nil {
		t.Fatal(err)
	}
	if len(n.set.schedulers) != 2 {
		t.Errorf("%d schedules are used", len(n.set.schedulers))
	}
	p.Triggers["a"].Schedules[1].Cron = "no cron"
	if err := n.Use(p, nil, func(string) (string, bool) { return "", false }); err == nil {
		t.Error("a schedule that cannot be read is used")
	}
}
