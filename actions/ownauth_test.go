package actions_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/workflows"
)

// TestAuthOfTheConnectionReplacesTheConnectors also checks that the connector's own
// credential is not required then.
func TestAuthOfTheConnectionReplacesTheConnectors(t *testing.T) {
	x := newExchanged(t)
	x.answer, x.headers = `{"number": 7, "html_url": "u"}`, map[string]string{"Content-Type": "application/json"}
	with := map[string]any{"owner": "acme", "repo": "shop", "title": "t"}
	own := connections(t, "connections: {github: {base_url: \""+x.URL+"\", auth: {header: {name: X-Key, value: \"${{ secrets.K }}\"}}}}")
	if _, err := do(t, t.Context(), "github/issues.create", with, own); err != nil {
		t.Fatal(err)
	}
	if x.header.Get("X-Key") == "" || x.header.Get("Authorization") != "" {
		t.Errorf("sent %v", x.header)
	}
	// Telegram's token is part of the path, so another auth cannot replace it.
	dir := t.TempDir()
	text := "connections: {telegram: {auth: {header: {name: X-Key, value: \"${{ secrets.K }}\"}}}}"
	if err := os.WriteFile(filepath.Join(dir, "hookloom.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, mistakes := workflows.Load(dir, workflows.Catalog{Actions: actions.Catalog()}, nil)
	if mistakes.Errors() != 1 || !strings.Contains(mistakes.Error(), "connection telegram needs token") {
		t.Errorf("a connection without the bot's token: %v", mistakes)
	}
}
