package redact

import (
	"bytes"
	"html"
	"regexp"
	"strings"
)

// This file finds the fields of history.redact in XML. A path names elements and attributes without
// their prefixes, from the root element or from below it. A masked element loses its content and the
// values of its attributes. A document that is not well-formed has no paths: there each element and
// attribute with the last name of a path is masked, wherever it is.
//
// The scanner is our own: encoding/xml refuses much of what senders call XML, and what it refuses
// must be masked too. It expands no entities.

// looksXML reports whether a text begins like XML.
func looksXML(text string) bool {
	return strings.HasPrefix(strings.TrimLeft(text, " \t\r\n\ufeff"), "<")
}

// xml masks the fields of a document; it returns raw itself if there are none.
func (f *Fields) xml(raw []byte, states []pathState) []byte { return f.xmlIn(raw, states, 0) }

// xmlIn is xml for a text at a depth of texts in texts. The first walk only looks for mistakes in the
// document, so that the texts in it are read once.
func (f *Fields) xmlIn(raw []byte, states []pathState, depth int) []byte {
	if (&xmlWalk{f: f, raw: raw, strict: true}).walk() {
		w := &xmlWalk{f: f, raw: raw, root: states, strict: true, depth: depth}
		return w.masked()
	}
	look := &xmlWalk{f: f, raw: raw}
	if look.walk(); look.unquoted {
		// A > may end the tag or be part of JSON in it: the names are searched for in the whole document.
		raw = f.maskByName(raw)
	}
	w := &xmlWalk{f: f, raw: raw, root: byName(f.paths), depth: depth}
	return w.masked()
}

// masked walks the document and returns it with its fields masked.
func (w *xmlWalk) masked() []byte {
	w.walk()
	return w.output()
}

// output returns what has been walked; it is raw itself if nothing is masked.
func (w *xmlWalk) output() []byte {
	if w.done == 0 {
		return w.raw
	}
	return append(w.out, w.raw[w.done:]...)
}

// xmlWalk reads a document from its beginning. If strict, it ends at the first mistake in the
// document, and follows paths; otherwise it reads on, and keeps no stack.
type xmlWalk struct {
	f      *Fields
	raw    []byte
	root   []pathState
	strict bool
	// comment reports that raw is the text of a comment, in which another one cannot begin.
	comment bool
	at      int
	out     []byte
	done    int
	stack   []xmlElement
	found   bool // the root element has been found
	// from is where the content of the masked element begins, hidden its name, empty for none; inner
	// counts the elements inside of it: all if strict, otherwise those with its name.
	from, inner int
	hidden      string
	// broken is JSON in a text that does not end there; nil if there is none.
	broken *brokenJSON
	// unquoted reports that an attribute without quotes begins like JSON: where it ends is unknown.
	unquoted bool
	// depth counts the texts that raw is inside of.
	depth int
}

// brokenJSON is where JSON that does not end in its text begins: its offset and depth, and the output
// at that point.
type brokenJSON struct{ at, depth, out, done int }

type xmlElement struct {
	name   string
	states []pathState
}

// walk reports whether the document is well-formed, as far as elements go.
func (w *xmlWalk) walk() bool {
	for w.at < len(w.raw) {
		n := bytes.IndexByte(w.raw[w.at:], '<')
		if n < 0 {
			n = len(w.raw) - w.at
		}
		w.text(w.at, w.at+n, false)
		if w.at += n; w.at < len(w.raw) && !w.markup() && w.strict {
			return false
		}
	}
	if w.hidden != "" {
		w.replace(w.from, len(w.raw))
	}
	w.endBroken(len(w.raw))
	return len(w.stack) == 0 && w.hidden == ""
}

// markup reads what begins with <.
func (w *xmlWalk) markup() bool {
	rest := w.raw[w.at:]
	switch {
	case bytes.HasPrefix(rest, []byte("<!--")) && !w.comment:
		from, to, ok := w.until("<!--", "-->")
		w.commented(from, to)
		return ok
	case bytes.HasPrefix(rest, []byte("<![CDATA[")):
		from, to, ok := w.until("<![CDATA[", "]]>")
		w.text(from, to, true)
		return ok
	case bytes.HasPrefix(rest, []byte("<?")):
		_, _, ok := w.until("<?", "?>")
		return ok
	case bytes.HasPrefix(rest, []byte("<!")) && !w.comment:
		return w.declaration()
	case bytes.HasPrefix(rest, []byte("</")):
		return w.endTag()
	case len(rest) > 1 && nameByte(rest[1]):
		return w.startTag()
	}
	w.at++ // a < that begins nothing
	return false
}

// until returns the text between two marks, and moves behind it.
func (w *xmlWalk) until(begin, end string) (from, to int, ok bool) {
	from = w.at + len(begin)
	n := bytes.Index(w.raw[from:], []byte(end))
	if n < 0 {
		w.at = len(w.raw)
		return from, len(w.raw), false
	}
	w.at = from + n + len(end)
	return from, from + n, true
}

// nameByte reports whether a byte may be in a name; non-ASCII letters are.
func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == ':' || c == '-' || c == '.' || c >= 0x80
}

