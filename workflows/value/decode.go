package value

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of the JSON decoder. A document that exceeds them is refused. encoding/json allows a depth
// of 10,000, silently uses the last of equal keys and replaces invalid UTF-8; each of these lets
// two parsers see different documents.
const (
	// MaxJSONDepth is the maximum nesting depth of arrays and objects.
	MaxJSONDepth = 64
	// MaxJSONNodes is the maximum number of values in a document.
	MaxJSONNodes = 200_000
	// MaxNumberLength is the maximum length of a number in bytes.
	MaxNumberLength = 64
)

// JSONError reports where a document is not acceptable JSON.
type JSONError struct {
	// Offset is the byte offset from the start of the document.
	Offset int
	// Problem is the reason, without position.
	Problem string
	// limit reports whether a size limit is exceeded.
	limit bool
}

// Is reports whether the error is about a size limit, for ErrTooLarge.
func (e *JSONError) Is(target error) bool { return e.limit && target == ErrTooLarge }

// Error implements error.
func (e *JSONError) Error() string {
	return fmt.Sprintf("JSON, byte %d: %s", e.Offset, e.Problem)
}

// DecodeJSON strictly decodes one JSON document to plain data: nil, bool, string, int (64 bits),
// float64, json.Number (integers beyond 64 bits, with all digits), []any and map[string]any.
// Duplicate keys, invalid UTF-8, trailing text, a depth beyond MaxJSONDepth and more than
// MaxJSONNodes values are errors of type *JSONError. A byte order mark before the document is
// skipped (RFC 8259, section 8.1), and an unpaired surrogate becomes U+FFFD.
func DecodeJSON(b []byte) (any, error) { return DecodeJSONText(b, "") }

// DecodeJSONText is DecodeJSON for a caller that also has the document as a string, or "": the
// strings of a small document then share its memory instead of that of a copy.
func DecodeJSONText(b []byte, text string) (any, error) {
	d := jsonReader{b: b, s: text}
	d.mark()
	return d.document()
}

type jsonReader struct {
	b []byte
	// s is b as a string, whose memory the strings of a small document share.
	s     string
	i     int
	nodes int
	// literal keeps numbers as written.
	literal bool
	// stored is set for rows of the database, see DecodeStored.
	stored bool
	// stack holds the elements of the lists being decoded, the innermost list last. Each list is
	// then allocated once, with its final size. lent is its first array, of elementStacks.
	stack []any
	lent  *[]any
}

// elementStacks are arrays for the stack of a reader. Most documents need a short one.
var elementStacks = sync.Pool{New: func() any { s := make([]any, 0, 32); return &s }}

// borrow takes an array for the stack, if there is none.
func (d *jsonReader) borrow() {
	if d.lent == nil {
		d.lent = elementStacks.Get().(*[]any)
		d.stack = *d.lent
	}
}

// giveBack returns the array for the next reader. After an error it still has elements.
func (d *jsonReader) giveBack() {
	if d.lent != nil {
		clear((*d.lent)[:cap(*d.lent)])
		elementStacks.Put(d.lent)
		d.lent, d.stack = nil, nil
	}
}

// document decodes one value that nothing follows.
func (d *jsonReader) document() (any, error) {
	defer d.giveBack()
	d.space()
	v, err := d.value(0)
	if err != nil {
		return nil, err
	}
	d.space()
	if d.i != len(d.b) {
		return nil, d.fail("text after the end of the document")
	}
	return v, nil
}

// mark skips a byte order mark.
func (d *jsonReader) mark() {
	if len(d.b) > 2 && d.b[0] == 0xef && d.b[1] == 0xbb && d.b[2] == 0xbf {
		d.i = 3
	}
}

func (d *jsonReader) fail(problem string) error {
	return &JSONError{Offset: d.i, Problem: problem}
}

// passed is fail for a size limit.
func (d *jsonReader) passed(problem string) error {
	return &JSONError{Offset: d.i, Problem: problem, limit: true}
}

func (d *jsonReader) space() {
	for d.i < len(d.b) {
		switch d.b[d.i] {
		case ' ', '\t', '\n', '\r':
			d.i++
		default:
			return
		}
	}
}

