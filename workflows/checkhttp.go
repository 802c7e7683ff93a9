package workflows

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/spelling"
	"github.com/hookloom/hookloom/workflows/value"
)

// answerSize reports a limit on the response size that exceeds what can be stored.
func (s *stepChecker) answerSize(st *Step) {
	size := st.With.Field("max_response")
	if size == nil || st.Spec.Input("max_response") == nil {
		return
	}
	text, ok := size.constantText()
	if !ok {
		return
	}
	n, err := parseSize(text)
	saved, canSave := st.saves(), st.Spec.Input("save") != nil
	switch most := s.c.p.FileBounds.MaxFile; {
	case err != nil || canSave && saved == maybe:
	case canSave && saved == yes:
		if n > most {
			s.w.src.add(size.pos, "out-of-range", fmt.Sprintf("max_response %s: one file has at most %s", text, SizeText(most)),
				"raise files: {max_file: "+text+"} in hookloom.yaml, or ask for less")
		}
	case n > value.MaxSize && canSave:
		s.w.src.add(size.pos, "out-of-range", fmt.Sprintf("max_response %s: a step's output holds at most %dMiB of a response",
			text, value.MaxSize>>20), "add save: true to write the response to a file, or request less at a time")
	case n > value.MaxSize:
		s.w.src.add(size.pos, "out-of-range", fmt.Sprintf("max_response %s: at most %dMiB of a response can be kept", text,
			value.MaxSize>>20), "ask for less at a time")
	}
}

// certainty says what is known about a value before it is computed.
type certainty int

const (
	no certainty = iota
	maybe
	yes
)

// saves reports whether the step's response is saved to a file.
func (st *Step) saves() certainty {
	v := st.With.Field("save")
	if v == nil {
		return no
	}
	x, constant := v.IsConstant()
	switch {
	case !constant:
		return maybe
	case x == true:
		return yes
	}
	return no
}

// savedNames are the output fields of a step whose response is saved to a file.
var savedNames = []string{"status", "headers", "url", "duration_ms", "path", "size", "sha256", "content_type"}

// ExampleOutput returns the step's output in a test that mocks nothing.
func (st *Step) ExampleOutput() any {
	switch {
	case st.Spec != nil && st.readsPages():
		out := map[string]any{"body": []any{}, "more": false}
		if example, ok := st.Spec.Example.(map[string]any); ok {
			for k, v := range example {
				if k != "body" {
					out[k] = v
				}
			}
		}
		return out
	case st.Spec == nil || st.saves() != yes || st.Spec.Input("save") == nil:
		return st.Spec.Example
	}
	return map[string]any{"status": 200, "headers": map[string]any{}, "url": "", "duration_ms": 0,
		"path": "files/run_example/" + st.Key, "size": 0, "sha256": strings.Repeat("0", 64), "content_type": "application/octet-stream"}
}

// savedAnswer checks the keys that are used with save: true.
func (s *stepChecker) savedAnswer(st *Step) {
	if st.saves() == no || st.Spec.Input("save") == nil {
		return
	}
	src := s.w.src
	if p := st.With.Field("parse"); p != nil {
		src.add(p.keyPos(src, "parse"), "exclusive-keys",
			"save: true keeps the response unchanged, so parse has no effect", "drop parse, or drop save")
	}
	method, constant := st.With.Field("method").IsConstant()
	if st.Uses == "http/head" || constant && method == "HEAD" {
		src.add(st.With.Field("save").keyPos(src, "save"), "exclusive-keys", "a response to HEAD has no body to save",
			"use http/get, or drop save")
	}
}

// partFields are the keys of one part of a multipart body; see actions/http.
var partFields = []string{"text", "raw", "body", "file", "filename", "type"}

// sentFile checks the path of a file that a step sends.
func (s *stepChecker) sentFile(st *Step) {
	if v := st.With.Field("raw_file"); v != nil {
		s.filePath("raw_file", v)
	}
	for _, f := range st.With.Field("multipart").fields() {
		for _, p := range f.value.fields() {
			switch {
			case p.name == "file":
				s.filePath("file", p.value)
			case !slices.Contains(partFields, p.name):
				hint := spelling.SuggestOr(p.name, partFields)
				if p.name == "path" {
					hint = "use file"
				}
				s.w.src.add(p.value.keyPos(s.w.src, p.name), "unknown-key",
					fmt.Sprintf("unknown key %q in a part of multipart", p.name), hint)
			}
		}
		if text, constant := f.value.constantText(); constant && strings.HasPrefix(text, "@") && strings.Contains(text, ".") {
			s.w.src.warn(f.value.pos, "not-evaluated",
				fmt.Sprintf("%s is sent as this text, not as a file", value.Clip(text, 60)),
				"write {file: files/"+text[strings.LastIndexAny(text, "@/")+1:]+"}")
		}
	}
}

func (s *stepChecker) filePath(key string, v *Value) {
	text, constant := v.constantText()
	if !constant {
		return
	}
	if !strings.HasPrefix(text, "files/") || strings.Contains(text+"/", "/../") || strings.Contains(text, "//") {
		s.w.src.add(v.pos, "bad-path", fmt.Sprintf("%s %s is not below files/ of the project", key, value.Clip(text, 60)),
			"put the file into the folder files/ and write "+key+": files/"+text[strings.LastIndex(text,
				"/")+1:]+", or take the path of a step with save: true: ${{ steps.report.output.path }}")
	}
}
