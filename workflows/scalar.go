package workflows

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"github.com/hookloom/hookloom/workflows/spelling"
	"github.com/hookloom/hookloom/workflows/value"
	"gopkg.in/yaml.v3"
)

// fits checks a value's type one level deep; deeper levels are checked when they are read.
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
		if n.Kind == yaml.MappingNode && t.kind == kindExprs {
			want := "an expression or a list of expressions"
			if name == "when" {
				want = "a condition or a list of conditions"
			}
			d.wrongKind(n, name, want)
			return false
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
	d.wrongKind(n, name, kindsOf(t.either))
	return false
}

// kindsOf lists the YAML kinds of types, such as "a single value or a map".
func kindsOf(types []valueType) string {
	var kinds []string
	for _, t := range types {
		kind := "a single value"
		switch t.kind {
		case kindObject, kindMap:
			kind = "a map"
		case kindList:
			kind = "a list"
		}
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	return strings.Join(kinds, " or ")
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
		d.add(d.pos(n), "expression-in-literal", fmt.Sprintf("%s cannot contain an expression", name), "write the value out")
		return false
	}
	p := d.pos(n)
	switch t.kind {
	case kindText:
		return d.fitsText(n, name)
	case kindBool:
		if n.Value != "true" && n.Value != "false" || n.Tag != "!!bool" {
			d.add(p, "wrong-type", fmt.Sprintf("%s is true or false, got %q", name, n.Value),
				fmt.Sprintf("%q is text; write true or false", n.Value))
			return false
		}
	case kindInt:
		return d.fitsInt(n, t, name)
	case kindDuration:
		if _, err := parseDuration(n.Value); err != nil {
			hint := durationHint(n.Value)
			if _, bad := strconv.ParseUint(n.Value, 10, 32); bad == nil && (name == "keep" || name == "bodies") {
				hint = "write " + n.Value + "d"
			}
			d.add(p, "unit", fmt.Sprintf("%s: %v", name, err), hint)
			return false
		}
	case kindSize:
		if _, err := parseSize(n.Value); err != nil {
			d.add(p, "unit", fmt.Sprintf("%s: %v", name, err), sizeHint(n.Value, name))
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
		hint := spelling.Suggest(n.Value, t.words)
		if form := cmp.Or(authForms[n.Value], connectionForms[n.Value]); name == "auth" && form != "" {
			hint = "write " + form
		}
		if own := foreignKinds[strings.ToLower(n.Value)]; name == "type" && slices.Contains(t.words, own) {
			hint = "write " + own
		}
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
	hint := fmt.Sprintf("quote it: %q", n.Value)
	if host, is := map[string]string{"addr": "", "admin_addr": "127.0.0.1"}[name]; is && plainDecimal.MatchString(n.Value) {
		hint = fmt.Sprintf("write %q", host+":"+n.Value)
	}
	d.add(d.pos(n), "wrong-type", problem, hint)
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

// isName reports whether a text can follow a dot in an expression.
func (d *decoder) isName(n *yaml.Node, name string) bool {
	if !namePattern.MatchString(n.Value) {
		fixed := strings.ToLower(strings.NewReplacer("-", "_", " ", "_", ".", "_").Replace(n.Value))
		hint := "names consist of lower-case letters, digits and _"
		if namePattern.MatchString(fixed) {
			hint = fmt.Sprintf("use %q", fixed)
		}
		d.add(d.pos(n), "bad-name", fmt.Sprintf("%s %q is not a name", name, n.Value), hint)
		return false
	}
	return true
}

// fitsName is isName, and also refuses reserved names.
func (d *decoder) fitsName(n *yaml.Node, name string) bool {
	if !d.isName(n, name) {
		return false
	}
	for _, r := range reservedNames {
		if n.Value == r {
			hint := "choose another name"
			if name == "as" && r == "item" {
				hint = "drop as: the name is item without it"
			}
			d.add(d.pos(n), "reserved-name", fmt.Sprintf("%s %q is reserved", name, n.Value), hint)
			return false
		}
	}
	return true
}

func parseDuration(s string) (time.Duration, error) {
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return 0, fmt.Errorf("%s has no unit", s)
	}
	if !durationParts.MatchString(s) {
		return 0, fmt.Errorf("%q is not a duration", s)
	}
	var total float64
	for _, m := range durationPart.FindAllStringSubmatch(s, -1) {
		f, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return 0, err
		}
		unit := map[string]time.Duration{
			"ms": time.Millisecond,
			"s":  time.Second,
			"m":  time.Minute,
			"h":  time.Hour,
			"d":  24 * time.Hour,
		}[m[2]]
		total += f * float64(unit)
	}
	if total > float64(100*365*24*time.Hour) {
		return 0, fmt.Errorf("%q is longer than a hundred years", s)
	}
	return time.Duration(total), nil
}

func durationHint(s string) string {
	if short := shortDuration(s); short != "" {
		return "write " + short
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && durationParts.MatchString(s+"s") {
		if f >= 100 && !strings.Contains(s, ".") {
			return fmt.Sprintf("write %ss, or %sms for milliseconds", s, s)
		}
		return fmt.Sprintf("write %ss", s)
	}
	if m := nearlyDuration.FindStringSubmatch(strings.ToLower(s)); m != nil {
		return "write " + m[1] + "m"
	}
	if m := isoDuration.FindStringSubmatch(s); m != nil && m[1]+m[2] != "" {
		return "write " + strings.ToLower(m[1]+m[2])
	}
	if m := spelledDuration.FindStringSubmatch(strings.ToLower(s)); m != nil {
		n, err := strconv.Atoi(m[1])
		if err == nil && m[2][0] == 'w' && n < 1000 {
			return fmt.Sprintf("write %dd", 7*n)
		}
		if short := m[1] + m[2][:1]; m[2][0] != 'w' && short != s {
			return "write " + short
		}
	}
	return "write 500ms, 30s, 10m, 48h or 7d"
}

// nearlyDuration matches hours and minutes without the unit of the minutes, such as 1h30.
var nearlyDuration = lazyregexp.New(`^(\d+h[0-5]?\d)$`)

// isoDuration matches a duration of ISO 8601 without months and years, such as PT5M or P1DT12H.
var isoDuration = lazyregexp.New(`^P(\d+D)?(?:T((?:\d+H)?(?:\d+M)?(?:\d+S)?))?$`)

// spelledDuration matches a duration in words, such as 2 hours or 1w.
var spelledDuration = lazyregexp.New(`^(\d+)\s*(s|secs?|seconds?|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)$`)

func parseSize(s string) (int64, error) {
	m := sizePattern.FindStringSubmatch(s)
	if m == nil {
		if _, err := strconv.ParseFloat(s, 64); err == nil {
			return 0, fmt.Errorf("%s has no unit", s)
		}
		return 0, fmt.Errorf("%q is not a size", s)
	}
	n, err := strconv.ParseInt(m[1], 10, 40)
	if err != nil {
		return 0, fmt.Errorf("%q is too large", s)
	}
	unit := map[string]int64{"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "KB": 1000, "MB": 1000_000, "GB": 1000_000_000}[m[2]]
	return n * unit, nil
}

// sizeHint returns how a size is written. That of a number without a unit names the units that are
// usual for the key.
func sizeHint(s, name string) string {
	if m := nearlySize.FindStringSubmatch(strings.ToLower(s)); m != nil {
		if fixed := m[1] + strings.ToUpper(m[2]) + m[3] + "B"; fixed != s {
			return "write " + fixed
		}
	}
	n, err := strconv.ParseInt(s, 10, 40)
	switch {
	case err != nil || n < 1:
		return "write 64KiB or 1MiB"
	case n >= 1024:
		return fmt.Sprintf("write %dB if it is in bytes, or use KiB, MiB or GiB", n)
	case name == "max_size" || name == "max_file":
		return fmt.Sprintf("write %dGiB or %dMiB", n, n)
	}
	return fmt.Sprintf("write %dMiB or %dKiB", n, n)
}

// nearlySize matches a size whose unit is written in another way, such as 5 MB, 5mib or 5M.
var nearlySize = lazyregexp.New(`^(\d+)\s*([kmg])(i?)b?$`)

func parseRate(s string) (int, time.Duration, error) {
	m := ratePattern.FindStringSubmatch(s)
	if m == nil {
		return 0, 0, fmt.Errorf("%q is not a rate", s)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || n < 1 {
		return 0, 0, fmt.Errorf("%q is not a rate", s)
	}
	return n, map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[m[2]], nil
}

// numberOf parses a plain scalar that YAML treats as a number.
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

// scalarValue reads a scalar by the rules of docs/workflows.md: only true and false are booleans,
// dates stay text, and unusual numbers are reported.
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
		d.add(d.pos(n), "wrong-type", fmt.Sprintf("%s cannot be written as a JSON number", n.Value), "")
		return nil
	}
	plain := plainDecimal.MatchString(n.Value)
	if err != nil || n.Tag == "!!float" && plain {
		d.add(d.pos(n), "out-of-range", fmt.Sprintf("%s does not fit into 64 bits", n.Value), "quote it to keep the digits as text")
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
