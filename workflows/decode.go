package workflows

import (
	"github.com/hookloom/hookloom/workflows/value"

	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Limits of a YAML file (language.md 2.2).
const (
	// MaxFileSize is the largest YAML file, in bytes.
	MaxFileSize  = 1 << 20
	maxYAMLDepth = 64
	maxYAMLNodes = 10_000
)

var (
	namePattern   = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)
	yamlLine      = regexp.MustCompile(`line (\d+)`)
	plainDecimal  = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	roundFloat    = regexp.MustCompile(`^-?(0|[1-9][0-9]*)\.0$`) // 1.0 is read as a number by people too
	durationParts = regexp.MustCompile(`^(\d+(?:\.\d+)?(?:ms|s|m|h|d))+$`)
	durationPart  = regexp.MustCompile(`(\d+(?:\.\d+)?)(ms|s|m|h|d)`)
	sizePattern   = regexp.MustCompile(`^(\d+)(B|KiB|MiB|GiB|KB|MB|GB)$`)
	ratePattern   = regexp.MustCompile(`^(\d+)/(s|m|h|d)$`)
)

// reservedNames cannot name a step, an input or a loop's item.
var reservedNames = []string{"event", "item", "index", "steps", "vars", "inputs", "secrets", "error", "result", "run", "output"}

// decoder turns one YAML file into checked nodes. Every mistake goes to its
// source; what is wrong is left out, so that the rest can still be checked.
type decoder struct {
	*source
	// misspelt are fields that a key with another name meant, as was reported.
	misspelt map[fieldOfNode]bool
}

// parse reads the one document of the file; nil when there is none to use.
func (d *decoder) parse() *yaml.Node {
	switch {
	case len(d.text) > MaxFileSize:
		d.add(Pos{}, "file", fmt.Sprintf("the file is larger than %d KiB", MaxFileSize>>10), "split it")
		return nil
	case !utf8.Valid(d.text):
		d.add(d.badUTF8(), "file", "the file is not UTF-8", "save it as UTF-8")
		return nil
	case strings.TrimSpace(string(d.text)) == "":
		d.add(Pos{}, "file", "the file is empty", "hookloom init writes a starter project")
		return nil
	}
	if i := loneReturn(d.text); i >= 0 {
		// YAML would count it as a line, and every place below would be wrong.
		d.add(d.posAt(i, 1), "yaml", "a carriage return stands without a line feed", "save the file with LF or CR LF line ends")
		return nil
	}
	dec := yaml.NewDecoder(strings.NewReader(string(d.text)))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		d.add(Pos{}, "file", "the file holds only comments", "hookloom init writes a starter project")
		return nil
	} else if err != nil {
		d.syntax(err)
		return nil
	}
	if err := dec.Decode(&second); err == nil {
		d.add(Pos{second.Line, 1, 3}, "second-document", "a second document begins here", "one file holds one document: remove ---, or use two files")
		return nil
	} else if !errors.Is(err, io.EOF) {
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
	return root
}

// loneReturn finds a carriage return that no line feed follows, or -1.
func loneReturn(b []byte) int {
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

// syntax explains a YAML error. yaml.v3 gives no column and often the wrong
// line, so the commonest causes are looked for in the text itself.
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
	if p, problem, hint := d.rescan(at); problem != "" {
		d.add(p, "yaml", problem, hint)
		return
	}
	if strings.Contains(text, "unknown anchor") {
		name := strings.Trim(strings.Fields(text)[2], "'")
		for i, l := range d.lines {
			if c := strings.Index(l, "*"+name); c >= 0 {
				d.add(Pos{i + 1, c + 1, len(name) + 1}, "yaml", fmt.Sprintf("no anchor &%s is defined above", name), "quote the value if it should begin with *")
				return
			}
		}
	}
	if p, ok := d.oddIndent(); ok {
		d.add(p, "yaml", "this line is indented like no line above it", "give it the indentation of its neighbours")
		return
	}
	line := min(max(at, 1), len(d.lines))
	for line > 1 && strings.TrimSpace(d.line(line)) == "" {
		line--
	}
	l := d.line(line)
	indent := len(l) - len(strings.TrimLeft(l, " \t"))
	d.add(Pos{line, indent + 1, max(1, len(strings.TrimSpace(l)))}, "yaml", "this is not YAML: "+text, "look at the indentation here and on the line above")
}

