package cmd

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/hookloom/hookloom/workflows"
)

func (a *app) printMistakes(all workflows.Mistakes, format string) error {
	switch format {
	case "text":
		for _, m := range all {
			a.printf("%s", m)
		}
	case "json":
		if all == nil {
			all = workflows.Mistakes{}
		}
		return a.printJSON(map[string]any{"ok": all.Errors() == 0, "mistakes": all})
	case "github":
		for _, line := range annotations(all) {
			a.printf("%s\n", line)
		}
	case "sarif":
		return a.printJSON(sarif(all))
	default:
		return usageError("--format is text, json, github or sarif, not %q", format)
	}
	return nil
}

// sentence formats a mistake on one line: the problem, and what to do.
func sentence(m workflows.Mistake) string {
	if m.Hint == "" {
		return m.Problem
	}
	return m.Problem + ": " + m.Hint
}

// annotations returns GitHub workflow commands, one per kind of finding: GitHub shows ten, and the
// same message at fifteen positions would use them all. Source: docs.github.com, workflow commands:
// messages are percent-encoded, and in properties also the colon and the comma.
func annotations(all workflows.Mistakes) []string {
	message := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	type finding struct {
		code, text string
		warning    bool
	}
	var order []finding
	places := map[finding]workflows.Mistakes{}
	for _, m := range all {
		f := finding{m.Code, sentence(m), m.Warning}
		if places[f] == nil {
			order = append(order, f)
		}
		places[f] = append(places[f], m)
	}
	var out []string
	for _, f := range order {
		first, level, text := places[f][0], "error", f.text
		if f.warning {
			level = "warning"
		}
		if others := places[f][1:]; len(others) > 0 {
			text += fmt.Sprintf(" (and at %d more %s: %s)", len(others), plural(len(others), "place"), shownPlaces(others))
		}
		out = append(out, fmt.Sprintf("::%s file=%s,line=%d,col=%d,endColumn=%d,title=%s::%s", level,
			property.Replace(filepath.ToSlash(first.File)), first.Line, first.Column,
			first.Column+first.Width, property.Replace(first.Code), message.Replace(text)))
	}
	return out
}

// shownPlaces lists at most ten positions.
func shownPlaces(ms workflows.Mistakes) string {
	var out []string
	for i, m := range ms {
		if i == 10 {
			out = append(out, "...")
			break
		}
		out = append(out, fmt.Sprintf("%s:%d", filepath.ToSlash(m.File), m.Line))
	}
	return strings.Join(out, ", ")
}

// sarif returns the OASIS static analysis format 2.1.0, which code hosts read.
func sarif(all workflows.Mistakes) map[string]any {
	results, rules := []any{}, []any{}
	known := map[string]bool{}
	for _, m := range all {
		level := "error"
		if m.Warning {
			level = "warning"
		}
		if !known[m.Code] {
			known[m.Code] = true
			rules = append(rules, map[string]any{"id": m.Code, "shortDescription": map[string]any{"text": strings.ReplaceAll(m.Code, "-", " ")},
				"help": map[string]any{"text": "hookloom help " + m.Code + " explains it, with an example."}})
		}
		results = append(results, map[string]any{"ruleId": m.Code, "level": level, "message": map[string]any{"text": sentence(m)},
			"locations": []any{map[string]any{"physicalLocation": map[string]any{"artifactLocation": map[string]any{"uri": filepath.ToSlash(m.File)},
				"region": map[string]any{"startLine": m.Line, "startColumn": m.Column, "endColumn": m.Column + m.Width}}}}})
	}
	return map[string]any{"version": "2.1.0", "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
		"runs": []any{map[string]any{"tool": map[string]any{"driver": map[string]any{"name": "hookloom", "version": version(), "rules": rules}},
			"results": results}}}
}

// verdict summarizes the findings, such as 3 files: 0 errors, 2 warnings.
func verdict(files int, all workflows.Mistakes) string {
	errs := all.Errors()
	warnings := len(all) - errs
	return fmt.Sprintf("%d %s: %d %s, %d %s", files, plural(files, "file"), errs, plural(errs, "error"), warnings, plural(warnings, "warning"))
}
