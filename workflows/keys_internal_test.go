package workflows

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestKeysOfSeveralPartsAreDistinct, and long ones become a digest. Keys are stored: they must not
// change.
func TestKeysOfSeveralPartsAreDistinct(t *testing.T) {
	long := strings.Repeat("x", maxKey)
	for _, c := range []struct {
		parts []string
		want  string
	}{
		{[]string{"a/b%"}, "a/b%"}, {[]string{"a/b", "c%"}, "a%2Fb/c%25"}, {[]string{"a", "b/c"}, "a/b%2Fc"}, {[]string{long}, long},
		{[]string{long + "x"}, "sha256:" + digestOf301},
	} {
		if got := JoinKey(slices.Clone(c.parts)); got != c.want {
			t.Errorf("%.20q: %s", c.parts, got)
		}
	}
}

// digestOf301 is the SHA-256 of 301 times x, by sha256sum.
const digestOf301 = "e4c11e4fa5423893d1927ae29ada0b6e2da560b5fa44ddc2c09fcd4734a9d9a6"

// TestRedactPathsAreParsed, and an error says what is wrong.
func TestRedactPathsAreParsed(t *testing.T) {
	for text, want := range map[string]string{
		"event.data.a[0]": "", "event.data[*].b": "", `event.data["a b"]`: "", "$..iban": "", "event.query.token": "", "event.body.x": "",
		"event.data.[0]": "", "event.data.a.*": "", "steps.one.output.x": "",
		"event.data.a[0": "lacks a ]", "event.data": "names no field", "event.data.a[-1]": "not an element", "event.data.a[b]": "not an element",
		"event.data.a.": "a step without a name", "event.data.a b": `write ["a b"]`, "a.b": "",
	} {
		p, err := ParseRedactPath(text)
		switch {
		case text == "a.b":
			if err == nil {
				t.Errorf("%s is read: %+v", text, p)
			}
		case (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want):
			t.Errorf("%s: %+v %v", text, p, err)
		}
	}
}

// TestIdentityOfEventsIsDescribed of each kind of webhook, with how long it is remembered.
func TestIdentityOfEventsIsDescribed(t *testing.T) {
	p := &Project{}
	for want, w := range map[string]*Webhook{
		"every delivery is an event of its own (dedupe: off)": {},
		"by an id header (webhook-id, Idempotency-Key, X-Event-Id, ce-source with ce-id); by content for 1m without one": {
			InletCommon: InletCommon{Dedupe: DefaultDedupe}},
		"by the trigger's key:; by content for 2h where that is empty": {
			InletCommon: InletCommon{Dedupe: 2 * time.Hour, DedupeWritten: true, Key: []*Expr{{}}}},
	} {
		if got := p.IdentityWords(w); got != want {
			t.Errorf("%s\nnot %s", got, want)
		}
	}
}

// TestLimitedWorkflowsAreGated: only their runs wait for a slot or a token, and their events are decided in order.
func TestLimitedWorkflowsAreGated(t *testing.T) {
	for name, c := range map[string]struct {
		w              Workflow
		bounded, gated bool
	}{
		"none":        {Workflow{}, false, false},
		"concurrency": {Workflow{Concurrency: &Concurrency{}}, true, true},
		"rate":        {Workflow{Rate: &Rate{}}, true, true},
		"gather":      {Workflow{Gather: &Gather{}}, false, true},
		"cancel_on":   {Workflow{CancelOn: make([]CancelOn, 1)}, false, true},
	} {
		if c.w.Bounded() != c.bounded || c.w.Gated() != c.gated {
			t.Errorf("%s: bounded %v, gated %v", name, c.w.Bounded(), c.w.Gated())
		}
	}
}

// TestCredentialHeadersAreHidden in stored values at any depth, and the value itself is not changed.
func TestCredentialHeadersAreHidden(t *testing.T) {
	in := map[string]any{"list": []any{map[string]any{"headers": map[string]any{"Authorization": "Bearer abc", "Accept": "x"}}, 1}, "n": 1}
	out, hidden := HideHeaders(in)
	got := out.(map[string]any)["list"].([]any)[0].(map[string]any)["headers"].(map[string]any)
	if !hidden || got["Authorization"] == "Bearer abc" || got["Accept"] != "x" {
		t.Errorf("%v %v", hidden, out)
	}
	if in["list"].([]any)[0].(map[string]any)["headers"].(map[string]any)["Authorization"] != "Bearer abc" {
		t.Error("the value itself was changed")
	}
	if out, hidden := HideHeaders(map[string]any{"access_token": "t0ken", "id": 1}); !hidden || out.(map[string]any)["access_token"] != Mask {
		t.Errorf("the answer of a token endpoint: %v %v", hidden, out)
	}
	if same, hidden := HideHeaders(map[string]any{"a": []any{"Authorization"}}); hidden || same.(map[string]any)["a"] == nil {
		t.Errorf("%v %v", hidden, same)
	}
}