// count counts a value and checks the limits.
func (d *jsonReader) count(depth int) error {
	if d.stored {
		if depth > maxStoredDepth {
			return d.passed(fmt.Sprintf("nested deeper than %d", maxStoredDepth))
		}
		return nil
	}
	if depth > MaxJSONDepth {
		return d.passed(fmt.Sprintf("nested deeper than %d", MaxJSONDepth))
	}
	if d.nodes++; d.nodes > MaxJSONNodes {
		return d.passed(fmt.Sprintf("more than %d values", MaxJSONNodes))
	}
	return nil
}

func (d *jsonReader) value(depth int) (any, error) {
	if err := d.count(depth); err != nil {
		return nil, err
	}
	if d.i >= len(d.b) {
		return nil, d.fail("the document is incomplete")
	}
	switch c := d.b[d.i]; {
	case c == '{':
		return d.object(depth)
	case c == '[':
		return d.array(depth)
	case c == '"':
		return d.text()
	case c == 't':
		return true, d.word("true")
	case c == 'f':
		return false, d.word("false")
	case c == 'n':
		return nil, d.word("null")
	case c == '-' || c >= '0' && c <= '9':
		return d.number()
	}
	return nil, d.fail(fmt.Sprintf("unexpected %q", d.b[d.i]))
}

func (d *jsonReader) word(w string) error {
	if !bytes.HasPrefix(d.b[d.i:], []byte(w)) {
		return d.fail("expected " + w)
	}
	d.i += len(w)
	return nil
}

func (d *jsonReader) object(depth int) (any, error) {
	d.i++
	m := map[string]any{} // no initial size: a list of empty objects would take 50 times its text
	d.space()
	if d.i < len(d.b) && d.b[d.i] == '}' {
		d.i++
		return m, nil
	}
	for {
		d.space()
		if d.i >= len(d.b) || d.b[d.i] != '"' {
			return nil, d.fail("expected a key in quotes")
		}
		at := d.i
		k, err := d.text()
		if err != nil {
			return nil, err
		}
		d.space()
		if d.i >= len(d.b) || d.b[d.i] != ':' {
			return nil, d.fail("expected a colon")
		}
		d.i++
		d.space()
		keys := len(m)
		if m[k], err = d.value(depth + 1); err != nil {
			return nil, err
		}
		if len(m) == keys && !d.stored {
			d.i = at
			return nil, d.fail(fmt.Sprintf("duplicate key %q", Clip(k, 40)))
		}
		if end, err := d.next('}'); err != nil {
			return nil, err
		} else if end {
			return m, nil
		}
	}
}

func (d *jsonReader) array(depth int) (any, error) {
	d.i++
	d.space()
	if d.i < len(d.b) && d.b[d.i] == ']' {
		d.i++
		return []any{}, nil
	}
	d.borrow()
	for base := len(d.stack); ; {
		d.space()
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		d.stack = append(d.stack, v)
		if end, err := d.next(']'); err != nil {
			return nil, err
		} else if end {
			list := append([]any(nil), d.stack[base:]...)
			clear(d.stack[base:])
			d.stack = d.stack[:base]
			return list, nil
		}
	}
}

// next reads a comma or the closing bracket, which ends the container.
func (d *jsonReader) next(closing byte) (end bool, err error) {
	d.space()
	if d.i >= len(d.b) {
		return false, d.fail("the document is incomplete")
	}
	switch d.b[d.i] {
	case ',':
		d.i++
		return false, nil
	case closing:
		d.i++
		return true, nil
	}
	return false, d.fail(fmt.Sprintf("expected a comma or %q", closing))
}

// maxShared is the maximum size in bytes of documents whose strings share memory: one allocation
// instead of one per string. In a larger document a short string would keep too much memory alive.
const maxShared = 4 << 10

// shared returns the text between two offsets.
func (d *jsonReader) shared(start, end int) string {
	if len(d.b) > maxShared {
		return string(d.b[start:end])
	}
	if d.s == "" {
		d.s = string(d.b)
	}
	return d.s[start:end]
}

