package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

const (
	// shortestSecret is the minimum length in bytes of a value that is searched for: shorter ones
	// would mask ordinary text. Where a template inserts such a value, it is masked nevertheless.
	shortestSecret = workflows.ShortestMasked
	// shortestLine is the minimum length of a line of a multi-line value.
	shortestLine = 12
	// longestSecret is the maximum length of values that are searched for in every encoding.
	longestSecret = 64 << 10
)

// secretForms returns the texts that a secret may become in a request, a response or a message,
// whoever encoded it.
func secretForms(value string) []form {
	var f formSet
	for _, part := range secretParts(value) {
		f.value(part)
	}
	return f.list
}

// secretParts returns the value itself, each of its lines, its decoded forms, and the secrets in a
// JSON value (a service account's key file).
func secretParts(secret string) []string {
	out := []string{secret}
	if len(secret) > longestSecret {
		return out
	}
	if t := strings.TrimSpace(secret); t != secret {
		out = append(out, t)
	}
	if lines := strings.Split(secret, "\n"); len(lines) > 1 {
		for _, l := range lines {
			if l = strings.TrimSpace(l); len(l) >= shortestLine && !strings.HasPrefix(l, "-----") {
				out = append(out, l)
			}
		}
	}
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if b, err := e.DecodeString(strings.TrimPrefix(secret, "whsec_")); err == nil && len(b) >= shortestSecret && utf8.Valid(b) {
			out = append(out, string(b))
			break
		}
	}
	if strings.HasPrefix(strings.TrimSpace(secret), "{") {
		if v, err := value.DecodeJSON([]byte(secret)); err == nil {
			out = jsonSecrets(v, false, out)
		}
	}
	return out
}

// jsonSecrets collects the texts under names such as private_key.
func jsonSecrets(v any, named bool, out []string) []string {
	switch x := v.(type) {
	case string:
		if named && len(x) >= shortestLine {
			out = append(out, secretParts(x)...)
		}
	case []any:
		for _, e := range x {
			out = jsonSecrets(e, named, out)
		}
	case map[string]any:
		for k, e := range x {
			out = jsonSecrets(e, named || workflows.LooksSecret(k), out)
		}
	}
	return out
}

// formSet collects forms without duplicates.
type formSet struct {
	list []form
	seen map[string]bool
}

func (f *formSet) add(text string, isBase64 bool) {
	if len(text) < shortestSecret || f.seen[text] {
		return
	}
	if f.seen == nil {
		f.seen = map[string]bool{}
	}
	f.seen[text] = true
	f.list = append(f.list, form{text, isBase64})
}

// value adds the encodings of a text. JSON may be embedded in a JSON string, so it also adds doubly
// escaped forms.
func (f *formSet) value(s string) {
	if len(s) < shortestSecret {
		return
	}
	f.add(s, false)
	if len(s) > longestSecret {
		return
	}
	var texts []string
	texts = append(texts, strings.ToUpper(s), strings.ToLower(s), jsonText(s), htmlJSONText(s), asciiJSON(s, false), asciiJSON(s, true),
		strings.ReplaceAll(jsonText(s), "/", `\/`), strings.ReplaceAll(htmlJSONText(s), "/", `\/`),
		strings.ReplaceAll(asciiJSON(s, false), "/", `\/`), everyUnit(s, false), everyUnit(s, true), everyByte(s, "%X"), everyByte(s, "%x"),
		hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s))), numericHTML(s), quotedPrintable(s),
		escapedBytes(s, `\x%02X`), escapedBytes(s, `\x%02x`))
	for _, e := range htmlEscapers {
		texts = append(texts, e.Replace(s))
	}
	for _, u := range urlForms(s) {
		texts = append(texts, u, strings.ReplaceAll(u, "%", "%25"), url.QueryEscape(u), lowerEscapes(url.QueryEscape(u)))
	}
	for _, t := range texts {
		f.add(t, false)
		if q := jsonText(t); q != t {
			f.add(q, false)
		}
	}
	for offset := range 3 {
		inner := base64Inner([]byte(s), offset)
		f.add(inner, true)
		f.add(strings.ReplaceAll(inner, "/", `\/`), true)
		f.add(strings.NewReplacer("+", "-", "/", "_").Replace(inner), true)
		f.add(url.QueryEscape(inner), true)
	}
}

// htmlEscapers escape a text like various HTML and XML encoders. All escape &, < and >; their
// escapes of other characters differ.
var htmlEscapers = []*strings.Replacer{
	htmlEscaper(), // text of XML
	htmlEscaper(`"`, "&quot;"),
	htmlEscaper(`"`, "&quot;", "'", "&#39;"),
	htmlEscaper(`"`, "&quot;", "'", "&#x27;"), // docs.python.org/3/library/html.html
	htmlEscaper(`"`, "&quot;", "'", "&#039;"), // php.net/htmlspecialchars
	htmlEscaper(`"`, "&quot;", "'", "&apos;"), // www.w3.org/TR/xml, 2.4
	htmlEscaper(`"`, "&#34;", "'", "&#39;"),   // pkg.go.dev/html
	htmlEscaper(`"`, "&quot;", "'", "&#x27;", "`", "&#x60;", "=", "&#x3D;"),
	htmlEscaper(`"`, "&quot;", "'", "&#39;", "`", "&#x60;", "=", "&#x3D;", "/", "&#x2F;"),
}