// oddIndent finds the first line that goes back to an indentation which none of
// the lines around it began with.
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

// rescan looks for the usual causes near line at, then everywhere.
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
		return Pos{n, indent + 1, 1}, "a tab is used for indentation", "YAML wants spaces"
	}
	if body == "" || body[0] == '#' {
		return Pos{}, "", ""
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
				return Pos{n, col + end + 2, len(rest)}, "text goes on after the closing quote", "put the whole value in quotes"
			}
		}
	default:
		if i := strings.Index(value, ": "); i >= 0 && !strings.HasPrefix(value, "|") && !strings.HasPrefix(value, ">") && c != '&' && c != '!' {
			return Pos{n, col + utf8.RuneCountInString(value[:i]), 1}, "`: ` inside a value reads as a key", "put the value in quotes, or use >-"
		}
	}
	return Pos{}, "", ""
}

// unquotedTemplate finds a ${{ outside of quotes, or -1.
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

// expander replaces aliases and merges by what they stand for, and refuses what
// the language has no use for.
type expander struct {
	d      *decoder
	nodes  int
	failed bool
}

func (x *expander) fail(n *yaml.Node, code, problem, hint string) *yaml.Node {
	if !x.failed {
		x.d.add(x.d.pos(n), code, problem, hint)
	}
	x.failed = true
	return n
}

func (x *expander) expand(n *yaml.Node, depth int, open []*yaml.Node) *yaml.Node {
	if x.failed {
		return n
	}
	if x.nodes++; x.nodes > maxYAMLNodes {
		return x.fail(n, "too-large", fmt.Sprintf("more than %d values once aliases are expanded", maxYAMLNodes), "")
	}
	if depth > maxYAMLDepth {
		return x.fail(n, "too-large", fmt.Sprintf("nested deeper than %d levels", maxYAMLDepth), "")
	}
	if n.Kind == yaml.AliasNode {
		for _, o := range open {
			if o == n.Alias {
				return x.fail(n, "alias", "this alias contains itself", "")
			}
		}
		return x.expand(n.Alias, depth, append(open, n.Alias))
	}
	if n.Style&yaml.TaggedStyle != 0 {
		hint := "remove the tag"
		if t := strings.TrimPrefix(n.Tag, "!"); n.Kind == yaml.ScalarNode && namePattern.MatchString(strings.ToLower(t)) {
			hint = fmt.Sprintf("for a condition write not %s; else put it in quotes", t)
		} else if strings.ContainsAny(t, ".") {
			hint = "for a condition write not " + t
		}
		return x.fail(n, "tag", fmt.Sprintf("%s is a YAML tag, which has no meaning here", n.Tag), hint)
	}
	out := *n
	out.Content = nil
	if n.Kind == yaml.MappingNode {
		x.mapping(n, &out, depth, open)
		return &out
	}
	for _, c := range n.Content {
		out.Content = append(out.Content, x.expand(c, depth+1, open))
	}
	return &out
}

func (x *expander) mapping(n, out *yaml.Node, depth int, open []*yaml.Node) {
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.MappingNode || k.Kind == yaml.SequenceNode {
			x.fail(n, "brackets", "{{ … }} reads as a nested map in YAML", "expressions are written ${{ … }}")
			return
		}
		v = x.expand(v, depth+1, open)
		if x.failed {
			return
		}
		if k.Value == "<<" && k.Tag == "!!merge" {
			from := []*yaml.Node{v}
			if v.Kind == yaml.SequenceNode {
				from = v.Content
			}
			for _, m := range from {
				if m.Kind != yaml.MappingNode {
					x.fail(n.Content[i+1], "merge", "<< merges maps only", "")
					return
				}
				merged = append(merged, m.Content...)
			}
			continue
		}
		out.Content = append(out.Content, k, v)
	}
	x.merge(out, merged)
}

