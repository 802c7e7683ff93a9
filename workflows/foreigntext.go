package workflows

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"github.com/hookloom/hookloom/workflows/value"
	"gopkg.in/yaml.v3"
)

// This file finds texts in the syntax of other tools. They are valid here and would be sent
// literally, which is hardly ever intended, so each is a warning.

// languageRoots matches the names that most expressions begin with.
const languageRoots = `(?:event|inputs|vars|steps|secrets|item|index|run|error|result|output)\b`

var (
	// barePath matches a text that is only the path of an expression, and unlikely to be the name
	// of a file or an event.
	barePath = lazyregexp.New(`^(?:event\.(?:data|headers|query)|steps\.\w+\.output|` +
		`(?:vars|inputs|secrets)\.\w+)(?:\.\w+|\[\d+\])*$`)
	dollarPrice = regexp.MustCompile(`\$(\$\{\{\s*` + languageRoots + `[^}]*\}\})`)
	mustache    = lazyregexp.New(`\{\{-?\s*((?:\$?json\b|\$node\b|\.)?[\w.\[\]"'$]*[^{}]*?)\s*-?\}\}`)
	shellBraces = lazyregexp.New(`\$\{\s*([A-Za-z_$][\w.$\[\]"']*)\s*\}`)
	// otherBraces matches {event.data.x} of Python, #{...} of Ruby, @{...} of Logic Apps and %{...} of
	// Elixir.
	otherBraces = lazyregexp.New(`(?:^|[^${])([#@%]?\{\s*((?:event|inputs|vars|steps|item|run|error)` +
		`(?:\.\w+|\[[^\]{}]*\])+)\s*\})(?:[^}]|$)`)
	erbTag      = lazyregexp.New(`<%[=-]-?\s*[@A-Za-z_][\w.]*\s*-?%>`)
	foreignRoot = lazyregexp.New(`^(?:\$json|\$node|\.|body|data|payload|trigger|json|this)\b\.?`)
	// numbered matches the number of a module or step before a field, as in {{1.name}} of Make and Zapier.
	numbered = lazyregexp.New(`^\d+\.(?:\w+\.)*[A-Za-z_]\w*$`)
	// nodeOutput matches the output of a node of n8n.
	nodeOutput   = lazyregexp.New(`^\$node(?:\.(\w+)|\[["']([^"'\]]*)["']\])\.json\.?`)
	stepWords    = lazyregexp.New(`\W+`)
	pathLike     = lazyregexp.New(`^[A-Za-z_][\w.]*$`)
	jsonLike     = lazyregexp.New(`^\s*[\[{]\s*["{\[\]}]`)
	formJSONKeys = lazyregexp.New(`"([A-Za-z_]\w*)"\s*:\s*"?(\$\{\{[^}]*\}\})`)
)

// foreignText warns about text that looks like an expression and is not one.
func (d *decoder) foreignText(n *yaml.Node) {
	text := n.Value
	switch {
	case barePath.MatchString(text):
		d.warn(d.pos(n), "not-evaluated", fmt.Sprintf("%s is text here, not a value", value.Clip(text, 60)),
			fmt.Sprintf("did you mean %s?", quoted("${{ "+text+" }}")))
	case erbTag.MatchString(text):
		found := erbTag.FindString(text)
		d.warn(d.posOf(n, found), "not-evaluated", fmt.Sprintf("%s is not evaluated: it is sent as text", value.Clip(found, 60)),
			"did you mean "+insertion(strings.Trim(found, "<%=-> "))+"?")
	case !strings.Contains(text, "{"):
	case dollarPrice.MatchString(text):
		m := dollarPrice.FindStringSubmatch(text)
		d.warn(d.posOf(n, m[0]), "escaped-expression", "$${{ is not evaluated: it stands for the text ${{",
			fmt.Sprintf("for a dollar sign before a value write ${{ %s }}%s", dollarText(n), m[1]))
	case strings.HasPrefix(text, "={{") || mustacheOf(text) != "":
		found := mustacheOf(text)
		d.warn(d.posOf(n, found), "not-evaluated", fmt.Sprintf("%s is not evaluated: it is sent as text", value.Clip(found, 60)),
			"did you mean "+insertion(strings.Trim(found, "={}- "))+"?")
	case shellOf(text) != "":
		found := shellOf(text)
		d.warn(d.posOf(n, found), "not-evaluated", fmt.Sprintf("%s is not evaluated: it is sent as text", value.Clip(found, 60)),
			"did you mean "+insertion(strings.Trim(found, "${} "))+"?")
	case otherBraces.MatchString(text):
		m := otherBraces.FindStringSubmatch(text)
		d.warn(d.posOf(n, m[1]), "not-evaluated", fmt.Sprintf("%s is not evaluated: it is sent as text", value.Clip(m[1], 60)),
			"did you mean "+insertion(m[2])+"?")
	}
}

func dollarText(n *yaml.Node) string {
	if n.Style&yaml.SingleQuotedStyle != 0 {
		return `"$"`
	}
	return "'$'"
}