func htmlEscaper(more ...string) *strings.Replacer {
	return strings.NewReplacer(append([]string{"&", "&amp;", "<", "&lt;", ">", "&gt;"}, more...)...)
}

// numericHTML escapes like encoders that produce ASCII, such as lxml and Python's xmlcharrefreplace.
func numericHTML(s string) string {
	var b strings.Builder
	for _, r := range htmlEscapers[1].Replace(s) {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "&#%d;", r)
		}
	}
	return b.String()
}

// quotedPrintable is the encoding of mail (RFC 2045, 6.7), in one line.
func quotedPrintable(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= '!' && c <= '~' && c != '=' || c == ' ' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String()
}

// escapedBytes escapes quotes, backslashes and bytes that are not printable ASCII, as nginx's log
// does (upper case) and C and Python do.
func escapedBytes(s, format string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c <= '~' && c != '"' && c != '\\' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, format, c)
		}
	}
	return b.String()
}

// urlSafe are the marks that percent-encoders leave as they are, besides letters and digits.
var urlSafe = []string{
	"-_.!~*'()",               // encodeURIComponent of JavaScript (ECMA-262)
	"-_.!~*'();/?:@&=+$,#",    // encodeURI
	"-_.!~*'();/?:@&=+$,#[]%", // requests of Python, which keeps escapes
	"*-._",                    // URLSearchParams and Java's URLEncoder (url.spec.whatwg.org)
	"-_.~/",                   // urllib.parse.quote of Python
	"-_.",                     // urlencode of PHP
}

// urlForms returns the encodings of a text in URLs and forms.
func urlForms(s string) []string {
	q, p := url.QueryEscape(s), url.PathEscape(s)
	out := []string{q, p, strings.ReplaceAll(q, "+", "%20")}
	for _, safe := range urlSafe {
		e := percentEncoded(s, safe)
		// Most encoders of forms write a blank as +.
		out = append(out, e, strings.ReplaceAll(e, "%20", "+"))
	}
	for _, u := range slices.Clone(out) {
		out = append(out, lowerEscapes(u))
	}
	return out
}

// percentEncoded escapes each byte that is neither a letter, a digit nor in safe.
func percentEncoded(s, safe string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(safe, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// lowerEscapes writes the digits of %2F in lower case.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}

// base64Inner returns the part of the base64 encoding that depends only on s, if offset bytes of a
// group of three precede it: for user:value, everything but the last character of the value,
// whatever the user.
func base64Inner(s []byte, offset int) string {
	b := append(make([]byte, offset), s...)
	text := base64.RawStdEncoding.EncodeToString(b)
	from := []int{0, 2, 3}[offset] // characters that contain bits of what precedes s
	to := len(b) * 8 / 6           // the last one may contain bits of what follows
	return text[min(from, to):to]
}

// jsonText returns s escaped as in JSON, without quotes.
func jsonText(s string) string {
	b, err := value.EncodeJSON(s)
	if err != nil {
		return s
	}
	return string(b[1 : len(b)-1])
}

// htmlJSONText returns s as escaped by encoders that make JSON safe for HTML: < is \u003c.
func htmlJSONText(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return s
	}
	return string(b[1 : len(b)-1])
}

// asciiJSON returns s as escaped by encoders that produce ASCII: é is \u00e9.
func asciiJSON(s string, upper bool) string {
	var b strings.Builder
	for _, r := range htmlJSONText(s) {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
			continue
		}
		writeUnits(&b, r, upper)
	}
	return b.String()
}

// everyUnit escapes each character as \u and four digits.
func everyUnit(s string, upper bool) string {
	var b strings.Builder
	for _, r := range s {
		writeUnits(&b, r, upper)
	}
	return b.String()
}

// everyByte percent-encodes each byte, also letters and digits, which RFC 3986, 2.3 allows.
// digits is the verb for the two hexadecimal digits: %X or %x.
func everyByte(s, digits string) string {
	b := make([]byte, 0, 3*len(s))
	for i := range len(s) {
		b = fmt.Appendf(append(b, '%'), digits, s[i:i+1])
	}
	return string(b)
}

func writeUnits(b *strings.Builder, r rune, upper bool) {
	digits := `\u%04x`
	if upper {
		digits = `\u%04X`
	}
	for _, u := range utf16.Encode([]rune{r}) {
		fmt.Fprintf(b, digits, u)
	}
}
