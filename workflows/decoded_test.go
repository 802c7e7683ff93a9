package workflows_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows"
)

// webhookOf loads one webhook trigger t.
func webhookOf(t *testing.T, webhook string) *workflows.Webhook {
	t.Helper()
	p, mistakes := loadOne(t, "on: t\nsteps: [{stop: done}]\n", "triggers:\n  t: {webhook: {"+webhook+"}}\n")
	if mistakes.Errors() > 0 {
		t.Fatalf("%s: %v", webhook, mistakes)
	}
	return p.Triggers["t"].Webhook
}

// TestWebhookSettingsAreReadWithDefaults: what is written, and the default of what is not.
func TestWebhookSettingsAreReadWithDefaults(t *testing.T) {
	for written, want := range map[string]bool{"client_cert: true": true, "client_cert: false": false, "client_cert: [a.example]": true} {
		if w := webhookOf(t, "auth: none, "+written); w.ClientCert != want || strings.Contains(written, "[") != (len(w.ClientNames) == 1) {
			t.Errorf("%s: %v %v", written, w.ClientCert, w.ClientNames)
		}
	}
	for written, want := range map[string]int{"respond: sync": 200, "respond: async": 200, "respond: {body: ok}": 202,
		"respond: {status: 204}": 204, "respond: {mode: sync, body: ok}": 200} {
		if w := webhookOf(t, "auth: none, "+written); w.Respond.Status != want {
			t.Errorf("%s: %d", written, w.Respond.Status)
		}
	}
	w := webhookOf(t, `secret: "${{ secrets.S }}", verify: {algorithm: hmac-sha256, signed_content: "{body}",
    signature: {from: {header: X-Sig}, prefix: "sha256=", prefix_optional: true, encoding: [hex, base64]}}`)
	if v := w.Verify; v.Prefix != "sha256=" || !v.PrefixOptional || fmt.Sprint(v.Encodings) != "[hex base64]" || v.From.Header != "X-Sig" {
		t.Errorf("%+v", v.Scheme)
	}
}

// TestUsesOfAWorkflowAreListed with the versions to which its runs are pinned, and its text compiles
// with what has been removed since.
func TestUsesOfAWorkflowAreListed(t *testing.T) {
	files := map[string]string{
		"hookloom.yaml":         "triggers:\n  hook: {webhook: {auth: none, key: body.id, dedupe: 2h}}\n",
		"workflows/called.yaml": "on: call\nsteps: [{stop: done}]\n",
		"workflows/w.yaml": "on: manual\ninputs: {id: {type: string}}\nsteps:\n  - {id: c, call: called}\n" +
			"  - {id: e, wait: {event: hook, key: \"${{ inputs.id }}\"}, timeout: 1h}\n",
	}
	p, mistakes := workflows.Load(writeFiles(t, files), catalog(t), func(string) bool { return true })
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	u := p.Uses(p.Workflows["w"])
	if len(u.Workflows) != 1 || u.Workflows["called"] != p.Workflows["called"].Version || u.Triggers["hook"] != 7200 || u.None() {
		t.Errorf("%+v", u)
	}
	delete(p.Workflows, "called")
	delete(p.Triggers, "hook")
	pins := workflows.Pins{Workflows: map[string][]byte{"called": []byte(files["workflows/called.yaml"])}, Triggers: u.Triggers}
	if _, mistakes := p.Compile("w", []byte(files["workflows/w.yaml"]), pins); mistakes.Errors() > 0 {
		t.Errorf("with its pins: %v", mistakes)
	}
	pins.Workflows["called"] = []byte("steps: 3\n- no YAML")
	if w, _ := p.Compile("w", []byte(files["workflows/w.yaml"]), pins); w == nil {
		t.Error("a pinned text that cannot be read makes the workflow unreadable")
	}
}

// TestReplacingGivesOneWarning: the first step that may have taken effect is named.
func TestReplacingGivesOneWarning(t *testing.T) {
	step := func(id string) string {
		return "  - {id: " + id + ", uses: http/post, with: {url: 'https://x.example', body: a}}\n"
	}
	_, mistakes := loadOne(t, "on: manual\nconcurrency: {limit: 1, on_full: replace}\nsteps:\n"+step("one")+step("two"), "")
	n := 0
	for _, m := range mistakes {
		if m.Code == "replace-unsafe" {
			n++
			if !strings.Contains(m.String(), "step one") {
				t.Error(m)
			}
		}
	}
	if n != 1 {
		t.Errorf("%d warnings: %v", n, mistakes)
	}
}

func TestAWaitHasAtMostTenChoices(t *testing.T) {
	for n, ok := range map[int]bool{1: false, 2: true, 10: true, 11: false} {
		choices := "{approval: ok}" + strings.Repeat(", {event: t, key: inputs.id}", n-1)
		_, mistakes := loadOne(t, "on: manual\nsteps:\n  - {id: w, wait: {any: ["+choices+"]}, timeout: 1h}\n",
			"triggers:\n  t: {webhook: {auth: none, key: body.id}}\n")
		bad := false
		for _, m := range mistakes {
			bad = bad || m.Code == "out-of-range"
		}
		if bad == ok {
			t.Errorf("%d choices: %v", n, mistakes)
		}
	}
}

// writeFiles creates a project folder from texts by path.
func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
