package triggers

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/permit"
	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// TestDiagnosesHaveABudget that grows with time, up to its most.
func TestDiagnosesHaveABudget(t *testing.T) {
	var b diagnosisBudget
	now := time.Unix(1_800_000_000, 0)
	if !b.grant(now) || b.left != diagnosisMost {
		t.Errorf("at first %v", b.left)
	}
	b.spend(diagnosisMost)
	if b.grant(now) {
		t.Error("granted when all is spent")
	}
	if now = now.Add(time.Second); !b.grant(now) || b.left != diagnosisPerSecond {
		t.Errorf("a second later %v", b.left)
	}
	if now = now.Add(time.Hour); !b.grant(now) || b.left != diagnosisMost {
		t.Errorf("an hour later %v", b.left)
	}
}

// TestParameterSelectsTheHeader, which must then be set.
func TestParameterSelectsTheHeader(t *testing.T) {
	for _, name := range []string{"{param:header}", "X-{param:header}"} {
		for _, v := range []signature.Place{{Header: name}, {Query: name}} {
			v := &workflows.Verify{Scheme: signature.Scheme{From: v}}
			if err := namesSet(v, nil); err == nil || !strings.Contains(err.Error(), "{header: ...} is needed") {
				t.Errorf("%s: %v", name, err)
			}
			if err := namesSet(v, map[string]string{"header": "X-Token"}); err != nil {
				t.Errorf("%s, with its value: %v", name, err)
			}
		}
	}
}

// TestUsesOfTheMatchingSecretAreCounted, and of none for an index outside of its list.
func TestUsesOfTheMatchingSecretAreCounted(t *testing.T) {
	p := &proof{secret: []int{1, 0}}
	for key, want := range map[int]int{-1: -1, 0: 1, 1: 0, 2: -1} {
		if got := p.secretOf(key); got != want {
			t.Errorf("key %d is of secret %d", key, got)
		}
	}
	r, at := &route{secrets: []*secretUse{{useCount: &useCount{}}, {useCount: &useCount{}}}}, time.UnixMilli(7)
	for _, i := range []int{-1, 1, 2} {
		r.used(i, at)
	}
	if r.secrets[0].count.Load() != 0 || r.secrets[1].count.Load() != 1 || r.secrets[1].last.Load() != 7 {
		t.Errorf("%d and %d uses", r.secrets[0].count.Load(), r.secrets[1].count.Load())
	}
}

// TestRateOfSeveralNodesEqualsThatOfOne: as many deliveries at once, and the same time between them.
func TestRateOfSeveralNodesEqualsThatOfOne(t *testing.T) {
	none := func(context.Context, []permit.Ask) ([]permit.Grant, error) { return nil, nil }
	shared, ok := newLimiter("t", 5, time.Minute, none).(*sharedRate)
	if want := (permit.Ask{Name: "trigger t", Every: 12 * time.Second, Ahead: 48 * time.Second}); !ok || shared.ask != want {
		t.Errorf("%+v", shared)
	}
	own, ok := newLimiter("t", 5, time.Minute, nil).(ownRate)
	if !ok || own.Burst() != 5 || time.Duration(float64(time.Second)/float64(own.Limit())).Round(time.Second) != 12*time.Second {
		t.Errorf("%+v", own)
	}
}

// TestUnsignedPartsOfAKeyAreFound: a key that reads unsigned parts of a request is not covered by a signature
// of the body.
func TestUnsignedPartsOfAKeyAreFound(t *testing.T) {
	for text, want := range map[string]struct {
		outside bool
		headers string
	}{
		"body.id":                           {false, ""},
		`headers["x-id"]`:                   {false, "x-id"},
		`headers["X-Id"] + headers.other`:   {false, "x-id other"},
		`headers[body.name]`:                {true, ""},
		`headers["x-id"] + headers[body.n]`: {true, "x-id"},
		"query.id":                          {true, ""},
		"path":                              {true, ""},
		"url":                               {true, ""},
		"method + body.id":                  {true, ""},
	} {
		e, err := expr.Compile(text, "body", "headers", "query", "path", "url", "method")
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		r := &route{identity: identity{key: []*workflows.Expr{{Expr: *e}}}}
		if r.readKey(); r.keyOutside != want.outside || strings.Join(r.keyHeaders, " ") != want.headers {
			t.Errorf("%s: outside %v, headers %q", text, r.keyOutside, r.keyHeaders)
		}
	}
}

// TestFloodIsVerifiedOneRequestAtATime: while a request of such an address is verified, another one gives up
// when its sender does.
func TestFloodIsVerifiedOneRequestAtATime(t *testing.T) {
	h, c, now := &Hooks{admission: newAdmission()}, newCaller(), time.Now()
	for range failuresBurst {
		h.admission.failed(c, now)
	}
	c.turn <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok := h.verify(ctx, &route{}, &inbound{at: now}, c); ok {
		t.Error("verified beside another one")
	}
}

// TestHandshakeKeyIsDecodedAtLoad: one that cannot be is an error of the file, not of each handshake.
func TestHandshakeKeyIsDecodedAtLoad(t *testing.T) {
	for text, ok := range map[string]bool{"a1b2": true, "no hex": false} {
		r := &route{secrets: []*secretUse{{text: text}}}
		err := r.prepareCompute(&handshake{Handshake: &workflows.Handshake{
			Compute: &workflows.Compute{Algorithm: "hmac-sha256", KeyEncoding: "hex", Message: "{body}"}}})
		if (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestARefusedURLKeepsNoSecretOfItsPath: what follows the path of a trigger whose secret is in the URL.
func TestARefusedURLKeepsNoSecretOfItsPath(t *testing.T) {
	r := &route{urlSecret: true, webhook: &workflows.Webhook{Path: "/hooks/t"}}
	for path, want := range map[string]string{"/hooks/t": "/hooks/t", "/hooks/t/wrong-secret": "/hooks/t/***"} {
		if got := r.keepURL(&inbound{path: path, publicURL: "https://a.example" + path}); got != "https://a.example"+want {
			t.Errorf("%s: %s", path, got)
		}
	}
}