// merge adds the merged keys that the map does not set itself.
func (x *expander) merge(out *yaml.Node, merged []*yaml.Node) {
	have := map[string]bool{}
	for i := 0; i < len(out.Content); i += 2 {
		have[out.Content[i].Value] = true
	}
	for i := 0; i+1 < len(merged); i += 2 {
		if k := merged[i].Value; !have[k] {
			have[k] = true
			out.Content = append(out.Content, merged[i], merged[i+1])
		}
	}
}

// pos is where a node stands, with the width of what can be marked.
func (d *decoder) pos(n *yaml.Node) Pos {
	p := Pos{n.Line, n.Column, 1}
	rest := []rune(d.line(n.Line))
	if n.Column-1 > len(rest) || n.Column < 1 {
		return p
	}
	rest = rest[n.Column-1:]
	if n.Kind == yaml.ScalarNode && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
		w := utf8.RuneCountInString(n.Value)
		if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
			w += 2
		}
		p.Width = max(1, min(w, len(rest)))
	}
	return p
}

// object is a mapping whose keys were checked against a shape. The values of
// fields that were wrong are left out.
type objectNode struct {
	d     *decoder
	shape *shape
	node  *yaml.Node
	keys  map[string]*yaml.Node
	vals  map[string]*yaml.Node
	// unknown tells that a key was misspelt, so that what it meant is not missed too.
	unknown bool
}

// object checks a mapping against the shape named ref. It returns nil, with a
// mistake, if n is no mapping.
func (d *decoder) object(n *yaml.Node, ref string) *objectNode {
	s := shapes[ref]
	if n.Kind != yaml.MappingNode {
		d.wrongKind(n, s.title, "a map")
		return nil
	}
	o := &objectNode{d: d, shape: s, node: n, keys: map[string]*yaml.Node{}, vals: map[string]*yaml.Node{}}
	d.pairs(n, func(k, v *yaml.Node) {
		if s.xKeys && strings.HasPrefix(k.Value, "x-") {
			return
		}
		f := s.field(k.Value)
		if f == nil {
			o.unknown = true
			if f = d.unknownKey(k, n, s); f == nil || o.keys[f.name] != nil {
				return
			}
		}
		o.keys[f.name] = k
		if d.fits(v, f.typ, f.name) {
			o.vals[f.name] = v
		}
	})
	for _, f := range s.fields {
		if f.required && o.keys[f.name] == nil && !d.misspelt[fieldOfNode{n, f.name}] {
			code, problem := "missing-key", fmt.Sprintf("%s needs %s:", s.title, f.name)
			if f.name == "on" {
				problem = "nothing starts this workflow: add on:"
			}
			d.add(d.pos(n), code, problem, f.help)
		}
	}
	return o
}

// fieldOfNode is a field of a map, given or meant.
type fieldOfNode struct {
	node *yaml.Node
	name string
}

// means notes what a misspelt key of a map stands for.
func (d *decoder) means(in *yaml.Node, what string) {
	if d.misspelt == nil {
		d.misspelt = map[fieldOfNode]bool{}
	}
	d.misspelt[fieldOfNode{in, what}] = true
}

// unknownKey reports a key that the shape has not, and gives the field that it most
// likely means, nil for none: its value is read as that, so that one slip of the hand
// is one finding, and what is inside is checked too.
func (d *decoder) unknownKey(k, in *yaml.Node, s *shape) *field {
	hint, meant := "", ""
	if own := foreignWordsIn[s.title][k.Value]; own != "" {
		if d.misspelt[fieldOfNode{in, own}] {
			return nil // said already
		}
		d.means(in, own)
		if s.field(own) != nil {
			own = "here it is " + own
		}
		d.add(d.pos(k), "unknown-key", fmt.Sprintf("unknown key %q in %s", k.Value, s.title), own)
		return nil
	}
	if foreign, ok := foreignWords[k.Value]; ok {
		word, _, _ := strings.Cut(foreign, " ")
		word = strings.TrimRight(word, ":,")
		if s.field(word) != nil {
			hint, meant = "here it is "+foreign, word
		}
	}
	if meant == "" {
		if meant = DidYouMean(k.Value, s.names()); meant != "" {
			hint = fmt.Sprintf("did you mean %q?", meant)
		} else if foreign, ok := foreignWords[k.Value]; ok {
			hint = "here it is " + foreign
		} else if len(s.fields) <= 16 {
			hint = "known are " + strings.Join(s.names(), ", ")
		}
	}
	d.add(d.pos(k), "unknown-key", fmt.Sprintf("unknown key %q in %s", k.Value, s.title), hint)
	if meant == "" {
		return nil
	}
	d.means(in, meant)
	for i := 0; i+1 < len(in.Content); i += 2 {
		if in.Content[i].Value == meant {
			return nil // it is there as well
		}
	}
	if f := s.field(meant); distance(strings.ToLower(k.Value), strings.ToLower(meant), 3) < 3 {
		return f // a foreign word may want another value, and is not read
	}
	return nil
}