// mustacheOf returns {{ name }} outside ${{ }}, or "". Only a path counts, since other texts, such
// as LaTeX or JSON, contain braces too.
func mustacheOf(text string) string {
	for _, at := range mustache.FindAllStringSubmatchIndex(text, -1) {
		if at[0] > 0 && text[at[0]-1] == '$' {
			continue
		}
		inside := strings.TrimSpace(text[at[2]:at[3]])
		name, _, _ := strings.Cut(inside, "|")
		name = strings.TrimSpace(name)
		if !numbered.MatchString(name) && !nodeOutput.MatchString(name) && !pathLike.MatchString(foreignRoot.ReplaceAllString(name, "x")) {
			continue
		}
		if at[0] > 0 && text[at[0]-1] == '=' {
			return text[at[0]-1 : at[1]]
		}
		return text[at[0]:at[1]]
	}
	return ""
}

// shellOf returns ${ name } outside ${{ }}, or "": a JavaScript template string. A name in capitals
// is more likely a shell variable, which may be intended.
func shellOf(text string) string {
	for _, m := range shellBraces.FindAllStringSubmatch(text, -1) {
		if strings.ToUpper(m[1]) != m[1] {
			return m[0]
		}
	}
	return ""
}

// insertion returns how a foreign path is written in this language.
func insertion(path string) string {
	path, _, _ = strings.Cut(path, "|")
	path = strings.TrimSpace(path)
	if numbered.MatchString(path) {
		_, path, _ = strings.Cut(path, ".")
	}
	if m := nodeOutput.FindStringSubmatch(path); m != nil {
		path = path[len(m[0]):]
		if node := strings.ToLower(m[1] + m[2]); !strings.Contains(node, "webhook") && !strings.Contains(node, "trigger") {
			return "${{ steps." + stepWords.ReplaceAllString(node, "_") + ".output." + path + " }}"
		}
	}
	if !regexp.MustCompile(`^` + languageRoots).MatchString(path) {
		path = foreignRoot.ReplaceAllString(path, "")
		if path = strings.TrimPrefix(path, "body."); path == "" {
			path = "event.data"
		} else {
			path = "event.data." + path
		}
	}
	return "${{ " + path + " }}"
}

// posOf returns the position of a part of a scalar, or of its beginning if the part was folded.
func (d *decoder) posOf(n *yaml.Node, piece string) Pos {
	at := d.contentStart(n)
	if i := strings.Index(string(d.text[min(at, len(d.text)):]), piece); i >= 0 && piece != "" {
		return d.posAt(at+i, len([]rune(piece)))
	}
	return d.pos(n)
}

// lostToComment warns about a value that a YAML comment cuts off before an expression: Order #${{
// event.data.id }}.
func (d *decoder) lostToComment(n *yaml.Node) {
	p, comment, ok := d.commentAfter(n)
	if !ok || !strings.Contains(comment, "{{") && !otherBraces.MatchString(comment) && n.Tag != "!!null" {
		return
	}
	if n.Tag == "!!null" {
		return // reported where a value is required
	}
	d.warn(p, "yaml-comment", "YAML cuts the value here: ` #` begins a comment",
		fmt.Sprintf("put the whole value in quotes: %s", quoted(n.Value+" "+comment)))
}

// commentAfter returns the comment after a plain scalar, on the same line.
func (d *decoder) commentAfter(n *yaml.Node) (Pos, string, bool) {
	if n.Kind != yaml.ScalarNode || n.Style != 0 {
		return Pos{}, "", false
	}
	line := d.line(n.Line)
	from := min(d.byteColumn(n)+len(n.Value), len(line))
	rest := strings.TrimLeft(line[from:], " \t")
	if !strings.HasPrefix(rest, "#") {
		return Pos{}, "", false
	}
	from = len(line) - len(rest)
	return Pos{n.Line, len([]rune(line[:from])) + 1, len([]rune(rest))}, strings.TrimRight(rest, " "), true
}

// quoted returns s in quotes that it does not contain.
func quoted(s string) string {
	if strings.ContainsAny(s, `"\`) {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return `"` + s + `"`
}

// jsonText warns about a body that is JSON text with expressions inside: inserted values are not
// escaped, so a quote in the data breaks the JSON.
func (s *stepChecker) jsonText(st *Step) {
	body := st.With.Field("body")
	if body == nil {
		return
	}
	text, constant := body.constantText()
	if body.kind == textValue {
		for _, p := range body.parts {
			if p.expr != nil {
				text += "${{ " + p.expr.Text + " }}"
			}
			text += p.text
		}
	} else if !constant {
		return
	}
	if !jsonLike.MatchString(text) {
		return
	}
	hint := "write a map: body: {name: value}"
	if m := formJSONKeys.FindStringSubmatch(text); m != nil {
		hint = fmt.Sprintf(`write a map: body: {%s: "%s"}`, m[1], m[2])
	}
	s.w.src.warn(body.pos, "json-text", "body is a JSON text: what is inserted into it is not escaped", hint)
}