// name reads a name.
func (w *xmlWalk) name() string {
	from := w.at
	for w.at < len(w.raw) && nameByte(w.raw[w.at]) {
		w.at++
	}
	return string(w.raw[from:w.at])
}

func (w *xmlWalk) blanks() {
	for w.at < len(w.raw) && strings.IndexByte(" \t\r\n", w.raw[w.at]) >= 0 {
		w.at++
	}
}

// startTag reads a start tag, and masks its attributes.
func (w *xmlWalk) startTag() bool {
	w.at++
	name := w.name()
	states, hit := w.enter(name)
	ok, empty := true, false
	for {
		w.blanks()
		if w.at >= len(w.raw) {
			return false
		}
		switch c := w.raw[w.at]; {
		case c == '>':
			w.at++
			return w.begin(name, states, hit, empty) && ok
		case c == '/':
			empty = true
			w.at++
			continue
		case c == '<': // the tag is not closed
			w.begin(name, states, hit, false)
			return false
		case !nameByte(c):
			ok = false
			w.at++
			continue
		}
		empty = false
		ok = w.attribute(states, hit) && ok
	}
}

// attribute reads an attribute, and masks its value if its element is masked, or a path names it.
func (w *xmlWalk) attribute(states []pathState, hit bool) (ok bool) {
	name := w.name()
	w.blanks()
	if w.at >= len(w.raw) || w.raw[w.at] != '=' {
		return false
	}
	w.at++
	w.blanks()
	if w.at >= len(w.raw) {
		return false
	}
	from, to := w.at, 0
	if q := w.raw[w.at]; q == '"' || q == '\'' {
		from++
		n := bytes.IndexByte(w.raw[from:], q)
		if ok = n >= 0; !ok {
			n = len(w.raw) - from
		}
		to = from + n
		w.at = min(to+1, len(w.raw))
	} else {
		ends := " \t\r\n<>"
		if opensJSON(string(q)) {
			ends = "<>" // blanks are part of JSON
			w.unquoted = true
		}
		n := bytes.IndexAny(w.raw[from:], ends)
		if n < 0 {
			n = len(w.raw) - from
		}
		to = from + n
		w.at = to
	}
	if name == "xmlns" || strings.HasPrefix(name, "xmlns:") {
		return ok
	}
	if !hit {
		_, hit = enterXML(states, name)
	}
	if !hit && len(states) > 0 {
		_, hit = enter(states, "@"+name[strings.LastIndexByte(name, ':')+1:], -1)
	}
	switch {
	case w.hidden != "":
	case hit:
		w.replace(from, to)
	default:
		w.nestedIn(from, to, states, name)
	}
	return ok
}

// nestedIn masks the fields of JSON or XML in the value of an attribute.
func (w *xmlWalk) nestedIn(from, to int, states []pathState, name string) {
	if from == to || len(states) == 0 {
		return
	}
	text := html.UnescapeString(string(w.raw[from:to]))
	next, _ := enterXML(states, name)
	more, _ := enter(states, "@"+name[strings.LastIndexByte(name, ':')+1:], -1)
	for _, s := range more {
		next = addState(next, s.steps)
	}
	if out := w.f.nested(text, next, w.depth+1); out != text {
		w.put(from, to, html.EscapeString(out))
	}
}

// enter descends to an element of the current one.
func (w *xmlWalk) enter(name string) (states []pathState, hit bool) {
	if w.hidden != "" {
		return nil, false
	}
	if !w.strict {
		_, hit = enterXML(w.root, name)
		return w.root, hit
	}
	if n := len(w.stack); n > 0 {
		return enterXML(w.stack[n-1].states, name)
	}
	// A path may leave out the root element.
	states, hit = enterXML(w.root, name)
	for _, s := range w.root {
		states = addState(states, s.steps)
	}
	return states, hit
}

// enterXML descends to an element or an attribute, by its name with or without prefix. An element that
// occurs several times is also a list: [0] and [*] match each of them.
func enterXML(states []pathState, name string) (next []pathState, hit bool) {
	if len(states) == 0 {
		return nil, false
	}
	next, hit = enter(states, name[strings.LastIndexByte(name, ':')+1:], -1)
	if strings.Contains(name, ":") && !hit {
		var more []pathState
		more, hit = enter(states, name, -1)
		for _, s := range more {
			next = addState(next, s.steps)
		}
	}
	for i := 0; i < len(next) && !hit; i++ {
		if s := next[i].steps; !s[0].Deep && (s[0].Any || s[0].Index >= 0) {
			if hit = len(s) == 1; !hit {
				next = addState(next, s[1:])
			}
		}
	}
	return next, hit
}

// begin enters the content of an element.
func (w *xmlWalk) begin(name string, states []pathState, hit, empty bool) bool {
	second := w.strict && len(w.stack) == 0 && w.found
	w.found = true
	switch {
	case second, empty:
		return !second
	case w.hidden != "":
		if w.strict || name == w.hidden {
			w.inner++
		}
	case hit:
		w.hidden, w.inner, w.from = name, 0, w.at
	}
	if w.strict {
		w.stack = append(w.stack, xmlElement{name, states})
		return len(w.stack) < maxFieldDepth
	}
	return true
}

