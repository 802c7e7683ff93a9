// Package dataschema validates data against JSON Schemas. It compiles schemas from a project's
// files: a $ref cannot leave them, and nothing is read from the network. Regular expressions are
// Go's, which take linear time. Its errors name paths and rules, never values, because invalid data
// may be stored and shown. It must not know events, workflows or expressions.
package dataschema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hookloom/hookloom/workflows/value"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// Limits of schema files: the bytes of one file, and the number of files of one schema.
const (
	MaxFileSize = 256 << 10
	MaxFiles    = 32
)

// inline is the name of a schema that is not a file. It is in the project's folder, so that its
// $refs are relative to that folder.
const inline = "inline.schema.json"

// Schema is a compiled schema. Its methods are safe for concurrent use.
type Schema struct {
	compiled *jsonschema.Schema
	steps    *steps
}

// Error is a mistake in a schema.
type Error struct {
	// File contains the mistake; empty for a schema that is not a file.
	File string
	// Path leads to the mistake: keys, and indexes of lists. Offset is its byte offset in the file;
	// -1 if unknown.
	Path          []string
	Offset        int
	Problem, Hint string
}

// Error implements error.
func (e *Error) Error() string {
	at := strings.TrimPrefix(e.File+"#/"+strings.Join(e.Path, "/"), "#")
	return strings.TrimSuffix(at+": "+e.Problem+"; "+e.Hint, "; ")
}

// Compile compiles a file of a project. files are the contents of the files that it may refer to,
// by path relative to the project's folder.
func Compile(name string, files map[string][]byte) (*Schema, error) {
	c := compiler(files)
	return compile(c, name, files)
}

// CompileData compiles a schema that is not a file. With nil files, as for a schema from data, it
// cannot refer to other files.
func CompileData(schema any, files map[string][]byte) (*Schema, error) {
	c := compiler(files)
	doc, err := plain(schema)
	if err == nil {
		err = c.AddResource(addressOf(inline), doc)
	}
	if err != nil {
		return nil, &Error{Offset: -1, Problem: value.Clip(err.Error(), 300)}
	}
	return compile(c, inline, files)
}

func compiler(files map[string][]byte) *jsonschema.Compiler {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat() // format: email is meant as a rule
	c.UseRegexpEngine(compileRegex)
	c.UseLoader(&loader{files: files})
	return c
}

func compile(c *jsonschema.Compiler, name string, files map[string][]byte) (*Schema, error) {
	s, err := c.Compile(addressOf(name))
	if err == nil {
		if at := endless(s); at != nil {
			e := &Error{Offset: -1, Problem: "this $ref leads back to itself: it describes nothing, and no data can be checked against it",
				Hint: "let it name the schema that is meant"}
			if e.File, e.Path = split(at.Location); e.File == inline {
				e.File = ""
			}
			if e.File != "" {
				e.Offset = offsetOf(files[e.File], e.Path)
			}
			return nil, e
		}
		return &Schema{compiled: s, steps: boundSteps(s)}, nil
	}
	e := explain(err, name)
	if e.File == inline {
		e.File = ""
	}
	if e.Offset < 0 && e.File != "" {
		e.Offset = offsetOf(files[e.File], e.Path)
	}
	return nil, e
}

// maxRegex is the length in bytes of a regular expression in a schema, and of a text that format:
// regex accepts. Compiling one of 1 MB takes over a second, outside the bounds of a check.
const maxRegex = 4 << 10

// compileRegex compiles a regular expression of a schema or of data.
func compileRegex(text string) (jsonschema.Regexp, error) {
	if len(text) > maxRegex {
		return nil, fmt.Errorf("it is longer than %d bytes", maxRegex)
	}
	return regexp.Compile(text)
}

// scheme is the URL scheme of a project's files.
const scheme = "project"

func addressOf(name string) string {
	return (&url.URL{Scheme: scheme, Path: "/" + name}).String()
}

// split returns the file and the path from the URL of a part of a schema.
func split(address string) (file string, at []string) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != scheme {
		return "", nil
	}
	for _, key := range strings.Split(strings.TrimPrefix(u.Fragment, "/"), "/") {
		if key != "" {
			at = append(at, strings.NewReplacer("~1", "/", "~0", "~").Replace(key))
		}
	}
	return strings.TrimPrefix(u.Path, "/"), at
}

