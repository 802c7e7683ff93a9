package value

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"reflect"
	"strconv"
	"time"
)

// TimeFormat is the format of times in texts, rows and JSON: RFC 3339, UTC, milliseconds.
const TimeFormat = "2006-01-02T15:04:05.000Z07:00"

// Normalize converts the result of an expression to plain data: maps get string keys, times become
// RFC 3339 text, integers int. What JSON cannot represent (NaN, infinity, functions) is an error.
func Normalize(v any) (any, error) { return normalize(v, nil, 0) }

// Meter limits the work and the memory of walking values. Its methods panic when a budget is
// exhausted; the panic passes through this package.
type Meter interface {
	// Work counts steps of about 20 ns.
	Work(steps int)
	// Charge counts bytes about to be allocated.
	Charge(bytes int)
}

// NormalizeMetered is Normalize with m counting its work: a value may contain the same list many
// times, and each occurrence is walked.
func NormalizeMetered(v any, m Meter) (any, error) { return normalize(v, m, 0) }

// Computed is a value that exists only during the evaluation of an expression, such as an exact
// decimal or bytes. It can be converted to plain data, to text, or to neither.
type Computed interface {
	// Plain returns the value as plain data, or an error if that is not possible.
	Plain() (any, error)
	// InText returns the value for insertion into a text.
	InText() (string, error)
	// Kind returns the kind of value in the language's terms, as Describe does.
	Kind() string
}

// maxDepth is the maximum depth of values that are walked before their limits are checked: walking
// needs stack.
const maxDepth = 4 * MaxJSONDepth

// ErrTooDeep means that a value is nested too deeply to be walked. It is an ErrTooLarge.
var ErrTooDeep error = &LimitError{fmt.Sprintf("is nested deeper than %d levels", maxDepth)}

// MapBytes returns the approximate memory of a Go map with n fields: a non-empty one has room for
// eight.
func MapBytes(n int) int {
	switch {
	case n == 0:
		return 48
	case n <= 8:
		return 340
	}
	return 72 * n
}

// MapSteps returns the work of walking n fields, including sorting their names.
func MapSteps(n int) int { return n * (3 + bits.Len(uint(n))/2) }

func normalize(v any, m Meter, depth int) (any, error) {
	switch x := v.(type) {
	case nil, bool, string, int, json.Number:
		return v, nil
	case int64:
		return int(x), nil
	case float64:
		if math.IsInf(x, 0) || math.IsNaN(x) {
			return nil, fmt.Errorf("the result is %v, which is not a number (a division by zero?)", x)
		}
		return x, nil
	case time.Time:
		return x.UTC().Format(TimeFormat), nil
	case time.Duration:
		return x.String(), nil
	case []any:
		return normalizeList(x, m, depth+1)
	case map[string]any:
		return normalizeMap(x, m, depth+1)
	case Computed:
		return x.Plain()
	}
	return normalizeOther(v, m, depth+1)
}

func normalizeList(list []any, m Meter, depth int) (any, error) {
	if depth > maxDepth {
		return nil, ErrTooDeep
	}
	if m != nil {
		m.Work(1 + len(list))
	}
	for i, e := range list {
		n, err := normalize(e, m, depth)
		if err != nil {
			return nil, err
		}
		if !same(n, e) {
			// Copy on the first change only: payloads are shared between runs.
			if m != nil {
				m.Charge(16 * len(list))
			}
			out := append([]any(nil), list...)
			out[i] = n
			for j := i + 1; j < len(list); j++ {
				if out[j], err = normalize(list[j], m, depth); err != nil {
					return nil, err
				}
			}
			return out, nil
		}
	}
	return list, nil
}

func normalizeMap(fields map[string]any, m Meter, depth int) (any, error) {
	if depth > maxDepth {
		return nil, ErrTooDeep
	}
	if m != nil {
		m.Work(1 + MapSteps(len(fields)))
	}
	var out map[string]any
	for k, e := range fields {
		n, err := normalize(e, m, depth)
		if err != nil {
			return nil, err
		}
		if same(n, e) {
			continue
		}
		if out == nil {
			if m != nil {
				m.Charge(MapBytes(len(fields)))
			}
			out = make(map[string]any, len(fields))
			for k2, e2 := range fields {
				out[k2] = e2
			}
		}
		out[k] = n
	}
	if out != nil {
		return out, nil
	}
	return fields, nil
}

