package expr

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"
	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"github.com/hookloom/hookloom/workflows/spelling"
)

func (e *checking) syntaxError(err error) {
	var at *file.Error
	if !errors.As(err, &at) {
		e.report("expression-syntax", false, 0, 1, err.Error(), "")
		return
	}
	problem, hint, code := ownWords(at.Message), "", "expression-syntax"
	from, to := at.From, at.To
	total := len([]rune(e.Text))
	if m := longInteger.FindStringSubmatch(at.Message); m != nil {
		if before, _, ok := strings.Cut(e.Text, m[1]); ok { // the error is at its end
			from = len([]rune(before))
			to = from + len(m[1])
		}
	}
	if m := unexpectedToken.FindStringSubmatch(problem); m != nil {
		tok := cmp.Or(strings.Trim(m[2], `"`), "an empty text")
		problem = fmt.Sprintf("%s is not expected here", tok)
		if word, foreign := githubWords[tok]; foreign {
			problem, hint, code = fmt.Sprintf("there is no function %s", tok), word, "unknown-function"
		}
		switch {
		case m[1] == "EOF":
			problem, from, to = "the expression ends too early", max(total-1, 0), total
			if open := Unclosed(e.Text); open >= 0 {
				problem = fmt.Sprintf("%c is not closed", []rune(e.Text)[open])
				code, from, to = "unclosed", open, open+1
			}
		case tok == "=" || foreignSyntax(e.Text) != "":
			if hint = foreignSyntax(e.Text); hint == "" {
				hint = "compare with =="
			}
		default:
			hint = cmp.Or(hint, operatorHint(tok, e.Text))
		}
	}
	switch {
	case strings.HasPrefix(problem, "unexpected token EOF"), problem == "unexpected end of expression":
		problem, from, to = "the expression ends too early", max(total-1, 0), total
		if open := Unclosed(e.Text); open >= 0 {
			problem = fmt.Sprintf("%c is not closed", []rune(e.Text)[open])
			code, from, to = "unclosed", open, open+1
		}
	case strings.Contains(problem, "literal not terminated"):
		code, problem, hint = "unclosed", "the text is not closed", "add the quote at its end"
	case strings.HasPrefix(problem, "unrecognized character"):
		problem = strings.Replace(problem, "unrecognized character: ", "unexpected character ", 1)
		if strings.Contains(e.Text, "$env") {
			problem, hint = "$env is not available", githubWords["$env"]
			code = "computed-secret"
		}
	case badNumber.MatchString(problem):
		m := badNumber.FindStringSubmatch(problem)
		problem, hint = m[1]+" is not a number", fmt.Sprintf("for a duration write duration(%q)", m[1])
	case strings.HasPrefix(problem, "a map key must be"):
		problem, hint = "a name of an object is expected here", `write {name: value} or {"name": value}`
	case strings.Contains(problem, "maximum allowed nodes"):
		code, problem = "too-large", fmt.Sprintf("the expression has more than %d parts", maxExprNodes)
	}
	if inner, ok := doubleBraces(e.Text); ok {
		problem, hint, from, to = "{{ }} is not part of an expression", "write "+inner, 0, total
	}
	if hint == "" {
		hint = cmp.Or(foreignSyntax(e.Text), signHint(problem))
	}
	if from >= total {
		from = max(total-1, 0)
	}
	e.report(code, false, from, max(to, from+1), problem, hint)
}

// foreignOperators maps operators and signs of other languages to the ones to write.
var foreignOperators = map[string]string{
	"is": "compare with ==; a missing value is nil: a == nil", "isnt": "compare with !=", "eq": "compare with ==", "equals": "compare with ==",
	"ne": "compare with !=", "neq": "compare with !=", "gt": "compare with >", "gte": "compare with >=", "ge": "compare with >=",
	"lt": "compare with <", "lte": "compare with <=", "le": "compare with <=",
	"like": `write a contains "x", a startsWith "x", a endsWith "x" or a matches "re"`, "LIKE": `write a contains "x" or a matches "re"`,
	"between": "write a >= 1 and a <= 9, or a in 1..9", "AND": "write and", "OR": "write or", "NOT": "write not", "IN": "write in",
	"&": "write and", "|": "write or", "xor": "write a != b", "includes": "write contains for texts; x in list for lists",
	"~": `write a matches "re"`,
	"‘": straightQuotes, "’": straightQuotes, "“": straightQuotes, "”": straightQuotes, "„": straightQuotes,
}

const straightQuotes = `write texts in straight quotes: "x" or 'x'`

var (
	digitGroup  = lazyregexp.New(`\d,\d{3}\b`)
	strangeSign = lazyregexp.New(`'(.)'$`)
	badNumber   = lazyregexp.New(`^bad number syntax: "(\d+(?:ms|[smhd]))"$`)
)