// explain converts an error of the library to one with a position.
func explain(err error, name string) *Error {
	out := &Error{File: name, Offset: -1, Problem: value.Clip(err.Error(), 300)}
	var load *jsonschema.LoadURLError
	if errors.As(err, &load) { // it has no Unwrap method
		err = load.Err
	}
	var own *Error
	var invalid *jsonschema.SchemaValidationError
	var regex *jsonschema.InvalidRegexError
	var pointer *jsonschema.JSONPointerNotFoundError
	var anchor *jsonschema.AnchorNotFoundError
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &invalid):
		out.File, out.Path = split(invalid.URL)
		var v *jsonschema.ValidationError
		if errors.As(invalid.Err, &v) {
			v = deepest(v)
			out.Path = append(out.Path, v.InstanceLocation...)
			out.Problem = "this is not a JSON Schema: " + rule(v.ErrorKind)
			if f, is := v.ErrorKind.(*kind.Format); is && f.Want == "regex" {
				out.Problem, out.Hint = notRegex(fmt.Sprint(f.Got), f.Err), regexHint
			}
		}
	case errors.As(err, &regex):
		out.File, out.Path = split(regex.URL)
		out.Problem, out.Hint = notRegex(regex.Regex, regex.Err), regexHint
	case errors.As(err, &pointer):
		out.Problem, out.Hint = notThere(pointer.URL), "$defs is the usual place"
	case errors.As(err, &anchor):
		out.Problem = notThere(anchor.Reference)
	}
	if out.File == "" {
		out.File = name
	}
	return out
}

const regexHint = "write it as Go does (https://pkg.go.dev/regexp/syntax): without lookahead and backreferences"

func notRegex(text string, why error) string {
	return fmt.Sprintf("%q is not a regular expression: %v", value.Clip(text, 100), why)
}

func notThere(address string) string {
	file, at := split(address)
	if file == "" {
		return fmt.Sprintf("a $ref names %q, which does not exist", value.Clip(address, 200))
	}
	return fmt.Sprintf("a $ref names #/%s, which does not exist", strings.Join(at, "/"))
}

// loader loads only the files of the project.
type loader struct {
	files map[string][]byte
	count int
}

// Load implements jsonschema.URLLoader.
func (l *loader) Load(address string) (any, error) {
	name, _ := split(address)
	if l.files == nil {
		return nil, &Error{Offset: -1, Problem: "a $ref cannot leave the schema: put it into $defs"}
	}
	if name == "" {
		return nil, &Error{Offset: -1, Problem: fmt.Sprintf("%q is not a file of the project: nothing is read from elsewhere",
			value.Clip(address, 200)), Hint: "put a copy into the project, let the $ref name it relative to its own file, and leave out $id"}
	}
	if l.count++; l.count > MaxFiles {
		return nil, &Error{File: name, Offset: -1, Problem: fmt.Sprintf("the schema consists of more than %d files", MaxFiles)}
	}
	text, there := l.files[name]
	if !there {
		return nil, &Error{Offset: -1, Problem: fmt.Sprintf("there is no file %s in the project", value.Clip(name, 200)),
			Hint: "name a .json file: schema: relative to the project's folder, $ref relative to its own file"}
	}
	doc, err := value.DecodeJSON(text)
	if err != nil {
		e := &Error{File: name, Offset: 0, Problem: "it is not JSON: " + value.Clip(err.Error(), 300)}
		var syntax *json.SyntaxError
		var any json.RawMessage
		if errors.As(json.Unmarshal(text, &any), &syntax) {
			e.Offset = max(int(syntax.Offset)-1, 0)
		}
		return nil, e
	}
	return doc, nil
}

// References returns the files that a schema refers to, relative to the project's folder.
func References(name string, text []byte) []string {
	doc, err := value.DecodeJSON(text)
	if err != nil {
		return nil
	}
	var out []string
	var walk func(v any)
	walk = func(v any) {
		switch x := v.(type) {
		case []any:
			for _, e := range x {
				walk(e)
			}
		case map[string]any:
			for k, e := range x {
				ref, is := e.(string)
				if u, err := url.Parse(ref); is && err == nil && k == "$ref" && !u.IsAbs() && u.Path != "" && !path.IsAbs(u.Path) {
					out = append(out, path.Join(path.Dir(name), u.Path))
				}
				walk(e)
			}
		}
	}
	walk(doc)
	return out
}

// plain converts data to the types of the JSON decoder.
func plain(v any) (any, error) {
	b, err := value.EncodeJSON(v)
	if err != nil {
		return nil, err
	}
	return value.DecodeJSON(b)
}

