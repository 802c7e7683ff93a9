package expr

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hookloom/hookloom/workflows/value"
)

// function is a function that expressions may call in addition to expr's own. Some replace one of
// expr's, because the original's result grows without bound, changes order between calls, or has
// numbers with exponents (docs/expressions.md).
type function struct {
	name    string
	help    string
	example string // an expression that must be true; a test evaluates it
	// typ is the Go type used to check calls at load time; nil keeps expr's own.
	typ any
	run func(m *meter, a []any) any
}

var functions = slices.Concat(coreFunctions, textFunctions, listFunctions)

var coreFunctions = []function{
	{
		"now",
		"the time the step began, in the project's timezone (event times are UTC); now(timezone(z)) gives another zone",
		`now().Year() > 2000`, nil, (*meter).nowIn,
	},
	{"uuid", "a random-looking UUID, the same on a replay", `len(uuid()) == 36`, new(func() string), (*meter).uuid},
	{"hmacSHA256", "HMAC-SHA-256 of a text, in hex: hmacSHA256(key, text)", `len(hmacSHA256("k", "t")) == 64`, new(func(any, any) string),
		func(m *meter, a []any) any {
			h := hmac.New(sha256.New, m.hashed("hmacSHA256", a, 0))
			h.Write(m.hashed("hmacSHA256", a, 1))
			return hex.EncodeToString(h.Sum(nil))
		}},
	{"urlEncode", "percent-encodes a text as encodeURIComponent does",
		`urlEncode("a b/c&d=e+f") == "a%20b%2Fc%26d%3De%2Bf"`, new(func(string) string), func(m *meter, a []any) any {
			s := textArg("urlEncode", a, 0)
			m.charge(3 * len(s))
			m.text(s, 4)
			return URLEncode(s)
		}},
	{
		"match", "the groups of a regular expression, or nil", `match("a1", "([a-z])([0-9])")[2] == "1"`,
		new(func(string, string) any), (*meter).match,
	},
	{"merge", "merges two maps; the second takes precedence", `merge({a: 1}, {a: 2}).a == 2`, new(func(any, any) map[string]any), mergeMaps},
	{
		"pick", "a map with only these keys", `len(pick({a: 1, b: 2}, ["a"])) == 1`,
		new(func(any, any) map[string]any),
		func(m *meter, a []any) any { return m.chooseKeys("pick", a, true) },
	},
	{
		"omit", "a map without these keys", `len(omit({a: 1, b: 2}, ["a"])) == 1`,
		new(func(any, any) map[string]any),
		func(m *meter, a []any) any { return m.chooseKeys("omit", a, false) },
	},
	{"isoTime", "a time as RFC 3339 text in UTC", `isoTime(date(0)) == "1970-01-01T00:00:00.000Z"`,
		new(func(any) string), func(m *meter, a []any) any {
			m.read(a, 4)
			m.work(timeSteps)
			t, err := AsTime(arg("isoTime", a, 0))
			must(err)
			return t.UTC().Format(value.TimeFormat)
		}},
	{"truncate", "the first n characters", `truncate("abc", 2) == "ab"`, new(func(string, int) string), func(m *meter, a []any) any {
		s, n := textArg("truncate", a, 0), max(0, intArg("truncate", a, 1))
		m.work(min(n, len(s)) / 6)
		return s[:value.Letters(s, n)]
	}},
	{"string", "a value as text, never with an exponent", `string(1700000000.0) == "1700000000"`, nil, func(m *meter, a []any) any {
		v := arg("string", a, 0)
		if v == nil {
			panic(errors.New("string(nil): the value is nil; write ?? \"\" before it"))
		}
		if s, ok := v.(string); ok {
			return s
		}
		s := m.plainText(v)
		m.charge(len(s))
		return s
	}},
	{"toJSON", "compact JSON", `toJSON({b: 1, a: [2]}) == "{\"a\":[2],\"b\":1}"`, nil, func(m *meter, a []any) any {
		b := m.encode(arg("toJSON", a, 0))
		m.charge(len(b))
		return string(b)
	}},
	{"fromJSON", "reads JSON; large integers keep their digits",
		`fromJSON("{\"a\": 12345678901234567}").a == 12345678901234567`, nil, func(m *meter, a []any) any {
			s := textArg("fromJSON", a, 0)
			m.charge(8 * len(s))
			m.text(s, 2)
			v, err := value.DecodeJSON([]byte(s))
			must(err)
			return v
		}},
	{"keys", "a map's keys, sorted", `keys({b: 1, a: 2}) == ["a", "b"]`, nil, func(m *meter, a []any) any {
		return m.each("keys", a, func(k string, v any) any { return k })
	}},
	{"values", "a map's values, in the order of its keys", `values({b: 1, a: 2}) == [2, 1]`, nil, func(m *meter, a []any) any {
		return m.each("values", a, func(k string, v any) any { return v })
	}},
	{"toPairs", "a map as a sorted list of [key, value]", `toPairs({a: 1})[0][0] == "a"`, nil, func(m *meter, a []any) any {
		return m.each("toPairs", a, func(k string, v any) any { return []any{k, v} })
	}},
	{"date", "a time from text (RFC 3339, 1123, 822, 850, 2026-01-31 10:00, in UTC unless it says) or Unix seconds; " +
		"date(text, layout, zone) and date(timezone(zone), text) read local time",
		`date(1700000000).Year() == 2023 and ` +
			`date("01.07.2026 10:00", "02.01.2006 15:04", "America/New_York") == date("2026-07-01T14:00:00Z")`,
		new(func(...any) time.Time), func(m *meter, a []any) any { return m.date(a) }},
	{"decimal", "an exact decimal from a number or its text; + - * are exact, / has 34 digits",
		`decimal("19.99") * 100 == 1999`, new(func(any) any), func(m *meter, a []any) any {
			m.work(decimalSteps)
			m.read(a, 16)
			d, err := toDecimal(arg("decimal", a, 0))
			must(err)
			m.charge(64)
			return d
		}},
	{"money", "formats an amount in minor units (cents) of an ISO 4217 currency; money(amount, currency, \"stripe\") for amounts of " +
		"Stripe, which has other units for ISK, UGX and MGA",
		`money(1990, "EUR") == "19.90" and money(1990, "jpy") == "1990" and money(500, "isk", "stripe") == "5.00"`,
		new(func(any, string, ...string) string), func(m *meter, a []any) any { m.work(decimalSteps); m.read(a, 16); return money(a) }},
	{"fixed", "formats a number with exactly n decimal places, rounding half away from zero", `fixed(2.5, 2) == "2.50"`,
		new(func(any, int) string), func(m *meter, a []any) any { m.work(decimalSteps); m.read(a, 16); return fixed(a) }},
	{"round", "rounds to a whole number, or to n decimal places; half away from zero",
		`round(2.675, 2) == 2.68 and round(-2.5) == -3`,
		new(func(any, ...int) any), func(m *meter, a []any) any { m.work(decimalSteps); m.read(a, 16); return round(a) }},
	{"repeat", "repeats a text n times", `repeat("ab", 2) == "abab"`, nil, func(m *meter, a []any) any {
		s, n := textArg("repeat", a, 0), intArg("repeat", a, 1)
		if n < 0 || len(s) > 0 && n > maxExprBytes/len(s) {
			panic(fmt.Errorf("repeat(…, %d) is out of bounds", n))
		}
		m.charge(len(s) * n)
		return strings.Repeat(s, n)
	}},
	{"replace", "replaces every occurrence of a text, or the first n",
		`replace("aXbX", "X", "-") == "a-b-" and replace("aXbX", "X", "-", 1) == "a-bX"`, nil, func(m *meter, a []any) any {
			s, from, to := textArg("replace", a, 0), textArg("replace", a, 1), textArg("replace", a, 2)
			n := -1
			if len(a) > 3 {
				n = intArg("replace", a, 3)
			}
			m.read(a, 4)
			count := strings.Count(s, from)
			if n >= 0 {
				count = min(count, n)
			}
			m.charge(len(s) + count*len(to))
			return strings.Replace(s, from, to, n)
		}},
	{"join", "joins texts with a separator", `join(["a", "b"], "-") == "a-b"`, nil, joinTexts},
	{"split", "splits a text at a separator", `split("a,b", ",") == ["a", "b"]`, nil, func(m *meter, a []any) any {
		s, sep := textArg("split", a, 0), textArg("split", a, 1)
		m.read(a, 4)
		m.charge(48 * pieces(s, sep))
		var out []any
		n := -1
		if len(a) > 2 {
			n = intArg("split", a, 2)
		}
		for _, p := range strings.SplitN(s, sep, n) {
			out = append(out, p)
		}
		return out
	}},
	{"concat", "joins lists into one", `concat([1], [2]) == [1, 2]`, nil, func(m *meter, a []any) any {
		out := []any{}
		for i := range a {
			l := m.list("concat", a, i)
			m.charge(24 * len(l))
			out = append(out, l...)
		}
		return out
	}},
	{"flatten", "flattens nested lists into one list", `flatten([[1], [2, [3]]]) == [1, 2, 3]`, nil, func(m *meter, a []any) any {
		return m.flatten(m.list("flatten", a, 0), []any{}, 0)
	}},
	{"uniq", "a list without duplicates", `uniq([1, 1, 2]) == [1, 2]`, nil, uniq},
}

