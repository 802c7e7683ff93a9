package expr

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/vm/runtime"
)

// hiddenFunction is a function with which the guard replaces an operator or one of expr's own
// functions. Functions of one or two arguments are typed, because for untyped ones expr allocates
// an argument list per call.
type hiddenFunction struct {
	name string
	one  func(m *meter, x any) any
	two  func(m *meter, x, y any) any
	run  func(m *meter, a []any) any
}

// bound returns the function as the machine calls it.
func (f hiddenFunction) bound(m *meter) any {
	switch {
	case f.one != nil:
		return func(x any) any { return f.one(m, x) }
	case f.two != nil:
		return func(x, y any) any { return f.two(m, x, y) }
	}
	return func(a ...any) any { return f.run(m, a) }
}

// meteredBuiltins are expr's own functions whose work or memory depends on the data, with the
// charge for a call. Functions that are not listed take constant time.
var meteredBuiltins = []hiddenFunction{
	metered("upper", func(m *meter, a []any) { m.grown(a, 4) }),
	metered("lower", func(m *meter, a []any) { m.grown(a, 4) }),
	metered("trim", trimmed),
	metered("trimPrefix", func(m *meter, a []any) { m.read(a, 128) }),
	metered("trimSuffix", func(m *meter, a []any) { m.read(a, 128) }),
	metered("hasPrefix", func(m *meter, a []any) { m.read(a, 128) }),
	metered("hasSuffix", func(m *meter, a []any) { m.read(a, 128) }),
	metered("indexOf", func(m *meter, a []any) { m.read(a, 32) }),
	metered("lastIndexOf", func(m *meter, a []any) { m.read(a, 8) }),
	metered("splitAfter", func(m *meter, a []any) {
		m.read(a, 4)
		if len(a) > 1 {
			m.charge(16 * (1 + pieces(a[0], a[1])))
		}
	}),
	metered("duration", func(m *meter, a []any) { m.read(a, 2) }),
	metered("len", func(m *meter, a []any) { m.read(a, 16) }),
	metered("get", func(m *meter, a []any) {
		if len(a) > 1 {
			m.key(a[1])
		}
		m.work(5)
	}),
	metered("first", func(m *meter, a []any) { m.work(5) }),
	metered("last", func(m *meter, a []any) { m.work(5) }),
	metered("take", (*meter).taken),
	metered("reverse", func(m *meter, a []any) { m.listed(a, 4, 48) }),
	metered("fromPairs", (*meter).pairs),
	sorting(metered("sort", meterSort)),
	{name: "__sortPairs", run: func(_ *meter, a []any) any { return sortPairs(a) }},
	{name: "__timezone", run: func(m *meter, a []any) any {
		m.work(50)
		zone, err := loadZone(textArg("timezone", a, 0))
		must(err)
		return zone
	}},
}

// taken charges for take. expr's own message calls a number of more than 64 bits text.
func (m *meter) taken(a []any) {
	m.listed(a, 1, 16)
	if len(a) > 1 && !reflect.ValueOf(a[1]).CanInt() {
		panic(errors.New(needs("take takes a whole number of elements", fmt.Sprintf("%T", a[1]))))
	}
}

// pairs charges for fromPairs. expr's own messages contain the complete value, which may be large.
func (m *meter) pairs(a []any) {
	m.listed(a, 20, 120)
	if !isList(a[0]) {
		panic(errors.New(needs("fromPairs takes a list of pairs such as [['name', 1]]", fmt.Sprintf("%T", a[0]))))
	}
	for _, p := range elements("fromPairs", a[0]) {
		if !isList(p) {
			panic(errors.New(needs("fromPairs takes pairs such as ['name', 1]", fmt.Sprintf("%T", p))))
		}
		pair := elements("fromPairs", p)
		if len(pair) != 2 {
			panic(fmt.Errorf("fromPairs takes pairs such as ['name', 1], got a list of %d", len(pair)))
		}
		m.key(pair[0])
	}
}

// isList reports whether a value is a list of any kind.
func isList(v any) bool {
	kind := reflect.ValueOf(v).Kind()
	return kind == reflect.Slice || kind == reflect.Array
}

// meterSort charges for sorting a list.
func meterSort(m *meter, a []any) {
	m.listed(a, 1, 16)
	list, ok := a[0].([]any)
	if !ok {
		m.work(3 * sortSteps(lengthOf(a[0])))
		return
	}
	for _, x := range list {
		m.sortKey(x)
	}
}

