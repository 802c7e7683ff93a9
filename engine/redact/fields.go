package redact

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/hookloom/hookloom/engine/content"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// Fields masks the event fields that history.redact names. A value becomes *** and, if there is a
// key, eight digits that are the same for equal values, so that values can be compared without
// being disclosed.
type Fields struct {
	paths []workflows.RedactPath
	mark  func(text string) (string, error)
	// byName finds the fields in bodies that cannot be parsed.
	once   sync.Once
	byName []fieldPattern
}

// NewFields returns Fields that mask paths. mark returns the digits for a masked text; nil adds
// none.
func NewFields(paths []workflows.RedactPath, mark func(text string) (string, error)) *Fields {
	return &Fields{paths: paths, mark: mark}
}

// pathState is the position of a path while a body is walked.
type pathState struct {
	// steps are the remaining steps.
	steps []workflows.RedactStep
}

// states returns the initial states of the paths at the root of a body. dataExpr is the expression
// for event.data.
func (f *Fields) states(dataExpr string) []pathState {
	var out []pathState
	for _, p := range f.paths {
		if p.Query {
			continue
		}
		if !p.Data {
			out = append(out, pathState{p.Steps})
			continue
		}
		prefixes, ok := workflows.DataPrefixes(dataExpr)
		if !ok {
			// Only the expression determines where the data is: search for the field at every
			// depth.
			steps := append([]workflows.RedactStep(nil), p.Steps...)
			steps[0].Deep = true
			out = append(out, pathState{steps})
		}
		for _, prefix := range prefixes {
			var steps []workflows.RedactStep
			for _, name := range prefix {
				steps = append(steps, workflows.RedactStep{Name: name, Index: -1})
			}
			out = append(out, pathState{append(steps, p.Steps...)})
		}
	}
	return out
}

// enter descends to a field, or to an element if index >= 0. hit reports whether to mask it.
func enter(states []pathState, name string, index int) (next []pathState, hit bool) {
	for _, s := range states {
		if s.steps[0].Deep {
			next = addState(next, s.steps)
		}
		if !s.steps[0].Takes(name, index) {
			continue
		}
		if len(s.steps) == 1 {
			return nil, true
		}
		next = addState(next, s.steps[1:])
	}
	return next, false
}

// addState adds a state. A body may repeat a name at every depth: each state is kept once.
func addState(list []pathState, steps []workflows.RedactStep) []pathState {
	if slices.ContainsFunc(list, func(s pathState) bool { return &s.steps[0] == &steps[0] }) {
		return list
	}
	return append(list, pathState{steps})
}

// maxFieldDepth limits the memory of a walk.
const maxFieldDepth = 10_000

var alreadyMasked = regexp.MustCompile(`^\*\*\*(:[0-9a-f]{8})?$`)

// masked returns the replacement of a value.
func (f *Fields) masked(value string) string {
	if alreadyMasked.MatchString(value) {
		return value
	}
	if f.mark != nil {
		if m, err := f.mark(value); err == nil {
			return workflows.Mask + ":" + m
		}
	}
	return workflows.Mask
}

// Body masks the fields of a body. A body that is neither JSON, XML nor a form has no fields and is
// unchanged; in an invalid or truncated one, and in lines of JSON, the fields are found by name. A
// text that begins like JSON is JSON, whatever its type.
func (f *Fields) Body(contentType string, raw []byte, dataExpr string) (out []byte, kind string) {
	states := f.states(dataExpr)
	media, params := content.MediaType(contentType)
	switch {
	case media == content.FormType:
		return f.form(raw, states), contentType
	case media == "multipart/form-data" && params["boundary"] != "":
		return f.multipart(raw, params["boundary"], states), contentType
	}
	if out, err := f.json(raw, states); err == nil {
		return out, contentType
	}
	// JSON in another charset, or with syntax that only our own decoder accepts.
	v, err := content.Decode(contentType, raw)
	if err != nil {
		if looksXML(string(raw[:min(len(raw), 64)])) {
			return f.xml(raw, states), contentType
		}
		return f.maskByName(raw), contentType
	}
	text, isText := v.(string)
	switch {
	case isText && jsonLines(text):
		return f.lines(text), contentType
	case isText && looksXML(text):
		out := f.xml([]byte(text), states)
		if string(out) == text {
			return raw, contentType
		}
		return out, content.InUTF8(contentType, raw)
	case isText:
		// It may contain JSON or XML, or be JSON that is truncated or invalid.
		if out := f.nested(text, states, 0); out != text {
			return []byte(out), content.InUTF8(contentType, raw)
		}
		return raw, contentType
	}
	b, err := value.EncodeStored(v)
	if err != nil {
		return raw, contentType
	}
	if out, err = f.json(b, states); err != nil || bytes.Equal(out, b) {
		return raw, contentType
	}
	return out, "application/json"
}

