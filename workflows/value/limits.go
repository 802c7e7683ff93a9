package value

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// This file defines the limits of a value. They are checked when a value is created: an output, a
// variable, an input of a called workflow. A value within them can always be stored and decoded
// again, since the decoder of stored rows has no limits.

// ErrTooLarge means that a value exceeds one of the limits, see Fit.
var ErrTooLarge = fmt.Errorf("the value is too large: it would be more than %d MiB", MaxSize>>20)

// MaxSize is the maximum size in bytes of the JSON of a value from an expression or a response.
const MaxSize = 4 << 20

// LimitError describes the limit that a value exceeds. It is an ErrTooLarge.
type LimitError struct {
	// Problem follows the name of the value: is larger than 4 MiB as JSON.
	Problem string
}

// Error implements error.
func (e *LimitError) Error() string { return "the value " + e.Problem }

// Is reports whether target is ErrTooLarge.
func (e *LimitError) Is(target error) bool { return target == ErrTooLarge }

var (
	tooManyBytes  = &LimitError{fmt.Sprintf("is larger than %d MiB as JSON", MaxSize>>20)}
	tooManyValues = &LimitError{fmt.Sprintf("holds more than %d values", MaxJSONNodes)}
	tooDeep       = &LimitError{fmt.Sprintf("is nested deeper than %d levels", MaxJSONDepth)}
)

// errNotPlain means that a value must be normalized.
var errNotPlain = errors.New("not plain data")

// Fit returns a value as plain data within the limits: MaxSize bytes as JSON, MaxJSONNodes values,
// MaxJSONDepth levels. If it exceeds one, the error is a *LimitError.
func Fit(v any) (any, error) {
	var m measure
	err := m.add(v, 0)
	if !errors.Is(err, errNotPlain) {
		return v, err
	}
	if v, err = Normalize(v); err != nil {
		return nil, err
	}
	m = measure{}
	return v, m.add(v, 0)
}

// measure counts the JSON size of a value without encoding it, and its memory.
type measure struct{ bytes, values, memory int }

func (m *measure) add(v any, depth int) error {
	if depth > MaxJSONDepth {
		return tooDeep
	}
	if m.values++; m.values > MaxJSONNodes {
		return tooManyValues
	}
	switch x := v.(type) {
	case nil:
		m.bytes += 4
	case bool:
		m.bytes += 5 - btoi(x)
	case string:
		m.bytes += textSize(x)
		m.memory += 16 + len(x)
	case int:
		m.bytes += intSize(int64(x))
	case float64:
		if math.IsInf(x, 0) || math.IsNaN(x) {
			return errNotPlain // Normalize reports the reason
		}
		var buf [32]byte
		m.bytes += len(appendFloat(buf[:0], x))
	case json.Number:
		m.bytes += len(x)
		m.memory += 16 + len(x)
	case []any:
		return m.list(x, depth)
	case map[string]any:
		return m.object(x, depth)
	default:
		return errNotPlain
	}
	return m.full()
}

func (m *measure) full() error {
	if m.bytes > MaxSize {
		return tooManyBytes
	}
	return nil
}

func (m *measure) list(list []any, depth int) error {
	m.bytes += 2 + max(0, len(list)-1)
	m.memory += 24 + 24*len(list)
	for _, x := range list {
		if err := m.add(x, depth+1); err != nil {
			return err
		}
	}
	return m.full()
}

func (m *measure) object(object map[string]any, depth int) error {
	m.bytes += 2 + max(0, len(object)-1)
	m.memory += 48 + 48*len(object)
	if n := len(object); n > 0 && n < 8 {
		m.memory += 48 * (8 - n) // a non-empty map has room for eight (runtime, Swiss maps)
	}
	for k, x := range object {
		m.bytes += textSize(k) + 1
		m.memory += len(k)
		if err := m.add(x, depth+1); err != nil {
			return err
		}
	}
	return m.full()
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func intSize(n int64) int {
	if n >= 0 && n < 10 {
		return 1
	}
	var buf [24]byte
	return len(strconv.AppendInt(buf[:0], n, 10))
}

// textSize returns the number of bytes that appendJSONText writes.
func textSize(s string) int {
	n := len(s) + 2
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				n += len(`\ufffd`) - 1
			}
			i += size - 1
		case c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t':
			n++
		case c < 0x20:
			n += len(`\u0000`) - 1
		}
	}
	return n
}

