package expr

import (
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"reflect"
	"sync"
	"time"

	"github.com/expr-lang/expr/vm"
	"github.com/expr-lang/expr/vm/runtime"
	"github.com/hookloom/hookloom/workflows/value"
)

// Limits of one evaluation. expr has no time limit and its memory budget counts elements, not bytes
// (expr-lang/expr#260 and #975), so everything that can take long or grow reports to a meter.
//
// The meter counts work and not time: the same expression over the same data has the same outcome
// on a busy machine and on an idle one, before and after a restart. A step takes about 20 ns: one
// operator, one element, or as many bytes as a function can process in that time (see the charges
// in guard.go and metered.go). 20 million steps are 0.2 to 0.8 s of one core. Only maxExprTime
// depends on a clock; it is far above that, for work that no charge covers.
const (
	maxExprText  = 32 << 10 // bytes of source
	maxExprNodes = 10_000
	maxLoops     = 3 // nested predicates
	maxWork      = 20_000_000
	maxExprBytes = 32 << 20
	maxExprTime  = 10 * time.Second
	// maxExprDepth is the maximum depth of lists and objects that an expression builds. Data has at
	// most MaxJSONDepth, and walking needs stack.
	maxExprDepth = 4 * value.MaxJSONDepth
	// lookEvery is the number of steps between readings of the clock.
	lookEvery = 1 << 16
)

// LimitError says which limit an expression exceeded, and how to stay within it.
type LimitError struct{ text string }

// Error implements error.
func (e *LimitError) Error() string { return e.text }

// Is reports whether target is ErrTooLarge, which fails a step as too_large.
func (e *LimitError) Is(target error) bool { return target == value.ErrTooLarge }

var (
	errSteps = &LimitError{fmt.Sprintf("the expression takes more than %d million steps "+
		"(about one for each operator, element or few bytes of text): pass less data, such as list[0:1000], filter before you "+
		"map, or split the work with foreach:", maxWork/1_000_000)}
	errMemory = &LimitError{fmt.Sprintf("the expression creates more than %d MiB of data: pass less data, such as "+
		"list[0:1000] or text[0:1000], "+
		"keep only the fields that are needed, or split the work with foreach:", maxExprBytes>>20)}
	errElements = &LimitError{"the expression creates more than a million elements: use a shorter range or list, such as list[0:1000], " +
		"or split the work with foreach:"}
	errDepth = &LimitError{fmt.Sprintf("the expression nests lists or objects deeper than %d: "+
		"add to a list with concat(…), not with [list, …]", maxExprDepth)}
	errTime = &LimitError{
		fmt.Sprintf("the expression ran for more than %v: pass less data, or use a simpler regular expression", maxExprTime),
	}
)

// meter is one running evaluation: its machine, names and budgets. The functions in names are bound
// to it once, so meters are pooled.
type meter struct {
	vm    vm.VM
	names map[string]any
	now   time.Time
	seed  string
	uuids int
	steps int
	bytes int
	// look is the step count at which the budget and the clock are checked next.
	look     int
	deadline time.Time
	// patterns are the regular expressions that this evaluation was charged for.
	patterns map[string]*pattern
}

var meters = sync.Pool{New: func() any {
	m := &meter{names: make(map[string]any, 128)}
	m.names[tickName], m.names[keyName] = m.iterate, m.key
	for _, list := range [][]hiddenFunction{hidden, meteredBuiltins} {
		for _, f := range list {
			m.names[f.name] = f.bound(m)
		}
	}
	for _, f := range functions {
		run := f.run
		m.names[f.name] = func(a ...any) any { return run(m, a) }
	}
	return m
}}

// start prepares a pooled meter for an evaluation.
func (m *meter) start(e *Expr, code *program, env *Env, deadline time.Time) {
	if code.allNames {
		maps.Copy(m.names, env.Names)
	} else {
		for _, k := range code.uses {
			if v, ok := env.Names[k]; ok {
				m.names[k] = v
			}
		}
	}
	m.now, m.seed, m.uuids, m.steps, m.bytes, m.look, m.deadline = env.Now, env.Seed, 0, 0, 0, lookEvery, deadline
	if e.Zone != nil {
		m.now = m.now.In(e.Zone)
	}
}

