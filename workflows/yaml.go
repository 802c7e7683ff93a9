package workflows

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"gopkg.in/yaml.v3"
)

// Limits of a YAML file (docs/workflows.md).
const (
	// MaxFileSize is the largest YAML file, in bytes.
	MaxFileSize  = 1 << 20
	maxYAMLDepth = 64
	maxYAMLNodes = 10_000
)

// yamlLimits limit the size of a file in bytes, and its number of values after aliases are
// expanded.
type yamlLimits struct {
	size, nodes int
}

var (
	namePattern   = lazyregexp.New(`^[a-z_][a-z0-9_]*$`)
	yamlLine      = lazyregexp.New(`line (\d+)`)
	plainDecimal  = lazyregexp.New(`^-?(0|[1-9][0-9]*)$`)
	roundFloat    = lazyregexp.New(`^-?(0|[1-9][0-9]*)\.0$`) // 1.0 is a number to people too
	durationParts = lazyregexp.New(`^(\d+(?:\.\d+)?(?:ms|s|m|h|d))+$`)
	durationPart  = lazyregexp.New(`(\d+(?:\.\d+)?)(ms|s|m|h|d)`)
	sizePattern   = lazyregexp.New(`^(\d+)(B|KiB|MiB|GiB|KB|MB|GB)$`)
	// dashWithoutSpace matches a list element without a space after its dash.
	dashWithoutSpace = lazyregexp.New(`^-([a-z_]+:)( |$)`)
	ratePattern      = lazyregexp.New(`^(\d+)/(s|m|h|d)$`)
)

// reservedNames cannot be the name of a step, an input or a loop's item.
var reservedNames = []string{"event", "item", "index", "steps", "vars", "inputs", "secrets", "error", "result", "run", "output"}

// decoder converts a YAML file to checked nodes. It adds mistakes to the file's source and omits
// what is wrong, so that the rest can still be checked.
type decoder struct {
	*source
	// misspelt are fields for which a misspelled key was reported.
	misspelt map[fieldOfNode]bool
}

// parse parses the file's single document; it returns nil if the document cannot be used.
func (d *decoder) parse() *yaml.Node {
	switch {
	case len(d.text) > d.limits.size:
		d.add(Pos{}, "file", fmt.Sprintf("the file is larger than %d KiB", d.limits.size>>10), "split it")
		return nil
	case !utf8.Valid(d.text):
		d.add(d.badUTF8(), "file", "the file is not UTF-8", "save it as UTF-8")
		return nil
	case strings.TrimSpace(string(d.text)) == "":
		d.add(Pos{}, "file", "the file is empty", "hookloom init writes a starter project")
		return nil
	}
	if i := bareCarriageReturn(d.text); i >= 0 {
		// YAML would count it as a line, and every position below would be wrong.
		d.add(d.posAt(i, 1), "yaml", "a carriage return has no line feed after it", "save the file with LF or CR LF line ends")
		return nil
	}
	dec := yaml.NewDecoder(strings.NewReader(string(d.text)))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		d.add(Pos{}, "file", "the file holds only comments", "hookloom init writes a starter project")
		return nil
	} else if err != nil {
		d.hideNamed()
		d.syntax(err)
		return nil
	}
	if err := dec.Decode(&second); err == nil {
		d.add(Pos{second.Line, 1, 3}, "second-document", "a second document begins here",
			"one file holds one document: remove ---, or use two files")
		return nil
	} else if !errors.Is(err, io.EOF) {
		d.hideNamed()
		d.syntax(err)
		return nil
	}
	if len(doc.Content) == 0 {
		d.add(Pos{}, "file", "the file holds only comments", "")
		return nil
	}
	x := expander{d: d}
	root := x.expand(doc.Content[0], 0, nil)
	if x.failed {
		return nil
	}
	if d.scanned {
		d.credentials(root, credentialPlace{}, map[*yaml.Node]bool{})
	}
	return root
}

// bareCarriageReturn returns the index of a carriage return without a line feed, or -1.
func bareCarriageReturn(b []byte) int {
	for i, c := range b {
		if c == '\r' && (i+1 == len(b) || b[i+1] != '\n') {
			return i
		}
	}
	return -1
}

