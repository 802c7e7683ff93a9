package engine

import (
	"testing"
	"unsafe"
)

// TestRulesShareTheTextOfADecodedBody: an event that is decoded with its text needs no second copy of
// the body, unless its bytes have been masked since.
func TestRulesShareTheTextOfADecodedBody(t *testing.T) {
	for _, c := range []struct {
		raw, text string
		shared    bool
	}{
		{`{"id":"a"}`, `{"id":"a"}`, true},
		{`{"id":"***"}`, `{"id":"secret"}`, false},
		{`{"id":"a"}`, "", false},
	} {
		e := &Event{Delivery: Delivery{Inlet: "webhook", Raw: []byte(c.raw), Body: map[string]any{"id": "a"}, Decoded: true, Text: c.text}}
		names, err := e.Names()
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := names["raw"].(string)
		if raw != c.raw {
			t.Errorf("event.raw is %s, the body %s", raw, c.raw)
		}
		if shared := unsafe.StringData(raw) == unsafe.StringData(c.text); shared != c.shared {
			t.Errorf("%s with the text %q: shared is %t", c.raw, c.text, shared)
		}
	}
}
