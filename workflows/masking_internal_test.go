package workflows

import (
	"slices"
	"strings"
	"testing"
)

// TestOnlyMapsNamedHeadersHoldCredentials: a field of data that has the name of a header is none.
func TestOnlyMapsNamedHeadersHoldCredentials(t *testing.T) {
	for field, want := range map[string]bool{"headers": true, "Headers": true, "data": false} {
		got := Credentials(map[string]any{field: map[string]any{"Authorization": "Bearer abcdef0123456789"}}, nil)
		if slices.Contains(got, "abcdef0123456789") != want {
			t.Errorf("%s: %q", field, got)
		}
	}
}

func TestSettingsWithSecretsAreRecognizedByPath(t *testing.T) {
	for path, want := range map[string]bool{
		"server": false, "server tokens": true, "server tokens ci": true, "server listen": false, "triggers t webhook secret": true,
		"triggers t poll auth bearer": true, "connections c auth value": true, "connections c auth header": false,
		"settings api_key": true, "settings api_key_file": false, "server tls key": false,
	} {
		if got := secretSetting(strings.Fields(path)); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func TestHintForABadRedactPathRepeatsOnlyValidParts(t *testing.T) {
	for written, repeats := range map[string]bool{
		"card.number": true, "iban": true, "card number": false, "card[0": false, "": false, ".card": false, "card.": false, "a..b": false,
		"event.card": false, "steps.a": false,
	} {
		hint := redactHint(written, "last")
		if got := strings.HasPrefix(hint, "write event.data."+written+", or \"$..last\""); got != repeats {
			t.Errorf("%q: %s", written, hint)
		}
	}
}