func (d *jsonReader) text() (string, error) {
	d.i++
	start := d.i
	for d.i < len(d.b) {
		switch c := d.b[d.i]; {
		case c == '"':
			s := d.b[start:d.i]
			if !utf8.Valid(s) {
				return "", d.fail("text is not UTF-8")
			}
			d.i++
			return d.shared(start, d.i-1), nil
		case c == '\\':
			return d.escaped(start)
		case c < 0x20:
			return "", d.fail("control character in text")
		}
		d.i++
	}
	return "", d.fail("text is not closed")
}

// escaped continues decoding a string at its first escape.
func (d *jsonReader) escaped(start int) (string, error) {
	out := append(make([]byte, 0, d.i-start+32), d.b[start:d.i]...)
	for d.i < len(d.b) {
		c := d.b[d.i]
		switch {
		case c == '"':
			d.i++
			if !utf8.Valid(out) {
				return "", d.fail("text is not UTF-8")
			}
			return string(out), nil
		case c < 0x20:
			return "", d.fail("control character in text")
		case c != '\\':
			out = append(out, c)
			d.i++
			continue
		}
		d.i++
		if d.i >= len(d.b) {
			break
		}
		e := d.b[d.i]
		d.i++
		if e == 'u' {
			r, err := d.unicode()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
			continue
		}
		plain := strings.IndexByte(`"\/bfnrt`, e)
		if plain < 0 {
			return "", d.fail(fmt.Sprintf("unknown escape \\%c", e))
		}
		out = append(out, "\"\\/\b\f\n\r\t"[plain])
	}
	return "", d.fail("text is not closed")
}

func (d *jsonReader) unicode() (rune, error) {
	r, err := d.hex4()
	if err != nil {
		return 0, err
	}
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	// An unpaired surrogate has no UTF-8 encoding. JavaScript senders that cut a string produce
	// one; it becomes U+FFFD, as in encoding/json.
	if r < 0xdc00 && d.i+1 < len(d.b) && d.b[d.i] == '\\' && d.b[d.i+1] == 'u' {
		next := d.i
		d.i += 2
		low, err := d.hex4()
		if err != nil {
			return 0, err
		}
		if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
			return full, nil
		}
		d.i = next // it is decoded on its own
	}
	return utf8.RuneError, nil
}

func (d *jsonReader) hex4() (rune, error) {
	if d.i+4 > len(d.b) {
		return 0, d.fail("\\u needs four hex digits")
	}
	n, err := strconv.ParseUint(string(d.b[d.i:d.i+4]), 16, 32)
	if err != nil {
		return 0, d.fail("\\u needs four hex digits")
	}
	d.i += 4
	return rune(n), nil
}

func (d *jsonReader) number() (any, error) {
	start := d.i
	float := false
	for d.i < len(d.b) {
		c := d.b[d.i]
		if c == '.' || c == 'e' || c == 'E' {
			float = true
		} else if c != '-' && c != '+' && (c < '0' || c > '9') {
			break
		}
		d.i++
	}
	s := d.b[start:d.i]
	if len(s) > MaxNumberLength && !d.stored {
		return nil, d.fail(fmt.Sprintf("number longer than %d characters", MaxNumberLength))
	}
	if !ValidNumber(s) {
		d.i = start
		return nil, d.fail("malformed number")
	}
	if d.literal {
		return json.Number(s), nil
	}
	if !float {
		n, err := strconv.ParseInt(string(s), 10, 64)
		if err == nil {
			return int(n), nil
		}
		return json.Number(s), nil
	}
	f, err := strconv.ParseFloat(string(s), 64)
	if err != nil || math.IsInf(f, 0) {
		if d.stored {
			return json.Number(s), nil
		}
		return nil, d.fail("number out of range")
	}
	return f, nil
}

// ValidNumber checks the grammar of RFC 8259, section 6.
func ValidNumber(s []byte) bool {
	s = bytes.TrimPrefix(s, []byte("-"))
	digits := func() bool {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		ok := n > 0
		s = s[n:]
		return ok
	}
	if len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9' {
		return false
	}
	if !digits() {
		return false
	}
	if len(s) > 0 && s[0] == '.' {
		if s = s[1:]; !digits() {
			return false
		}
	}
	if len(s) > 0 && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if len(s) > 0 && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if !digits() {
			return false
		}
	}
	return len(s) == 0
}
