package expr

import (
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"github.com/hookloom/hookloom/workflows/value"
)

// kindMessage is a message of expr or of Go that names a Go type; say returns it in the language's
// words from the groups of the pattern.
type kindMessage struct {
	pattern *lazyregexp.Regexp
	say     func(m []string) string
}

// needs returns the message of a value of the wrong kind.
func needs(what, got string) string {
	return fmt.Sprintf("%s, got %s", what, goKindWord(got)) + ifMissing(got)
}

// kindMessages are the messages of expr v1.17 (vm/runtime and builtin) for values of a wrong kind.
var kindMessages = []kindMessage{
	{lazyregexp.New(`^invalid float literal: .*parsing "(.+)": value out of range$`), func(m []string) string {
		return value.Clip(m[1], 40) + " is larger than the largest number, 1.7976931348623157e308"
	}},
	{lazyregexp.New(`^(?:predicate should return boolean|non-bool expression) \((?:got|type) (.+?)\)(?: used as condition)?$`),
		func(m []string) string { return "the condition must be true or false, got " + goKindWord(m[1]) }},
	{lazyregexp.New(`^cannot use .+ as argument .* to call sum *$`), func([]string) string {
		return "sum adds numbers: write sum(list, #.amount)"
	}},
	{lazyregexp.New(`^cannot use (.+) as argument \(type (.+)\) to call (\w+) *$`), func(m []string) string {
		takes := goKindWord(m[2])
		if m[2] == "int" {
			takes = "a whole number"
		}
		return needs(m[3]+" takes "+takes+" here", m[1])
	}},
	{lazyregexp.New(`^cannot get (first|last) element from (.+)$`), func(m []string) string { return needsList(m[1]+" ", m[2]) }},
	{lazyregexp.New(`^cannot get (keys|values) from (.+)$`), func(m []string) string { return needs(m[1]+" takes an object", m[2]) }},
	{lazyregexp.New(`^cannot take from (.+)$`), func(m []string) string { return needsList("take ", m[1]) }},
	{lazyregexp.New(`^cannot take (.+) elements$`), func(m []string) string {
		return needs("take takes a whole number of elements", m[1])
	}},
	{lazyregexp.New(`^cannot (reverse|uniq|sort) (.+)$`), func(m []string) string { return needsList(m[1]+" ", m[2]) }},
	{lazyregexp.New(`^cannot transform (.+) from pairs$`), func(m []string) string {
		return needs("fromPairs takes a list of pairs such as [['name', 1]]", m[1])
	}},
	{lazyregexp.New(`^cannot transform (.+) to pairs$`), func(m []string) string { return needs("toPairs takes an object", m[1]) }},
	{lazyregexp.New(`^invalid pair (.+)$`), func(m []string) string {
		return needs("fromPairs takes pairs such as ['name', 1]", m[1])
	}},
	{lazyregexp.New(`^cannot slice (.+)$`), func(m []string) string { return needs("[from:to] takes text or a list", m[1]) }},
	{lazyregexp.New(`^type (.+) does not support indexing$`), func(m []string) string {
		return needs("get takes a list or an object", m[1])
	}},
	{lazyregexp.New(`^(?:non-integer slice index |array elements can only be selected using an integer \(got )(.+?)\)?$`),
		func(m []string) string { return needs("an element of a list is selected by a whole number", m[1]) }},
	{lazyregexp.New(`^cannot use (.+?) (?:to get an element from|as field name of|as type string in map key).*$`),
		func(m []string) string { return needs("a field is named by text", m[1]) }},
	{lazyregexp.New(`^(?:runtime error: )?hash of unhashable type:? (.+)$`), func(m []string) string {
		return needs("text or a number is needed to look up or compare by", m[1])
	}},
	{lazyregexp.New(`^operator "in" not defined on (.+)$`), func(m []string) string {
		if goKindWord(m[1]) == "text" {
			return "in takes a list or an object, got text; write text contains part"
		}
		return needs("in takes a list or an object", m[1])
	}},
	{lazyregexp.New(`^invalid operation: (?:int|int64|a number)\((.+)\)$`), func(m []string) string {
		return needs("a whole number is needed here", m[1])
	}},
	{lazyregexp.New(`^invalid operation: negative shift count`), func([]string) string {
		return "the number of bits to shift is 0 or more"
	}},
	{lazyregexp.New(`^invalid operation: cannot call nil`), func([]string) string {
		return "there is no such method; data has none"
	}},
	{lazyregexp.New(`^reflect\.Value\.Interface: cannot return value`), func([]string) string { return "this value has no such field" }},
	{lazyregexp.New(`^cannot fetch .*? from (.+)$`), func(m []string) string { return goKindWord(m[1]) + " has no fields" }},
	{lazyregexp.New(`^reflect\.Value\.MapIndex: value of type (.+) is not assignable to type string$`), func(m []string) string {
		return needs("a field is named by text", m[1])
	}},
	{lazyregexp.New(`^sort order argument must be a string \(got (.+)\)$`), func(m []string) string {
		return needs("sort takes 'asc' or 'desc' as its order", m[1])
	}},
	{lazyregexp.New(`^reflect\.Value\.Slice: slice index out of bounds$`), func([]string) string {
		return "a number of elements is 0 or more"
	}},
	{lazyregexp.New(`^type (.+?) has no (?:field|method) .*$`), noSuchPart},
	{lazyregexp.New(`^type (\[\]interface \{\}|map\[string\]interface \{\}|[\w.]+)\[.+\] is undefined$`), noSuchPart},
	{lazyregexp.New(`^cannot use pointer accessor outside predicate$`), func([]string) string {
		return "# exists only in a condition such as that of filter(list, # > 1)"
	}},
}

func noSuchPart(m []string) string { return goKindWord(m[1]) + " has no such field, element or method" }

// kindWords returns a message about a Go type in the language's words.
func kindWords(problem string) (said string, ok bool) {
	for _, k := range kindMessages {
		if m := k.pattern.FindStringSubmatch(problem); m != nil {
			return k.say(m), true
		}
	}
	return problem, false
}

// printedKind returns the Go type of a value that fmt printed with a wrong verb, such as
// %!s(int=7).
func printedKind(got string) string {
	if kind, _, ok := strings.Cut(strings.TrimPrefix(got, "%!s("), "="); ok && strings.HasPrefix(got, "%!s(") {
		return kind
	}
	switch {
	case got == "<invalid reflect.Value>":
		return "nil"
	case strings.HasPrefix(got, "[") && !strings.HasPrefix(got, "[]"):
		return "[]any"
	}
	return got
}
