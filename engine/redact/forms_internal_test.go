package redact

import (
	"slices"
	"strings"
	"testing"
)

// TestDecodedFormOfAShortBase64SecretIsMasked is for fromBase64(secrets.X) in inputs.
func TestDecodedFormOfAShortBase64SecretIsMasked(t *testing.T) {
	for secret, inner := range map[string]string{"c2VjcmV0dmFsdWU=": "secretvalue", "cGFzczQ3MTE": "pass4711"} {
		if !slices.Contains(secretParts(secret), inner) {
			t.Errorf("%s: %q is not among %q", secret, inner, secretParts(secret))
		}
	}
}

// TestSearchedEncodings checks each encoding as real encoders write it, and that only a
// form that ends within a base64 group may be followed by one more character.
func TestSearchedEncodings(t *testing.T) {
	const secret = `Kä/~?o?~+"'<&=x??>`
	has := secretForms(secret)
	for _, c := range []struct {
		name, text string
		base64     bool
	}{
		{"as it is", secret, false},
		{"upper", `KÄ/~?O?~+"'<&=X??>`, false},
		{"lower", `kä/~?o?~+"'<&=x??>`, false},
		{"JSON", `Kä/~?o?~+\"'<&=x??>`, false},
		{"JSON for HTML", `Kä/~?o?~+\"'\u003c\u0026=x??\u003e`, false},
		{"JSON in ASCII", `K\u00e4/~?o?~+\"'\u003c\u0026=x??\u003e`, false},
		{"JSON in ASCII, upper", `K\u00E4/~?o?~+\"'\u003c\u0026=x??\u003e`, false},
		{"JSON, / escaped", `Kä\/~?o?~+\"'<&=x??>`, false},
		{"JSON for HTML, / escaped", `Kä\/~?o?~+\"'\u003c\u0026=x??\u003e`, false},
		{"JSON of PHP", `K\u00e4\/~?o?~+\"'\u003c\u0026=x??\u003e`, false},
		{"JSON in JSON", `Kä/~?o?~+\\\"'<&=x??>`, false},
		{"all units", `\u004b\u00e4\u002f\u007e\u003f\u006f\u003f\u007e\u002b\u0022\u0027\u003c\u0026\u003d\u0078\u003f\u003f\u003e`, false},
		{"all units, upper",
			`\u004B\u00E4\u002F\u007E\u003F\u006F\u003F\u007E\u002B\u0022\u0027\u003C\u0026\u003D\u0078\u003F\u003F\u003E`, false},
		{"text of XML", `Kä/~?o?~+"'&lt;&amp;=x??&gt;`, false},
		{"HTML, quotes", `Kä/~?o?~+&quot;'&lt;&amp;=x??&gt;`, false},
		{"HTML, &#39;", `Kä/~?o?~+&quot;&#39;&lt;&amp;=x??&gt;`, false},
		{"HTML of Python", `Kä/~?o?~+&quot;&#x27;&lt;&amp;=x??&gt;`, false},
		{"HTML of PHP", `Kä/~?o?~+&quot;&#039;&lt;&amp;=x??&gt;`, false},
		{"attribute of XML", `Kä/~?o?~+&quot;&apos;&lt;&amp;=x??&gt;`, false},
		{"HTML of Go", `Kä/~?o?~+&#34;&#39;&lt;&amp;=x??&gt;`, false},
		{"HTML, = escaped", `Kä/~?o?~+&quot;&#x27;&lt;&amp;&#x3D;x??&gt;`, false},
		{"HTML, = and / escaped", `Kä&#x2F;~?o?~+&quot;&#39;&lt;&amp;&#x3D;x??&gt;`, false},
		{"query", `K%C3%A4%2F~%3Fo%3F~%2B%22%27%3C%26%3Dx%3F%3F%3E`, false},
		{"query, lower", `K%c3%a4%2f~%3fo%3f~%2b%22%27%3c%26%3dx%3f%3f%3e`, false},
		{"query, twice", `K%25C3%25A4%252F~%253Fo%253F~%252B%2522%2527%253C%2526%253Dx%253F%253F%253E`, false},
		{"query, lower, twice", `K%25c3%25a4%252f~%253fo%253f~%252b%2522%2527%253c%2526%253dx%253f%253f%253e`, false},
		{"path", `K%C3%A4%2F~%3Fo%3F~+%22%27%3C&=x%3F%3F%3E`, false},
		{"path, lower", `K%c3%a4%2f~%3fo%3f~+%22%27%3c&=x%3f%3f%3e`, false},
		{"every byte of a query",
			`%4B%C3%A4%2F%7E%3F%6F%3F%7E%2B%22%27%3C%26%3D%78%3F%3F%3E`, false},
		{"every byte of a query, lower",
			`%4b%c3%a4%2f%7e%3f%6f%3f%7e%2b%22%27%3c%26%3d%78%3f%3f%3e`, false},
		{"hex", `4bc3a42f7e3f6f3f7e2b22273c263d783f3f3e`, false},
		{"HEX", `4BC3A42F7E3F6F3F7E2B22273C263D783F3F3E`, false},
		{"base64, 0 before", `S8OkL34/bz9+KyInPCY9eD8/P`, true},
		{"base64, 0 before, JSON", `S8OkL34\/bz9+KyInPCY9eD8\/P`, true},
		{"base64, 0 before, for URLs", `S8OkL34_bz9-KyInPCY9eD8_P`, true},
		{"base64, 0 before, in a query", `S8OkL34%2Fbz9%2BKyInPCY9eD8%2FP`, true},
		{"base64, 1 before", `vDpC9+P28/fisiJzwmPXg/Pz`, true},
		{"base64, 1 before, JSON", `vDpC9+P28\/fisiJzwmPXg\/Pz`, true},
		{"base64, 1 before, for URLs", `vDpC9-P28_fisiJzwmPXg_Pz`, true},
		{"base64, 1 before, in a query", `vDpC9%2BP28%2FfisiJzwmPXg%2FPz`, true},
		{"base64, 2 before", `Lw6Qvfj9vP34rIic8Jj14Pz8+`, true},
		{"base64, 2 before, JSON", `Lw6Qvfj9vP34rIic8Jj14Pz8+`, true},
		{"base64, 2 before, for URLs", `Lw6Qvfj9vP34rIic8Jj14Pz8-`, true},
		{"base64, 2 before, in a query", `Lw6Qvfj9vP34rIic8Jj14Pz8%2B`, true},
	} {
		if !slices.Contains(has, form{c.text, c.base64}) {
			t.Errorf("%s: %q (base64 %t) is not searched for", c.name, c.text, c.base64)
		}
	}
	// The first and the last character are escaped too, and the first non-ASCII one.
	for _, text := range []string{`%2fabc%c2%80%2f`, `/abc\u0080/`} {
		if !slices.Contains(secretForms("/abc\u0080/"), form{text, false}) {
			t.Errorf("%q is not searched for", text)
		}
	}
	seen := map[string]bool{}
	for _, f := range has {
		if seen[f.text] {
			t.Errorf("%q is searched for twice", f.text)
		}
		seen[f.text] = true
		if len(f.text) < shortestSecret {
			t.Errorf("%q is too short to be searched for", f.text)
		}
	}
}

// TestLimitsOfSearchedSecrets checks 5 and 6 bytes, and that a value above 64 KiB is not
// searched for in other encodings.
func TestLimitsOfSearchedSecrets(t *testing.T) {
	if got := secretForms("abcde"); len(got) != 0 {
		t.Errorf("5 bytes are searched for: %v", got)
	}
	if got := secretForms("abcdef"); !slices.Contains(got, form{"ABCDEF", false}) {
		t.Errorf("of 6 bytes, %v are searched for", got)
	}
	large := strings.Repeat("x.", longestSecret/2)
	if got := secretForms(large); !slices.Contains(got, form{strings.ToUpper(large), false}) {
		t.Errorf("of %d bytes, %d forms are searched for", len(large), len(got))
	}
	if got := secretForms(large + "x"); len(got) != 1 {
		t.Errorf("of %d bytes, %d forms are searched for", len(large)+1, len(got))
	}
}
