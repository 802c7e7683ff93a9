package triggers_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/content"
	"github.com/hookloom/hookloom/workflows"
)

// TestASmallBodyIsDecodedOnceForKeyAndRules: the rules see what they would decode from the stored
// bytes. A body whose trigger nobody listens to, that is large in memory, or unreadable, is left to
// them.
func TestASmallBodyIsDecodedOnceForKeyAndRules(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"hookloom.yaml": `triggers:
  heard: {webhook: {auth: none, key: body.id}}
  off: {webhook: {auth: none, key: body.id}}
  alone: {webhook: {auth: none, key: body.id}}
`, "workflows/w.yaml": "on: heard\nsteps: [{uses: log, with: {message: x}}]\n",
		"workflows/off.yaml": "on: off\nenabled: false\nsteps: [{uses: log, with: {message: x}}]\n"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, mistakes := workflows.Load(dir, workflows.Catalog{Actions: actions.Catalog()}, nil)
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	lists := `,"lists":[[1,[2,[],{"a":[3]}],4],[],[{"b":[]}],5.5,"x"]}`
	for i, c := range []struct {
		trigger, contentType, body string
		decoded                    bool
	}{
		{"heard", "application/json", `{"id":"%d"` + lists, true},
		{"heard", "", `{"id":"%d"` + lists, true},
		{"heard", "application/x-www-form-urlencoded", "id=%d&b=2", true},
		{"heard", "application/json; charset=iso-8859-1", "{\"id\":\"%d\",\"name\":\"Andr\xe9\"}", true},
		{"heard", "application/json", `{"id":"%d","text":"` + strings.Repeat("x", 8<<10) + `"}`, false},
		{"heard", "application/json", `{"id":"%d","many":[` + strings.Repeat("{},", 1200) + `{}]}`, false},
		{"heard", "application/json", `{"id":"%d",`, false},
		{"off", "application/json", `{"id":"%d"` + lists, false},
		{"alone", "application/json", `{"id":"%d"` + lists, false},
	} {
		sink := &memory{events: map[string]engine.EventID{}}
		body := fmt.Sprintf(c.body, i)
		w := post(hooks(t, p, sink), "POST", "/hooks/"+c.trigger, map[string][]string{"Content-Type": {c.contentType}}, []byte(body))
		if w.Code != 202 && w.Code != 200 || len(sink.taken) != 1 {
			t.Fatalf("%s: status %d, %d deliveries", body, w.Code, len(sink.taken))
		}
		d := sink.taken[0]
		if d.Decoded != c.decoded {
			t.Errorf("%s %s: decoded: %v", c.trigger, c.contentType, d.Decoded)
		}
		if !d.Decoded {
			if d.Text != "" {
				t.Errorf("%s %s: the text is kept without the body", c.trigger, c.contentType)
			}
			continue
		}
		if d.Text != body {
			t.Errorf("%s: the text is %q, so the rules make another copy", body, d.Text)
		}
		want, err := content.Decode(d.Headers["content-type"], d.Raw)
		if err != nil || !reflect.DeepEqual(d.Body, want) || string(d.Raw) != body {
			t.Errorf("%s: the rules see %v, stored is %v, %v", body, d.Body, want, err)
		}
	}
}
