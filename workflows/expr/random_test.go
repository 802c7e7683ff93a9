//go:build unix

package expr_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows/expr"
)

// generator generates random expressions, most of which are valid.
type generator struct {
	r *rand.Rand
}

func (g *generator) one(list ...string) string { return list[g.r.IntN(len(list))] }

// fill expands a pattern: $l, $t, $n, $b, $o, $a stand for lists, texts, numbers, conditions,
// objects and anything, and $p for a condition on an element.
func (g *generator) fill(pattern string, depth int) string {
	var out strings.Builder
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '$' || i+1 == len(pattern) || !strings.ContainsRune("ltnboap", rune(pattern[i+1])) {
			out.WriteByte(pattern[i])
			continue
		}
		i++
		out.WriteString(g.make(pattern[i], depth+1))
	}
	return out.String()
}

var grammar = map[byte][]string{
	'l': {"ints", "texts", "objects", "pairs", "deep", "1..$n", "map($l, $a)", "filter($l, $p)", "sort($l)",
		"sortBy($l, $a)", "reverse($l)", "concat($l, $l)", "flatten($l)",
		"chunk($l, 2)", "zip($l, $l)", "uniq($l)", "keys($o)", "values($o)", "toPairs($o)", "split($t, $t)",
		"take($l, $n)", "[$a, $a]", "$l[1:$n]", "reduce(1..30, [#acc, #acc], 1)", "splitAfter($t, $t)"},
	't': {"long", "alike", "umlauts", "json", "base64", `"a"`, `""`, "$t + $t", "upper($t)", "repeat($t, $n)",
		"replace($t, $t, $t)", "join($l, $t)", "string($a)", "toJSON($a)", "toCSV($l)",
		"toBase64($t)", "fromBase64(base64)", "urlEncode($t)", "sha256($t)", "hmac(\"md5\", $t, $t)",
		`regexReplace($t, "a.*c|a", $t)`, "$t[0:$n]", "truncate($t, $n)", "trim($t, $t)", "type($a)", "#", "lower($t)"},
	'n': {
		"1", "3", "1000", "100000", "n", "len($a)", "count($l, $p)", "sum($l)", "max($l)", "median($l)",
		"$n * $n", "$n + 1", "indexOf($t, $t)", "round($n / 7, 2)", "int($n)", "find($l, $p)", "#",
		"findIndex($l, $p)",
	},
	'b': {
		"$a == $a", "$n > $n", "$a in $l", "$t contains $t", `$t matches "(a|b)*c"`, "all($l, $p)",
		"any($l, $p)", "not $b", "$b and $b", "$t < $t", "$t startsWith $t", "true", "$t matches $t",
		"one($l, $p)",
	},
	'p': {"# > 3", "$b", "# == $a", "# in $l", "string(#) contains $t", "let x = #; any($l, # == x)"},
	'o': {
		"wide", "groupBy($l, $a)", "merge($o, $o)", "pick($o, $l)", "omit($o, $l)", "fromPairs($l)",
		"fromJSON(json)[0]", "find(objects, $p)", "{a: $a, b: $a}",
	},
	'a': {
		"$l", "$t", "$n", "$b", "$o", "#", "nil", "fromJSON($t)", "match($t, \"(a+)(b)?\")", "$o[$t]",
		"$l[$n]", "get($o, $t)", "let v = $a; [v, v, v]", "$b ? $a : $a", "date($n)", "duration(\"1h\")",
		"uuid()", "#acc", "($l) | map($a)",
	},
}

func (g *generator) make(kind byte, depth int) string {
	options := grammar[kind]
	if depth > 7 { // the first patterns of each have no parts
		return g.one(map[byte][]string{
			'l': {"ints", "texts"},
			't': {"long", "alike", `"a"`},
			'n': {"3", "1000"},
			'b': {"true"},
			'p': {"# != 3"},
			'o': {"wide"},
			'a': {"#", "ints", "n"},
		}[kind]...)
	}
	return g.fill(g.one(options...), depth)
}

// TestExpressionsEndWithinTheBudget evaluates random expressions over hostile data; each ends within the
// budget. RANDOM_EXPRESSIONS sets their number.
func TestExpressionsEndWithinTheBudget(t *testing.T) {
	n := 80
	if s := os.Getenv("RANDOM_EXPRESSIONS"); s != "" {
		n, _ = strconv.Atoi(s)
	} else if testing.Short() || raceEnabled {
		n = 15
	}
	seed, _ := strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	g := &generator{r: rand.New(rand.NewPCG(seed, 13))}
	names := hostileData()
	ran, over := 0, 0
	for tries := 0; ran < n && tries < 60*n; tries++ {
		text := g.fill(g.one("$a", "map(1..100000, $a)", "map(ints, $a)", "filter(objects, $p)", "reduce(1..100000, $a, $a)",
			"count(1..100000, $p)", "sortBy(ints, $a)", "groupBy(texts, $a)"), 0)
		e, err := expr.Compile(text, scopeNames(names)...)
		if err != nil {
			continue
		}
		_, err = e.Eval(&expr.Env{Names: names})
		if err != nil && !strings.Contains(fmt.Sprint(err), "expression") {
			continue // the wrong type of value
		}
		ran++
		if err != nil {
			over++
		}
		boundedEval(t, e, names)
	}
	if ran < n || over == 0 || over == ran {
		t.Errorf("%d ran, %d over a limit: the generator is worth nothing", ran, over)
	}
}