// pairs visits a mapping in file order and reports keys that are there twice or
// are no text.
func (d *decoder) pairs(n *yaml.Node, visit func(k, v *yaml.Node)) {
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if line, twice := first[k.Value]; twice {
			d.add(d.pos(k), "duplicate-key", fmt.Sprintf("key %q is there twice, first on line %d", k.Value, line), "remove one")
			continue
		}
		first[k.Value] = k.Line
		if strings.Contains(k.Value, "${{") {
			d.add(d.pos(k), "expression-in-key", "a key cannot hold an expression", "write the name out")
			continue
		}
		visit(k, v)
	}
}

func (d *decoder) wrongKind(n *yaml.Node, what, want string) {
	hint := ""
	if want == "a list" && n.Kind == yaml.MappingNode && len(n.Content) > 0 {
		hint = fmt.Sprintf("add \"- \" before %s", n.Content[0].Value)
	}
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
		hint = scalarForm(what, want, n.Value)
	}
	if n.Kind == yaml.MappingNode && what == "deadline" {
		hint = deadlineHint(n)
	}
	if n.Kind == yaml.SequenceNode && what == "event" {
		hint = severalWaits
	}
	d.add(d.pos(n), "wrong-kind", fmt.Sprintf("%s is %s, got %s", what, want, nodeKind(n)), hint)
}

// scalarForm is how a plain value is written where more than that is wanted, or "".
func scalarForm(what, want, value string) string {
	if _, err := parseDuration(value); what == "wait" && err == nil {
		return "to pause write sleep: " + value
	}
	switch {
	case what == "wait" && value == "approval":
		return `write wait: {approval: "May it go on?"}`
	case what == "wait":
		return "write wait: {event: NAME, key: ...} or wait: {approval: ...}"
	case what == "a wait of any":
		return "write {event: " + value + ", key: ...}"
	case (what == "page" || what == "offset") && want == "a map":
		return "write " + what + ": {query: " + map[bool]string{true: what, false: value}[value == "true"] + "}"
	case what == "debounce":
		return "write debounce: {key: event.data.id, wait: 10s}"
	case what == "batch":
		return "write batch: {key: event.data.id, size: 100, wait: 10s}"
	case what == "cancel_on":
		return "write cancel_on: {event: NAME, key: event.data.id}"
	case want == "a list" && plainName.MatchString(value):
		return fmt.Sprintf("write %s: [%s]", what, value)
	}
	return ""
}

// plainName is a text that needs no quotes in YAML.
var plainName = regexp.MustCompile(`^[A-Za-z_][\w.@-]*$`)

func nodeKind(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a map"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "nothing"
	case n.Tag == "!!int" || n.Tag == "!!float":
		return "the number " + n.Value
	case n.Tag == "!!bool":
		return n.Value
	}
	return "text"
}

// fits checks a value's kind as far as one level goes; what lies deeper is
// checked when it is read.
func (d *decoder) fits(n *yaml.Node, t valueType, name string) bool {
	switch t.kind {
	case kindAny, kindValue:
		return true
	case kindObject, kindMap:
		if n.Kind != yaml.MappingNode {
			d.wrongKind(n, name, "a map")
			return false
		}
		return true
	case kindList:
		return d.fitsList(n, t, name)
	case kindExprs, kindTexts:
		if n.Kind == yaml.SequenceNode {
			return true
		}
		return d.scalar(n, name)
	case kindEither:
		return d.fitsEither(n, t, name)
	}
	return d.scalar(n, name) && d.fitsScalar(n, t, name)
}

