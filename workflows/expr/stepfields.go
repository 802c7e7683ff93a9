package expr

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/types"
	"github.com/hookloom/hookloom/workflows/spelling"
)

// stepField checks the keys after a step's id: steps.ID.output.body.
func (l *linter) stepField(keys []string, at []ast.Node) bool {
	steps, _ := l.sc.Names["steps"].(types.Map)
	record, ok := steps[keys[0]].(types.Map)
	if !ok || len(keys) < 2 || l.sc.Lenient {
		return true
	}
	output, typed := record["output"].(types.Map)
	path := "steps." + keys[0]
	if _, there := record[keys[1]]; !there {
		hint := "known are " + strings.Join(slices.Sorted(maps.Keys(record)), ", ")
		switch _, inOutput := output[keys[1]]; {
		case inOutput:
			hint = fmt.Sprintf("write %s.output.%s", path, keys[1])
		case slices.Contains([]string{
			"failed", "succeeded", "skipped", "success", "failure", "conclusion", "outcome", "result", "ok",
		}, keys[1]):
			status := map[string]string{"failed": "failed", "failure": "failed", "skipped": "skipped"}[keys[1]]
			hint = fmt.Sprintf(`write %s.status == %q`, path, cmp.Or(status, "succeeded"))
		case slices.Contains([]string{"outputs", "data", "response", "json"}, keys[1]):
			hint = fmt.Sprintf("write %s.output", path)
		case spelling.Suggest(keys[1], slices.Sorted(maps.Keys(record))) != "":
			hint = spelling.Suggest(keys[1], slices.Sorted(maps.Keys(record)))
		}
		l.fail("unknown-field", at[1], len([]rune(keys[1])), fmt.Sprintf("a step has no field %s", keys[1]), hint)
		return false
	}
	if keys[1] == "output" && len(keys) > 2 && isLoop(record["output"]) {
		l.fieldOfList(keys, at)
		return false
	}
	if keys[1] != "output" || !typed || len(keys) < 3 {
		return true
	}
	if _, there := output[keys[2]]; !there {
		known := slices.Sorted(maps.Keys(output))
		hint := spelling.Suggest(keys[2], known)
		if slices.Contains(known, "sha256") && slices.Contains([]string{
			"file", "filename", "name", "file_path", "filepath", "content", "data",
		}, keys[2]) {
			hint = fmt.Sprintf("save: true puts the body into a file: write %s.output.path", path)
		}
		if hint == "" {
			hint = "known are " + strings.Join(known, ", ")
			if keys[2] == "body" && slices.Contains(known, "sha256") {
				hint = fmt.Sprintf("save: true puts the body into a file: write %s.output.path", path)
			}
			if slices.Contains(known, "received_at") {
				hint = fmt.Sprintf("the event's data is in data: write %s.output.data.%s", path, keys[2])
			} else if slices.Contains(known, "body") {
				hint = fmt.Sprintf("the response is in body: write %s.output.body.%s", path, keys[2])
			}
		}
		l.fail("unknown-field", at[2], len([]rune(keys[2])), fmt.Sprintf("the output of step %s has no field %s", keys[0], keys[2]), hint)
		return false
	}
	if keys[2] == "headers" && len(keys) > 3 && strings.ToLower(keys[3]) != keys[3] &&
		slices.Contains(slices.Sorted(maps.Keys(output)), "body") {
		l.fail("header-case", at[3], len([]rune(keys[3])), "header names are in lower case",
			fmt.Sprintf("write [%q]", strings.ToLower(keys[3])))
		return false
	}
	return true
}

// isLoop reports whether a step's output is that of a loop.
func isLoop(output types.Type) bool { return strings.HasPrefix(output.String(), "Array{") }

// fieldOfList reports a field of a loop's output, which is a list with the output of each
// iteration.
func (l *linter) fieldOfList(keys []string, at []ast.Node) {
	path := fmt.Sprintf("steps.%s.output", keys[0])
	l.fail("unknown-field", at[2], len([]rune(keys[2])),
		fmt.Sprintf("step %s is a loop: its output is a list with one entry per item", keys[0]),
		fmt.Sprintf("write map(%s, #.%s) for all, %s[0].%s for the first", path, strings.Join(keys[2:], "."), path,
			strings.Join(keys[2:], ".")))
}
