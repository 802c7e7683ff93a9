//go:build unix

package expr_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// cpu returns the CPU time of this process; other programs do not count.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// hostileData is data that a sender may construct for maximum cost: long texts that differ only at
// the end, large lists, objects with many fields, nested lists.
func hostileData() expr.Names {
	ints, texts, objects, pairs := make([]any, 20_000), make([]any, 2_000), make([]any, 2_000), make([]any, 5_000)
	wide := map[string]any{}
	for i := range ints {
		ints[i] = (i * 7919) % 20_000
		wide[fmt.Sprint("field", i)] = i
	}
	for i := range texts {
		texts[i] = strings.Repeat("p", 100) + fmt.Sprint(i%97)
		objects[i] = map[string]any{"id": i, "name": texts[i], "tags": []any{"a", "b", i}}
	}
	for i := range pairs {
		pairs[i] = []any{fmt.Sprint("key", i), i}
	}
	var deep any = 1
	for range 60 {
		deep = []any{deep}
	}
	long := strings.Repeat("a", 1<<20)
	return expr.Names{"ints": ints, "texts": texts, "objects": objects, "pairs": pairs, "wide": wide, "deep": deep,
		"long": long, "alike": strings.Repeat("a", 1<<20-1) + "b", "umlauts": strings.Repeat("äöü", 1<<17),
		"json":   "[" + strings.Repeat(`{"a":1},`, 20_000) + "{}]",
		"base64": strings.Repeat("QUJD", 1<<18), "spaces": strings.Repeat(" ", 1<<20),
		"letters": strings.Repeat("a", 60<<10), "n": 3, "zeros": "0." + strings.Repeat("0", 1<<20)}
}