func (d *decoder) badUTF8() Pos {
	for i, l := range d.lines {
		if !utf8.ValidString(l) {
			return Pos{i + 1, 1, 1}
		}
	}
	return Pos{}
}

// syntax explains a YAML error. yaml.v3 reports no column and often the wrong line, so it searches
// the text for the most common causes.
func (d *decoder) syntax(err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	at := 0
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		at, _ = strconv.Atoi(m[1])
		text = strings.TrimPrefix(text, m[0]+": ")
	}
	if p, problem, hint := d.yamlTrap(text, at); problem != "" {
		d.add(p, "yaml", problem, hint)
		return
	}
	if p, problem, hint := d.unclosedQuote(); problem != "" {
		d.add(p, "yaml", problem, hint)
		return
	}
	if p, problem, hint := d.flowTrap(); problem != "" {
		d.add(p, "yaml", problem, hint)
		return
	}
	if p, problem, hint := d.rescan(at); problem != "" {
		d.add(p, "yaml", problem, hint)
		return
	}
	if p, hint := d.commentInBraces(); hint != "" {
		d.add(p, "yaml", "YAML cuts the line here: ` #` begins a comment", hint)
		return
	}
	if p, problem, hint := d.missingColon(at); problem != "" {
		d.add(p, "yaml", problem, hint)
		return
	}
	if strings.Contains(text, "unknown anchor") {
		name := strings.Trim(strings.Fields(text)[2], "'")
		for i, l := range d.lines {
			if c := strings.Index(l, "*"+name); c >= 0 {
				d.add(Pos{i + 1, c + 1, len(name) + 1}, "yaml", fmt.Sprintf("no anchor &%s is defined above", name),
					"quote the value if it should begin with *")
				return
			}
		}
	}
	if p, hint := d.leftOfItem(); hint != "" && strings.Contains(text, "expected '-' indicator") {
		d.add(p, "yaml", "this line is indented like the dash of its list element", hint)
		return
	}
	if p, ok := d.oddIndent(); ok {
		d.add(p, "yaml", "the indentation of this line matches no line above it", "indent it like the lines around it")
		return
	}
	line := min(max(at, 1), len(d.lines))
	for line > 1 && strings.TrimSpace(d.line(line)) == "" {
		line--
	}
	l := d.line(line)
	indent := len(l) - len(strings.TrimLeft(l, " \t"))
	d.add(Pos{
		line, indent + 1, max(1, len(strings.TrimSpace(l))),
	}, "yaml", "this is not YAML: "+text, "look at the indentation here and on the line above")
}

// cutValue matches a value of a map in braces that a comment cuts, such as {channel: #sales}.
var cutValue = lazyregexp.New(`[{,][^{}'"#]*: +(#[^ ,}\]]+).*[}\]]\s*$`)

// commentInBraces finds a value in braces that begins with #, which makes the closing brace a comment.
func (d *decoder) commentInBraces() (Pos, string) {
	for i := range d.lines {
		if m := cutValue.FindStringSubmatchIndex(d.line(i + 1)); m != nil {
			value := d.line(i + 1)[m[2]:m[3]]
			return Pos{i + 1, m[2] + 1, len(value)}, fmt.Sprintf("put the value in quotes: %q", value)
		}
	}
	return Pos{}, ""
}

// leftOfItem finds a key that is indented like the dash of the preceding element.
func (d *decoder) leftOfItem() (Pos, string) {
	dash := -1
	for i := range d.lines {
		l := d.line(i + 1)
		body := strings.TrimLeft(l, " ")
		if body == "" || body[0] == '#' {
			continue
		}
		indent := len(l) - len(body)
		switch {
		case strings.HasPrefix(body, "- "):
			dash = indent
		case indent == dash && indent > 0:
			return Pos{i + 1, indent + 1, utf8.RuneCountInString(body)}, "indent it by two more spaces"
		case indent < dash:
			dash = -1
		}
	}
	return Pos{}, ""
}

