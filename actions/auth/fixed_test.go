package auth_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
)

func TestExpiredStaticCredentialHoldsItsConnection(t *testing.T) {
	secrets := map[string]string{"T": "first-token-0123456789"}
	p := placeWith(t, `{bearer: "${{ secrets.T }}"}`+"\n    expired: {body: response.body.errcode == 40001}", secrets)
	source := p.process(p.db)
	expired := map[string]any{"body": map[string]any{"errcode": 40001}}
	k, err := ready(t, source, p.to["crm"])
	if err != nil {
		t.Fatal(err)
	}
	if again, err := k.Renew(t.Context(), 200, map[string]any{"body": map[string]any{"id": 1}}); again || err != nil {
		t.Errorf("an answer that says nothing of the credential: %v, %v", again, err)
	}
	again, err := k.Renew(t.Context(), 200, expired)
	var held *engine.HeldError
	if again || !errors.As(err, &held) || !strings.Contains(held.Why, "its credential has expired (it answered 200)") {
		t.Fatalf("%v, %v", again, err)
	}
	want := func(what string, want bool) {
		t.Helper()
		states, err := p.db.Tokens(t.Context())
		if err != nil || len(states) != 1 || (states[0].Held != "") != want {
			t.Errorf("%s: %+v, %v", what, states, err)
		}
	}
	want("after the answer", true)
	if err := source.Recheck(t.Context(), p.to); err != nil {
		t.Fatal(err)
	}
	want("after a reload with the same credential", true)
	secrets["T"] = "second-token-0123456789"
	if err := source.Recheck(t.Context(), p.linked(secrets)); err != nil {
		t.Fatal(err)
	}
	want("after a reload with another one", false)
	if _, err := k.Renew(t.Context(), 401, nil); !errors.As(err, &held) {
		t.Errorf("401: %v", err)
	}
	if _, err := source.Begin(t.Context(), p.to["crm"], ""); err != nil {
		t.Errorf("hookloom connect: %v", err)
	}
	want("after hookloom connect", false)
	if _, err := source.Begin(t.Context(), p.to["crm"], ""); err == nil || !strings.Contains(err.Error(), "no token to connect") {
		t.Errorf("hookloom connect of one that is not held: %v", err)
	}
}

func TestNewTokenThatIsExpiredIsAnError(t *testing.T) {
	server := newTokenServer(t)
	p := newPlace(t, server)
	c := p.to["crm"]
	c.Expired = placeWith(t, `{bearer: "${{ secrets.T }}"}`+"\n    expired: {body: response.body.errcode == 40001}",
		map[string]string{"T": "t"}).to["crm"].Expired
	source := p.process(p.db)
	k, err := ready(t, source, c)
	if err != nil {
		t.Fatal(err)
	}
	expired := map[string]any{"body": map[string]any{"errcode": 40001}}
	if again, err := k.Renew(t.Context(), 200, expired); !again || err != nil {
		t.Fatalf("%v, %v", again, err)
	}
	says := func(err error) bool {
		return err != nil && strings.Contains(err.Error(), "connection crm: the service says that its new token has expired too")
	}
	if err := k.Taken(200, expired); !says(err) {
		t.Errorf("the second answer: %v", err)
	}
	other, err := ready(t, source, c)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := other.Renew(t.Context(), 200, expired); again || !says(err) {
		t.Errorf("the next call, which fetches no token at once again: %v, %v", again, err)
	}
}