// The limits of Cut.
const (
	cutBytes  = 256 << 10
	cutValues = 10_000
	cutName   = 1 << 10
)

// Cut returns a value for the record, such as the input of an attempt: it truncates a value that
// exceeds a limit, and marks the places. It never fails.
func Cut(v any) any {
	fit, err := Fit(v)
	if err == nil {
		return fit
	}
	var limit *LimitError
	if !errors.As(err, &limit) {
		return "(cannot be shown: " + err.Error() + ")"
	}
	c := cutter{bytes: cutBytes, values: cutValues}
	return c.value(v, 0)
}

type cutter struct{ bytes, values int }

func (c *cutter) value(v any, depth int) any {
	c.values--
	c.bytes -= 8
	switch x := v.(type) {
	case string:
		x = CutText(x, max(c.bytes/2, 64))
		c.bytes -= len(x)
		return x
	case []any:
		return c.list(x, depth)
	case map[string]any:
		return c.object(x, depth)
	case nil, bool, int, float64, json.Number, time.Time:
		return x
	}
	plain, err := Normalize(v)
	if err != nil {
		return "(cannot be shown: " + err.Error() + ")"
	}
	switch plain.(type) {
	case string, []any, map[string]any:
		return c.value(plain, depth)
	}
	return plain
}

// spent reports whether nothing more is kept. It drops what is deeper than half of the maximum
// depth, so that the enclosing value stays within the limit.
func (c *cutter) spent(depth int) bool {
	return c.bytes <= 0 || c.values <= 0 || depth > MaxJSONDepth/2
}

func (c *cutter) list(list []any, depth int) any {
	out := []any{}
	for i, x := range list {
		if c.spent(depth) {
			return append(out, fmt.Sprintf("… (cut: %d more)", len(list)-i))
		}
		out = append(out, c.value(x, depth+1))
	}
	return out
}

func (c *cutter) object(object map[string]any, depth int) any {
	out := map[string]any{}
	for i, k := range slices.Sorted(keysOf(object)) {
		if c.spent(depth) {
			out["…"] = fmt.Sprintf("(cut: %d more fields)", len(object)-i)
			break
		}
		short := CutText(k, cutName)
		c.bytes -= len(short)
		out[short] = c.value(object[k], depth+1)
	}
	return out
}

func keysOf(m map[string]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// CutText truncates a text to about n bytes and appends its original length.
func CutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + fmt.Sprintf("… (cut: %d bytes in all)", len(s))
}

// EncodeStored encodes plain data for a row of the database, whatever its size: the limits were
// checked when the value was created.
func EncodeStored(v any) ([]byte, error) { return AppendStored(make([]byte, 0, 256), v) }

// AppendStored is like EncodeStored, but appends to b.
func AppendStored(b []byte, v any) ([]byte, error) { return AppendJSON(b, v, math.MaxInt) }

// maxStoredDepth prevents a stack overflow from a damaged row.
const maxStoredDepth = 10_000

// DecodeStored decodes what EncodeStored wrote, even if values were masked since. It has no size
// limits, and uses the last of duplicate keys.
func DecodeStored(b []byte) (any, error) {
	d := jsonReader{b: b, stored: true}
	return d.document()
}

// Size returns the size of a value: bytes as JSON, number of values, and approximate bytes in
// memory. For a value that exceeds a limit it is the count up to there.
func Size(v any) (bytes, values, memory int) {
	var m measure
	// What is not plain data is counted as far as possible.
	_ = m.add(v, 0)
	return m.bytes, m.values, m.memory
}
