package workflows

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
)

// ShortestSecret is the minimum length in bytes of a secret that authenticates a sender or a
// person. Providers' own secrets have 16 and more.
const ShortestSecret = 8

// WeakSecret returns why a secret is too weak: empty, blank, too short, a single repeated
// character, or commonly guessed. It returns "" for an acceptable one. The result does not contain
// the secret. Triggers and admin tokens are checked with it; public keys need not be.
func WeakSecret(text string) string {
	plain := strings.TrimSpace(text)
	switch {
	case text == "":
		return "is empty"
	case plain == "":
		return "is blank"
	case wellKnown(plain):
		return "is a placeholder or a well-known secret"
	case len(plain) < ShortestSecret:
		return fmt.Sprintf("has only %d bytes; at least %d are needed", len(plain), ShortestSecret)
	case strings.Trim(plain, plain[:1]) == "":
		return "is one letter repeated"
	}
	return ""
}

// GenerateSecret makes a secret of 32 random bytes, in hex.
func GenerateSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // crypto/rand never fails; it ends the program instead
	return hex.EncodeToString(b)
}

// knownSecrets are placeholders from examples, and the most common passwords. Only letters and
// digits are compared, in lower case: Change-Me! is changeme.
var knownSecrets = func() map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(`
		changeme changeit changethis replaceme replacethis fixme todo none null nil undefined secret secrets mysecret
		yoursecret thesecret topsecret supersecret verysecret notasecret secretkey mysecretkey yoursecretkey
		yoursecrethere mysecrettoken yoursecrettoken secrettoken webhooksecret mywebhooksecret yourwebhooksecret
		signingsecret hooksecret password passwd pass passw0rd password1 password12 password123 password1234
		mypassword yourpassword token mytoken yourtoken tokentoken authtoken apikey yourapikey key test testing
		test123 test1234 testtest testsecret testtoken testkey example examplesecret sample default admin
		administrator root user guest demo hookloom webhook webhooks hook hello helloworld letmein welcome qwerty
		qwertyuiop abc abcd abc123 abcdef abcdefgh abcd1234 12345678 123456789 1234567890 0123456789 87654321
		11111111 00000000 deadbeef foobar foobarbaz xxxxxxxx iloveyou correcthorsebatterystaple`) {
		out[w] = true
	}
	return out
}()

// wellKnown reports whether s is a placeholder: a known word, or a text that begins with one.
func wellKnown(text string) bool {
	word := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(text))
	if knownSecrets[word] || knownSecrets[strings.TrimPrefix(word, "whsec")] && strings.HasPrefix(word, "whsec") {
		return true
	}
	for _, start := range []string{"changeme", "changethis", "replaceme", "replacewith", "putyour", "insertyour", "enteryour"} {
		if strings.HasPrefix(word, start) {
			return true
		}
	}
	return strings.HasPrefix(text, "<") && strings.HasSuffix(text, ">")
}
