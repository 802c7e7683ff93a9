package workflows

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/spelling"
	"gopkg.in/yaml.v3"
)

// startForm is a value of on: in a form that the language does not have, such as {trigger: shop}.
// The checker, which knows all triggers, reports the right form.
type startForm struct {
	// names are the plain values, events the event types beside them.
	names, events []string
	// kind is webhook, poll or schedule if the value contains the settings of one.
	kind string
	// got is what was found where a map is required.
	got string
	// pos is the position of the first plain value.
	pos Pos
	// inList reports whether the map is an element of a list; others are the names in that list.
	inList bool
	others []string
	// whole is the complete list as a map, and keys are the keys of its maps, if each element can be a key of one.
	whole string
	keys  []string
}

// triggerWords are keys that contain the name of a trigger in other tools.
var triggerWords = map[string]bool{
	"trigger": true, "triggers": true, "event": true, "events": true, "source": true, "type": true, "name": true, "on": true, "from": true,
	"webhook": true, "poll": true, "schedule": true,
}

// settingKinds are the keys of on: that contain the settings of the workflow's own trigger.
var settingKinds = []string{"webhook", "poll", "schedule"}

// plainTexts returns a plain value, or the plain values in a list.
func plainTexts(n *yaml.Node) []string {
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag != "!!null":
		return []string{n.Value}
	case n.Kind == yaml.SequenceNode:
		var out []string
		for _, c := range n.Content {
			if c.Kind == yaml.ScalarNode {
				out = append(out, c.Value)
			}
		}
		return out
	}
	return nil
}

