package expr

import (
	"slices"
	"strings"
)

// builtins are expr's own functions that stay as they are, with an example each that
// must be true. Those that we replace stand with ours.
var builtins = []struct{ name, help, example string }{
	{"abs", "a number without its sign", `abs(-5) == 5`},
	{"all", "whether all elements fit", `all([1, 2], # > 0)`},
	{"any", "whether an element fits", `any([1, 2], # > 1)`},
	{"bitand", "bits of both whole numbers", `bitand(6, 3) == 2`},
	{"bitnand", "bits of the first that the second has not", `bitnand(6, 3) == 4`},
	{"bitnot", "all bits turned", `bitnot(0) == -1`},
	{"bitor", "bits of either whole number", `bitor(6, 3) == 7`},
	{"bitshl", "bits shifted left; an error when some are lost", `bitshl(1, 4) == 16`},
	{"bitshr", "bits shifted right", `bitshr(16, 4) == 1`},
	{"bitushr", "bits shifted right, zeros come in", `bitushr(16, 4) == 1`},
	{"bitxor", "bits of one of both whole numbers", `bitxor(6, 3) == 5`},
	{"ceil", "the next whole number above", `ceil(1.2) == 2`},
	{"count", "how many elements fit", `count([1, 2, 3], # > 1) == 2`},
	{"duration", "a span of time", `duration("90m").Hours() == 1.5`},
	{"filter", "the elements that fit", `filter([1, 2, 3], # > 1) == [2, 3]`},
	{"find", "the first element that fits, or nil", `find([1, 2, 3], # > 1) == 2`},
	{"findIndex", "where the first element that fits stands", `findIndex([1, 2, 3], # > 1) == 1`},
	{"findLast", "the last element that fits, or nil", `findLast([1, 2, 3], # > 1) == 3`},
	{"findLastIndex", "where the last element that fits stands", `findLastIndex([1, 2, 3], # > 1) == 2`},
	{"first", "the first element, or nil", `first([1, 2]) == 1`},
	{"float", "a number, or its text, as a fraction", `float("1.5") == 1.5`},
	{"floor", "the next whole number below", `floor(1.8) == 1`},
	{"fromPairs", "an object of a list of [key, value]", `fromPairs([["a", 1]]).a == 1`},
	{"get", "an element or a field, nil where there is none", `get({a: 1}, "b") == nil`},
	{"groupBy", "elements by what the predicate gives", `groupBy([1, 2, 3], # % 2)[1] == [1, 3]`},
	{"hasPrefix", "whether a text begins with another", `hasPrefix("abc", "ab")`},
	{"hasSuffix", "whether a text ends with another", `hasSuffix("abc", "bc")`},
	{"indexOf", "where a text stands in another, in bytes, or -1", `indexOf("abc", "c") == 2`},
	{"int", "a whole number of digits, or without its fraction; an error beyond 64 bits", `int("42") == 42`},
	{"last", "the last element, or nil", `last([1, 2]) == 2`},
	{"lastIndexOf", "where a text stands last in another, in bytes, or -1", `lastIndexOf("abab", "a") == 2`},
	{"len", "how many letters, elements or fields", `len("äb") == 2`},
	{"lower", "small letters", `lower("ABC") == "abc"`},
	{"map", "what the predicate gives of each element; an object stands in {{ }}", `map([1, 2], # * 2) == [2, 4]`},
	{"max", "the largest number", `max([1, 3, 2]) == 3`},
	{"mean", "the mean of numbers", `mean([1, 2]) == 1.5`},
	{"median", "the median of numbers", `median([1, 9, 2]) == 2`},
	{"min", "the smallest number", `min(2, 1) == 1`},
	{"none", "whether no element fits", `none([1, 2], # > 2)`},
	{"one", "whether just one element fits", `one([1, 2], # > 1)`},
	{
		"reduce",
		"one value of a list: #acc is what came out before, the last argument what it begins with",
		`reduce([1, 2, 3], #acc + #, 0) == 6`,
	},
	{"reverse", "a list from its end", `reverse([1, 2]) == [2, 1]`},
	{"sort", "a list in order", `sort([2, 1]) == [1, 2]`},
	{"sortBy", "elements in the order of what the predicate gives", `sortBy([{n: 2}, {n: 1}], .n)[0].n == 1`},
	{"splitAfter", "a text cut behind each separator", `splitAfter("a,b", ",") == ["a,", "b"]`},
	{"sum", "the sum of numbers, or of what the predicate gives", `sum([{n: 2}, {n: 1}], .n) == 3`},
	{"take", "the first n elements", `take([1, 2, 3], 2) == [1, 2]`},
	{"timezone", "a time zone, for date, now and In", `date(0).In(timezone("Asia/Tokyo")).Hour() == 9`},
	{"trim", "a text without blanks (or these letters) around it", `trim(" a ") == "a"`},
	{"trimPrefix", "a text without this beginning", `trimPrefix("abc", "a") == "bc"`},
	{"trimSuffix", "a text without this end", `trimSuffix("abc", "c") == "ab"`},
	{"type", "the kind of a value", `type("a") == "string"`},
	{"upper", "capital letters", `upper("abc") == "ABC"`},
}

// FunctionHelp is what is said of one function of the language.
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