func (d *decoder) fitsList(n *yaml.Node, t valueType, name string) bool {
	if n.Kind != yaml.SequenceNode {
		d.wrongKind(n, name, "a list")
		return false
	}
	if len(n.Content) < t.min {
		d.add(d.pos(n), "out-of-range", fmt.Sprintf("%s is empty", name), "")
		return false
	}
	if t.max > 0 && len(n.Content) > t.max {
		d.add(d.pos(n), "out-of-range", fmt.Sprintf("%s has %d entries; at most %d", name, len(n.Content), t.max), "")
		return false
	}
	ok := true
	if t.of.kind == kindText || t.of.kind == kindWord {
		for _, c := range n.Content {
			ok = d.fits(c, *t.of, name) && ok
		}
	}
	return ok
}

func (d *decoder) fitsEither(n *yaml.Node, t valueType, name string) bool {
	for _, e := range t.either {
		structured := e.kind == kindObject || e.kind == kindMap || e.kind == kindList
		switch {
		case n.Kind == yaml.MappingNode && (e.kind == kindObject || e.kind == kindMap), n.Kind == yaml.SequenceNode && e.kind == kindList:
			return d.fits(n, e, name)
		case n.Kind == yaml.ScalarNode && !structured:
			if e.kind == kindDuration && n.Value == "off" {
				continue
			}
			return d.fits(n, e, name)
		}
	}
	want := "something else"
	if name == "cancel_on" {
		want = "a map or a list"
	}
	d.wrongKind(n, name, want)
	return false
}

func (d *decoder) scalar(n *yaml.Node, name string) bool {
	if n.Kind == yaml.ScalarNode {
		return true
	}
	d.wrongKind(n, name, "a single value")
	return false
}

func (d *decoder) fitsScalar(n *yaml.Node, t valueType, name string) bool {
	literal := t.kind != kindExpr
	if literal && strings.Contains(n.Value, "${{") {
		d.add(d.pos(n), "expression-in-literal", fmt.Sprintf("%s takes no expression", name), "write the value out")
		return false
	}
	p := d.pos(n)
	switch t.kind {
	case kindText:
		return d.fitsText(n, name)
	case kindBool:
		if n.Value != "true" && n.Value != "false" || n.Tag != "!!bool" {
			d.add(p, "wrong-type", fmt.Sprintf("%s is true or false, got %q", name, n.Value), fmt.Sprintf("%q is text; write true or false", n.Value))
			return false
		}
	case kindInt:
		return d.fitsInt(n, t, name)
	case kindDuration:
		if _, err := parseDuration(n.Value); err != nil {
			d.add(p, "unit", fmt.Sprintf("%s: %v", name, err), durationHint(n.Value))
			return false
		}
	case kindSize:
		if _, err := parseSize(n.Value); err != nil {
			d.add(p, "unit", fmt.Sprintf("%s: %v", name, err), "write 64KiB or 1MiB")
			return false
		}
	case kindRate:
		if _, _, err := parseRate(n.Value); err != nil {
			d.add(p, "unit", fmt.Sprintf("%s: %v", name, err), "write 10/s, 30/m or 500/h")
			return false
		}
	case kindName:
		return d.fitsName(n, name)
	case kindWord:
		for _, w := range t.words {
			if n.Value == w {
				return true
			}
		}
		hint := suggest(n.Value, t.words)
		if hint == "" {
			hint = "one of " + strings.Join(t.words, ", ")
		}
		d.add(p, "unknown-word", fmt.Sprintf("%s %q is not known", name, n.Value), hint)
		return false
	}
	return true
}

func (d *decoder) fitsText(n *yaml.Node, name string) bool {
	if n.Style != 0 || n.Tag == "!!str" || n.Tag == "!!timestamp" {
		return true
	}
	problem := fmt.Sprintf("%s is text, got %s", name, nodeKind(n))
	if n.Tag == "!!null" {
		d.add(d.pos(n), "wrong-type", problem, "")
		return false
	}
	v, _ := numberOf(n)
	if t, err := value.Text(v); err == nil && n.Tag != "!!bool" && t != n.Value {
		problem = fmt.Sprintf("%s is text, but YAML reads %s as the number %s", name, n.Value, t)
	}
	d.add(d.pos(n), "wrong-type", problem, fmt.Sprintf("quote it: %q", n.Value))
	return false
}

