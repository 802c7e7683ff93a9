package triggers_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/triggers"
)

// TestReadmittedDeliveryCountsAsAUseOfItsSecret: the secret is not safe to remove.
func TestReadmittedDeliveryCountsAsAUseOfItsSecret(t *testing.T) {
	p := load(t, `triggers: {a: {webhook: {provider: stripe, secret: "${{ secrets.S }}"}}}`)
	sink := &memory{events: map[string]engine.EventID{}}
	h := hooks(t, p, sink)
	s, err := triggers.Sample(p, "a", lookup, triggers.SampleOrder{})
	if err != nil {
		t.Fatal(err)
	}
	header := s.Header.Clone()
	header.Set("Stripe-Signature", "t=1,v1=00")
	post(h, s.Method, s.Path, header, s.Body)
	h.Flush()
	if len(sink.refusals) != 1 {
		t.Fatalf("%d refusals", len(sink.refusals))
	}
	refused := sink.refusals[0]
	for name := range refused.Headers {
		if strings.EqualFold(name, "Stripe-Signature") {
			refused.Headers[name] = s.Header.Get(name)
		}
	}
	if _, err := h.VerifyAgain(t.Context(), &refused); err != nil {
		t.Fatal(err)
	}
	if uses := h.SecretUses(); len(uses) != 1 || uses[0].Secret != "S" || uses[0].Count != 1 {
		t.Errorf("%+v", uses)
	}
}

// TestRefusedBodyOfUnknownSizeHasNone: a chunked request that is too large names no size.
func TestRefusedBodyOfUnknownSizeHasNone(t *testing.T) {
	p := load(t, `triggers: {a: {webhook: {auth: none, key: body.id, max_body: 1KB}}}`)
	sink := &memory{events: map[string]engine.EventID{}}
	h := hooks(t, p, sink)
	r := httptest.NewRequest(http.MethodPost, "/hooks/a", io.MultiReader(strings.NewReader(strings.Repeat("x", 5000))))
	r.ContentLength = -1
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	h.Flush()
	if w.Code != http.StatusRequestEntityTooLarge || len(sink.refusals) != 1 || sink.refusals[0].Size != 0 {
		t.Errorf("%d %+v", w.Code, sink.refusals)
	}
}

func TestSampleOfAnotherTypeSaysWhoseBodyItHas(t *testing.T) {
	p := load(t, `triggers: {a: {webhook: {provider: stripe, secret: "${{ secrets.S }}"}}}`)
	for kind, want := range map[string]string{"": "", "payment_intent.succeeded": "", "charge.refunded": "payment_intent.succeeded"} {
		s, err := triggers.Sample(p, "a", lookup, triggers.SampleOrder{Type: kind})
		if err != nil {
			t.Fatal(err)
		}
		if (s.Note != "") != (want != "") || !strings.Contains(s.Note, want) {
			t.Errorf("type %q: %q", kind, s.Note)
		}
	}
	if _, err := triggers.Sample(p, "a", lookup, triggers.SampleOrder{Variant: "old-secret"}); !errors.Is(err, triggers.ErrCannotSample) {
		t.Errorf("signed with an old secret that is not there: %v", err)
	}
}

// TestLastStepOfACronIsExplained: one that leaves a single minute before it starts again.
func TestLastStepOfACronIsExplained(t *testing.T) {
	for text, want := range map[string]string{"*/59 * * * *": "59 is followed by 0, after 1", "0 */23 * * *": "23 is followed by 0, after 1"} {
		if got := strings.Join(triggers.ExplainCron(text), "; "); !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestRefusedTokenCannotBeVerifiedAgain, since it is not stored: the message says what to do.
func TestRefusedTokenCannotBeVerifiedAgain(t *testing.T) {
	for _, auth := range []string{`{bearer: "${{ secrets.S }}"}`, `{query: {name: tk, value: "${{ secrets.S }}"}}`} {
		sink := &memory{events: map[string]engine.EventID{}}
		h := hooks(t, load(t, `triggers: {a: {webhook: {auth: `+auth+`, key: body.id}}}`), sink)
		post(h, http.MethodPost, "/hooks/a?tk=wrong", http.Header{"Authorization": {"Bearer wrong"}}, []byte(`{"id":1}`))
		h.Flush()
		if len(sink.refusals) != 1 {
			t.Fatalf("%s: %d refusals", auth, len(sink.refusals))
		}
		_, err := h.VerifyAgain(t.Context(), &sink.refusals[0])
		if !errors.Is(err, triggers.ErrNotVerified) || !strings.Contains(err.Error(), "have the provider send it again") {
			t.Errorf("%s: %v", auth, err)
		}
	}
}
