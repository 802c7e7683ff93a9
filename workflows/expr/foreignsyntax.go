package expr

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
)

// foreignOperators maps operators and signs of other languages to the ones to write.
var foreignOperators = map[string]string{
	"is": "compare with ==; a missing value is nil: a == nil", "isnt": "compare with !=", "eq": "compare with ==", "equals": "compare with ==",
	"ne": "compare with !=", "neq": "compare with !=", "gt": "compare with >", "gte": "compare with >=", "ge": "compare with >=",
	"lt": "compare with <", "lte": "compare with <=", "le": "compare with <=",
	"like": `write a contains "x", a startsWith "x", a endsWith "x" or a matches "re"`, "LIKE": `write a contains "x" or a matches "re"`,
	"between": "write a >= 1 and a <= 9, or a in 1..9", "AND": "write and", "OR": "write or", "NOT": "write not", "IN": "write in",
	"&": "write and", "|": "write or", "xor": "write a != b", "includes": "write contains for texts; x in list for lists",
	"~": `write a matches "re"`, "ends": "write a endsWith b", "starts": "write a startsWith b", "begins": "write a startsWith b",
	"does": "write a not contains b for texts, not (x in list) for lists",
	"‘":    straightQuotes, "’": straightQuotes, "“": straightQuotes, "”": straightQuotes, "„": straightQuotes,
}

const straightQuotes = `write texts in straight quotes: "x" or 'x'`

var (
	digitGroup  = lazyregexp.New(`\d,\d{3}\b`)
	strangeSign = lazyregexp.New(`'(.)'$`)
	badNumber   = lazyregexp.New(`^bad number syntax: "(\d+(?:ms|[smhd]))"$`)
)

// operatorHint returns what to write in place of a token that cannot be where it is, or "".
func (e *checking) operatorHint(token string) string {
	if token == "," && digitGroup.MatchString(e.Text) {
		return "write the number without separators"
	}
	return foreignOperators[token]
}

// signHint returns what to write in place of the sign that a problem names at its end, or "".
func signHint(problem string) string {
	if m := strangeSign.FindStringSubmatch(problem); m != nil {
		return foreignOperators[m[1]]
	}
	return ""
}

var (
	barePipe     = lazyregexp.New(`[^|]\|\s*([A-Za-z]\w*)\s*(?:$|[|)])`)
	predicateMap = lazyregexp.New(`map\([^{]*,\s*\{\s*['"\w]+\s*:`)
	// arrow matches a JavaScript function: x => ..., (x, i) => ...
	arrow       = lazyregexp.New(`(?:^|[(,])\s*(?:[A-Za-z_]\w*|\([\w\s,]*\))\s*=>`)
	missingElse = lazyregexp.New(`\s\?\s[^:]*$`)
	ifFunction  = lazyregexp.New(`(?:^|[^\w.])(?i:if)\s*\([^{]*,[^{]*$`)
)

// foreignSigns maps signs of other languages to what to write.
var foreignSigns = map[string]string{
	"=>": "compare with >=", "=<": "compare with <=", "<>": "compare with !=", "===": "compare with ==", "!==": "compare with !=",
	"=~": `write text matches "pattern"`, "~=": `write text matches "pattern"`, "!~": `write not (text matches "pattern")`,
	"=": "compare with ==",
}

// signAt returns what to write in place of the sign at or just before a character, or "". A sign
// elsewhere in the expression does not explain this mistake.
func (e *checking) signAt(at int) string {
	text := []rune(e.Text)
	part := func(i int) bool { return i >= 0 && i < len(text) && strings.ContainsRune("=!<>~", text[i]) }
	if !part(at) {
		if at--; !part(at) {
			return ""
		}
	}
	from, to := at, at
	for part(from - 1) {
		from--
	}
	for part(to) {
		to++
	}
	sign := string(text[from:to])
	if sign == "=>" && arrow.MatchString(e.Text) {
		return "write map(list, #.field) or filter(list, #.field == ...): # is the element"
	}
	return foreignSigns[sign]
}