// operatorHint returns what to write in place of a token that cannot be where it is, or "".
func operatorHint(token, text string) string {
	if token == "," && digitGroup.MatchString(text) {
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

// doubleBraces returns what to write for the text between {{ and }}, the syntax of other template
// languages: {{a: 1}} is an object.
func doubleBraces(text string) (inner string, ok bool) {
	inner, open := strings.CutPrefix(strings.TrimSpace(text), "{{")
	inner, closed := strings.CutSuffix(inner, "}}")
	inner = strings.TrimSpace(inner)
	ok = open && closed && inner != "" && Unclosed(inner) < 0
	if pairBegins.MatchString(inner) {
		inner = "{" + inner + "}"
	}
	return inner, ok
}

// pairBegins matches the first name of an object and its colon.
var pairBegins = lazyregexp.New(`^(\w+|"[^"]*"|'[^']*')\s*:`)

func typeWord(t string) string {
	switch t {
	case "string":
		return "text"
	case "int", "float64", "int64", "float32":
		return "a number"
	case "bool":
		return "true or false"
	case "time.Time":
		return "a time"
	case "time.Duration":
		return "a duration"
	case "nil", "<nil>":
		return "nil"
	case "unknown", "interface {}", "any":
		return "any"
	}
	if strings.HasPrefix(t, "[]") {
		return "a list"
	}
	if strings.HasPrefix(t, "map[") || strings.HasPrefix(t, "Map{") {
		return "an object"
	}
	return t
}

// mismatchHint returns what to write in place of an operator whose operands it does not take.
func mismatchHint(op, a, b, text string) string {
	switch {
	case op == "||" || op == "or":
		return "for a default write a ?? b; || is for conditions"
	case op == "+" && a == "a list" && b == a:
		return "write concat(a, b) to join lists"
	case op == "+" && a == "an object" && b == a:
		return "write merge(a, b) to join objects"
	case (a == "a number" || b == "a number") && strings.Contains(text, "error.code"):
		return "error.code is a word, such as http_status; the status of the response is error.status"
	case (a == "a time" || b == "a time") && (op == "+" || op == "-") && (a == "text" || b == "text"):
		return `write a duration as duration("1h"), and a time as date("2026-05-01")`
	case a == "text" || b == "text":
		return "convert one: int(…), float(…) or string(…)"
	}
	return ""
}

// typeError converts an error of expr's type checker to our wording.
func (e *checking) typeError(err error, warning bool, sample types.Map) {
	var at *file.Error
	if !errors.As(err, &at) {
		e.report("bad-expression", warning, 0, 1, err.Error(), "")
		return
	}
	problem, hint, code := at.Message, "", "bad-expression"
	from, to := at.From, at.To
	switch m := mismatched.FindStringSubmatch(problem); {
	case m != nil && m[3] != "":
		code = "type-mismatch"
		problem = fmt.Sprintf("%s cannot be used with %s and %s", m[1], typeWord(m[2]), typeWord(m[3]))
		hint = mismatchHint(m[1], typeWord(m[2]), typeWord(m[3]), e.Text)
	case m != nil:
		code, problem = "type-mismatch", fmt.Sprintf("%s cannot be used with %s", m[1], typeWord(m[2]))
	case strings.HasPrefix(problem, "unknown field "):
		code, hint = "unknown-field", e.fieldHint(strings.TrimPrefix(problem, "unknown field "), sample)
	case strings.Contains(problem, "matches") && strings.Contains(problem, "regexp"), strings.Contains(problem, "error parsing regexp"):
		code = "bad-regexp"
	case strings.HasPrefix(problem, "unknown name "):
		code = "unknown-name"
	case strings.HasPrefix(problem, "not enough arguments"), strings.HasPrefix(problem, "too many arguments"),
		strings.HasPrefix(problem, "invalid number of arguments"):
		code, hint = "arguments", exampleOf(problem)
	case strings.HasPrefix(problem, "no matching overload"), strings.HasPrefix(problem, "invalid argument"):
		if own := ownWords(problem); own != problem {
			code, problem = "arguments", own
			break
		}
		code, problem = "arguments", typeNames(problem)
	case notAList.MatchString(problem), notJoined.MatchString(problem),
		notFlattened.MatchString(problem), badUnit.MatchString(problem), badSpan.MatchString(problem):
		code, problem = "arguments", ownWords(problem)
	}
	if cannotUse.MatchString(problem) {
		code = "arguments"
	}
	if said, ok := kindWords(problem); ok {
		problem = said
	}
	if said := at.Message; strings.HasPrefix(said, "non-bool expression") || strings.HasPrefix(said, "predicate should return boolean") {
		code = "not-a-condition"
	}
	e.report(code, warning, from, max(to, from+1), problem, hint)
}

func typeNames(s string) string {
	return strings.NewReplacer("string", "text", "float64", "number", "interface {}", "any", "[]any", "list", "map[text]any",
		"object").Replace(s)
}

// fieldHint suggests the field that was meant, from all names of the envelope.
func (e *checking) fieldHint(field string, sample types.Map) string {
	if field == "status" && strings.Contains(e.Text, "run.status") {
		return "run.status exists only in finally"
	}
	if strings.Contains(e.Text, "response."+field) {
		return cmp.Or(spelling.Suggest(field, []string{"body", "headers", "status", "url"}),
			"the fields of the response's body are response.body."+field)
	}
	if declared, ok := sample["connection"].(types.Map); ok && strings.Contains(e.Text, "connection."+field) {
		return cmp.Or(spelling.Suggest(field, slices.Sorted(maps.Keys(declared))), "declare it under connection:")
	}
	if s := spelling.Suggest(field, sampleFields(sample["event"], nil)); s != "" {
		return s
	}
	return spelling.Suggest(field, append(EventFields(), "output", "status", "error", "attempts", "message", "code",
		"step", "retryable",
		"details", "id", "url", "attempt", "started_at", "finished_at", "workflow", "test"))
}
