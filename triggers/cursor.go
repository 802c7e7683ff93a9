package triggers

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

func decodeCursor(raw json.RawMessage) (any, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	v, err := value.DecodeJSON(raw)
	if err != nil {
		return nil, fmt.Errorf("the stored cursor: %w", err)
	}
	return v, nil
}

// encodeCursor encodes a cursor as JSON; nil if there is none.
func encodeCursor(v any) (json.RawMessage, error) {
	switch t := v.(type) {
	case nil:
		return nil, nil
	case time.Time:
		v = t.UTC().Format(time.RFC3339Nano)
	}
	return value.EncodeJSON(v)
}

// compareCursors orders two cursors: numbers by value, also if written as text, times by time,
// everything else as text.
func compareCursors(a, b any) int {
	if x, y := asInt(a), asInt(b); x != nil && y != nil {
		return cmp.Compare(*x, *y)
	}
	if x, y := asNumber(a), asNumber(b); x != nil && y != nil {
		return x.Cmp(y)
	}
	s, sok := asTime(a)
	t, tok := asTime(b)
	if sok && tok {
		return s.Compare(t)
	}
	return strings.Compare(text(a), text(b))
}

func asInt(v any) *int {
	if x, ok := v.(int); ok {
		return &x
	}
	return nil
}

// maxDigits is the longest text that is compared as a number.
const maxDigits = 100

// asNumber parses a number, or a decimal number in text; nil for anything else.
func asNumber(v any) *big.Rat {
	switch x := v.(type) {
	case int:
		return new(big.Rat).SetInt64(int64(x))
	case float64:
		return new(big.Rat).SetFloat64(x) // nil for non-finite numbers
	case json.Number:
		return asNumber(string(x))
	case string:
		if !decimal(x) {
			return nil
		}
		if r, ok := new(big.Rat).SetString(x); ok {
			return r
		}
	}
	return nil
}

// decimal reports whether a text consists of digits with at most one point and a sign.
func decimal(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	whole, part, point := strings.Cut(digits, ".")
	return len(s) <= maxDigits && onlyDigits(whole) && (!point || onlyDigits(part))
}

func onlyDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// Seconds and milliseconds since 1970 in the range 2001 to 2286.
const (
	firstSecond, lastSecond = 1_000_000_000, 10_000_000_000
	firstMilli, lastMilli   = 1_000_000_000_000, 10_000_000_000_000
)

// asTime parses a time, a time in text, or seconds or milliseconds since 1970 in the supported
// range.
func asTime(v any) (time.Time, bool) {
	switch x := v.(type) {
	case time.Time:
		return x, true
	case string:
		for _, layout := range cursorLayouts {
			if t, err := time.Parse(layout, x); err == nil {
				return t, true
			}
		}
		if decimal(x) {
			if f, err := strconv.ParseFloat(x, 64); err == nil {
				return epoch(f)
			}
		}
	case int:
		return epoch(float64(x))
	case float64:
		return epoch(x)
	}
	return time.Time{}, false
}

func epoch(f float64) (time.Time, bool) {
	switch {
	case f > firstSecond && f < lastSecond:
		whole, part := math.Modf(f)
		return time.Unix(int64(whole), int64(part*1e9)), true
	case f > firstMilli && f < lastMilli:
		return time.UnixMilli(int64(f)), true
	}
	return time.Time{}, false
}

var cursorLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05 Z07:00",
	"2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05 MST", "2006-01-02 15:04:05", "2006-01-02", time.RFC1123, time.RFC1123Z}

// lookBack moves a cursor back by the overlap, since lists may show items late.
func lookBack(cursor any, overlap time.Duration) any {
	if overlap == 0 {
		return cursor
	}
	switch x := cursor.(type) {
	case time.Time:
		return x.Add(-overlap)
	case string:
		for _, layout := range cursorLayouts {
			if t, err := time.Parse(layout, x); err == nil {
				return t.Add(-overlap).Format(layout)
			}
		}
		// A number that is no time stays as it is written, with its zeros.
		if f, err := strconv.ParseFloat(x, 64); err == nil && decimal(x) && earlier(f, overlap) != f {
			return strconv.FormatFloat(earlier(f, overlap), 'f', -1, 64)
		}
	case int:
		return int(earlier(float64(x), overlap))
	case float64:
		return earlier(x, overlap)
	}
	return cursor
}

// tick is the resolution of a cursor that is a time.
func tick(cursor any) time.Duration {
	if t, ok := asTime(cursor); ok && t.Nanosecond() != 0 {
		return time.Millisecond
	}
	return time.Second
}

// earlier subtracts from seconds or milliseconds since 1970; other numbers are unchanged.
func earlier(f float64, overlap time.Duration) float64 {
	switch {
	case f > firstMilli && f < lastMilli:
		return f - float64(overlap.Milliseconds())
	case f > firstSecond && f < lastSecond:
		return f - overlap.Seconds()
	}
	return f
}

// after reports whether a cursor is a time later than t.
func (p *poller) after(cursor any, moment time.Time) bool {
	if !p.isMoment(cursor) {
		return false
	}
	t, ok := asTime(cursor)
	return ok && t.After(moment)
}

// isMoment reports whether a cursor is a time. A number is one only if its name says so.
func (p *poller) isMoment(cursor any) bool {
	switch x := cursor.(type) {
	case int, float64:
		if !expr.NamesTime(p.poll.Cursor.Text) {
			return false
		}
	case string:
		if decimal(x) && !expr.NamesTime(p.poll.Cursor.Text) {
			return false
		}
	}
	_, ok := asTime(cursor)
	return ok
}

// capped limits a cursor to a moment: an item dated 2099 must not end all later polls.
func (p *poller) capped(cursor any, moment time.Time) any {
	if cursor == nil || !p.poll.PerItem || !p.after(cursor, moment) {
		return cursor
	}
	t, _ := asTime(cursor)
	return lookBack(cursor, t.Sub(moment))
}