// valueOf returns the value of a key, nil if it is missing.
func valueOf(n *yaml.Node, key string) *yaml.Node {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// startForm reads the value of a key of on: that is not in a valid form. It returns nil for valid
// forms.
func (b *builder) startForm(key string, v *yaml.Node) *startForm {
	f := &startForm{names: plainTexts(v), got: nodeKind(v), pos: b.pos(v)}
	if v.Kind == yaml.SequenceNode && len(v.Content) > 0 {
		f.pos = b.pos(v.Content[0])
	}
	if v.Kind != yaml.MappingNode {
		if v.Tag == "!!null" {
			return nil
		}
		return f
	}
	if !triggerWords[key] || slices.Contains(settingKinds, key) {
		return nil
	}
	for _, kind := range settingKinds {
		if valueOf(v, kind) != nil {
			f.kind = kind
			return f
		}
	}
	for _, word := range []string{"name", "id", "trigger"} {
		if x := valueOf(v, word); x != nil {
			f.names, f.pos = plainTexts(x), b.pos(x)
			if e := valueOf(v, "events"); e != nil {
				f.events = plainTexts(e)
			}
			return f
		}
	}
	return nil
}

// startInList reads a map in a list under on:.
func (b *builder) startInList(list, n *yaml.Node) {
	if len(n.Content) < 2 {
		b.scalar(n, "on")
		return
	}
	k, v := n.Content[0], n.Content[1]
	f := b.startForm(k.Value, v)
	if f == nil || !triggerWords[k.Value] {
		f = &startForm{names: []string{k.Value}, pos: b.pos(k)}
		if e := valueOf(v, "events"); e != nil {
			f.events = plainTexts(e)
		}
	}
	if e := valueOf(n, "events"); e != nil {
		f.events = plainTexts(e)
	}
	f.inList = true
	f.whole, f.keys = listAsMap(list)
	for _, c := range list.Content {
		if c.Kind == yaml.ScalarNode {
			f.others = append(f.others, c.Value)
		}
	}
	b.start(Start{Kind: "trigger", Trigger: k.Value, form: f, pos: b.pos(k)})
}

// listAsMap writes a list under on: as a map with the same entries; "" if they do not fit into one.
func listAsMap(list *yaml.Node) (whole string, keys []string) {
	var parts []string
	for _, c := range list.Content {
		switch {
		case c.Kind == yaml.ScalarNode && namePattern.MatchString(c.Value):
			parts = append(parts, c.Value+": {}")
			keys = append(keys, c.Value)
		case c.Kind == yaml.MappingNode && len(c.Content) == 2 && c.Content[1].Kind == yaml.MappingNode:
			parts = append(parts, c.Content[0].Value+": "+flowText(c.Content[1]))
			keys = append(keys, c.Content[0].Value)
		default:
			return "", nil
		}
	}
	return "on: {" + strings.Join(parts, ", ") + "}", keys
}

// mapOfStarts reports a list under on: whose entries have settings, once with the map of all entries.
func (c *checker) mapOfStarts(w *Workflow, s Start) bool {
	f, settings := s.form, false
	for i, k := range f.keys {
		isKind := slices.Contains(settingKinds, k)
		settings = settings || isKind
		if slices.Contains(f.keys[:i], k) || !isKind && !c.allStart([]string{k}) {
			return false
		}
	}
	if !f.inList || f.whole == "" || !settings {
		return false
	}
	for _, o := range w.Starts {
		if o.form != nil && o.form.whole == f.whole {
			if o.pos == s.pos {
				w.src.add(s.pos, "wrong-kind", "a list under on: can hold only names", "write "+f.whole)
			}
			break
		}
	}
	return true
}

// startForm reports a value of on: in an invalid form, with the valid one.
func (c *checker) startForm(w *Workflow, s Start) {
	f := s.form
	isKind := slices.Contains(settingKinds, s.Trigger)
	if c.mapOfStarts(w, s) {
		return
	}
	switch {
	case c.p.Triggers[s.Trigger] != nil && !f.inList:
		w.src.add(f.pos, "wrong-kind", fmt.Sprintf("%s is a map, got %s", s.Trigger, f.got), "write "+(&startForm{
			names: []string{s.Trigger}, events: f.names}).validForm())
	case f.kind != "":
		w.src.add(s.pos, "wrong-kind", fmt.Sprintf("%s: belongs directly under on:", f.kind), fmt.Sprintf("write on: {%s: {...}}", f.kind))
	case len(f.names) == 1 && slices.Contains(settingKinds, f.names[0]) && !f.inList:
		w.src.add(f.pos, "wrong-kind", fmt.Sprintf("%s needs its settings", f.names[0]), fmt.Sprintf("write on: {%s: {…}}", f.names[0]))
	case !f.inList && !triggerWords[s.Trigger]:
		hint := cmp.Or(c.githubStart(w, s.Trigger), c.unknownStart(s.Trigger))
		if hint == declareTrigger && shapes["webhook"].field(s.Trigger) != nil {
			hint = fmt.Sprintf("if it belongs to webhook:, indent %s: by two more spaces", s.Trigger)
		} else if hint == declareTrigger {
			hint += ", and write " + (&startForm{names: []string{s.Trigger}, events: f.names}).validForm()
		}
		w.src.add(s.pos, "unknown-trigger", fmt.Sprintf("no trigger is named %q", s.Trigger), hint)
	case len(f.names) > 0 && c.allStart(f.names):
		c.nameAlone(w, s)
	case isKind && !f.inList:
		w.src.add(f.pos, "wrong-kind", fmt.Sprintf("%s is a map, got %s", s.Trigger, f.got), c.settingsOf(s.Trigger, f.names))
	default:
		c.unknownInForm(w, s)
	}
}

// nameAlone reports that the names of triggers must be plain values of on:.
func (c *checker) nameAlone(w *Workflow, s Start) {
	problem := fmt.Sprintf("%q is not a key of on:, which takes names of triggers", s.Trigger)
	switch {
	case s.form.inList:
		problem = "a list under on: can hold only names"
	case slices.Contains(settingKinds, s.Trigger):
		problem = fmt.Sprintf("%s: under on: takes settings, not the name of a trigger", s.Trigger)
	}
	w.src.add(s.pos, "wrong-kind", problem, "write "+s.form.validForm())
}

// unknownInForm reports names that are not triggers.
func (c *checker) unknownInForm(w *Workflow, s Start) {
	for _, name := range s.form.names {
		if c.allStart([]string{name}) {
			continue
		}
		hint := c.unknownStart(name)
		meant := spelling.Nearest(name, c.startNames())
		if hint == declareTrigger {
			meant = name
			hint = fmt.Sprintf("declare %s under triggers: in hookloom.yaml, and write on: %s", name, name)
		} else if meant != "" {
			hint = "write on: " + meant
		}
		w.src.add(s.form.pos, "unknown-trigger", fmt.Sprintf("no trigger is named %q", name), hint)
		return
	}
	w.src.add(s.pos, "unknown-trigger", fmt.Sprintf("no trigger is named %q", s.Trigger), c.unknownStart(s.Trigger))
}

// validForm returns the same in a valid form.
func (f *startForm) validForm() string {
	names := slices.Clone(f.names)
	for _, o := range f.others {
		if !slices.Contains(names, o) {
			names = append(names, o)
		}
	}
	if len(f.events) == 0 {
		if len(names) == 1 {
			return "on: " + names[0]
		}
		return "on: [" + strings.Join(names, ", ") + "]"
	}
	parts := make([]string, len(names))
	for i, n := range names {
		parts[i] = n + ": {}"
		if i < len(f.names) {
			parts[i] = fmt.Sprintf("%s: {events: [%s]}", n, strings.Join(f.events, ", "))
		}
	}
	return "on: {" + strings.Join(parts, ", ") + "}"
}

// settingsOf shows how the settings of a webhook, poll or schedule are written.
func (c *checker) settingsOf(kind string, values []string) string {
	value := strings.Join(values, ", ")
	provider := "NAME"
	if presetOf(c.catalog.Presets, value) != nil {
		provider = value
	}
	switch kind {
	case "schedule":
		return scheduleForm(value)
	case "poll":
		return "write poll: {every: 5m, request: {url: ...}, items: ..., key: ...}, or on: with the name of a trigger of hookloom.yaml"
	}
	return fmt.Sprintf(`write webhook: {provider: %s, secret: "${{ secrets.NAME }}"}, or on: with the name of a trigger of hookloom.yaml`,
		provider)
}

// scheduleForm shows how to write a schedule for which only a value was given.
func scheduleForm(value string) string {
	if _, err := parseDuration(value); err == nil {
		return fmt.Sprintf("write schedule: {every: %s}", value)
	}
	if len(strings.Fields(value)) >= 5 || strings.HasPrefix(value, "@") {
		return fmt.Sprintf("write schedule: {cron: %q}", value)
	}
	return `write schedule: {cron: "0 7 * * *"} or schedule: {every: 5m}`
}

// startNames returns the words that on: accepts without settings.
func (c *checker) startNames() []string {
	return append(slices.Sorted(maps.Keys(c.p.Triggers)), "manual", "call")
}

// allStart reports whether on: accepts all the names without settings.
func (c *checker) allStart(names []string) bool {
	known := c.startNames()
	for _, n := range names {
		if n != AlertsTrigger && !slices.Contains(known, n) {
			return false
		}
	}
	return true
}

const declareTrigger = "declare it under triggers: in hookloom.yaml"

// unknownStart returns what to do about a word of on: that is not the name of a trigger.
func (c *checker) unknownStart(word string) string {
	if other, foreign := foreignStarts[word]; foreign {
		return other
	}
	if several := strings.FieldsFunc(word, func(r rune) bool { return r == ',' || r == ' ' }); len(several) > 1 && c.allStart(several) {
		return "write on: [" + strings.Join(several, ", ") + "]"
	}
	if triggerWords[word] && len(c.p.Triggers) > 0 {
		return "write on: with the name of a trigger, one of " + strings.Join(slices.Sorted(maps.Keys(c.p.Triggers)), ", ")
	}
	if hint := spelling.Suggest(word, c.startNames()); hint != "" {
		return hint
	}
	return declareTrigger
}
