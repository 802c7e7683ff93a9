package workflows

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"gopkg.in/yaml.v3"
)

// This file writes a value that has the wrong kind, such as a list in the place of a single value, in the right form.

// longestForm limits the values that messages repeat.
const longestForm = 160

// inline writes a value on one line, "" if it is too long for a message.
func inline(n *yaml.Node) string {
	text := flowText(n)
	if len(text) > longestForm || strings.Contains(text, "\n") {
		return ""
	}
	return text
}

// flowText writes a value in braces and brackets.
func flowText(n *yaml.Node) string {
	var parts []string
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			parts = append(parts, flowText(n.Content[i])+": "+flowText(n.Content[i+1]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case yaml.SequenceNode:
		for _, c := range n.Content {
			parts = append(parts, flowText(c))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	switch {
	case n.Style&yaml.SingleQuotedStyle != 0:
		return "'" + strings.ReplaceAll(n.Value, "'", "''") + "'"
	case n.Style != 0 || n.Tag == "!!str" && !plainInFlow.MatchString(n.Value):
		return quoted(n.Value)
	}
	return n.Value
}

// plainInFlow matches a text that needs no quotes inside braces and brackets.
var plainInFlow = lazyregexp.New(`^[A-Za-z0-9_./][\w./@+*-]*(?: [\w./@+*=-]+)*$`)

// asList says how to write one element, or a text, in the place of a list.
func asList(n *yaml.Node, what string) string {
	if n.Kind == yaml.ScalarNode {
		return fmt.Sprintf("write %s: [%s]", what, flowText(n))
	}
	if n.Style&yaml.FlowStyle == 0 || len(n.Content) == 0 {
		return ""
	}
	text := inline(n)
	if text == "" {
		text = "{" + flowText(n.Content[0]) + ": …}"
	}
	if what == "steps" && n.Content[1].Kind == yaml.MappingNode {
		elements := make([]string, 0, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			inner := strings.TrimPrefix(flowText(n.Content[i+1]), "{")
			elements = append(elements, "{id: "+flowText(n.Content[i])+", "+inner)
		}
		text = strings.Join(elements, ", ")
	}
	return fmt.Sprintf("write %s: [%s]", what, text)
}

// timeWords are the units of durations in words.
var timeWords = map[string]string{
	"ms": "ms", "millisecond": "ms", "milliseconds": "ms", "s": "s", "second": "s", "seconds": "s", "sec": "s", "m": "m", "minute": "m",
	"minutes": "m", "min": "m", "h": "h", "hour": "h", "hours": "h", "d": "d", "day": "d", "days": "d",
}

// valueWords are the keys that people write around a single value.
var valueWords = []string{"value", "values", "attempts", "count", "max", "limit", "expr", "expression", "condition", "text", "name",
	"id", "is"}

// asScalar says how to write a list of one element, or a map of one value, in the place of a single value.
func asScalar(n *yaml.Node, what string) string {
	value := n
	switch {
	case n.Kind == yaml.SequenceNode && len(n.Content) > 1 && what == "if":
		return "write if: " + conjunction(n)
	case n.Kind == yaml.SequenceNode && len(n.Content) == 1:
		value = n.Content[0]
	case n.Kind == yaml.MappingNode && len(n.Content) > 0:
		if text := durationOf(n); text != "" {
			return "write " + what + ": " + text
		}
		if len(n.Content) != 2 || n.Content[0].Value != what && !slices.Contains(valueWords, n.Content[0].Value) {
			return ""
		}
		value = n.Content[1]
	}
	if value.Kind != yaml.ScalarNode || value.Tag == "!!null" {
		return ""
	}
	text := value.Value
	if value.Style != 0 || !plainName.MatchString(text) && value.Tag == "!!str" {
		text = flowText(value)
	}
	if len(text) > longestForm || strings.Contains(text, "\n") {
		return ""
	}
	return "write " + what + ": " + text
}

// durationOf writes {minutes: 5} as 5m; "" if the map is not a duration.
func durationOf(n *yaml.Node) string {
	out := ""
	for i := 0; i+1 < len(n.Content); i += 2 {
		unit := timeWords[n.Content[i].Value]
		if unit == "" || n.Content[i+1].Tag != "!!int" && n.Content[i+1].Tag != "!!float" {
			return ""
		}
		out += n.Content[i+1].Value + unit
	}
	if _, err := parseDuration(out); err != nil {
		return ""
	}
	return out
}

// conjunction writes a list of conditions as one.
func conjunction(n *yaml.Node) string {
	var parts []string
	for _, c := range n.Content {
		if c.Kind != yaml.ScalarNode {
			return "a && b"
		}
		text := strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(c.Value), "${{"), "}}"))
		if strings.Contains(text, "||") {
			text = "(" + text + ")"
		}
		parts = append(parts, text)
	}
	text := strings.Join(parts, " && ")
	if strings.ContainsAny(text[:1], `"'[{!&*#|>%@`) || strings.Contains(text, ": ") || strings.Contains(text, " #") {
		return quoted(text)
	}
	return text
}