var (
	// missingValue matches "is nil" and the like; operandEnd the operand before it.
	missingValue = lazyregexp.New(`^is(n't|nt)?(\s+not)?\s+(nil|null|none|None|Null|NULL|undefined|missing|defined|present|set|empty|blank)\b`)
	isNot        = lazyregexp.New(`^is(?:n't|nt|\s+not)\b`)
	operandEnd   = lazyregexp.New(`[A-Za-z_#][\w.?]*(?:\[[^\[\]]*\][\w.?]*)*$`)
	// withText matches starts with "x".
	withText  = lazyregexp.New(`^(starts|begins|ends)\s+with\s+("[^"]*"|'[^']*'|[\w.]+)`)
	inParens  = lazyregexp.New(`\bin\s*\(([^()]*)$`)
	typeofEnd = lazyregexp.New(`\btypeof\s+$`)
	callOf    = lazyregexp.New(`^(?:matches|in)\s*\(\s*([^,()]+?)\s*,\s*([^()]+?)\s*\)`)
	// spacedPath and spacedRest match a field with a space in its name, before and after the space.
	spacedPath = lazyregexp.New(`((?:event\.(?:data|body|headers|query)|item|body|headers|query|response|result|steps\.\w+\.output)` +
		`(?:\.\w+|\[[^\[\]]*\])*)\.([A-Za-z_]\w*)\s+$`)
	spacedRest = lazyregexp.New(`^[A-Za-z_]\w*(?: [A-Za-z_]\w*)*`)
)

// wordsAt returns what to write in place of words at a character, which mean a comparison or a test
// in other languages, or "".
func (e *checking) wordsAt(token string, at int) string {
	text := []rune(e.Text)
	before, after := string(text[:min(at, len(text))]), string(text[min(at, len(text)):])
	operand := cmp.Or(operandEnd.FindString(strings.TrimRight(before, " \n\t")), "a")
	switch {
	case strings.HasPrefix(token, "is"):
		if m := missingValue.FindStringSubmatch(after); m != nil {
			return "write " + isTest(operand, m[3], m[1] != "" || m[2] != "")
		}
		if isNot.MatchString(after) {
			return "compare with !="
		}
	case withText.MatchString(after):
		m := withText.FindStringSubmatch(after)
		operator := "startsWith"
		if m[1] == "ends" {
			operator = "endsWith"
		}
		return fmt.Sprintf("write %s %s %s", operand, operator, m[2])
	case token == "," && inParens.MatchString(before):
		if list, _, ok := strings.Cut(inParens.FindStringSubmatch(before)[1]+after, ")"); ok {
			return fmt.Sprintf("write in [%s]", strings.TrimSpace(list))
		}
	case typeofEnd.MatchString(before):
		return fmt.Sprintf("write type(%s)", cmp.Or(operandStart.FindString(after), "value"))
	case token == "matches" || token == "in":
		if m := callOf.FindStringSubmatch(after); m != nil {
			return fmt.Sprintf("%s is an operator: write %s %s %s", token, m[1], token, m[2])
		}
	}
	return ""
}

// operandStart matches the path at the beginning of a text.
var operandStart = lazyregexp.New(`^[A-Za-z_]\w*(?:\??\.\w+|\[[^\[\]]*\])*`)

// isTest returns the test that "is missing", "is not empty" and the like mean.
func isTest(operand, word string, negated bool) string {
	switch word {
	case "empty", "blank":
		if negated {
			return fmt.Sprintf("len(%s) > 0", operand)
		}
		return fmt.Sprintf("len(%s) == 0", operand)
	case "defined", "present", "set":
		negated = !negated
	}
	if negated {
		return operand + " != nil"
	}
	return operand + " == nil"
}

// spacedName returns how a field with spaces in its name is written, or "", for the second of its
// words.
func (e *checking) spacedName(at int) string {
	text := []rune(e.Text)
	m := spacedPath.FindStringSubmatch(string(text[:at]))
	if m == nil {
		return ""
	}
	words := []string{m[2]}
	for _, w := range strings.Fields(spacedRest.FindString(string(text[at:]))) {
		if slices.Contains([]string{"and", "or", "in", "not", "contains", "matches", "startsWith", "endsWith"}, w) {
			break
		}
		words = append(words, w)
	}
	return fmt.Sprintf("write %s[%q]", m[1], strings.Join(words, " "))
}

// foreignSyntax returns a hint for an expression in the syntax of another language, whose mistake is
// at a character.
func (e *checking) foreignSyntax(at int) string {
	text := e.Text
	switch {
	case barePipe.MatchString(text):
		name := barePipe.FindStringSubmatch(text)[1]
		if other, _, ok := strings.Cut(foreignMethods[name], "("); ok {
			name = other
		}
		return fmt.Sprintf("a pipe must be followed by a call: | %s()", name)
	case predicateMap.MatchString(text):
		return "a map as the result needs two pairs of braces: map(list, {{'name': #}})"
	case arrow.MatchString(text):
		return "write map(list, #.field) or filter(list, #.field == ...): # is the element"
	case e.signAt(at) != "":
		return e.signAt(at)
	case strings.HasPrefix(strings.TrimSpace(text), "new Date"):
		return ownDate(text)
	case ifFunction.MatchString(text):
		return "write condition ? a : b"
	case missingElse.MatchString(text):
		return "both results are needed: condition ? a : b; a default is a ?? b"
	}
	return ""
}