// TestALargeUseOfEachFunctionEndsInTime calls each function in a loop over hostile data: the
// evaluation ends with a result or names a limit, after little CPU time and memory.
func TestALargeUseOfEachFunctionEndsInTime(t *testing.T) {
	uses := map[string]string{
		"+": `reduce(1..1000000, #acc + "x", "")`, "- * /": `map(1..500000, (# - 1) * 3 / 2)`, "**": `map(1..500000, 2 ** (# % 60))`,
		"== of texts": `count(1..400000, long == alike)`, "== of lists": `count(1..400000, ints == reverse(ints))`,
		"== of equal lists": `let other = concat(ints, []); count(1..400000, ints == other)`,
		"== of objects":     `let other = merge(wide, {}); count(1..400000, wide == other)`,
		"<":                 `count(1..400000, long < alike)`, "in list": `count(ints, # in ints)`,
		"in texts": `count(1..400000, alike in [long, long])`, "in object": `count(1..400000, long in wide)`,
		"in shared lists": `let x = reduce(1..40, [#acc, #acc], 1); x in [reduce(1..40, [#acc, #acc], 1)]`,
		"in constants":    `count(1..400000, long in ["a", "b"])`, "[key]": `count(1..400000, wide[long] == nil)`,
		"get":     `count(1..400000, get(wide, long) == nil)`,
		"?.[key]": `count(1..400000, wide?.[long] == nil)`, "{(key): …}": `map(1..400000, {{(long): 1}})`,
		"{…}": `map(1..1000000, {{a: #, b: {c: #}}})`, "[…]": `map(1..1000000, [#, #, [#]])`,
		"contains": `count(1..400000, long contains "b")`, "startsWith": `count(1..400000, long startsWith alike)`,
		"endsWith":        `count(1..400000, long endsWith long)`,
		"matches":         `count(1..400000, letters matches "(a|aa)+b$")`,
		"matches of many": `count(ints, letters matches "x{30}" + string(#))`, "matches large": `letters matches "(a?){900}b"`,
		"match":        `count(1..400000, match(letters, "(a*)*(b)") == nil)`,
		"regexReplace": `regexReplace(letters, "a.*b|a", "x")`, "regexReplace behind": `regexReplace(letters, "\\ba.*b|a", "x")`,
		"regexReplace grows": `regexReplace(letters, "a", "$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0")`,
		"range":              `map(1..1000, len(1..1000))`, "count": `map(1..100000, count(map(ints, true)))`,
		"count alone": `let l = map(ints, true); map(1..100000, count(l))`,
		"filter":      `map(1..100000, filter(ints, # > 3))`, "map": `map(1..1000, map(ints, #))`,
		"find": `map(1..100000, find(ints, # < 0))`, "findLast": `map(1..100000, findLast(ints, # < 0))`,
		"all": `map(1..100000, all(ints, # >= 0))`, "any": `map(1..100000, any(ints, # < 0))`,
		"none": `map(1..100000, none(ints, # < 0))`, "one": `map(1..100000, one(ints, # == 1))`,
		"groupBy": `map(1..100000, groupBy(ints, #))`, "groupBy long": `groupBy(1..400000, # % 2 == 0 ? long : alike)`,
		"sortBy":      `map(1..100000, sortBy(ints, -#))`,
		"sortBy long": `sortBy(1..400000, # % 2 == 0 ? long : alike)`, "reduce": `reduce(1..40, [#acc, #acc], 1)`,
		"reduce deep":    `reduce(1..900000, [#acc], 1)`,
		"reduce objects": `reduce(1..900000, {{a: #acc}}, 1)`,
		"let": strings.Repeat("let a = [ints, ints]; ",
			1) + `let b = [a, a]; let c = [b, b]; let d = [c, c]; let e = [d, d]; let f = [e, e]; toJSON([f, f, f, f])`,
		"sum": `map(1..100000, sum(ints))`, "sum of": `map(1..100000, sum(ints, # * 2))`,
		"max": `map(1..100000, max(ints))`, "min": `map(1..100000, min([ints]))`, "mean": `map(1..100000, mean(ints))`,
		"median": `map(1..100000, median(ints))`, "sort": `map(1..100000, sort(ints))`,
		"sort texts": `map(1..100000, sort(texts))`, "sort long": `sort(map(1..400000, # % 2 == 0 ? long : alike))`,
		"reverse": `map(1..100000, reverse(ints))`, "take": `map(1..100000, take(ints, 19000))`,
		"concat": `reduce(1..100000, concat(#acc, [#]), [])`, "flatten": `flatten(map(1..1000, ints))`,
		"chunk": `map(1..100000, chunk(ints, 1))`, "zip": `map(1..100000, zip(ints, ints))`,
		"uniq": `map(1..100000, uniq(texts))`, "slice": `map(1..400000, long[1:-1])`, "slice list": `map(1..400000, (1..100)[1:-1])`,
		"first": `map(1..400000, first(ints))`, "last": `map(1..400000, last(ints))`,
		"len": `map(1..400000, len(umlauts))`, "type": `map(1..400000, type(ints))`,
		"upper": `map(1..400000, len(upper(umlauts)))`, "lower": `map(1..400000, len(lower(umlauts)))`,
		"trim": `count(1..400000, trim(spaces) == "")`, "trim set": `trim(umlauts, umlauts)`,
		"trimPrefix": `count(1..400000, trimPrefix(long, alike) == "")`,
		"trimSuffix": `count(1..400000, trimSuffix(long, long) == "")`, "hasPrefix": `count(1..400000, hasPrefix(long, alike))`,
		"hasSuffix": `count(1..400000, hasSuffix(long, long))`, "indexOf": `count(1..400000, indexOf(long, "ab") > 0)`,
		"lastIndexOf": `count(1..400000, lastIndexOf(long, "ba") > 0)`,
		"split":       `map(1..400000, len(split(long, "")))`,
		"splitAfter":  `map(1..400000, len(splitAfter(long, "a")))`, "join": `map(1..100000, join(texts, ","))`,
		"replace": `count(1..400000, replace(long, "b", "c") == "")`,
		"repeat":  `map(1..100000, repeat("x", #))`, "truncate": `map(1..400000, truncate(umlauts, 300000))`,
		"string": `map(1..100000, string(objects))`, "toJSON": `toJSON(map(1..20000, ints))`,
		"toJSON wide": `map(1..20000, toJSON(wide))`, "fromJSON": `map(1..20000, fromJSON(json))`,
		"toCSV": `map(1..20000, toCSV(objects))`, "toCSV wide": `toCSV([wide])`, "keys": `map(1..20000, keys(wide))`,
		"values": `map(1..20000, values(wide))`, "toPairs": `map(1..20000, toPairs(wide))`,
		"fromPairs": `map(1..20000, fromPairs(pairs))`, "merge": `map(1..20000, merge(wide, {a: 1}))`,
		"pick": `map(1..20000, pick(wide, ints))`, "omit": `map(1..20000, omit(wide, texts))`,
		"toBase64": `map(1..20000, toBase64(long))`, "fromBase64": `map(1..20000, fromBase64(base64))`,
		"toBase64URL": `map(1..20000, toBase64URL(long))`, "fromBase64URL": `map(1..20000, fromBase64URL(base64))`,
		"urlEncode": `map(1..20000, urlEncode(umlauts))`, "urlDecode": `map(1..20000, urlDecode(long))`,
		"fromHex": `map(1..20000, fromHex(long))`, "md5": `map(1..20000, md5(long))`,
		"sha1": `map(1..20000, sha1(long))`, "sha256": `map(1..20000, sha256(long))`, "sha512": `map(1..20000, sha512(long))`,
		"hmac": `map(1..20000, hmac("sha512", "k", long))`, "hmacSHA256": `map(1..20000, hmacSHA256("k", long))`,
		"uuid": `map(1..400000, uuid())`, "now": `map(1..400000, now())`,
		"date":      `map(1..400000, date("2 Jan 2006 15:04:05 -0700"))`,
		"date zone": `map(1..400000, date("2026-07-01 10:00", "2006-01-02 15:04", "America/New_York"))`,
		"isoTime":   `map(1..400000, isoTime(#))`,
		"date long": `map(1..400000, date(0).Format(long))`,
		"timezone":  `map(1..400000, string(date(0).In(timezone("Asia/Tokyo"))))`, "duration": `map(1..400000, duration("1h2m3s") * 2)`,
		"decimal":      `map(1..400000, decimal("1.000000001") ** 100)`,
		"decimal sort": `map(1..100, median(map(ints, decimal(#))))`, "decimal max": `map(1..100, max(map(ints, decimal(#))))`,
		"money": `map(1..400000, money(#, "EUR"))`, "fixed": `map(1..400000, fixed(#, 3))`,
		"round":                    `map(1..400000, round(# / 7, 2))`,
		"abs int float ceil floor": `map(1..400000, abs(int("5")) + ceil(1.5) + floor(2.5) + float("1.25"))`,
		"float of text":            `map(1..400000, float(zeros))`, "int of text": `map(1..400000, int(zeros))`,
		"decimal of text": `count(1..400000, decimal(spaces + "1") == 1)`,
		"money of text":   `map(1..400000, money(spaces, "EUR"))`,
		"bits":            `map(1..900000, bitand(bitor(bitxor(#, 5), bitnot(#)), bitshl(1, 4)))`,
	}
	names := hostileData()
	var covered strings.Builder
	for i, name := range slices.Sorted(maps.Keys(uses)) {
		text := uses[name]
		covered.WriteString(text)
		if testing.Short() && i%6 != 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			e, err := expr.Compile(text, scopeNames(names)...)
			if err != nil {
				t.Fatal(err)
			}
			boundedEval(t, e, names)
		})
	}
	for _, f := range expr.Functions() {
		if !strings.Contains(covered.String(), f.Name+"(") && !cheap[f.Name] {
			t.Errorf("no large use of %s", f.Name)
		}
	}
}