// fieldPath matches the path of a field.
var fieldPath = lazyregexp.New(`^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*$`)

// asConditions writes a map of fields and values as conditions.
func asConditions(n *yaml.Node, what string) string {
	if what != "when" || n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		return ""
	}
	var parts []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if !fieldPath.MatchString(k.Value) || v.Kind != yaml.ScalarNode || strings.ContainsAny(v.Value, `'"`) {
			return `write when: event.data.status == "paid"`
		}
		path, value := k.Value, v.Value
		if first, _, _ := strings.Cut(path, "."); !slices.Contains([]string{"event", "vars", "inputs"}, first) {
			path = "event.data." + path
		}
		if v.Tag == "!!str" {
			value = quoted(value)
		}
		parts = append(parts, path+" == "+value)
	}
	if len(parts) == 1 {
		return "write when: " + parts[0]
	}
	for i := range parts {
		parts[i] = "'" + parts[i] + "'"
	}
	return "write when: [" + strings.Join(parts, ", ") + "]"
}

// asMap says how to write a text or a list in the place of a map with the same content, such as headers.
func asMap(n *yaml.Node, what string) string {
	if n.Kind == yaml.ScalarNode {
		return textAsMap(n, what)
	}
	var parts []string
	for _, c := range n.Content {
		if c.Kind == yaml.MappingNode && len(c.Content) == 2 {
			parts = append(parts, flowText(c.Content[0])+": "+flowText(c.Content[1]))
		} else if pair := pairOf(c, ":="); pair != "" {
			parts = append(parts, pair)
		} else if c.Kind == yaml.ScalarNode && (what == "connections" || what == "triggers") && namePattern.MatchString(c.Value) {
			parts = append(parts, c.Value+map[string]string{"connections": ": {}", "triggers": ": {webhook: {...}}"}[what])
		} else {
			return ""
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "write " + what + ": {" + strings.Join(parts, ", ") + "}"
}

// textAsMap is asMap for a text.
func textAsMap(n *yaml.Node, what string) string {
	switch what {
	case "request", "detail":
		return "write " + what + ": {url: " + flowText(n) + "}"
	case "egress":
		return "write egress: {allow: [" + flowText(n) + "]}"
	case "query", "form":
		var parts []string
		for _, one := range strings.Split(strings.TrimPrefix(n.Value, "?"), "&") {
			pair := pairOf(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: one}, "=")
			if pair == "" {
				return ""
			}
			parts = append(parts, pair)
		}
		return "write " + what + ": {" + strings.Join(parts, ", ") + "}"
	case "headers":
		if pair := pairOf(n, ":"); pair != "" {
			return "write headers: {" + pair + "}"
		}
	}
	return ""
}

// pairOf writes a text with a name and a value, such as X-A: 1, as an entry of a map.
func pairOf(n *yaml.Node, separators string) string {
	at := strings.IndexAny(n.Value, separators)
	if n.Kind != yaml.ScalarNode || at < 1 || !headerWord.MatchString(n.Value[:at]) {
		return ""
	}
	return n.Value[:at] + ": " + quoted(strings.TrimSpace(n.Value[at+1:]))
}

// headerWord matches the name of a header or parameter.
var headerWord = lazyregexp.New(`^[A-Za-z_][\w.-]*$`)

// writtenForm says how to write a value of the wrong kind in the right form, "" if its content does not tell.
func writtenForm(n *yaml.Node, what, want string) string {
	if !headerWord.MatchString(what) || n.Tag == "!!null" {
		return ""
	}
	switch {
	case want == "a list" && n.Kind != yaml.SequenceNode:
		return asList(n, what)
	case strings.HasPrefix(want, "a single value") && n.Kind != yaml.ScalarNode:
		return asScalar(n, what)
	case want == "a map":
		return asMap(n, what)
	case strings.HasPrefix(want, "a condition"):
		return asConditions(n, what)
	}
	return ""
}

// connectionText reports a connection that is not a map, with the map for the value: it is most likely the credential.
func (d *decoder) connectionText(v *yaml.Node, known *Connector) {
	form := ""
	if v.Kind == yaml.ScalarNode && strings.Contains(v.Value, "${{") {
		form = "write {connector: http, auth: {bearer: " + flowText(v) + "}}"
		if known != nil && len(known.Fields) > 0 {
			form = "write {" + known.Fields[0].Name + ": " + flowText(v) + "}"
		}
	}
	d.add(d.pos(v), "wrong-kind", fmt.Sprintf("a connection is a map, got %s", nodeKind(v)), form)
}

// rateForm writes rate: {per_minute: 30} as 30/m; "" for other keys.
func rateForm(key string, in *yaml.Node, s *shape) string {
	unit, is := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(key), "-", "_"), "per_")
	unit = timeWords[unit]
	if s.title != "rate" || !is || unit == "" || unit == "ms" || len(in.Content) != 2 {
		return ""
	}
	text := in.Content[1].Value + "/" + unit
	if _, _, err := parseRate(text); err != nil {
		return ""
	}
	return "write rate: " + text
}

