package workflows

import (
	"fmt"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
	"gopkg.in/yaml.v3"
)

// sleepStep waits for a duration or until a time.
type sleepStep struct{}

func (sleepStep) key() field {
	return field{"sleep", is(kindAny), false, "a duration, or until: and a time"}
}

func (sleepStep) modifiers() []string {
	return []string{"deadline"}
}

func (sleepStep) read(r stepReader, s *Step) {
	if v := r.o.vals["sleep"]; v != nil {
		r.sleep(v, s)
	}
}

func (sleepStep) check(s *stepChecker, st *Step, sc *expr.Scope) {
	st.Sleep.check(sc.In("sleep"))
	switch v := st.Sleep; {
	case s.c.stored || v == nil || v.broken:
	case st.SleepUntil:
		s.sleepUntil(v)
	case v.kind == textValue && v.never(durationLetters):
		s.w.src.add(v.pos, "unit", fmt.Sprintf("sleep: %q is never a duration", value.Clip(v.template(), 60)), v.durationForm())
	}
}

// sleepUntil reports what is never a time.
func (s *stepChecker) sleepUntil(v *Value) {
	const form = `write a time or a date, such as until: "2026-05-01T10:00:00Z", or an expression that gives a time, such as ` +
		`until: "${{ now() + duration('24h') }}"`
	kind := v.outerKind()
	switch {
	case kind == "a map" || kind == "a list":
		s.w.src.add(v.pos, "wrong-kind", "until is a time, got "+kind, form)
	case v.kind == textValue && v.never(timeLetters):
		s.w.src.add(v.pos, "bad-time", fmt.Sprintf("until: %q is never a time", value.Clip(v.template(), 60)), form)
	case v.kind == constantValue:
		text, isText := v.constant.(string)
		if _, err := ParseUntil(text); isText && err == nil {
			return
		}
		s.w.src.add(v.pos, "bad-time", fmt.Sprintf("until: %s is not a time", value.Clip(v.written(), 60)), form)
	}
}

// ParseUntil parses the text in sleep: {until: TEXT}: a time of RFC 3339, or one without a zone or a
// date, which are in UTC.
func ParseUntil(text string) (t time.Time, err error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err = time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, err
}

func (b *builder) sleep(v *yaml.Node, s *Step) {
	if v.Kind == yaml.MappingNode {
		if o := b.object(v, "sleep"); o != nil {
			s.Sleep, s.SleepUntil = b.value(o.vals["until"]), true
		}
		return
	}
	if v.Kind == yaml.SequenceNode {
		b.wrongKind(v, "sleep", "a duration, or a map with until")
		return
	}
	s.Sleep = b.value(v)
	if !strings.Contains(v.Value, "${{") {
		if _, err := parseDuration(v.Value); err != nil {
			b.add(b.pos(v), "unit", "sleep: "+err.Error(), durationHint(v.Value))
		}
	}
}
