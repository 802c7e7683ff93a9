package expr

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"github.com/hookloom/hookloom/workflows/value"
)

// Bytes are bytes that are not valid UTF-8 inside an expression, such as an image from fromBase64.
// Hashes, toBase64 and len accept them; toBase64 converts them to data.
type Bytes struct{ text string }

var errBytes = errors.New("the value is binary, not UTF-8 text; write toBase64(…), or use raw: to send the bytes unchanged")

// Plain fails: bytes are not data.
func (Bytes) Plain() (any, error) { return nil, errBytes }

// InText fails: bytes are not text.
func (Bytes) InText() (string, error) { return "", errBytes }

// Kind returns the name in the language's terms.
func (Bytes) Kind() string { return "bytes" }

// textOrBytes returns text if the bytes are UTF-8.
func (m *meter) textOrBytes(b []byte) any {
	m.charge(len(b))
	if utf8.Valid(b) {
		return string(b)
	}
	return Bytes{string(b)}
}

// bytesArg returns an argument that may be text or bytes.
func bytesArg(name string, a []any, i int) []byte {
	if b, ok := arg(name, a, i).(Bytes); ok {
		return []byte(b.text)
	}
	return []byte(textArg(name, a, i))
}

// hashed returns an argument of a hash and counts the work of hashing it.
func (m *meter) hashed(name string, a []any, i int) []byte {
	b := bytesArg(name, a, i)
	m.work(20 + len(b)/8)
	return b
}

var hashes = map[string]func() hash.Hash{
	"md5":    md5.New,
	"sha1":   sha1.New,
	"sha256": sha256.New,
	"sha384": sha512.New384,
	"sha512": sha512.New,
}

func digest(name string) func(m *meter, a []any) any {
	return func(m *meter, a []any) any {
		h := hashes[name]()
		h.Write(m.hashed(name, a, 0))
		return hex.EncodeToString(h.Sum(nil))
	}
}

// keyedHash implements hmac(algorithm, key, text, encoding).
func keyedHash(m *meter, a []any) any {
	name := hashName(textArg("hmac", a, 0))
	if hashes[name] == nil {
		panic(fmt.Errorf("hmac: %q is not known: md5, sha1, sha256, sha384 or sha512", value.Clip(name, 20)))
	}
	h := hmac.New(hashes[name], m.hashed("hmac", a, 1))
	h.Write(m.hashed("hmac", a, 2))
	return encoded(h.Sum(nil), a)
}

// encoded encodes an HMAC as the fourth argument says, by default in hex.
func encoded(sum []byte, a []any) any {
	how := "hex"
	if len(a) > 3 {
		how = textArg("hmac", a, 3)
	}
	switch how {
	case "hex":
		return hex.EncodeToString(sum)
	case "base64":
		return base64.StdEncoding.EncodeToString(sum)
	case "base64url":
		return base64.RawURLEncoding.EncodeToString(sum)
	}
	panic(fmt.Errorf("hmac: the encoding %q is not known: hex, base64 or base64url", value.Clip(how, 20)))
}

// fromBase64 accepts both alphabets, with or without padding.
func (m *meter) fromBase64(name string, a []any) any {
	m.read(a, 2)
	text := strings.Map(func(r rune) rune {
		switch r {
		case '-':
			return '+'
		case '_':
			return '/'
		case '\n', '\r', ' ', '\t':
			return -1
		}
		return r
	}, textArg(name, a, 0))
	m.charge(len(text))
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		panic(fmt.Errorf("%s: the text is not valid base64", name))
	}
	return m.textOrBytes(b)
}

func (m *meter) toBase64(name string, e *base64.Encoding, a []any) any {
	b := m.hashed(name, a, 0)
	m.charge(e.EncodedLen(len(b)))
	return e.EncodeToString(b)
}