// durationWord matches a number with a unit in words or letters, clockTime hours, minutes and seconds.
var (
	durationWord = lazyregexp.New(`(\d+(?:\.\d+)?)\s*([A-Za-z]+)`)
	wordsOnly    = lazyregexp.New(`^(?:\d+(?:\.\d+)?\s*[A-Za-z]+[\s,]*(?:and\s+|und\s+)?)+$`)
	clockTime    = lazyregexp.New(`^(\d{1,2}):(\d{2}):(\d{2})$`)
)

// foreignUnits are the units of durations in other forms; a bare M is minutes here, as no duration has months.
var foreignUnits = map[string]string{
	"secs": "s", "mins": "m", "hr": "h", "hrs": "h", "millis": "ms", "msec": "ms",
	"sekunde": "s", "sekunden": "s", "minuten": "m", "stunde": "h", "stunden": "h", "tag": "d", "tage": "d", "tagen": "d",
}

// shortDuration writes 5 m, 1h 30m, 5M, 2 hours and 00:05:00 in the form of the language; "" for anything else.
func shortDuration(s string) string {
	s = strings.TrimSpace(s)
	out := ""
	if m := clockTime.FindStringSubmatch(s); m != nil {
		for i, unit := range []string{"h", "m", "s"} {
			if n := strings.TrimLeft(m[i+1], "0"); n != "" {
				out += n + unit
			}
		}
	} else if wordsOnly.MatchString(s) {
		for _, m := range durationWord.FindAllStringSubmatch(s, -1) {
			unit := strings.ToLower(m[2])
			if timeWords[unit] != "" {
				unit = timeWords[unit]
			} else if unit = foreignUnits[unit]; unit == "" {
				return ""
			}
			out += m[1] + unit
		}
	}
	if _, err := parseDuration(out); err != nil || out == s {
		return ""
	}
	return out
}

// branchRule writes the branches that start a workflow of GitHub as a condition; pattern is for others than plain names.
func branchRule(branches *yaml.Node, pattern string) string {
	names := plainTexts(branches)
	for i, name := range names {
		if strings.ContainsAny(name, `*?[]!+'"\`) {
			return pattern
		}
		names[i] = `"refs/heads/` + name + `"`
	}
	switch len(names) {
	case 0:
		return pattern
	case 1:
		return "remove it, and write next to on: when: event.data.ref == " + names[0]
	}
	return "remove it, and write next to on: when: event.data.ref in [" + strings.Join(names, ", ") + "]"
}

// triggerForms are the smallest forms of the kinds of triggers.
var triggerForms = map[string]string{
	"webhook": `webhook: {provider: NAME, secret: "${{ secrets.NAME }}"}`, "schedule": "schedule: {every: 5m}",
	"poll": `poll: {every: 5m, request: {url: "https://api.example.com/orders"}, items: response.body, key: item.id}`,
}

// triggerForm says how to write a trigger whose kind is given as a value, as in type: webhook. kind is empty for another key.
func triggerForm(key string, in *yaml.Node, s *shape) (kind, form string) {
	if s.title != "a trigger" || key != "type" && key != "kind" && key != "uses" {
		return "", ""
	}
	kind = strings.ToLower(flowText(valueOf(in, key)))
	small := triggerForms[kind]
	if small == "" {
		return "", ""
	}
	if valueOf(in, kind) != nil {
		return kind, "leave it out: " + kind + ": is given"
	}
	var rest []string
	for i := 0; i+1 < len(in.Content); i += 2 {
		if in.Content[i].Value != key {
			rest = append(rest, flowText(in.Content[i])+": "+flowText(in.Content[i+1]))
		}
	}
	text := kind + ": {" + strings.Join(rest, ", ") + "}"
	switch {
	case len(rest) == 0:
		return kind, "write " + small
	case len(text) > longestForm, strings.Contains(text, "\n"):
		return kind, "write the other keys under " + kind + ":"
	}
	return kind, "write " + text
}