// end returns a meter to the pool. It drops what a large evaluation left in the machine, which
// would otherwise live as long as the pool.
func (m *meter) end(code *program, env *Env) {
	if code.allNames {
		for k := range env.Names {
			delete(m.names, k)
		}
	} else {
		for _, k := range code.uses {
			if _, ok := env.Names[k]; ok {
				delete(m.names, k)
			}
		}
	}
	if m.steps > lookEvery || m.bytes > lookEvery {
		m.vm = vm.VM{}
	}
	if m.patterns != nil {
		clear(m.patterns)
	}
	meters.Put(m)
}

// work counts steps before they are done.
func (m *meter) work(n int) {
	if m.steps += n; m.steps > m.look || n < 0 {
		m.check(n)
	}
}

func (m *meter) check(n int) {
	switch {
	case n < 0 || m.steps > maxWork:
		panic(errSteps)
	case time.Now().After(m.deadline):
		panic(errTime)
	}
	m.look = min(m.steps+lookEvery, maxWork)
}

// iterate counts one iteration of a loop by the cost that the guard computed.
func (m *meter) iterate(steps, bytes int) bool {
	m.work(steps)
	if bytes > 0 {
		m.charge(bytes)
	}
	return true
}

// Work counts steps; it implements value.Meter.
func (m *meter) Work(steps int) { m.work(steps) }

// Charge counts bytes; it implements value.Meter.
func (m *meter) Charge(bytes int) { m.charge(bytes) }

// tick counts one element.
func (m *meter) tick() { m.work(1) }

// text counts the work on a text, with one step per so many bytes.
func (m *meter) text(s string, per int) { m.work(1 + len(s)/per) }

// charge counts bytes before a function allocates them.
func (m *meter) charge(n int) {
	m.bytes += n
	if m.bytes > maxExprBytes || n < 0 {
		panic(errMemory)
	}
	m.work(n >> 6)
}

// sortSteps returns the work of sorting n elements, with a step for each comparison.
func sortSteps(n int) int { return n * bits.Len(uint(n)) }

// countWalk counts the work of walking a value whose parts may be shared: a list that another contains
// a hundred times is walked a hundred times.
func (m *meter) countWalk(v any, depth int) {
	if depth > maxExprDepth {
		panic(errDepth)
	}
	switch x := v.(type) {
	case nil, bool, int, float64, time.Time, time.Duration:
		m.work(1)
	case string:
		m.text(x, 64)
	case []any:
		for _, e := range x {
			m.countWalk(e, depth+1)
		}
		m.work(1 + len(x))
	case map[string]any:
		m.work(1 + 3*len(x))
		for k, e := range x {
			m.text(k, 64)
			m.countWalk(e, depth+1)
		}
	default:
		m.weighOther(v, depth)
	}
}

func (m *meter) weighOther(v any, depth int) {
	m.work(10)
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Slice, reflect.Array:
		for i := range r.Len() {
			m.countWalk(r.Index(i).Interface(), depth+1)
		}
	case reflect.Map:
		for it := r.MapRange(); it.Next(); {
			m.countWalk(it.Key().Interface(), depth+1)
			m.countWalk(it.Value().Interface(), depth+1)
		}
	}
}

// normalized is Normalize with its work counted.
func (m *meter) normalized(v any) any {
	n, err := value.NormalizeMetered(v, m)
	if errors.Is(err, value.ErrTooDeep) {
		err = errDepth
	}
	must(err)
	return n
}

// encode is EncodeJSON with its work counted.
func (m *meter) encode(v any) []byte {
	b, err := value.EncodeJSON(m.normalized(v))
	must(err)
	m.work(len(b) >> 4)
	m.charge(len(b))
	return b
}

// plainText is Text with its work counted.
func (m *meter) plainText(v any) string {
	switch x := v.(type) {
	case string:
		return x
	case nil, bool, int, float64, time.Time, Decimal, Bytes:
		m.work(10)
	default:
		if n := m.normalized(v); !scalar(n) {
			return string(m.encode(n))
		}
	}
	s, err := value.Text(v)
	must(err)
	return s
}

