package workflows

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"github.com/hookloom/hookloom/workflows/spelling"
	"gopkg.in/yaml.v3"
)

// pos returns the position of a node and the width of what can be marked.
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

// objectNode is a mapping whose keys were checked against a shape. It contains no values of fields
// that had mistakes.
type objectNode struct {
	d     *decoder
	shape *shape
	node  *yaml.Node
	keys  map[string]*yaml.Node
	vals  map[string]*yaml.Node
	// unknown reports whether a key is misspelled, so that the field it meant is not reported as
	// missing.
	unknown bool
}

// object checks a mapping against the shape named ref. It returns nil and adds a mistake if n is
// not a mapping.
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
		if v = d.filled(v, f.typ, f.name); v == nil {
			return
		}
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

// recordMeaning records the field that a misspelled key means.
func (d *decoder) recordMeaning(in *yaml.Node, what string) {
	if d.misspelt == nil {
		d.misspelt = map[fieldOfNode]bool{}
	}
	d.misspelt[fieldOfNode{in, what}] = true
}

// unknownKey reports a key that the shape does not have, and returns the field that it most likely
// means, or nil. Its value is then read as that field, so that one typo is one mistake and the
// value is checked too.
func (d *decoder) unknownKey(k, in *yaml.Node, s *shape) *field {
	hint, meant := "", ""
	if form := rateForm(k.Value, in, s); form != "" {
		d.recordMeaning(in, "limit")
		d.recordMeaning(in, "per")
		d.add(d.pos(k), "unknown-key", fmt.Sprintf("unknown key %q in %s", k.Value, s.title), form)
		return nil
	}
	if kind, form := triggerForm(k.Value, in, s); form != "" {
		d.recordMeaning(in, kind)
		d.add(d.pos(k), "unknown-key", fmt.Sprintf("unknown key %q in %s", k.Value, s.title), form)
		return nil
	}
	if own := foreignWordsIn[s.title][k.Value]; own != "" {
		if !strings.HasPrefix(own, "write it inside ") && d.misspelt[fieldOfNode{in, own}] {
			return nil // the same form for several keys was reported already
		}
		d.recordMeaning(in, own)
		if k.Value == "branches" {
			own = branchRule(valueOf(in, "branches"), own)
		}
		if own == pollRequest {
			d.recordMeaning(in, "request")
			if k.Value == "url" {
				own = "write it inside request: request: {url: " + flowText(valueOf(in, "url")) + "}"
			}
		}
		if s.field(own) != nil {
			own = "write " + own + ":"
		}
		d.add(d.pos(k), "unknown-key", fmt.Sprintf("unknown key %q in %s", k.Value, s.title), own)
		return nil
	}
	if foreign, ok := foreignWords[k.Value]; ok {
		word := foreignKey(foreign)
		if s.field(word) != nil {
			hint, meant = foreignUse(foreign), word
		}
	}
	if meant == "" {
		if meant = spelling.Nearest(k.Value, s.names()); meant != "" {
			hint = fmt.Sprintf("did you mean %q?", meant)
		} else if foreign, ok := foreignWords[k.Value]; ok && ofWorkflows[s.title] {
			hint = foreignUse(foreign)
		} else if len(s.fields) <= 16 {
			hint = "known are " + strings.Join(s.names(), ", ")
		}
	}
	d.add(d.pos(k), "unknown-key", fmt.Sprintf("unknown key %q in %s", k.Value, s.title), hint)
	if meant == "" {
		return nil
	}
	d.recordMeaning(in, meant)
	for i := 0; i+1 < len(in.Content); i += 2 {
		if in.Content[i].Value == meant {
			return nil // the field is set as well
		}
	}
	if f := s.field(meant); spelling.Distance(strings.ToLower(k.Value), strings.ToLower(meant), 3) < 3 {
		return f // a foreign key may need another value, so it is not read
	}
	return nil
}

// pairs visits a mapping in file order and reports duplicate keys and keys that are not text.
func (d *decoder) pairs(n *yaml.Node, visit func(k, v *yaml.Node)) {
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if line, twice := first[k.Value]; twice {
			_, line = d.at(line)
			d.add(d.pos(k), "duplicate-key", fmt.Sprintf("duplicate key %q, first on line %d", k.Value, line), "remove one")
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
		if what == "steps" && n.Content[1].Kind == yaml.MappingNode {
			hint = fmt.Sprintf("write \"- id: %s\" in place of \"%s:\"", n.Content[0].Value, n.Content[0].Value)
		}
	}
	if want == "a map" && n.Kind == yaml.SequenceNode && len(n.Content) > 0 && n.Content[0].Kind == yaml.MappingNode &&
		len(n.Content[0].Content) > 0 && n.Style&yaml.FlowStyle == 0 {
		hint = fmt.Sprintf("remove \"- \" before %s", n.Content[0].Content[0].Value)
	}
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
		hint = scalarForm(what, want, n.Value)
	}
	if n.Kind == yaml.ScalarNode && n.Value == "" && n.Tag == "!!null" && (want == "a map" || want == "a list") {
		hint = "indent the lines of it by two more spaces than its key, or remove the key"
	}
	if form := structureForms[what]; form != "" && n.Kind != yaml.ScalarNode {
		hint = form
	}
	if form := eitherForms[what]; form != "" && strings.Contains(want, " or ") {
		hint = form
	}
	if n.Kind == yaml.MappingNode && what == "deadline" {
		hint = deadlineHint(n)
	}
	if n.Kind == yaml.SequenceNode && what == "event" {
		hint = severalWaits
	}
	if n.Kind == yaml.SequenceNode && what == "foreach" {
		hint = `write the list as an expression, in quotes: foreach: '["a", "b"]'`
	}
	if form := writtenForm(n, what, want); form != "" &&
		(hint == "" || want == "a list" && n.Kind == yaml.MappingNode && structureForms[what] == "") {
		hint = form
	}
	d.add(d.pos(n), "wrong-kind", fmt.Sprintf("%s is %s, got %s", what, want, nodeKind(n)), hint)
}

