package triggers_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/triggers"
)

// TestWeakSecretsAreRefusedAtLoad: whoever guesses the secret is the provider. What
// validate says and what a server does are the same.
func TestWeakSecretsAreRefusedAtLoad(t *testing.T) {
	const (
		signed = `triggers: {hook: {webhook: {provider: generic, secret: "${{ secrets.S }}"}}}`
		bearer = `triggers: {hook: {webhook: {auth: {bearer: "${{ secrets.S }}"}}}}`
		basic  = `triggers: {hook: {webhook: {auth: {basic: {user: shop, password: "${{ secrets.S }}"}}}}}`
		header = `triggers: {hook: {webhook: {auth: {header: {name: X-Api-Key, value: "${{ secrets.S }}"}}}}}`
		query  = `triggers: {hook: {webhook: {auth: {query: {name: key, value: "${{ secrets.S }}"}}}}}`
		custom = `triggers: {hook: {webhook: {verify: {algorithm: hmac-sha256, signature: {from: {header: X-Sig}, encoding: hex}}, ` +
			`secret: "${{ ` +
			`secrets.S }}"}}}`
		listed = `triggers: {hook: {webhook: {provider: generic, secret: ["${{ secrets.GOOD }}", "${{ secrets.S }}"]}}}`
	)
	for _, config := range []string{signed, bearer, basic, header, query, custom, listed} {
		project := load(t, config)
		for _, weak := range []string{"x", "   ", "\t\n", "changeme", "Change-Me!", "change-me-to-a-long-random-text", "secret", "SECRET",
			" secret\n", "password", "test", "abc", "1234567", "aaaaaaaaaaaaaaaa", "<your secret>",
			"your-secret-here", "whsec_test"} {
			values := func(n string) (string, bool) {
				if n == "GOOD" {
					return "k3v9-a-secret-that-nobody-guesses", true
				}
				return weak, true
			}
			h := newHooks(t, &memory{})
			if _, err := h.Prepare(project, values); err == nil {
				t.Errorf("%q serves in %s", weak, config)
			}
			found := triggers.Check(project, values)
			if found.Errors() == 0 || found[0].Code != "weak-secret" {
				t.Errorf("%q passes validate in %s: %v", weak, config, found)
			}
			if (weak == "1234567" || weak == "Change-Me!") && strings.Contains(found.Error(), weak) {
				t.Errorf("the secret %q is shown: %s", weak, found)
			}
		}
		if found := triggers.Check(project, func(string) (string, bool) {
			return "k3v9-a-secret-that-nobody-guesses",
				true
		}); found.Errors() > 0 {
			t.Errorf("a good secret is refused: %s", found)
		}
	}
}

// TestPastedSecretIsNormalized: with a line break behind it, or with the
// scheme word of the header in which the provider sends it.
func TestPastedSecretIsNormalized(t *testing.T) {
	const token = "k3v9-a-secret-that-nobody-guesses"
	for _, c := range []struct{ config, pasted, header, sent string }{
		{`provider: auth0, secret: "${{ secrets.S }}"`, token, "Authorization", "Bearer " + token},
		{`provider: auth0, secret: "${{ secrets.S }}"`, "Bearer " + token, "Authorization", "Bearer " + token},
		{`provider: auth0, secret: "${{ secrets.S }}"`, "bearer " + token + "\n", "Authorization", "Bearer " + token},
		{`provider: auth0, secret: "${{ secrets.S }}"`, "Bearer " + token, "Authorization", token},
		{`auth: {bearer: "${{ secrets.S }}"}`, "Bearer " + token, "Authorization", "Bearer " + token},
		{`auth: {header: {name: X-Api-Key, value: "${{ secrets.S }}"}}`, token + "\n", "X-Api-Key", token},
	} {
		project := load(t, "triggers: {hook: {webhook: {"+c.config+"}}}")
		sink := &memory{events: map[string]engine.EventID{}}
		h := hooksWith(t, project, sink, func(string) (string, bool) { return c.pasted, true })
		got := post(h, http.MethodPost, "/hooks/hook", http.Header{c.header: {c.sent}, "Content-Type": {"application/json"}},
			[]byte(`{"type":"s"}`))
		if len(sink.taken) != 1 {
			t.Errorf("pasted %q, sent %q: %d %s", c.pasted, c.sent, got.Code, got.Body)
		}
		got = post(h, http.MethodPost, "/hooks/hook", http.Header{c.header: {c.sent + "x"}}, []byte(`{"type":"t"}`))
		if len(sink.taken) != 1 {
			t.Errorf("another token is taken: %d", got.Code)
		}
	}
}