// equal is runtime.Equal with its work counted and decimals compared by value.
func (m *meter) equal(a, b any, depth int) bool {
	if depth > maxExprDepth {
		panic(errDepth)
	}
	m.work(1)
	switch x := a.(type) {
	case string:
		y, ok := b.(string)
		if ok && len(x) == len(y) {
			m.work(len(x) >> 8)
		}
		return ok && x == y
	case []any:
		if y, ok := b.([]any); ok {
			if len(x) != len(y) {
				return false
			}
			for i := range x {
				if !m.equal(x[i], y[i], depth+1) {
					return false
				}
			}
			return true
		}
	case map[string]any:
		if y, ok := b.(map[string]any); ok {
			return m.equalFields(x, y, depth+1)
		}
	case int:
		if y, ok := b.(int); ok {
			return x == y
		}
	case nil:
		return runtime.IsNil(b)
	}
	if isDecimal(a) || isDecimal(b) || unlikeNumbers(a, b) {
		return comparison("==", a, b) == true
	}
	if !scalar(a) && !scalar(b) {
		m.countWalk(a, depth)
		m.countWalk(b, depth)
	}
	return runtime.Equal(a, b)
}

// equalFields compares two objects field by field, so that numbers in them are compared by value. It
// compares all fields, since the work must not depend on the order of a map.
func (m *meter) equalFields(x, y map[string]any, depth int) bool {
	if len(x) != len(y) {
		return false
	}
	same := true
	for k, a := range x {
		b, ok := y[m.key(k).(string)]
		same = ok && m.equal(a, b, depth) && same
	}
	return same
}

// scalar reports whether a value needs no walk.
func scalar(v any) bool {
	switch v.(type) {
	case nil, bool, int, float64, string:
		return true
	}
	return false
}

// compare implements ordering operators, with the work of comparing texts counted.
func (m *meter) compare(op string, a, b any) any {
	m.work(1)
	if x, ok := a.(string); ok {
		if y, ok := b.(string); ok {
			m.work(min(len(x), len(y)) >> 8)
		}
	}
	if isDecimal(a) || isDecimal(b) {
		m.work(decimalSteps)
	}
	return comparison(op, a, b)
}

// among implements "in".
func (m *meter) among(a, b any) any {
	switch list := b.(type) {
	case []any:
		for _, x := range list {
			if m.equal(x, a, 0) {
				return true
			}
		}
		return false
	case map[string]any:
		m.key(a)
	default:
		if r := reflect.ValueOf(b); r.Kind() == reflect.Slice || r.Kind() == reflect.Array {
			per := 2
			if s, ok := a.(string); ok {
				per += len(s) >> 8
			}
			m.work(r.Len() * per)
			if isNumeric(a) {
				for i := range r.Len() {
					if m.equal(r.Index(i).Interface(), a, 0) {
						return true
					}
				}
				return false
			}
		}
	}
	return runtime.In(fromDecimal(a), b)
}

// key counts hashing a text for a lookup, and returns the text.
func (m *meter) key(v any) any {
	if s, ok := v.(string); ok {
		m.work(len(s) >> 6)
	}
	return v
}

// digits counts parsing a number.
func (m *meter) digits(v any) any {
	if s, ok := v.(string); ok {
		m.work(len(s) / 4)
	}
	return v
}

// given counts a text passed to a method, which creates a value of about its size.
func (m *meter) given(v any) any {
	if s, ok := v.(string); ok {
		m.work(len(s) >> 2)
		m.charge(2 * len(s))
	}
	return v
}

// sortKey counts the cost of sorting by one element.
func (m *meter) sortKey(v any) any {
	const comparisons = 20 // about log2 of a million
	if s, ok := v.(string); ok {
		m.work(comparisons * (2 + len(s)>>8))
		return v
	}
	m.work(comparisons * 2)
	return v
}

// contains implements the operator like expr.
func (m *meter) contains(a, b any) any {
	if runtime.IsNil(a) || runtime.IsNil(b) {
		return false
	}
	return m.find(a, b) >= 0
}