// recordSeparator begins each value of application/json-seq (RFC 7464).
const recordSeparator = "\x1e"

// jsonLines reports whether each line of a text is an object or a list in JSON, as in
// application/x-ndjson and application/json-seq. Blank lines are allowed.
func jsonLines(text string) bool {
	found := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(strings.TrimLeft(line, recordSeparator))
		if line == "" {
			continue
		}
		if !strings.ContainsAny(line[:1], "{[") || !json.Valid([]byte(line)) {
			return false
		}
		found = true
	}
	return found
}

// lines masks the fields in lines of JSON. event.data is then a text, so the fields are searched
// for at every depth.
func (f *Fields) lines(text string) []byte {
	var states []pathState
	for _, p := range f.paths {
		if p.Query {
			continue
		}
		steps := slices.Clone(p.Steps)
		steps[0].Deep = true
		states = append(states, pathState{steps})
	}
	var out []byte
	for line := range strings.Lines(text) {
		rest := strings.TrimLeft(line, recordSeparator)
		out = append(out, line[:len(line)-len(rest)]...)
		masked, err := f.json([]byte(rest), states)
		if err != nil { // nested too deeply, or blank
			masked = f.maskByName([]byte(rest))
		}
		out = append(out, masked...)
	}
	return out
}

// level is an object or a list that is being read.
type level struct {
	list   bool
	index  int
	key    string
	isKey  bool
	states []pathState
}

// json replaces the values of fields, also in JSON inside a string, and leaves every other byte unchanged.
func (f *Fields) json(raw []byte, states []pathState) ([]byte, error) {
	return f.jsonIn(raw, states, 0)
}

// jsonIn is json for a text at a depth of texts in texts.
func (f *Fields) jsonIn(raw []byte, states []pathState, depth int) ([]byte, error) {
	w := &jsonWalk{f: f, raw: raw, d: json.NewDecoder(bytes.NewReader(raw)), depth: depth}
	w.d.UseNumber()
	if err := w.value(level{states: states}); err != nil {
		return nil, err
	}
	if _, err := w.d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more follows the JSON value")
	}
	return append(w.out, raw[w.done:]...), nil
}

// jsonWalk reads tokens with their offsets. It has its own stack: depth costs no more memory than
// the input.
type jsonWalk struct {
	f    *Fields
	raw  []byte
	d    *json.Decoder
	out  []byte
	done int
	// hidden is the depth at which a masked list or object began, 0 for none; from is its offset.
	hidden, from int
	// depth counts the texts that raw is inside of.
	depth int
}

