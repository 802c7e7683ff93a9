package signature_test

import (
	"testing"

	"github.com/hookloom/hookloom/engine/signature"
)

// TestPartAfterTheBodyCannotBeMoved: a part behind the body must not contain the separator before it.
func TestPartAfterTheBodyCannotBeMoved(t *testing.T) {
	v := verifier(t, signature.Scheme{Algorithm: "hmac-sha256", From: signature.Place{Header: "X-S"}, Encodings: []string{"hex"},
		SignedContent: []string{"{header:x-a}|{body}::{header:x-id}"}})
	k := key(t, v, secret)
	for id, want := range map[string]signature.Reason{"7": signature.Accepted, "a:7": signature.Accepted, "a::7": signature.Ambiguous,
		":7": signature.Ambiguous, "a\x7f7": signature.Ambiguous} {
		req := request(`{"n":1}`)
		req.Header.Set("X-A", "a")
		req.Header.Set("X-Id", id)
		req.Header.Set("X-S", hexOf(t, `a|{"n":1}::`+id))
		if got := v.Verify(req, []signature.Key{k}, now); got.Reason != want {
			t.Errorf("the id %q is %q, want %q: %s", id, got.Reason, want, got.Detail)
		}
	}
}

// TestJoinedFieldsAreKnownAsAmbiguous: a name and its value may be split elsewhere.
func TestJoinedFieldsAreKnownAsAmbiguous(t *testing.T) {
	for content, want := range map[string]bool{"{public_url}.{form_sorted:all}": true, "{form_sorted:all}": true, "{body}": false} {
		v := verifier(t, signature.Scheme{Algorithm: "hmac-sha256", From: signature.Place{Header: "X-S"}, Encodings: []string{"hex"},
			SignedContent: []string{content}})
		if got := v.Ambiguous(); (got != "") != want {
			t.Errorf("%s: %q", content, got)
		}
	}
}

// TestRequestWithATimestampDoesNotLackOne: without a key, the signature is wrong.
func TestRequestWithATimestampDoesNotLackOne(t *testing.T) {
	v := verifier(t, signature.Standard())
	req := request(`{}`)
	if _, err := v.Sign(req, key(t, v, secret), now); err != nil {
		t.Fatal(err)
	}
	if got := v.Verify(req, nil, now); got.Reason != signature.Wrong {
		t.Errorf("%q: %s", got.Reason, got.Detail)
	}
}