func (d *decoder) fitsInt(n *yaml.Node, t valueType, name string) bool {
	v, err := strconv.Atoi(n.Value)
	if err != nil || !plainDecimal.MatchString(n.Value) || n.Style != 0 {
		d.add(d.pos(n), "wrong-type", fmt.Sprintf("%s is a whole number, got %q", name, n.Value), intHint(n, name))
		return false
	}
	if t.max > 0 && (v < t.min || v > t.max) {
		bound := fmt.Sprintf("at least %d", t.min)
		if v > t.max {
			bound = fmt.Sprintf("at most %d", t.max)
		}
		d.add(d.pos(n), "out-of-range", fmt.Sprintf("%s %d: %s", name, v, bound), "")
		return false
	}
	return true
}

func intHint(n *yaml.Node, name string) string {
	if _, err := parseDuration(n.Value); err == nil && name == "retry" {
		return "write retry: {for: " + n.Value + "}"
	}
	if name == "retry" {
		return "write retry: 5, or retry: {max: 5, delay: 1s}"
	}
	return "write plain digits"
}

// isName tells whether a text can stand in an expression after a point.
func (d *decoder) isName(n *yaml.Node, name string) bool {
	if !namePattern.MatchString(n.Value) {
		fixed := strings.ToLower(strings.NewReplacer("-", "_", " ", "_", ".", "_").Replace(n.Value))
		hint := "names are small letters, digits and _"
		if namePattern.MatchString(fixed) {
			hint = fmt.Sprintf("use %q", fixed)
		}
		d.add(d.pos(n), "bad-name", fmt.Sprintf("%s %q is not a name", name, n.Value), hint)
		return false
	}
	return true
}

// fitsName is isName, but for names that stand for something already.
func (d *decoder) fitsName(n *yaml.Node, name string) bool {
	if !d.isName(n, name) {
		return false
	}
	for _, r := range reservedNames {
		if n.Value == r {
			d.add(d.pos(n), "reserved-name", fmt.Sprintf("%s %q is reserved", name, n.Value), "choose another name")
			return false
		}
	}
	return true
}

func parseDuration(s string) (time.Duration, error) {
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return 0, fmt.Errorf("%s what?", s)
	}
	if !durationParts.MatchString(s) {
		return 0, fmt.Errorf("%q is no duration", s)
	}
	var total float64
	for _, m := range durationPart.FindAllStringSubmatch(s, -1) {
		f, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return 0, err
		}
		unit := map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[m[2]]
		total += f * float64(unit)
	}
	if total > float64(100*365*24*time.Hour) {
		return 0, fmt.Errorf("%q is longer than a hundred years", s)
	}
	return time.Duration(total), nil
}

func durationHint(s string) string {
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return fmt.Sprintf("write %ss", s)
	}
	if m := spelledDuration.FindStringSubmatch(strings.ToLower(s)); m != nil {
		n, err := strconv.Atoi(m[1])
		if err == nil && m[2][0] == 'w' && n < 1000 {
			return fmt.Sprintf("write %dd", 7*n)
		}
		if m[2][0] != 'w' {
			return "write " + m[1] + m[2][:1]
		}
	}
	return "write 500ms, 30s, 10m, 48h or 7d"
}

// spelledDuration is a span of time in words, such as 2 hours or 1w.
var spelledDuration = regexp.MustCompile(`^(\d+)\s*(s|secs?|seconds?|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)$`)

func parseSize(s string) (int64, error) {
	m := sizePattern.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%q is no size", s)
	}
	n, err := strconv.ParseInt(m[1], 10, 40)
	if err != nil {
		return 0, fmt.Errorf("%q is too large", s)
	}
	unit := map[string]int64{"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "KB": 1000, "MB": 1000_000, "GB": 1000_000_000}[m[2]]
	return n * unit, nil
}