// value walks one value; top has the states of the root.
func (w *jsonWalk) value(top level) error {
	var stack []level
	for {
		before := int(w.d.InputOffset())
		token, err := w.d.Token()
		if err != nil {
			return err
		}
		end := int(w.d.InputOffset())
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			stack = stack[:len(stack)-1]
			if len(stack) < w.hidden {
				w.replace(w.from, end, string(w.raw[w.from:end]))
				w.hidden = 0
			}
			if len(stack) == 0 {
				return nil
			}
			stack[len(stack)-1].next()
			continue
		}
		states := top.states
		hit := false
		if n := len(stack); n > 0 {
			l := &stack[n-1]
			if !l.list && l.isKey {
				l.key, _ = token.(string)
				l.isKey = false
				continue
			}
			if w.hidden == 0 {
				states, hit = l.enter()
			}
		}
		// Between two tokens stand blanks, colons and commas.
		start := end - len(bytes.TrimLeft(w.raw[before:end], " \t\r\n:,"))
		if delim, ok := token.(json.Delim); ok {
			if len(stack) == maxFieldDepth {
				return errors.New("nested too deeply")
			}
			stack = append(stack, level{list: delim == '[', isKey: delim == '{', states: states})
			if hit && w.hidden == 0 {
				w.hidden, w.from = len(stack), start
			}
			continue
		}
		if text, ok := token.(string); ok && !hit && len(states) != 0 {
			w.inside(start, end, text, states)
		}
		if hit && token != nil {
			w.replace(start, end, scalarOf(token))
		}
		if len(stack) == 0 {
			return nil
		}
		stack[len(stack)-1].next()
	}
}

func (l *level) enter() ([]pathState, bool) {
	if l.list {
		return enter(l.states, "", l.index)
	}
	return enter(l.states, l.key, -1)
}

func (l *level) next() {
	l.index++
	l.isKey = !l.list
}

// replace writes the mask of a text, which needs no escapes.
func (w *jsonWalk) replace(from, to int, text string) {
	w.out = append(append(w.out, w.raw[w.done:from]...), `"`+w.f.masked(text)+`"`...)
	w.done = to
}

// inside masks the fields of JSON or XML in a string.
func (w *jsonWalk) inside(from, to int, text string, states []pathState) {
	out := w.f.nested(text, states, w.depth+1)
	if out == text {
		return
	}
	quoted, err := value.EncodeJSON(out)
	if err != nil {
		return
	}
	w.out = append(append(w.out, w.raw[w.done:from]...), quoted...)
	w.done = to
}

func scalarOf(token json.Token) string {
	switch x := token.(type) {
	case string:
		return x
	case json.Number:
		return x.String()
	case bool:
		if x {
			return "true"
		}
		return "false"
	}
	return ""
}

// form replaces the values of fields, also in JSON or XML inside a field.
func (f *Fields) form(raw []byte, states []pathState) []byte {
	pairs := strings.Split(string(raw), "&")
	for i, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		name := strings.TrimPrefix(k, "\ufeff")
		if safe, ok := f.field(content.UnescapeForm([]byte(name)), content.UnescapeForm([]byte(v)), states); ok {
			pairs[i] = k + "=" + url.QueryEscape(safe)
		}
	}
	return []byte(strings.Join(pairs, "&"))
}

// field returns a form field as it may be stored; ok is false if it is unchanged.
func (f *Fields) field(name, value string, states []pathState) (safe string, ok bool) {
	next, hit := enter(states, name, -1)
	if !hit {
		// A field that occurs several times is a list.
		hit = slices.ContainsFunc(next, func(s pathState) bool { return len(s.steps) == 1 && (s.steps[0].Any || s.steps[0].Index >= 0) })
	}
	if hit {
		return f.masked(value), value != ""
	}
	out := f.nested(value, next, 1)
	return out, out != value
}

// multipart replaces the fields of a multipart form; files are unchanged.
func (f *Fields) multipart(raw []byte, boundary string, states []pathState) []byte {
	var out bytes.Buffer
	w := multipart.NewWriter(&out)
	if w.SetBoundary(boundary) != nil {
		return raw
	}
	changed := false
	r := multipart.NewReader(bytes.NewReader(raw), boundary)
	for range content.MaxParts + 1 { // one more, to see the end behind the last
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			if !changed || w.Close() != nil {
				return raw
			}
			return out.Bytes()
		}
		if err != nil {
			return f.maskByName(raw)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			return f.maskByName(raw)
		}
		if p.FileName() == "" {
			if safe, ok := f.field(p.FormName(), string(b), states); ok {
				b, changed = []byte(safe), true
			}
		}
		to, err := w.CreatePart(p.Header)
		if err != nil {
			return raw
		}
		if _, err := to.Write(b); err != nil {
			return raw
		}
	}
	return f.maskByName(raw) // more parts than are read as a form
}
