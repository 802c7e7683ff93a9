package expr

import (
	"slices"
	"strings"
)

// builtins are expr's own functions that are used unchanged, each with an example that must be
// true. The functions that we replace are listed with our own.
var builtins = []struct{ name, help, example string }{
	{"abs", "a number without its sign", `abs(-5) == 5`},
	{"all", "whether the condition holds for all elements", `all([1, 2], # > 0)`},
	{"any", "whether the condition holds for any element", `any([1, 2], # > 1)`},
	{"bitand", "bitwise AND of two integers", `bitand(6, 3) == 2`},
	{"bitnand", "bitwise AND NOT: bits of the first that are not set in the second", `bitnand(6, 3) == 4`},
	{"bitnot", "bitwise NOT", `bitnot(0) == -1`},
	{"bitor", "bitwise OR of two integers", `bitor(6, 3) == 7`},
	{"bitshl", "shifts bits left; fails when some are lost", `bitshl(1, 4) == 16`},
	{"bitshr", "shifts bits right, keeping the sign", `bitshr(16, 4) == 1`},
	{"bitushr", "shifts bits right, filling with zeros", `bitushr(16, 4) == 1`},
	{"bitxor", "bitwise XOR of two integers", `bitxor(6, 3) == 5`},
	{"ceil", "rounds up to a whole number", `ceil(1.2) == 2`},
	{"count", "the number of elements for which the condition holds", `count([1, 2, 3], # > 1) == 2`},
	{"duration", "a duration from text", `duration("90m").Hours() == 1.5`},
	{"filter", "the elements for which the condition holds", `filter([1, 2, 3], # > 1) == [2, 3]`},
	{"find", "the first element for which the condition holds, or nil", `find([1, 2, 3], # > 1) == 2`},
	{"findIndex", "the index of the first element for which the condition holds", `findIndex([1, 2, 3], # > 1) == 1`},
	{"findLast", "the last element for which the condition holds, or nil", `findLast([1, 2, 3], # > 1) == 3`},
	{"findLastIndex", "the index of the last element for which the condition holds", `findLastIndex([1, 2, 3], # > 1) == 2`},
	{"first", "the first element, or nil", `first([1, 2]) == 1`},
	{"float", "a number, or its text, as a floating-point number", `float("1.5") == 1.5`},
	{"floor", "rounds down to a whole number", `floor(1.8) == 1`},
	{"fromPairs", "an object from a list of [key, value] pairs", `fromPairs([["a", 1]]).a == 1`},
	{"get", "an element or a field, or nil if there is none", `get({a: 1}, "b") == nil`},
	{"groupBy", "groups elements by the result of the expression", `groupBy([1, 2, 3], # % 2)[1] == [1, 3]`},
	{"hasPrefix", "whether a text begins with another", `hasPrefix("abc", "ab")`},
	{"hasSuffix", "whether a text ends with another", `hasSuffix("abc", "bc")`},
	{"indexOf", "the byte index of a text in another, or -1", `indexOf("abc", "c") == 2`},
	{"int", "an integer from digits, or a number without its fraction; fails beyond 64 bits", `int("42") == 42`},
	{"last", "the last element, or nil", `last([1, 2]) == 2`},
	{"lastIndexOf", "the byte index of the last occurrence of a text in another, or -1", `lastIndexOf("abab", "a") == 2`},
	{"len", "the number of characters, elements or fields", `len("äb") == 2`},
	{"lower", "small letters", `lower("ABC") == "abc"`},
	{"map", "the result of the expression for each element; write an object as {{ }}", `map([1, 2], # * 2) == [2, 4]`},
	{"max", "the largest number", `max([1, 3, 2]) == 3`},
	{"mean", "the mean of numbers", `mean([1, 2]) == 1.5`},
	{"median", "the median of numbers", `median([1, 9, 2]) == 2`},
	{"min", "the smallest number", `min(2, 1) == 1`},
	{"none", "whether the condition holds for no element", `none([1, 2], # > 2)`},
	{"one", "whether the condition holds for exactly one element", `one([1, 2], # > 1)`},
	{
		"reduce",
		"combines a list into one value: #acc is the result so far, the last argument the initial value",
		`reduce([1, 2, 3], #acc + #, 0) == 6`,
	},
	{"reverse", "a list in reverse order", `reverse([1, 2]) == [2, 1]`},
	{"sort", "a sorted list", `sort([2, 1]) == [1, 2]`},
	{"sortBy", "a list sorted by the result of the expression", `sortBy([{n: 2}, {n: 1}], .n)[0].n == 1`},
	{"splitAfter", "splits a text after each separator", `splitAfter("a,b", ",") == ["a,", "b"]`},
	{"sum", "the sum of numbers, or of the results of the expression", `sum([{n: 2}, {n: 1}], .n) == 3`},
	{"take", "the first n elements", `take([1, 2, 3], 2) == [1, 2]`},
	{"timezone", "a time zone, for date, now and In", `date(0).In(timezone("Asia/Tokyo")).Hour() == 9`},
	{"trim", "a text without blanks (or the given characters) at its ends", `trim(" a ") == "a"`},
	{"trimPrefix", "a text without this prefix", `trimPrefix("abc", "a") == "bc"`},
	{"trimSuffix", "a text without this suffix", `trimSuffix("abc", "c") == "ab"`},
	{"type", "the type of a value", `type("a") == "string"`},
	{"upper", "capital letters", `upper("abc") == "ABC"`},
}

// FunctionHelp describes a function of the language.
type FunctionHelp struct {
	Name string `json:"name"`
	Help string `json:"help"`
	// Example is an expression that is true.
	Example string `json:"example"`
}

// Functions lists every function that expressions may call, by name.
func Functions() []FunctionHelp {
	var out []FunctionHelp
	for _, f := range functions {
		out = append(out, FunctionHelp{f.name, f.help, f.example})
	}
	for _, b := range builtins {
		out = append(out, FunctionHelp{b.name, b.help, b.example})
	}
	slices.SortFunc(out, func(a, b FunctionHelp) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	return out
}
