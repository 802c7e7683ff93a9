package expr

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"github.com/hookloom/hookloom/workflows/value"
)

var (
	// Messages of expr, or of Go, for a value of the wrong type.
	notWalked    = lazyregexp.New(`^reflect: call of reflect\.Value\.\w+ on (.+) Value$`)
	badArgument  = lazyregexp.New(`^invalid argument for (\w+) \(type (.+)\)$`)
	badOperands  = lazyregexp.New(`^invalid operation: (.+) (<=?|>=?|[-+*/%]|\*\*|\.\.|contains|startsWith|endsWith|matches|in) (.+)$`)
	notAList     = lazyregexp.New(`^builtin (\w+) takes only array \(got (.+)\)$`)
	notFlattened = lazyregexp.New(`^cannot flatten (.+)$`)
	notJoined    = lazyregexp.New(`^cannot concat (.+)$`)
	badUnit      = lazyregexp.New(`^time: (?:unknown|missing) unit .*in duration (".*")$`)
	// longSpan is well-formed, so it was refused for its length.
	longSpan    = lazyregexp.New(`^time: invalid duration ("[-+]?(?:\d+(?:\.\d*)?(?:h|m|s|ms|us|µs|ns))+")$`)
	badSpan     = lazyregexp.New(`^time: invalid duration (".*")$`)
	converted   = lazyregexp.New(`^interface conversion: (?:interface \{\}|any) is (.+?), not (.+)$`)
	longInteger = lazyregexp.New(`^invalid (?:integer|hex|binary|octal) literal: .*parsing "(.+)": value out of range$`)
)

// ownWords converts expr's message about a Go value to the language's terms.
func ownWords(problem string) string {
	if m := notWalked.FindStringSubmatch(problem); m != nil {
		return needsList("", m[1])
	}
	if m := badArgument.FindStringSubmatch(problem); m != nil {
		takes := "numbers"
		switch m[1] {
		case "len":
			takes = "text, a list or an object"
		case "first", "last", "take", "reverse", "sort", "uniq", "concat":
			takes = "a list"
		}
		return fmt.Sprintf("%s takes %s, got %s", m[1], takes, goKindWord(m[2])) + ifMissing(m[2])
	}
	if m := badOperands.FindStringSubmatch(problem); m != nil {
		return fmt.Sprintf("%s cannot be used with %s and %s", m[2], goKindWord(m[1]), goKindWord(m[3])) + ifMissing(m[1]+m[3])
	}
	if m := notAList.FindStringSubmatch(problem); m != nil {
		return needsList(m[1]+" ", m[2])
	}
	if m := notJoined.FindStringSubmatch(problem); m != nil {
		return fmt.Sprintf("concat joins lists, got %s; text is joined with a + b", goKindWord(m[1])) + ifMissing(m[1])
	}
	if m := notFlattened.FindStringSubmatch(problem); m != nil {
		return needsList("flatten ", m[1])
	}
	if m := badUnit.FindStringSubmatch(problem); m != nil {
		return fmt.Sprintf("duration: %s has no known unit; write 90m or 1h30m, and 168h for seven days", m[1])
	}
	if m := longSpan.FindStringSubmatch(problem); m != nil {
		return fmt.Sprintf("duration: %s is too long; the longest is 2562047h, about 292 years", m[1])
	}
	if m := badSpan.FindStringSubmatch(problem); m != nil {
		return fmt.Sprintf("duration: %s is not a duration, such as 500ms, 30s or 1h30m", m[1])
	}
	if m := longInteger.FindStringSubmatch(problem); m != nil {
		return fmt.Sprintf("%s does not fit into 64 bits; write decimal(%q)", value.Clip(m[1], 40), value.Clip(inDigits(m[1]), 40))
	}
	if said, ok := kindWords(problem); ok {
		return said
	}
	if strings.HasPrefix(problem, "invalid operation") {
		return goTypeNames.Replace(problem)
	}
	return problem
}

// inDigits returns an integer literal, such as 0xffffffffffffffff, in the decimal digits that decimal(…) takes.
func inDigits(literal string) string {
	if n, ok := new(big.Int).SetString(literal, 0); ok {
		return n.String()
	}
	return literal
}

func needsList(name, got string) string {
	if name == "" {
		return "a list is needed here, got " + goKindWord(got) + ifMissing(got)
	}
	return name + "needs a list, got " + goKindWord(got) + ifMissing(got)
}

// ifMissing returns the advice for a value that is nil.
func ifMissing(got string) string {
	if isNilWord(got) {
		return "; if it may be missing, write a default with ??"
	}
	return ""
}

func isNilWord(got string) bool {
	return got == "zero" || got == "unknown" || strings.Contains(got, "nil")
}

// goKindWord returns the language's name of a Go type.
func goKindWord(got string) string {
	got = printedKind(got)
	switch got {
	case "zero", "unknown", "nil", "<nil>", "%!s(<nil>)":
		return "nil"
	case "struct", "ptr":
		return "an object or a time"
	case "map":
		return "an object"
	case "expr.Bytes":
		return "bytes; toBase64(…) converts them to text"
	case "json.Number", "expr.Decimal":
		return "a number"
	}
	return typeWord(got)
}