// cheap are functions of numbers, which are tested as a group.
var cheap = map[string]bool{"bitnand": true, "bitshr": true, "bitushr": true, "findIndex": true, "findLastIndex": true}

// reference is the CPU time of ten million lookups in a map. The most expensive 20 million steps of
// an expression take ten times as long, on a slow machine too.
var reference = sync.OnceValue(func() time.Duration {
	m := map[string]int{}
	for i := range 1000 {
		m[fmt.Sprint(i)] = i
	}
	keys, sum := slices.Collect(maps.Keys(m)), 0
	began := cpu()
	for range 10_000 {
		for _, k := range keys {
			sum += m[k]
		}
	}
	if sum == 0 {
		panic("nothing was looked up")
	}
	return cpu() - began
})

// boundedEval evaluates, and fails the test if the evaluation takes long or much memory, or ends
// with an error without advice.
func boundedEval(t *testing.T, e *expr.Expr, names expr.Names) {
	t.Helper()
	limit, grown := max(1500*time.Millisecond, 14*reference()), uint64(700<<20)
	if raceEnabled {
		limit *= 15
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := cpu()
	_, err := e.Eval(&expr.Env{Names: names, Now: time.Unix(1700000000, 0)})
	took := cpu() - began
	runtime.ReadMemStats(&after)
	if os.Getenv("METERING") != "" {
		fmt.Printf("%8.0f ms %6d MB  %-60.60s %.60v\n", took.Seconds()*1000, (after.TotalAlloc-before.TotalAlloc)>>20, e.Text, err)
	}
	if took > limit {
		t.Errorf("%.200s: %v of CPU (%v)", e.Text, took, err)
	}
	if after.TotalAlloc-before.TotalAlloc > grown {
		t.Errorf("%.200s: %d MB were allocated", e.Text, (after.TotalAlloc-before.TotalAlloc)>>20)
	}
	if err == nil {
		return
	}
	if strings.Contains(err.Error(), "the expression") != errors.Is(err, value.ErrTooLarge) && !strings.Contains(err.Error(), "too large") {
		t.Errorf("%.200s: %v is no ErrTooLarge", e.Text, err)
	}
}

// TestLimitErrorGivesAdvice checks that the error gives the number of the limit and how
// to stay within it.
func TestLimitErrorGivesAdvice(t *testing.T) {
	names := hostileData()
	for text, want := range map[string][]string{
		`count(ints, # in ints)`:           {"20 million steps", "[0:1000]", "foreach:"},
		`map(1..20000, toJSON(wide))`:      {"32 MiB", "[0:1000]", "foreach:"},
		`1..2000000`:                       {"a million elements", "foreach:"},
		`reduce(1..2000, [#acc], 1)`:       {"deeper than 256", "concat(…)"},
		`letters matches "((a?){900}){2}"`: {"regular expression"},
	} {
		e, err := expr.Compile(text, scopeNames(names)...)
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.Eval(&expr.Env{Names: names})
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v, want %q", text, err, w)
			}
		}
		if strings.Contains(want[0], "m") && len(want) > 1 && !errors.Is(err, value.ErrTooLarge) {
			t.Errorf("%s: %v is no ErrTooLarge", text, err)
		}
	}
}

// TestBusyMachineFailsNoExpression checks that expressions within the limits succeed however many
// run concurrently: the limits count work.
func TestBusyMachineFailsNoExpression(t *testing.T) {
	text, want := `count(1..600000, # % 7 == 3 and # > 10)`, 85712
	if raceEnabled { // it takes 28 times as long then, beside the tests of other packages longer than maxExprTime
		text, want = `count(1..100000, # % 7 == 3 and # > 10)`, 14284
	}
	e, err := expr.Compile(text)
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 4 * runtime.NumCPU() {
		wait.Go(func() {
			if v, err := e.Eval(&expr.Env{}); err != nil || v != want {
				t.Errorf("%v %v", v, err)
			}
		})
	}
	wait.Wait()
}