// same reports whether Normalize changed nothing, without comparing contents.
func same(a, b any) bool {
	switch x := a.(type) {
	case []any:
		y, ok := b.([]any)
		return ok && len(x) == len(y) && (len(x) == 0 || &x[0] == &y[0])
	case map[string]any:
		y, ok := b.(map[string]any)
		return ok && reflect.ValueOf(x).Pointer() == reflect.ValueOf(y).Pointer()
	case nil:
		return b == nil
	}
	return reflect.TypeOf(a) == reflect.TypeOf(b)
}

func normalizeOther(v any, m Meter, depth int) (any, error) {
	if depth > maxDepth {
		return nil, ErrTooDeep
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Slice, reflect.Array:
		if b, ok := v.([]byte); ok {
			return string(b), nil
		}
		if m != nil {
			m.Charge(24 * r.Len())
			m.Work(2 * r.Len())
		}
		out := make([]any, r.Len())
		for i := range out {
			n, err := normalize(r.Index(i).Interface(), m, depth)
			if err != nil {
				return nil, err
			}
			out[i] = n
		}
		return out, nil
	case reflect.Map:
		if m != nil {
			m.Charge(MapBytes(r.Len()))
			m.Work(5 * MapSteps(r.Len()))
		}
		out := make(map[string]any, r.Len())
		for it := r.MapRange(); it.Next(); {
			k, err := Text(it.Key().Interface())
			if err != nil {
				return nil, err
			}
			if _, twice := out[k]; twice {
				return nil, fmt.Errorf("two keys become %q as text (such as 1 and \"1\"), and one would be lost: make them "+
					"alike with string(…)", Clip(k, 40))
			}
			if out[k], err = normalize(it.Value().Interface(), m, depth); err != nil {
				return nil, err
			}
		}
		return out, nil
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int:
		return int(r.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if r.Uint() > math.MaxInt64 {
			return json.Number(strconv.FormatUint(r.Uint(), 10)), nil
		}
		return int(r.Uint()), nil
	case reflect.Float32:
		return normalize(r.Float(), m, depth)
	case reflect.Bool:
		return r.Bool(), nil
	case reflect.String:
		return r.String(), nil
	case reflect.Pointer, reflect.Interface:
		if r.IsNil() {
			return nil, nil
		}
		return normalize(r.Elem().Interface(), m, depth)
	}
	if _, zone := v.(time.Location); zone {
		return nil, errors.New("the result is a time zone, which is not data; use it as in date(zone, text) or now().In(zone)")
	}
	return nil, fmt.Errorf("the result is %s, which is not data", Describe(v))
}

// Shown returns v as text, like Text, or like fmt.Sprint if it cannot be text.
func Shown(v any) string {
	s, err := Text(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return s
}

// Text returns a value for insertion into a text (rule 3 of docs/expressions.md): integers as
// digits, floats in the shortest form without an exponent, times as RFC 3339 UTC, lists and maps as
// compact JSON, nil as "".
func Text(v any) (string, error) {
	switch x := v.(type) {
	case nil:
		return "", nil
	case string:
		return x, nil
	case bool:
		return strconv.FormatBool(x), nil
	case int:
		return strconv.Itoa(x), nil
	case json.Number:
		return string(x), nil
	case float64:
		if math.IsInf(x, 0) || math.IsNaN(x) {
			return "", fmt.Errorf("%v is not a number", x)
		}
		return floatText(x), nil
	case time.Time:
		return x.UTC().Format(TimeFormat), nil
	case Computed:
		return x.InText()
	}
	n, err := Normalize(v)
	if err != nil {
		return "", err
	}
	switch n.(type) {
	case []any, map[string]any:
		b, err := EncodeJSON(n)
		return string(b), err
	}
	return Text(n)
}

// floatText formats a fraction without an exponent, however large or small.
func floatText(f float64) string {
	if a := math.Abs(f); a >= 1e21 || a != 0 && a < 1e-9 {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return string(appendFloat(nil, f))
}

// Describe returns the kind of a value in the language's terms, for messages: text, a number, a
// list.
func Describe(v any) string {
	switch x := v.(type) {
	case nil:
		return "nil"
	case bool:
		return "true or false"
	case string:
		return "text"
	case int, int64, float64, json.Number:
		return "a number"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	case Computed:
		return x.Kind()
	case time.Time:
		return "a time"
	case time.Duration:
		return "a duration"
	case *time.Location, time.Location:
		return "a time zone"
	}
	switch reflect.ValueOf(v).Kind() {
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map:
		return "an object"
	case reflect.Func:
		return "a function"
	}
	return "something that is not data"
}
