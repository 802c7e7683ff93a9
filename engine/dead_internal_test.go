package engine

import (
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

// TestVaryingPartsOfAMessage are those of a regular expression that says the same.
func TestVaryingPartsOfAMessage(t *testing.T) {
	varying := regexp.MustCompile(`(?:run|evt)_[0-9a-f]{16}|hl_[a-z2-7]{32}|\d{4,}|\d+\.\d+|"[^"]*"|[0-9a-f]{12,}`)
	part := rapid.SampledFrom([]string{"run_", "evt_", "hl_", "0123456789abcdef", "abcdefghijklmnopqrstuvwxyz234567", "12", "1234", ".", `"`,
		"é", "deadbeef", "abc", " ", "x", "r", "e", "h", "9"})
	rapid.Check(t, func(t *rapid.T) {
		text := ""
		for _, p := range rapid.SliceOfN(part, 0, 12).Draw(t, "parts") {
			text += p
		}
		if got, want := withoutVarying(text), varying.ReplaceAllString(text, "…"); got != want {
			t.Fatalf("%q becomes %q, not %q", text, got, want)
		}
	})
}
