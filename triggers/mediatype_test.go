package triggers_test

import (
	"net/http"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/triggers"
)

// TestSignedBytesAreReadAsTheProvidersType: the Content-Type is not signed, so it
// cannot make other data, another type or another event of signed bytes.
func TestSignedBytesAreReadAsTheProvidersType(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	project := load(t, eachPreset+
		`  custom: {webhook: {verify: {algorithm: hmac-sha256, signature: {from: {header: X-Sig}, encoding: hex}}, secret: "${{ secrets.S }}"}}
  bound:
    webhook:
      verify: {algorithm: hmac-sha256, signature: {from: {header: X-Sig}, encoding: hex}}
      media_types: [application/json]
      secret: "${{ secrets.S }}"
`)
	const object = `{"id":"evt_1","type":"invoice.paid","data":{"object":{"note":"&type=admin&"}}}`
	for _, c := range []struct{ name, trigger, declared, body, want string }{
		{"as the provider sends it", "stripe", "application/json", object, "application/json"},
		{"parameters stay", "stripe", "application/json; charset=utf-8", object, "application/json; charset=utf-8"},
		{"JSON declared as a form", "stripe", form, object, "application/json"},
		{"JSON declared as text", "stripe", "text/plain", object, "application/json"},
		{"JSON declared as nothing", "stripe", "", object, "application/json"},
		{"JSON declared as multipart", "stripe", "multipart/form-data; boundary=x", object, "application/json"},
		{"JSON where forms are sent too", "github", form, object, "application/json"},
		{"a form where JSON is sent too", "github", "application/json", "payload=%7B%22id%22%3A1%7D", form},
		{"a form is read as one", "github", form, "payload=%7B%22id%22%3A1%7D", form},
		{"JSON declared as a form, with a scheme of one's own", "custom", form, object, "application/json"},
		{"a form with a scheme of one's own", "custom", form, "id=1&note=%7B%7D", form},
		{"another type with a scheme of one's own is read as declared", "custom", "text/plain", object, "text/plain"},
		{"unless the trigger says what is sent", "bound", form, object, "application/json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sink := &memory{events: map[string]engine.EventID{}}
			h := hooks(t, project, sink)
			s, err := triggers.Sample(project, c.trigger, lookup, triggers.SampleOrder{Body: []byte(c.body)})
			if err != nil {
				t.Fatal(err)
			}
			s.Header.Set("Content-Type", c.declared)
			if w := post(h, http.MethodPost, s.Path, s.Header, s.Body); w.Code != http.StatusAccepted || len(sink.taken) != 1 {
				t.Fatalf("answered %d %s, %d events", w.Code, w.Body, len(sink.taken))
			}
			if got := sink.taken[0].Headers["content-type"]; got != c.want {
				t.Errorf("read as %q, want %q", got, c.want)
			}
		})
	}
}
