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
	if m := longInteger.FindStringSubmatch(at.Message); m != nil {
		if before, _, ok := strings.Cut(e.Text, m[1]); ok { // the error is at its end
			from = len([]rune(before))
			to = from + len(m[1])
		}
	}
	if m := unexpectedToken.FindStringSubmatch(problem); m != nil {
		e.unexpected(m[1], m[2], from, to)
		return
	}
	switch {
	case problem == "unexpected end of expression":
		e.endsTooEarly()
		return
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
	if hint == "" {
		hint = cmp.Or(e.foreignSyntax(from), signHint(problem))
	}
	e.reportSyntax(code, from, to, problem, hint)
}

// reportSyntax reports what the parser found; {{ }} inside an expression explains the rest.
func (e *checking) reportSyntax(code string, from, to int, problem, hint string) {
	total := len([]rune(e.Text))
	if inner, ok := doubleBraces(e.Text); ok {
		problem, hint, from, to = "{{ }} is not part of an expression", "write "+inner, 0, total
	}
	if from >= total {
		from = max(total-1, 0)
	}
	e.report(code, false, from, max(to, from+1), problem, hint)
}

// unexpected reports a token that cannot be where it is.
func (e *checking) unexpected(kind, quoted string, from, to int) {
	if kind == "EOF" {
		e.endsTooEarly()
		return
	}
	text := []rune(e.Text)
	token := cmp.Or(strings.Trim(quoted, `"`), "an empty text")
	if open := Unclosed(string(text[:min(from, len(text))])); open >= 0 && kind == "Bracket" &&
		strings.Contains(")]}", token) && string(closing[text[open]]) != token {
		e.unclosed(open)
		return
	}
	problem, code := fmt.Sprintf("%s is not expected here", token), "expression-syntax"
	hint := cmp.Or(e.signAt(from), e.wordsAt(token, from))
	if kind == "Identifier" {
		hint = cmp.Or(hint, e.operatorHint(token))
	}
	word, foreign := githubWords[token]
	if foreign {
		problem, code = fmt.Sprintf("there is no function %s", token), "unknown-function"
	}
	hint = cmp.Or(hint, e.foreignSyntax(from), word, e.operatorHint(token))
	switch {
	case hint == "" && kind == "Identifier":
		hint = e.spacedName(from)
	case hint == "" && kind == "Bracket" && strings.Contains(")]}", token) && Unclosed(string(text[:min(from, len(text))])) < 0:
		problem, hint = fmt.Sprintf("%s closes nothing", token), "remove "+token
	}
	e.reportSyntax(code, from, to, problem, hint)
}

// endsTooEarly reports an expression that lacks its end, or that of a bracket.
func (e *checking) endsTooEarly() {
	if open := Unclosed(e.Text); open >= 0 {
		e.unclosed(open)
		return
	}
	total := len([]rune(e.Text))
	e.reportSyntax("expression-syntax", max(total-1, 0), total, "the expression ends too early", e.foreignSyntax(total))
}

// unclosed reports a bracket that is never closed.
func (e *checking) unclosed(open int) {
	r := []rune(e.Text)[open]
	e.reportSyntax("unclosed", open, open+1, fmt.Sprintf("%c is not closed", r),
		cmp.Or(e.foreignSyntax(len([]rune(e.Text))), fmt.Sprintf("add %c", closing[r])))
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
		return "a value of unknown type"
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
		if m[1] == "||" || m[1] == "or" {
			hint = cmp.Or(e.defaultHint, hint)
		}
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
