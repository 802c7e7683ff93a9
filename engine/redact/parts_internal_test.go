package redact

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
)

// TestSearchedPartsOfASecret checks the value without surrounding white space, its
// lines of at least 12 bytes, its decoded forms of at least 6 bytes, and the secrets in a key file.
// Shorter parts would mask ordinary text.
func TestSearchedPartsOfASecret(t *testing.T) {
	for name, c := range map[string]struct {
		secret string
		want   []string
	}{
		"a word":             {"correcthorse!", []string{"correcthorse!"}},
		"white space around": {" correcthorse!\t", []string{" correcthorse!\t", "correcthorse!"}},
		"a line of 12 bytes": {"abcdefghijk!\n12345678901", []string{"abcdefghijk!\n12345678901", "abcdefghijk!"}},
		"the lines of a key": {"-----BEGIN X-----\nabcdefghijk!\n-----END X-----",
			[]string{"-----BEGIN X-----\nabcdefghijk!\n-----END X-----", "abcdefghijk!"}},
		"lines with a return":  {"abcdefghijk!\r\n!", []string{"abcdefghijk!\r\n!", "abcdefghijk!"}},
		"base64 of 6 bytes":    {"YWJjZGVm", []string{"YWJjZGVm", "abcdef"}},
		"the same with prefix": {"whsec_YWJjZGVmZ2g=", []string{"whsec_YWJjZGVmZ2g=", "abcdefgh"}},
		"base64 of 5 bytes":    {"YWJjZGU=", []string{"YWJjZGU="}},
		"base64 of no text":    {"//////////8=", []string{"//////////8="}},
		"a key file": {`{"private_key":"abcdefghijk!","id":"lmnopqrstuvw"}`,
			[]string{`{"private_key":"abcdefghijk!","id":"lmnopqrstuvw"}`, "abcdefghijk!"}},
		"keys in a list": {`{"api_keys":["abcdefghijk!",{"x":"lmnopqrstuvw"}]}`,
			[]string{`{"api_keys":["abcdefghijk!",{"x":"lmnopqrstuvw"}]}`, "abcdefghijk!", "lmnopqrstuvw"}},
		"a short key in it": {`{"private_key":"abcdefghijk"}`, []string{`{"private_key":"abcdefghijk"}`}},
		"no JSON":           {`{"private_key":"abcdefghijk!"`, []string{`{"private_key":"abcdefghijk!"`}},
	} {
		if got := secretParts(c.secret); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, expected %q", name, got, c.want)
		}
	}
}

// TestLargeSecretIsSearchedForUnencodedOnly checks that values up to 64 KiB are searched for in every
// encoding, and larger ones only as they are.
func TestLargeSecretIsSearchedForUnencodedOnly(t *testing.T) {
	inner := strings.Repeat("x", 48<<10)
	within := base64.StdEncoding.EncodeToString([]byte(inner)) // 64 KiB
	if len(within) != 64<<10 || !slices.Contains(secretParts(within), inner) {
		t.Errorf("a secret of %d bytes is not decoded", len(within))
	}
	if beyond := " " + within; len(secretParts(beyond)) != 1 {
		t.Errorf("a secret of %d bytes has %d parts", len(beyond), len(secretParts(beyond)))
	}
}