func parseRate(s string) (int, time.Duration, error) {
	m := ratePattern.FindStringSubmatch(s)
	if m == nil {
		return 0, 0, fmt.Errorf("%q is no rate", s)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || n < 1 {
		return 0, 0, fmt.Errorf("%q is no rate", s)
	}
	return n, map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[m[2]], nil
}

// numberOf reads a plain scalar that YAML calls a number.
func numberOf(n *yaml.Node) (any, error) {
	if n.Tag == "!!int" {
		var i int64
		if err := n.Decode(&i); err != nil {
			return json.Number(n.Value), err
		}
		return int(i), nil
	}
	var f float64
	if err := n.Decode(&f); err != nil {
		return nil, err
	}
	return f, nil
}

// literal reads plain YAML as data, without looking for expressions.
func (d *decoder) literal(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		d.pairs(n, func(k, v *yaml.Node) { m[k.Value] = d.literal(v) })
		return m
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			out = append(out, d.literal(c))
		}
		return out
	}
	return d.scalarValue(n)
}

// scalarValue reads one scalar by the rules of language.md part 6: only true
// and false are booleans, dates stay text, odd numbers are pointed out.
func (d *decoder) scalarValue(n *yaml.Node) any {
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return n.Value
	}
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int", "!!float":
		return d.number(n)
	}
	return n.Value
}

func (d *decoder) number(n *yaml.Node) any {
	v, err := numberOf(n)
	if f, ok := v.(float64); ok && (math.IsInf(f, 0) || math.IsNaN(f)) {
		d.add(d.pos(n), "wrong-type", fmt.Sprintf("%s is no number that JSON can carry", n.Value), "")
		return nil
	}
	plain := plainDecimal.MatchString(n.Value)
	if err != nil || n.Tag == "!!float" && plain {
		d.add(d.pos(n), "out-of-range", fmt.Sprintf("%s does not fit into 64 bits", n.Value), "quote it to pass the digits on")
		return nil
	}
	if plain || roundFloat.MatchString(n.Value) {
		return v
	}
	if t, err := value.Text(v); err == nil && t != n.Value {
		d.warn(d.pos(n), "odd-number", fmt.Sprintf("%s is the number %s", n.Value, t), "quote it if it is meant as text")
	}
	return v
}

// The readers below return a checked field, or its default when it is absent or
// was refused.

func (o *objectNode) has(name string) bool { return o.keys[name] != nil }

func (o *objectNode) text(name, def string) string {
	if v := o.vals[name]; v != nil {
		return v.Value
	}
	return def
}

func (o *objectNode) boolean(name string, def bool) bool {
	if v := o.vals[name]; v != nil {
		return v.Value == "true"
	}
	return def
}

func (o *objectNode) integer(name string, def int) int {
	if v := o.vals[name]; v != nil {
		if n, err := strconv.Atoi(v.Value); err == nil {
			return n
		}
	}
	return def
}

func (o *objectNode) duration(name string, def time.Duration) time.Duration {
	if v := o.vals[name]; v != nil {
		if t, err := parseDuration(v.Value); err == nil {
			return t
		}
	}
	return def
}

func (o *objectNode) size(name string, def int64) int64 {
	if v := o.vals[name]; v != nil {
		if n, err := parseSize(v.Value); err == nil {
			return n
		}
	}
	return def
}

// texts reads a list of texts, or a single one.
func (o *objectNode) texts(name string) []string {
	v := o.vals[name]
	if v == nil {
		return nil
	}
	if v.Kind == yaml.ScalarNode {
		return []string{v.Value}
	}
	var out []string
	for _, c := range v.Content {
		if o.d.scalar(c, name) {
			out = append(out, c.Value)
		}
	}
	return out
}

func (o *objectNode) object(name string) *objectNode {
	v := o.vals[name]
	if v == nil || v.Kind != yaml.MappingNode {
		return nil
	}
	f := o.shape.field(name)
	ref := f.typ.ref
	for _, e := range f.typ.either {
		if e.kind == kindObject {
			ref = e.ref
		}
	}
	return o.d.object(v, ref)
}

func (o *objectNode) pos() Pos { return o.d.pos(o.node) }

func (o *objectNode) at(name string) Pos {
	if v := o.vals[name]; v != nil {
		return o.d.pos(v)
	}
	return o.keyAt(name)
}

func (o *objectNode) keyAt(name string) Pos {
	if k := o.keys[name]; k != nil {
		return o.d.pos(k)
	}
	return o.pos()
}
