package triggers_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
)

// TestSignatureSharedByAllCustomersIsReported: where a provider signs alike for
// all of its customers, validate says so, unless a parameter tells them apart.
func TestSignatureSharedByAllCustomersIsReported(t *testing.T) {
	presets, err := triggers.Presets()
	if err != nil {
		t.Fatal(err)
	}
	for webhook, want := range map[string]bool{
		"provider: fal":                                            true,
		"provider: fal, params: {user_id: u1}":                     false,
		"provider: shipstation":                                    true,
		"provider: shipstation, variant: v1-url-token, secret: x":  false,
		"provider: travis-ci":                                      true,
		"provider: plaid, params: {client_id: a, secret: b}":       true,
		`provider: wise, secret: "${{ secrets.S }}"`:               true,
		`provider: github, secret: "${{ secrets.S }}"`:             false,
		"provider: apple-app-store, params: {bundle_id: com.a}":    false,
		"provider: kinde, params: {issuer: 'https://a.kinde.com'}": false,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "hookloom.yaml"), fmt.Appendf(nil, "triggers: {hook: {webhook: {%s}}}", webhook),
			0o600); err != nil {
			t.Fatal(err)
		}
		_, mistakes := workflows.Load(dir, workflows.Catalog{Actions: actions.Catalog(), Presets: presets, CheckCron: triggers.CheckCron}, nil)
		if got := strings.Contains(mistakes.Error(), "proves-provider"); got != want {
			t.Errorf("%s: said %v, want %v: %s", webhook, got, want, mistakes)
		}
	}
}

// TestAnAppStoreTriggerNamesItsApp: Apple signs for every developer.
func TestAnAppStoreTriggerNamesItsApp(t *testing.T) {
	presets, err := triggers.Presets()
	if err != nil {
		t.Fatal(err)
	}
	p := presets.Get("apple-app-store")
	if b := p.Param("bundle_id"); b == nil || !b.Required {
		t.Error("the bundle id may be left out")
	}
	if k := p.Verify[0].Key; len(k.Purposes) != 2 {
		t.Errorf("the chain's purposes are %v", k.Purposes)
	}
}
