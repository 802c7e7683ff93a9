package triggers_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// TestBodyLimitCoversTheLargestBodyOfTheProvider: GitHub sends pushes of up to 25 MB and never
// repeats them: the preset's own largest body holds unless the trigger says otherwise.
func TestBodyLimitCoversTheLargestBodyOfTheProvider(t *testing.T) {
	const config = `triggers:
  hub: {webhook: {provider: github, secret: "${{ secrets.S }}"}}
  small: {webhook: {provider: github, secret: "${{ secrets.S }}", max_body: 1KiB}}
  none: {webhook: {auth: none}}
`
	p := load(t, config)
	h := hooks(t, p, &memory{events: map[string]engine.EventID{}})
	body := `{"ref":"` + strings.Repeat("x", 1500_000) + `"}`
	for path, want := range map[string]int{"/hooks/hub": http.StatusUnauthorized, "/hooks/small": http.StatusRequestEntityTooLarge,
		"/hooks/none": http.StatusRequestEntityTooLarge} {
		if got := post(h, http.MethodPost, path, nil, []byte(body)); got.Code != want {
			t.Errorf("%s: %d %s; want %d", path, got.Code, got.Body, want)
		}
	}
	if got := p.MaxBody(p.Triggers["hub"].Webhook); got != 25<<20 {
		t.Errorf("a GitHub trigger takes %d bytes; want 25 MiB", got)
	}
}

func TestPresetBodyLimitIsBounded(t *testing.T) {
	text := "provider: p\ntitle: P\nconfidence: memory\nverify: [{variant: v, algorithm: static-token, signature: {from: {header: X}, " +
		"encoding: raw}}]\nsample: {body: {}}\nmax_body: 33MiB\n"
	if _, err := workflows.ParsePreset("p.yaml", []byte(text)); err == nil ||
		!strings.Contains(err.Error(), "max_body must be at most 32MiB") {
		t.Errorf("max_body: 33MiB: %v", err)
	}
}