// maxProblems is the maximum number of violated rules in an error.
const maxProblems = 3

// Check returns the rules that data violates, or nil. The data has the types of value.DecodeJSON,
// or any that value.EncodeJSON accepts.
func (s *Schema) Check(data any) error {
	err := s.validate(data)
	var v *jsonschema.ValidationError
	if !errors.As(err, &v) {
		return err
	}
	leaves := leavesOf(v, nil)
	for _, l := range leaves {
		if _, is := l.ErrorKind.(*kind.InvalidJsonValue); is { // for example, a time
			if data, err = plain(data); err != nil {
				return err
			}
			v = nil
			if err := s.validate(data); !errors.As(err, &v) {
				return err
			}
			leaves = leavesOf(v, nil)
			break
		}
	}
	// The library visits objects in random order.
	slices.SortStableFunc(leaves, func(a, b *jsonschema.ValidationError) int {
		return slices.Compare(a.InstanceLocation, b.InstanceLocation)
	})
	var parts []string
	for i, l := range leaves {
		if i == maxProblems {
			parts = append(parts, fmt.Sprintf("and %d more", len(leaves)-i))
			break
		}
		at := "/" + value.Clip(strings.Join(l.InstanceLocation, "/"), 80)
		parts = append(parts, at+": "+value.Clip(rule(l.ErrorKind), 120))
	}
	return errors.New(strings.Join(parts, "; "))
}

// leavesOf returns the violated rules. If no alternative of anyOf or oneOf matches, only that is
// reported.
func leavesOf(v *jsonschema.ValidationError, out []*jsonschema.ValidationError) []*jsonschema.ValidationError {
	switch v.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf, *kind.Not, *kind.Contains:
		return append(out, v)
	}
	if len(v.Causes) == 0 {
		return append(out, v)
	}
	for _, c := range v.Causes {
		out = leavesOf(c, out)
	}
	return out
}

// deepest returns the innermost cause.
func deepest(v *jsonschema.ValidationError) *jsonschema.ValidationError {
	best := v
	for _, c := range v.Causes {
		if d := deepest(c); len(d.InstanceLocation) > len(best.InstanceLocation) || len(best.Causes) > 0 {
			best = d
		}
	}
	return best
}

// english prints the library's messages.
var english = message.NewPrinter(language.English)

// rule describes a violated rule. It uses the library's message if that contains no value of the
// data.
func rule(k jsonschema.ErrorKind) string {
	switch x := k.(type) {
	case *kind.Pattern:
		return fmt.Sprintf("does not match the pattern %q", value.Clip(x.Want, 60))
	case *kind.Format:
		return "is no " + x.Want
	case *kind.Minimum:
		return "must be at least " + number(x.Want)
	case *kind.Maximum:
		return "must be at most " + number(x.Want)
	case *kind.ExclusiveMinimum:
		return "must be more than " + number(x.Want)
	case *kind.ExclusiveMaximum:
		return "must be less than " + number(x.Want)
	case *kind.MultipleOf:
		return "must be a multiple of " + number(x.Want)
	case *kind.AnyOf:
		return "fits none of the alternatives of anyOf"
	case *kind.OneOf:
		return "must fit exactly one of the alternatives of oneOf"
	case *kind.InvalidJsonValue:
		return "is not JSON"
	}
	return k.LocalizedString(english)
}

func number(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// offsetOf returns the byte offset of the value at a path; -1 if there is none.
func offsetOf(text []byte, at []string) int {
	d := json.NewDecoder(bytes.NewReader(text))
	for _, key := range at {
		open, err := d.Token()
		if err != nil {
			return -1
		}
		found := false
		for i := 0; !found && d.More(); i++ {
			name := strconv.Itoa(i)
			if open == json.Delim('{') {
				k, err := d.Token()
				if err != nil {
					return -1
				}
				name, _ = k.(string)
			}
			if found = name == key; !found {
				var skipped json.RawMessage
				if d.Decode(&skipped) != nil {
					return -1
				}
			}
		}
		if !found {
			return -1
		}
	}
	from := int(d.InputOffset())
	for from < len(text) && strings.IndexByte(" \t\r\n:,", text[from]) >= 0 {
		from++
	}
	var v json.RawMessage
	if err := d.Decode(&v); err != nil && !errors.Is(err, io.EOF) {
		return -1
	}
	return from
}
