package redact_test

import (
	"encoding/json"
	"fmt"
	"html/template"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/redact"
)

// TestASecretIsMaskedInTheEscapesOfAnyEncoder: encoders differ in which characters they escape, and how.
func TestASecretIsMaskedInTheEscapesOfAnyEncoder(t *testing.T) {
	t.Parallel()
	const secret = `pa&ss"w<o>r'd/+=1zq`
	var r redact.Redactor
	r.Set([]string{secret, "tokCANARY/0017+zz/ab+cd=="})
	for name, text := range map[string]string{
		"html/template of Go":                 template.HTMLEscapeString(secret),
		"html/template, with &#43;":           `pa&amp;ss&#34;w&lt;o&gt;r&#39;d/&#43;=1zq`,
		"html/template, a base64 secret":      `tokCANARY/0017&#43;zz/ab&#43;cd==`,
		"html/template, unquoted attribute":   `tokCANARY/0017&#43;zz/ab&#43;cd&#61;&#61;`,
		"html_attr of Twig":                   `pa&amp;ss&quot;w&lt;o&gt;r&#x27;d&#x2F;&#x2B;&#x3D;1zq`,
		"ESAPI":                               `pa&amp;ss&quot;w&lt;o&gt;r&#x27;d&#x2f;&#x2b;&#x3d;1zq`,
		"he":                                  `pa&#x26;ss&#x22;w&#x3C;o&#x3E;r&#x27;d/+=1zq`,
		"decimal numbers":                     `pa&#38;ss&#34;w&#60;o&#62;r&#39;d&#47;&#43;&#61;1zq`,
		"names":                               `pa&amp;ss&quot;w&lt;o&gt;r&apos;d&sol;&plus;&equals;1zq`,
		"leading zeros":                       `pa&#0038;ss&#0034;w&#x003c;o&#62;r&#39;d/+=1zq`,
		"every character, decimal":            each(secret, "&#%d;"),
		"every character, hexadecimal":        each(secret, "&#x%X;"),
		"json_encode of PHP, JSON_HEX_*":      `pa\u0026ss\u0022w\u003Co\u003Er\u0027d\/+=1zq`,
		"JSON for HTML, quote as it is":       `pa\u0026ss"w\u003co\u003er'd/+=1zq`,
		"escapejs of Django":                  `pa\u0026ss\u0022w\u003Co\u003Er\u0027d/+\u003D1zq`,
		"OWASP JavaScript":                    `pa\x26ss\"w\x3Co\x3Er\x27d\/+=1zq`,
		"every character as \\x":              each(secret, `\x%02x`),
		"ECMAScript code points":              each(secret, `\u{%x}`),
		"unusual choice of URL":               `pa%26ss"w%3Co%3Er%27d/%2B=1zq`,
		"HTML in a query":                     `pa%26amp%3Bss%26%2334%3Bw%26lt%3Bo%26gt%3Br%26%2339%3Bd/%26%2343%3B=1zq`,
		"HTML in a JSON string for HTML":      `pa\u0026amp;ss\u0026#34;w\u0026lt;o\u0026gt;r\u0026#39;d/\u0026#43;=1zq`,
		"that in a JSON string in JSON":       `pa\\u0026amp;ss\\u0026#34;w\\u0026lt;o\\u0026gt;r\\u0026#39;d/\\u0026#43;=1zq`,
		"JavaScript in an attribute of HTML":  `pa\u0026amp;ss\u0022w\u003Co\u003Er\u0027d\/&#43;=1zq`,
		"two escapes of different families":   `pa&amp;ss"w<o>r\u0027d/+=1zq`,
		"percent and number":                  `pa%26ss&#34;w<o>r'd/+=1zq`,
		"every character, in a JSON document": `{"a":"` + each(secret, `\\u%04x`) + `"}`,
	} {
		for _, around := range []string{"%s", "a %s b", "é&eacute; %s \\u00e9 %% %%41 \\n", "<p>%s</p>&nbsp;&amp"} {
			in, want := fmt.Sprintf(around, text), fmt.Sprintf(around, "***")
			if strings.HasPrefix(text, "{") {
				want = fmt.Sprintf(around, `{"a":"***"}`)
			}
			if got := r.Text(in); got != want {
				t.Errorf("%s: %s, not %s", name, got, want)
			}
		}
	}
}

func each(s, format string) string {
	var b strings.Builder
	for _, r := range s {
		fmt.Fprintf(&b, format, r)
	}
	return b.String()
}

// TestSecretsInRandomEscapesAreMaskedAndNothingElse: each character of a secret has one of the spellings of a family, and
// the whole is a string in JSON up to twice.
func TestSecretsInRandomEscapesAreMaskedAndNothingElse(t *testing.T) {
	t.Parallel()
	families := [][]string{{"%c", "&#%d;", "&#x%x;", "&#X%04X;"}, {"%c", `\x%02x`, `\u%04X`, `\u{%x}`}, {"%c", "%%%02x", "%%%02X"}}
	const letters = `abcXYZ019&<>"'/\%+=;#{}[] -_.`
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 1))
		secret, family, text := "", families[random.IntN(len(families))], ""
		for range 8 + random.IntN(20) {
			c := rune(letters[random.IntN(len(letters))])
			secret += string(c)
			spelling := family[random.IntN(len(family))]
			if strings.ContainsRune(`&\%`, c) && spelling == "%c" {
				spelling = family[1] // what begins an escape has to be escaped
			}
			text += fmt.Sprintf(spelling, c)
		}
		if strings.TrimSpace(secret) != secret {
			continue // also searched for without blanks, so that these may stay
		}
		var r redact.Redactor
		r.Set([]string{secret})
		in, want := "before "+text+" after", "before *** after"
		for range random.IntN(3) {
			b, err := json.Marshal(in)
			if err != nil {
				t.Fatal(err)
			}
			w, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			in, want = string(b), string(w)
		}
		if got := r.Text(in); got != want {
			t.Fatalf("seed %d: the secret %q in %s: %s", seed, secret, in, got)
		}
	}
}

// TestTextsFullOfEscapesAreSearchedInLinearTime: a sender chooses the text.
func TestTextsFullOfEscapesAreSearchedInLinearTime(t *testing.T) {
	var r redact.Redactor
	r.Set([]string{"a secret that is not there"})
	for _, unit := range []string{`\u005cu005cu005c`, "&amp;amp;amp;", "%25252525", `\/%25&amp;`, "&#00000000000000000000", "&&&&&&&&",
		`\\\\\\\\`} {
		text := strings.Repeat(unit, 1<<20/len(unit))
		began := time.Now()
		if got := r.Text(text); got != text {
			t.Errorf("%s...: the text was changed", unit)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s...: a text of 1 MiB took %v", unit, took)
		}
		t.Log(unit, time.Since(began))
	}
}
