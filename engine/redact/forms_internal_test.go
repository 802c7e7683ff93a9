package redact

import (
	"slices"
	"testing"
)

// TestWhatAShortBase64SecretDecodesToIsMasked: fromBase64(secrets.X) puts it into inputs.
func TestWhatAShortBase64SecretDecodesToIsMasked(t *testing.T) {
	for secret, inner := range map[string]string{"c2VjcmV0dmFsdWU=": "secretvalue", "cGFzczQ3MTE": "pass4711"} {
		if !slices.Contains(secretParts(secret), inner) {
			t.Errorf("%s: %q is not among %q", secret, inner, secretParts(secret))
		}
	}
}
