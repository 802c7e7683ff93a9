package value

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxFloatInt is the limit below which floats represent every integer exactly.
const MaxFloatInt = 1 << 53

// AppendJSON appends v as compact JSON: keys sorted, numbers in full without an exponent if they
// fit, no HTML escaping. v must be plain data as returned by DecodeJSON and Normalize. It returns
// ErrTooLarge if the text exceeds limit bytes.
func AppendJSON(b []byte, v any, limit int) ([]byte, error) {
	if len(b) > limit {
		return b, ErrTooLarge
	}
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case string:
		return appendJSONText(b, v), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return b, fmt.Errorf("%v is not a number that JSON can carry", v)
		}
		return appendFloat(b, v), nil
	case json.Number:
		return append(b, v...), nil
	case []any:
		return appendJSONList(b, v, limit)
	case map[string]any:
		return appendJSONMap(b, v, limit)
	}
	n, err := Normalize(v)
	if err != nil {
		return b, err
	}
	return AppendJSON(b, n, limit)
}

func appendJSONList(b []byte, list []any, limit int) ([]byte, error) {
	var err error
	b = append(b, '[')
	for i, x := range list {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = AppendJSON(b, x, limit); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

func appendJSONMap(b []byte, m map[string]any, limit int) ([]byte, error) {
	var buf [16]string
	var err error
	b = append(b, '{')
	for i, k := range sortedKeys(m, buf[:0]) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendJSONText(b, k), ':')
		if b, err = AppendJSON(b, m[k], limit); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

// sortedKeys appends the sorted keys to keys, which the caller may have on its stack.
func sortedKeys(m map[string]any, keys []string) []string {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// appendFloat writes digits that parse as f, without an exponent below 1e21, as rule 3 of
// docs/expressions.md requires: all digits of an integer, which may be read again as one, and
// otherwise the fewest.
func appendFloat(b []byte, f float64) []byte {
	// Most numbers are integers. -0 is written as 0, since it would be decoded as another type of
	// number.
	if i := int64(f); float64(i) == f && -MaxFloatInt <= i && i <= MaxFloatInt {
		return strconv.AppendInt(b, i, 10)
	}
	switch a := math.Abs(f); {
	case a >= 1e21, a < 1e-9:
		return strconv.AppendFloat(b, f, 'g', -1, 64)
	case a > MaxFloatInt:
		return strconv.AppendFloat(b, f, 'f', 0, 64)
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}

const hexDigits = "0123456789abcdef"

func appendJSONText(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[start:i]...), `\ufffd`...)
				i++
				start = i
				continue
			}
			i += size
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	return append(append(b, s[start:]...), '"')
}

// EncodeJSON is like AppendJSON with a new slice and the limit MaxSize.
func EncodeJSON(v any) ([]byte, error) {
	return AppendJSON(nil, v, MaxSize)
}

// AppendText appends s as a JSON string.
func AppendText(b []byte, s string) []byte { return appendJSONText(b, s) }

// AppendTexts appends a map of strings as a JSON object with sorted keys.
func AppendTexts(b []byte, m map[string]string) []byte {
	type pair struct{ name, text string }
	var buf [24]pair
	pairs := buf[:0]
	for k, v := range m {
		pairs = append(pairs, pair{k, v})
	}
	slices.SortFunc(pairs, func(a, b pair) int { return strings.Compare(a.name, b.name) })
	size := 2
	for i := range pairs {
		size += len(pairs[i].name) + len(pairs[i].text) + 8
	}
	b = append(slices.Grow(b, size), '{')
	for i := range pairs {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendJSONText(b, pairs[i].name), ':')
		b = appendJSONText(b, pairs[i].text)
	}
	return append(b, '}')
}
