package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"mime/quotedprintable"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"
)

const canary = `s3cr€t/<Key>+"00 17"=&~!'(*)[\,;:@$#]`

// percent encodes like a function that leaves some marks as they are.
func percent(s, safe string) string {
	var out strings.Builder
	for _, c := range []byte(s) {
		if unicode.IsLetter(rune(c)) && c < 128 || unicode.IsDigit(rune(c)) || strings.Contains(safe, string(rune(c))) && c < 128 {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%X", []byte{c})
		}
	}
	return out.String()
}

// printable returns s in quoted-printable.
func printable(s string) string {
	var out bytes.Buffer
	w := quotedprintable.NewWriter(&out)
	_, err := w.Write([]byte(s))
	if err = errors.Join(err, w.Close()); err != nil {
		panic(err)
	}
	return out.String()
}

// echoes returns encodings in which others repeat a secret.
func echoes(s string) map[string]string {
	b := []byte(s)
	ascii := func(units string) string {
		var out strings.Builder
		for _, r := range s {
			fmt.Fprintf(&out, units, r)
		}
		return out.String()
	}
	q, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return map[string]string{
		"as it is":            s,
		"upper":               strings.ToUpper(s),
		"base64":              base64.StdEncoding.EncodeToString(b),
		"base64 raw":          base64.RawStdEncoding.EncodeToString(b),
		"base64url":           base64.URLEncoding.EncodeToString(b),
		"base64url raw":       base64.RawURLEncoding.EncodeToString(b),
		"basic auth":          base64.StdEncoding.EncodeToString([]byte("bob:" + s)),
		"basic auth, user 4":  base64.StdEncoding.EncodeToString([]byte("anne:" + s)),
		"basic auth, user 5":  base64.StdEncoding.EncodeToString([]byte("alice:" + s)),
		"base64 in a text":    base64.StdEncoding.EncodeToString([]byte("a" + s + " and more")),
		"hex":                 hex.EncodeToString(b),
		"HEX":                 strings.ToUpper(hex.EncodeToString(b)),
		"query":               url.QueryEscape(s),
		"path":                url.PathEscape(s),
		"encodeURIComponent":  percent(s, "-_.!~*'()"),
		"encodeURI":           percent(s, "-_.!~*'();/?:@&=+$,#"),
		"URLSearchParams":     strings.ReplaceAll(percent(s, "*-._"), "%20", "+"),
		"quote of Python":     percent(s, "-_.~/"),
		"urlencode of PHP":    strings.ReplaceAll(percent(s, "-_."), "%20", "+"),
		"JavaScript, twice":   percent(percent(s, "-_.!~*'()"), "-_.!~*'()"),
		"Java, lower":         lowerEscapes(percent(s, "*-._")),
		"quoted-printable":    printable(s),
		"escapes of C":        strings.NewReplacer(`"`, `\x22`, `\`, `\x5c`, "€", `\xe2\x82\xac`).Replace(s),
		"nginx":               strings.NewReplacer(`"`, `\x22`, `\`, `\x5C`, "€", `\xE2\x82\xAC`).Replace(s),
		"XML in ASCII":        strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "€", "&#8364;").Replace(s),
		"lower escapes":       lowerEscapes(url.QueryEscape(s)),
		"twice in a URL":      url.QueryEscape(url.QueryEscape(s)),
		"JSON":                string(q[1 : len(q)-1]),
		"JSON in JSON":        strings.ReplaceAll(strings.ReplaceAll(string(q[1:len(q)-1]), `\`, `\\`), `"`, `\"`),
		"JSON with \\/":       strings.ReplaceAll(string(q[1:len(q)-1]), "/", `\/`),
		"JSON, all escaped":   ascii(`\u%04x`),
		"JSON, upper escapes": ascii(`\u%04X`),
	}
}

func TestASecretIsFoundInEveryEncoding(t *testing.T) {
	var r Redactor
	r.Set([]string{canary})
	for name, e := range echoes(canary) {
		t.Run(name, func(t *testing.T) {
			got := r.Text("before " + e + " after")
			if !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") || !strings.Contains(got, "***") {
				t.Fatalf("%q became %q", e, got)
			}
			left := strings.TrimSuffix(strings.TrimPrefix(got, "before "), " after")
			if len(strings.ReplaceAll(left, "***", "")) > 24 { // the user, or the surrounding text
				t.Errorf("%q left %q", e, left)
			}
		})
	}
}

func TestLinesAndPartsOfASecretAreFound(t *testing.T) {
	pem := "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\nAASCBKcwggSjAgEAAoIBAQC7VJTU\n-----END PRIVATE KEY-----\n"
	account, err := json.Marshal(map[string]string{"type": "service_account", "private_key": pem,
		"token_uri": "https://oauth2.example.com/token"})
	if err != nil {
		t.Fatal(err)
	}
	var r Redactor
	r.Set([]string{string(account), base64.StdEncoding.EncodeToString([]byte("decoded-canary-0042"))})
	for _, s := range []string{"MIIEvQIBADANBgkqhkiG9w0BAQEF", "AASCBKcwggSjAgEAAoIBAQC7VJTU", "decoded-canary-0042"} {
		if got := r.Text("x " + s); got != "x ***" {
			t.Errorf("%q became %q", s, got)
		}
	}
	for _, s := range []string{"-----BEGIN PRIVATE KEY-----", "service_account"} {
		if got := r.Text(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
}

func TestOverlappingSecretsAreMaskedCompletely(t *testing.T) {
	var r Redactor
	r.Set([]string{"abcdefgh", "efghijkl", "ghijklmnop"})
	if got := r.Text("-abcdefghijklmnop-"); got != "-***-" {
		t.Error(got)
	}
	if got := r.Text("abcdefgh efghijkl"); got != "*** ***" {
		t.Error(got)
	}
}

// TestSecretIsMaskedWholeBesideItsKnownPart is for a run that extracts a part of a secret: its
// responses may contain the complete secret.
func TestSecretIsMaskedWholeBesideItsKnownPart(t *testing.T) {
	const secret = "outpw-CANARY-0018-abcdef"
	var r Redactor
	r.Set([]string{secret})
	m := r.With([]string{secret[:12]})
	for name, e := range echoes(secret) {
		if got := m.Text(e); strings.Contains(strings.ToLower(got), "abcdef") || len(got) > len(e)/2 {
			t.Errorf("%s: %s leaves %s", name, e, got)
		}
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := m.JSON(b); len(got) > len(b)/2 {
			t.Errorf("%s in JSON: %s leaves %s", name, b, got)
		}
	}
}

func TestMaskedJSONStaysJSON(t *testing.T) {
	var r Redactor
	r.Set([]string{"4111111111111111", "ordinary"})
	for in, want := range map[string]string{
		`{"card":4111111111111111}`:      `{"card":"***"}`,
		`{"card":"4111111111111111"}`:    `{"card":"***"}`,
		`{"ordinary":1}`:                 `{"***":1}`,
		`[1e400,41111111111111110]`:      `[1e400,"***0"]`,
		`{"n":12,"s":"an ordinary day"}`: `{"n":12,"s":"an *** day"}`,
	} {
		got, _ := r.JSON([]byte(in))
		if string(got) != want {
			t.Errorf("%s became %s, wanted %s", in, got, want)
		}
	}
}

func TestShortValuesOfARunAreMaskedAsWholeTexts(t *testing.T) {
	m := (&Redactor{}).With([]string{"123", "4111222233334444"})
	got, changed := m.JSON([]byte(`{"cvv":"123","text":"room 1234","card":"4111222233334444","status":123}`))
	if want := `{"cvv":"***","text":"room 1234","card":"***","status":123}`; string(got) != want || !changed {
		t.Errorf("%s, %v", got, changed)
	}
}

func TestOldSecretsStayMasked(t *testing.T) {
	var r Redactor
	r.Set([]string{"old-value-1"})
	r.Learn("learned-value")
	r.Set([]string{"new-value-2"})
	if got := r.Text("old-value-1 new-value-2 learned-value"); got != "*** *** ***" {
		t.Error(got)
	}
	for i := range maxRetired + 8 {
		r.Set([]string{fmt.Sprintf("rotated-%06d", i)})
	}
	if n := len(r.found.Load().retired); n > maxRetired {
		t.Errorf("%d old values are kept", n)
	}
}

// TestMatcherFindsWhatAPlainSearchFinds compares the matcher with a plain search.
func TestMatcherFindsWhatAPlainSearchFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringOfN(rapid.RuneFrom([]rune("abc")), 3, 12, -1)
		words := rapid.SliceOfN(word, 1, 6).Draw(t, "words")
		text := rapid.StringOfN(rapid.RuneFrom([]rune("abcd")), 0, 60, -1).Draw(t, "text")
		var forms []form
		for _, w := range words {
			forms = append(forms, form{text: w})
		}
		hidden := make([]bool, len(text))
		for _, w := range words {
			for i := 0; i+len(w) <= len(text); i++ {
				if text[i:i+len(w)] == w {
					for j := i; j < i+len(w); j++ {
						hidden[j] = true
					}
				}
			}
		}
		var want strings.Builder
		for i := range text {
			if !hidden[i] {
				want.WriteByte(text[i])
			}
		}
		out, changed := replaced(newMatcher(forms), text)
		if !changed {
			out = []byte(text)
		}
		if got := strings.ReplaceAll(string(out), "***", ""); got != want.String() {
			t.Fatalf("%q with %q: %q, wanted %q", text, words, got, want.String())
		}
	})
}

func BenchmarkRedactor(b *testing.B) {
	var r Redactor
	var secrets []string
	for i := range 20 {
		secrets = append(secrets, fmt.Sprintf("whsec_%032x", i*7919))
	}
	r.Set(secrets)
	body := []byte(strings.Repeat(`{"id":"evt_1","type":"order.created","amount":12},`, 20))
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		r.Bytes(body)
	}
}

// TestALargeValueIsMaskedWhole checks that a value beyond the limits is masked where a secret is,
// and not lost.
func TestALargeValueIsMaskedWhole(t *testing.T) {
	long := strings.Repeat("x", 2<<20)
	text, err := json.Marshal(map[string]any{"a": canary, "b": long, "c": long, "d": long})
	if err != nil {
		t.Fatal(err)
	}
	out := string(maskValues(text, func(s string) string { return strings.ReplaceAll(s, canary, "***") }))
	if strings.Count(out, long) != 3 || !strings.HasPrefix(out, `{"a":"***","b":"x`) {
		t.Errorf("%d bytes: %.80s", len(out), out)
	}
}