// oddIndent finds the first line whose indentation goes back to a level that no enclosing line has.
func (d *decoder) oddIndent() (Pos, bool) {
	open := []int{0}
	for i := range d.lines {
		l := d.line(i + 1)
		body := strings.TrimLeft(l, " ")
		if body == "" || body[0] == '#' {
			continue
		}
		indent := len(l) - len(body)
		for len(open) > 1 && open[len(open)-1] > indent {
			open = open[:len(open)-1]
			if open[len(open)-1] < indent {
				return Pos{i + 1, indent + 1, utf8.RuneCountInString(body)}, true
			}
		}
		if indent > open[len(open)-1] {
			open = append(open, indent)
		}
		for strings.HasPrefix(body, "- ") {
			rest := strings.TrimLeft(body[2:], " ")
			indent += len(body) - len(rest)
			body = rest
			open = append(open, indent)
		}
	}
	return Pos{}, false
}

// rescan looks for the common causes near line at, then in the whole file.
func (d *decoder) rescan(at int) (Pos, string, string) {
	order := []int{at, at + 1, at - 1}
	for i := range d.lines {
		order = append(order, i+1)
	}
	for _, n := range order {
		if n < 1 || n > len(d.lines) {
			continue
		}
		if p, problem, hint := d.rescanLine(n); problem != "" {
			return p, problem, hint
		}
	}
	return Pos{}, "", ""
}

func (d *decoder) rescanLine(n int) (Pos, string, string) {
	l := d.line(n)
	body := strings.TrimLeft(l, " ")
	indent := len(l) - len(body)
	if strings.HasPrefix(body, "\t") {
		return Pos{n, indent + 1, 1}, "a tab is used for indentation", "YAML needs spaces"
	}
	if body == "" || body[0] == '#' {
		return Pos{}, "", ""
	}
	if m := dashWithoutSpace.FindStringSubmatch(body); m != nil {
		return Pos{n, indent + 1, 1}, "- needs a space after it", "write - " + m[1]
	}
	key, value, has := cutKey(body)
	if !has {
		return Pos{}, "", ""
	}
	start := indent + len(key)
	col := utf8.RuneCountInString(l[:start]) + 1
	switch c := value[0]; {
	case c == '{' || c == '[':
		if i := unquotedTemplate(value); i >= 0 {
			return Pos{n, col + utf8.RuneCountInString(value[:i]), 3}, "${{ inside {…} or […] needs quotes", `write "${{ … }}"`
		}
	case c == '@' || c == '`' || c == '%':
		return Pos{n, col, 1}, fmt.Sprintf("a value cannot begin with %c", c), "put it in quotes"
	case c == '"' || c == '\'':
		if end := strings.IndexByte(value[1:], c); end >= 0 {
			rest := strings.TrimSpace(value[end+2:])
			if rest != "" && rest[0] != '#' && rest[0] != ',' && rest[0] != c {
				hint := "put the whole value in quotes"
				if c == '\'' && end > 0 {
					hint = "write '' for a quote inside of single quotes, or put the value in double quotes"
				}
				return Pos{n, col + end + 2, len(rest)}, "there is text after the closing quote", hint
			}
		}
	default:
		if i := strings.Index(value, ": "); i >= 0 && !strings.HasPrefix(value, "|") && !strings.HasPrefix(value, ">") &&
			c != '&' && c != '!' {
			return Pos{n, col + utf8.RuneCountInString(value[:i]), 1},
				"`: ` inside a value reads as a key", "put the value in quotes, or use >-"
		}
	}
	return Pos{}, "", ""
}

// unquotedTemplate returns the index of a ${{ outside quotes, or -1.
func unquotedTemplate(s string) int {
	var quote byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case strings.HasPrefix(s[i:], "${{"):
			return i
		}
	}
	return -1
}

// cutKey splits `- key: value` into the part before the value, and the value.
func cutKey(body string) (before, value string, ok bool) {
	i := strings.Index(body, ": ")
	if strings.HasPrefix(body, "- ") && (i < 0 || strings.ContainsAny(body[2:3], `"'[{@%`+"`")) {
		i = 0
	}
	if i < 0 {
		return "", "", false
	}
	rest := body[i+1:]
	value = strings.TrimLeft(rest, " ")
	if value == "" {
		return "", "", false
	}
	return body[:len(body)-len(value)], value, true
}