// functionNames lists all functions, for suggestions.
func functionNames() []string {
	var out []string
	for _, f := range Functions() {
		out = append(out, f.Name)
	}
	return out
}

// must aborts the evaluation on an error; expr converts the panic to an error with a position.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func arg(name string, a []any, i int) any {
	if i >= len(a) {
		panic(fmt.Errorf("%s needs %d arguments, got %d", name, i+1, len(a)))
	}
	return a[i]
}

func textArg(name string, a []any, i int) string {
	s, ok := arg(name, a, i).(string)
	if !ok {
		panic(fmt.Errorf("%s: argument %d must be text, got %s", name, i+1, value.Describe(a[i])))
	}
	return s
}

func intArg(name string, a []any, i int) int {
	n, ok := arg(name, a, i).(int)
	if !ok {
		panic(fmt.Errorf("%s: argument %d must be a whole number, got %s", name, i+1, value.Describe(a[i])))
	}
	return n
}

// list returns a list argument with its elements unchanged.
func (m *meter) list(name string, a []any, i int) []any {
	v := arg(name, a, i)
	if l, ok := v.([]any); ok {
		return l
	}
	l, ok := m.normalized(v).([]any)
	if !ok {
		panic(fmt.Errorf("%s: argument %d must be a list, got %s", name, i+1, value.Describe(v)))
	}
	return l
}

