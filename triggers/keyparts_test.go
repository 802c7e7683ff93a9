package triggers_test

import (
	"net/http"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/triggers"
)

func TestPartsOfAKeyAreSeparated(t *testing.T) {
	x := newInlet(t, `{auth: none, key: ["body.a", "body.b"]}`)
	header := http.Header{"Content-Type": {"application/json"}}
	for _, c := range []struct{ body, key string }{
		{`{"a":"a/b","b":"c"}`, "a%2Fb/c"},
		{`{"a":"a","b":"b/c"}`, "a/b%2Fc"},
		{`{"a":"a%2Fb","b":"c"}`, "a%252Fb/c"},
		{`{"a":"x","b":7}`, "x/7"},
	} {
		r := x.plain("POST", "/hooks/t", header, []byte(c.body))
		if r.Duplicate {
			t.Errorf("%s is taken for an event of another key", c.body)
		}
		if got := x.ledger.taken[len(x.ledger.taken)-1].Key; got != c.key {
			t.Errorf("%s has the key %q, want %q", c.body, got, c.key)
		}
	}
}

func TestKeyOfOnePartIsNotEncoded(t *testing.T) {
	x := newInlet(t, `{auth: none, key: body.url}`)
	x.plain("POST", "/hooks/t", http.Header{"Content-Type": {"application/json"}}, []byte(`{"url":"https://example.com/a%2Fb"}`))
	if got := x.ledger.taken[0].Key; got != "https://example.com/a%2Fb" {
		t.Errorf("the key is %q", got)
	}
}

func TestSourceAndIDOfACloudEventAreSeparated(t *testing.T) {
	x := newInlet(t, `{auth: none}`)
	for _, ids := range [][2]string{{"a/b", "c"}, {"a", "b/c"}, {"https://example.com/orders", "1"}} {
		r := x.plain("POST", "/hooks/t", http.Header{"Ce-Source": {ids[0]}, "Ce-Id": {ids[1]}}, []byte(`{}`))
		if r.Duplicate {
			t.Errorf("source %s, id %s is taken for another event", ids[0], ids[1])
		}
	}
	if got := x.ledger.taken[2].Key; got != "https://example.com/orders/1" {
		t.Errorf("the key is %q", got)
	}
}

// TestOnlyAUsersKeyIsFlaggedWhenEmpty: a preset's key may be empty on
// purpose: GitLab before 17.4 sends no id.
func TestOnlyAUsersKeyIsFlaggedWhenEmpty(t *testing.T) {
	x := newInlet(t, `{provider: gitlab`+withSecret)
	x.signed(triggers.SampleOrder{})
	header := http.Header{"Content-Type": {"application/json"}, "X-Gitlab-Token": {secrets["T"]}, "X-Gitlab-Event": {"Push Hook"}}
	x.plain("POST", "/hooks/t", header, []byte(`{"object_kind":"push"}`))
	if d := x.ledger.taken[1]; d.Flag != "" || d.Identity != engine.ByContent {
		t.Errorf("flag %q, identified by %s", d.Flag, d.Identity)
	}
	x = newInlet(t, `{auth: none, key: body.id}`)
	x.plain("POST", "/hooks/t", http.Header{"Content-Type": {"application/json"}}, []byte(`{}`))
	if d := x.ledger.taken[0]; d.Flag != "key is empty: body.id" || d.Identity != engine.ByContent {
		t.Errorf("flag %q, identified by %s", d.Flag, d.Identity)
	}
}