// endTag reads an end tag.
func (w *xmlWalk) endTag() bool {
	start := w.at
	w.at += 2
	name := w.name()
	n := bytes.IndexByte(w.raw[w.at:], '>')
	if n < 0 {
		n = len(w.raw) - w.at - 1
	}
	w.at = min(w.at+n+1, len(w.raw))
	if w.strict {
		last := len(w.stack) - 1
		if last < 0 || w.stack[last].name != name {
			return false
		}
		w.stack = w.stack[:last]
		if w.broken != nil && last < w.broken.depth {
			defer w.endBroken(start)
		}
	}
	if w.hidden == "" || !w.strict && name != w.hidden {
		return true
	}
	if w.inner--; w.inner < 0 {
		w.replace(w.from, start)
		w.hidden = ""
	}
	return true
}

// declaration reads a document type. Its entities and default values may be part of any element: all
// are masked.
func (w *xmlWalk) declaration() bool {
	inside := false
	for w.at += 2; w.at < len(w.raw); w.at++ {
		switch c := w.raw[w.at]; {
		case c == '[':
			inside = true
		case c == ']':
			inside = false
		case c == '>' && !inside:
			w.at++
			return true
		case bytes.HasPrefix(w.raw[w.at:], []byte("<!--")):
			from, to, ok := w.until("<!--", "-->")
			if w.commented(from, to); !ok {
				return false
			}
			w.at--
		case c == '"' || c == '\'':
			from := w.at + 1
			n := bytes.IndexByte(w.raw[from:], c)
			if n < 0 {
				n = len(w.raw) - from
			}
			if inside && w.hidden == "" {
				w.replace(from, from+n)
			}
			w.at = from + n
		}
	}
	return false
}

// commented masks the fields of elements and JSON that are commented out.
func (w *xmlWalk) commented(from, to int) {
	if w.hidden != "" || len(w.root) == 0 {
		return
	}
	inside := &xmlWalk{f: w.f, raw: w.raw[from:to], root: byName(w.f.paths), comment: true, depth: w.depth}
	if out := inside.masked(); inside.done > 0 {
		w.put(from, to, string(out))
	}
}

// text masks the fields of JSON and XML in a text.
func (w *xmlWalk) text(from, to int, verbatim bool) {
	t := bytes.TrimLeft(w.raw[from:to], " \t\r\n")
	if w.hidden != "" || w.broken != nil || len(t) == 0 {
		return
	}
	states := w.root
	if n := len(w.stack); n > 0 {
		states = w.stack[n-1].states
	}
	if len(states) == 0 {
		return
	}
	text := string(t)
	if !verbatim {
		text = html.UnescapeString(text)
	}
	out, complete := w.inside(text, states)
	if !complete {
		w.broken = &brokenJSON{at: to - len(t), depth: len(w.stack), out: len(w.out), done: w.done}
		return
	}
	if out == text {
		return
	}
	if !verbatim {
		out = html.EscapeString(out)
	}
	w.put(to-len(t), to, out)
}

// inside masks the fields in a text; complete is false if JSON in it does not end there.
func (w *xmlWalk) inside(text string, states []pathState) (out string, complete bool) {
	switch {
	case looksXML(text):
	case opensJSON(text):
		b, err := w.f.jsonIn([]byte(text), states, w.depth+1)
		return string(b), err == nil
	case leavesJSONOpen(text):
		return "", false
	}
	return w.f.nested(text, states, w.depth+1), true
}

// anyMarkup matches what is not part of the text of an element.
var anyMarkup = regexp.MustCompile(`(?s)<!--.*?-->|<!\[CDATA\[|\]\]>|<[^>]*>`)

// endBroken masks JSON that does not end in its text, up to the end of its element, if a name of a
// path is in it: elements, comments and CDATA may stand at any place of it.
func (w *xmlWalk) endBroken(to int) {
	b := w.broken
	if b == nil {
		return
	}
	w.broken = nil
	content := string(w.raw[b.at:to])
	if !w.f.hasName(html.UnescapeString(content)) && !w.f.hasName(html.UnescapeString(anyMarkup.ReplaceAllString(content, ""))) {
		return
	}
	w.out, w.done = w.out[:b.out], b.done
	w.replace(b.at, to)
}

// replace writes the mask of a part. Equal values have equal digits, however they are escaped.
func (w *xmlWalk) replace(from, to int) {
	text := strings.TrimSpace(string(w.raw[from:to]))
	if inner, ok := strings.CutPrefix(text, "<![CDATA["); ok && strings.Index(inner, "]]>") == len(inner)-len("]]>") {
		text = strings.TrimSuffix(inner, "]]>")
	} else if !strings.Contains(text, "<") {
		text = html.UnescapeString(text)
	}
	if text != "" {
		w.put(from, to, w.f.masked(text))
	}
}

func (w *xmlWalk) put(from, to int, text string) {
	w.out = append(append(w.out, w.raw[w.done:from]...), text...)
	w.done = to
}