// sorting makes sort exact for a list of numbers of several kinds, which expr would round.
func sorting(f hiddenFunction) hiddenFunction {
	plain := f.run
	f.run = func(m *meter, a []any) any {
		if len(a) == 0 || !unlike(a[0]) {
			return plain(m, a)
		}
		meterSort(m, a)
		list := slices.Clone(a[0].([]any))
		slices.SortStableFunc(list, inOrder(a[1:], compareNumbers))
		return list
	}
	return f
}

// unlike reports whether v is a list of numbers of several kinds.
func unlike(v any) bool {
	list, _ := v.([]any)
	found := false
	for i := range list {
		if !isNumeric(list[i]) {
			return false
		}
		found = found || isDecimal(list[i]) || unlikeNumbers(list[0], list[i])
	}
	return found
}

// inOrder reverses a comparison if the arguments of a sort ask for that.
func inOrder[T any](order []any, compare func(a, b T) int) func(a, b T) int {
	if len(order) == 0 || order[0] == "asc" {
		return compare
	}
	if order[0] != "desc" {
		panic("unknown order, use asc or desc")
	}
	return func(a, b T) int { return compare(b, a) }
}

// sortPairs implements sortBy: it sorts a list of [value, key] by the keys, and returns the values.
func sortPairs(a []any) any {
	pairs := slices.Clone(a[0].([]any))
	slices.SortStableFunc(pairs, inOrder(a[1:], func(x, y any) int {
		k, l := x.([]any)[1], y.([]any)[1]
		switch {
		case isNumeric(k) && isNumeric(l):
			return compareNumbers(k, l)
		case runtime.Less(k, l):
			return -1
		case runtime.Less(l, k):
			return 1
		}
		return 0
	}))
	for i := range pairs {
		pairs[i] = pairs[i].([]any)[0]
	}
	return pairs
}

// metered wraps a function of expr that is charged before it runs.
func metered(name string, charge func(m *meter, a []any)) hiddenFunction {
	f := builtin.Builtins[builtin.Index[name]]
	return hiddenFunction{name: "__" + name, run: func(m *meter, a []any) any {
		if len(a) == 0 {
			panic(fmt.Errorf("%s needs an argument", name))
		}
		charge(m, a)
		switch {
		case f.Fast != nil:
			return f.Fast(a[0])
		case f.Safe != nil:
			v, _, err := f.Safe(a...)
			must(err)
			return v
		}
		v, err := f.Func(a...)
		must(err)
		return v
	}}
}

// read counts reading texts, with one step per so many bytes.
func (m *meter) read(a []any, per int) {
	n := 1
	for _, v := range a {
		if s, ok := v.(string); ok {
			n += len(s) / per
		}
	}
	m.work(n)
}

// grown counts reading texts and creating others of about the same size.
func (m *meter) grown(a []any, per int) {
	m.read(a, per)
	if s, ok := a[0].(string); ok {
		m.charge(len(s))
	}
}

// listed counts steps and bytes for each element of the first argument.
func (m *meter) listed(a []any, steps, bytes int) {
	n := lengthOf(a[0])
	m.work(1 + n*steps)
	m.charge(n * bytes)
}

// lengthOf returns the length of a list of any kind; 0 for other values.
func lengthOf(v any) int {
	switch x := v.(type) {
	case []any:
		return len(x)
	case []int:
		return len(x)
	case []string:
		return len(x)
	}
	return 0
}

// trimmed charges for trim: it searches the complete cutset for each non-ASCII character.
func trimmed(m *meter, a []any) {
	m.read(a, 16)
	if len(a) < 2 {
		return
	}
	s, ok := a[0].(string)
	cut, ok2 := a[1].(string)
	if ok && ok2 && strings.IndexFunc(cut, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
		m.work((len(s) >> 5) * len(cut))
	}
}

// pieces returns the number of parts into which a text is split.
func pieces(text, sep any) int {
	s, _ := text.(string)
	by, _ := sep.(string)
	return 1 + strings.Count(s, by)
}

// find returns the index of a text in another, with the search counted.
func (m *meter) find(a, b any) int {
	s, sub := a.(string), b.(string)
	m.work(1 + (len(s)+len(sub))/32)
	return strings.Index(s, sub)
}

// loadedZones caches time zones: time.LoadLocation reads a file at each call.
var loadedZones sync.Map

func loadZone(name string) (*time.Location, error) {
	if z, ok := loadedZones.Load(name); ok {
		return z.(*time.Location), nil
	}
	z, err := time.LoadLocation(name)
	if err != nil {
		return nil, err
	}
	loadedZones.Store(strings.Clone(name), z) // bounded by the number of existing zones
	return z, nil
}