var textFunctions = []function{
	{"hmac", "an HMAC by algorithm (md5, sha1, sha256, sha384, sha512), key, text and encoding (hex without one, base64, base64url)",
		`hmac("sha1", "key", "text", "base64") == toBase64(fromHex(hmac("sha1", "key", "text")))`,
		new(func(string, any, any, ...string) string), keyedHash},
	{
		"md5", "MD5 of a text or bytes, for services that need it",
		`md5("a") == "0cc175b9c0f1b6a831c399e269772661"`, new(func(string) string), digest("md5"),
	},
	{
		"sha1", "SHA-1 of a text or bytes, for services that need it", `sha1("a") startsWith "86f7e437"`,
		new(func(string) string), digest("sha1"),
	},
	{"sha256", "SHA-256 of a text or bytes, in hex", `sha256("a") startsWith "ca978112"`, new(func(string) string), digest("sha256")},
	{
		"sha512", "SHA-512 of a text or bytes, in hex; for base64 write toBase64(fromHex(…))",
		`len(sha512("a")) == 128`, new(func(string) string), digest("sha512"),
	},
	{"fromHex", "decodes hex to text, or to bytes if it is not UTF-8", `fromHex("6869") == "hi"`, new(func(string) any),
		func(m *meter, a []any) any {
			m.read(a, 8)
			b, err := hex.DecodeString(textArg("fromHex", a, 0))
			if err != nil {
				panic(errors.New("fromHex: the text is not valid hex"))
			}
			return m.textOrBytes(b)
		}},
	{"toBase64", "base64 of a text or bytes; raw: takes it", `toBase64(fromBase64("//4=")) == "//4="`,
		new(func(string) string), func(m *meter, a []any) any {
			return m.toBase64("toBase64", base64.StdEncoding, a)
		}},
	{"fromBase64", "decodes base64 to text, or to bytes (for toBase64 and hashes) if it is not UTF-8",
		`fromBase64("aGk=") == "hi"`, new(func(string) any), func(m *meter, a []any) any {
			return m.fromBase64("fromBase64", a)
		}},
	{"toBase64URL", "URL-safe base64, as in tokens: - and _, without =", `toBase64URL(fromBase64("//4=")) == "__4"`,
		new(func(any) string), func(m *meter, a []any) any {
			return m.toBase64("toBase64URL", base64.RawURLEncoding, a)
		}},
	{"fromBase64URL", "decodes URL-safe base64 to text or bytes", `fromBase64URL("aGk_") == "hi?"`, new(func(string) any),
		func(m *meter, a []any) any {
			return m.fromBase64("fromBase64URL", a)
		}},
	{"urlDecode", "decodes percent-encoded text like decodeURIComponent (+ stays)",
		`urlDecode("a%20b%2Fc") == "a b/c"`, new(func(string) any), func(m *meter, a []any) any {
			m.read(a, 4)
			s, err := url.PathUnescape(textArg("urlDecode", a, 0))
			if err != nil {
				panic(errors.New("urlDecode: a % is not followed by two hex digits"))
			}
			return m.textOrBytes([]byte(s))
		}},
	{"regexReplace", "replaces every match of a regular expression; $1 is the first group",
		`regexReplace("+49 (30) 12", "[^0-9]+", "") == "493012" and regexReplace("a-b", "(.)-(.)", "$2-$1") == "b-a"`,
		new(func(string, string, string) string), func(m *meter, a []any) any { return m.regexReplace(a) }},
}

// byteFunctions match functions that return bytes, which may happen to be UTF-8.
var byteFunctions = lazyregexp.New(`^(?:fromBase64|fromBase64URL|fromHex)\(`)

// base64Of converts the result of an expression for an input that takes base64: it encodes bytes,
// and text from a function that returns bytes. Other text is assumed to be base64 already.
func (e *Expr) base64Of(v any) any {
	switch x := v.(type) {
	case Bytes:
		return base64.StdEncoding.EncodeToString([]byte(x.text))
	case string:
		if byteFunctions.MatchString(e.Text) && balanced(e.Text[strings.IndexByte(e.Text, '('):]) {
			return base64.StdEncoding.EncodeToString([]byte(x))
		}
	}
	return v
}

// balanced reports whether the last character of a text closes its first bracket.
func balanced(s string) bool {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"', '\'', '`':
			i += textEnd(s[i+1:], c) + 1 // the text is closed: the expression compiles
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			if depth--; depth == 0 {
				return i == len(s)-1
			}
		}
	}
	return false
}