// object returns an object argument with its fields unchanged.
func (m *meter) object(name string, a []any, i int) map[string]any {
	v := arg(name, a, i)
	if o, ok := v.(map[string]any); ok {
		return o
	}
	o, ok := m.normalized(v).(map[string]any)
	if !ok {
		panic(fmt.Errorf("%s: argument %d must be an object, got %s", name, i+1, value.Describe(v)))
	}
	return o
}

func (m *meter) each(name string, a []any, f func(k string, v any) any) any {
	o := m.object(name, a, 0)
	m.work(3 * value.MapSteps(len(o)))
	m.charge(96 * len(o))
	out := make([]any, 0, len(o))
	for _, k := range slices.Sorted(maps.Keys(o)) {
		out = append(out, f(k, o[k]))
	}
	return out
}

// uuid returns a version 8 UUID (RFC 9562): a hash of the step's seed and a counter, so that a step
// that runs again after a crash sends the same id.
func (m *meter) uuid(a []any) any {
	m.work(60)
	m.uuids++
	sum := sha256.Sum256([]byte(fmt.Sprintf("%s#%d", m.seed, m.uuids)))
	b := sum[:16]
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func mergeMaps(m *meter, a []any) any {
	x, y := m.object("merge", a, 0), m.object("merge", a, 1)
	m.charge(value.MapBytes(len(x) + len(y)))
	m.work(4 * (len(x) + len(y)))
	out := make(map[string]any, len(x)+len(y))
	for k, v := range x {
		out[k] = v
	}
	for k, v := range y {
		out[k] = v
	}
	return out
}

func (m *meter) chooseKeys(name string, a []any, keep bool) any {
	from, list := m.object(name, a, 0), m.list(name, a, 1)
	m.work(4 * (len(from) + len(list)))
	m.charge(value.MapBytes(len(from)) + value.MapBytes(len(list)))
	named := map[string]bool{}
	for _, k := range list {
		named[m.plainText(m.key(k))] = true
	}
	out := map[string]any{}
	for k, v := range from {
		m.key(k)
		if named[k] == keep {
			out[k] = v
		}
	}
	return out
}

func joinTexts(m *meter, a []any) any {
	list, sep := m.list("join", a, 0), ""
	if len(a) > 1 {
		sep = textArg("join", a, 1)
	}
	m.charge(16 * len(list))
	parts := make([]string, len(list))
	for i, v := range list {
		m.work(2)
		parts[i] = m.plainText(v)
		m.charge(len(parts[i]) + len(sep))
	}
	return strings.Join(parts, sep)
}

func (m *meter) flatten(list, out []any, depth int) []any {
	if depth > value.MaxJSONDepth {
		panic(errors.New("flatten: nested too deep"))
	}
	m.charge(40 * len(list)) // the result grows by doubling
	for _, v := range list {
		m.work(2)
		switch inner := v.(type) {
		case []any:
			out = m.flatten(inner, out, depth+1)
			continue
		case []int, []string:
			out = m.flatten(m.list("flatten", []any{inner}, 0), out, depth+1)
			continue
		}
		out = append(out, v)
	}
	return out
}

// uniq compares JSON texts: expr's own compares all pairs, which takes hours for 500,000 numbers.
func uniq(m *meter, a []any) any {
	seen := map[string]bool{}
	out := []any{}
	for _, v := range m.list("uniq", a, 0) {
		m.charge(64)
		m.work(10)
		b := m.encode(v)
		if !seen[string(b)] {
			seen[string(b)] = true
			out = append(out, v)
		}
	}
	return out
}

// Number returns a number of the language as a float; false for other values.
func Number(v any) (float64, bool) {
	switch x := v.(type) {
	case int:
		return float64(x), true
	case float64:
		return x, true
	}
	return 0, false
}

// slice is x[from:to], by characters for texts; expr's own slices bytes and can split a character.
func (m *meter) slice(v, from, to any) any {
	text, isText := v.(string)
	var list []any
	length := 0
	if isText {
		m.text(text, 16)
		length = utf8.RuneCountInString(text)
	} else {
		list = m.list("[:]", []any{v}, 0)
		length = len(list)
	}
	bound := func(b any, def int) int {
		n, ok := b.(int)
		if b == nil {
			n = def
		} else if !ok {
			panic(fmt.Errorf("[:] needs whole numbers, got %s", value.Describe(b)))
		}
		if n < 0 {
			n += length
		}
		return max(0, min(n, length))
	}
	i, j := bound(from, 0), bound(to, length)
	if i > j {
		i = j
	}
	if isText {
		start := value.Letters(text, i)
		return text[start : start+value.Letters(text[start:], j-i)]
	}
	return list[i:j]
}

// URLEncode is encodeURIComponent of ECMAScript (ECMA-262, 19.2.6.4): everything but letters,
// digits and -_.!~*'() is percent-encoded as UTF-8.
func URLEncode(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.!~*'()", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', hex[c>>4], hex[c&15]})
	}
	return b.String()
}