// ofWorkflows are the titles of the maps in which a word of another tool may stand for a word that
// belongs elsewhere in the workflow.
var ofWorkflows = map[string]bool{"a workflow": true, "a step": true, "a trigger": true, "a trigger's filter": true}

// structureForms say how to write what is a map in other tools and a list here, or the reverse.
var structureForms = map[string]string{
	"parallel": "write a list: parallel: [{id: a, steps: [...]}, {id: b, steps: [...]}]",
	"cases":    "write the values as keys: cases: {paid: [...], refunded: [...]}",
	"inputs":   "write inputs: {order: {type: string, required: true}}",
	"vars":     "write vars: {NAME: VALUE}",
	"set":      "write set: {NAME: VALUE}",
	"call":     "write call: NAME, and its inputs in with: {...} next to it",
	"sleep":    "write sleep: 5m",
}

// eitherForms are the short and the long form of keys that have both.
var eitherForms = map[string]string{
	"concurrency": `write concurrency: 1, or concurrency: {limit: 1, group: "${{ event.data.customer }}"}`,
	"rate":        "write rate: 30/m, or rate: {limit: 30, per: 1m}",
	"retry":       "write retry: 5, or retry: {max: 5, delay: 1s}",
	"secret":      `write secret: "${{ secrets.NAME }}"`,
}

// scalarForm returns how to write a plain value where a structure is required, or "".
func scalarForm(what, want, value string) string {
	if _, err := parseDuration(value); what == "wait" && err == nil {
		return "to pause write sleep: " + value
	}
	if m := keyWithoutColon.FindStringSubmatch(value); want == "a map" && m != nil && m[3] != "" && languageKeys[m[2]] {
		return fmt.Sprintf("write %s: %s", m[2], m[3])
	}
	switch {
	case what == "command" && want == "a list":
		return "there is no shell: write [" + strings.Join(strings.Fields(value), ", ") + "]"
	case what == "wait" && value == "approval":
		return `write wait: {approval: "May it go on?"}`
	case what == "wait":
		return "write wait: {event: NAME, key: ...} or wait: {approval: ...}"
	case what == "a wait of any":
		return "write {event: " + value + ", key: ...}"
	case (what == "page" || what == "offset") && want == "a map":
		return "write " + what + ": {query: " + map[bool]string{true: what, false: value}[value == "true"] + "}"
	case what == "schedule":
		return scheduleForm(value)
	case what == "webhook":
		return webhookForm
	case what == "a trigger" && slices.Contains(settingKinds, value):
		return "write {" + value + ": {...}}"
	case what == "an input":
		return "write {type: " + inputTypeOf(value) + "}"
	case what == "workflow_run":
		return "write workflow_run: {workflows: [" + value + "]}"
	case what == "debounce":
		return "write debounce: {key: event.data.id, wait: 10s}"
	case what == "batch":
		return "write batch: {key: event.data.id, size: 100, wait: 10s}"
	case what == "cancel_on":
		return "write cancel_on: {event: NAME, key: event.data.id}"
	case what == "a trigger" && plainName.MatchString(value):
		return "write {webhook: {provider: " + value + `, secret: "${{ secrets.NAME }}"}}`
	}
	return ""
}

// plainName matches a text that needs no quotes in YAML.
var plainName = lazyregexp.New(`^[A-Za-z_][\w.@-]*$`)

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

// The functions below return a checked field, or its default if it is missing or had a mistake.

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

// texts reads a list of texts, or a single text.
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

// places returns the positions of the texts that texts returns.
func (o *objectNode) places(name string) []Pos {
	v := o.vals[name]
	if v == nil {
		return nil
	}
	if v.Kind == yaml.ScalarNode {
		return []Pos{o.d.pos(v)}
	}
	var out []Pos
	for _, c := range v.Content {
		if c.Kind == yaml.ScalarNode {
			out = append(out, o.d.pos(c))
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

// foreignKey is the key of the language that a word of another tool stands for.
func foreignKey(foreign string) string {
	switch foreign {
	case oneList:
		return "steps"
	case noShell:
		return "uses"
	}
	word, _, _ := strings.Cut(foreign, " ")
	return strings.TrimRight(word, ":,")
}

// foreignUse returns what to write instead of a key of another tool, or that nothing is needed.
func foreignUse(foreign string) string {
	if strings.HasPrefix(foreign, "not needed") || foreign == oneList || foreign == noShell {
		return foreign
	}
	if word := foreignKey(foreign); !strings.HasPrefix(foreign, word+":") {
		return "write " + word + ":" + strings.TrimPrefix(foreign, word)
	}
	return "write " + foreign
}
