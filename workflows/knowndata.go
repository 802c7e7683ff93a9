package workflows

import (
	"fmt"
	"time"

	"github.com/hookloom/hookloom/workflows/expr"
)

// knownData collects the samples for a workflow that only one trigger starts, apart from people and
// other workflows.
func (c *checker) knownData(w *Workflow) *expr.Samples {
	t := c.onlyTrigger(w)
	if c.stored || t == nil || t.Webhook != nil && t.Webhook.Sample != "" {
		return nil // a sample: file is authoritative
	}
	simple := t.Webhook != nil && t.Poll == nil && len(t.Schedules) == 0
	k := &expr.Samples{Samples: c.testData(w, t.Webhook), Whose: "the events of the workflow's tests"}
	k.Own = simple && len(k.Samples) > 0
	preset := (*Preset)(nil)
	if simple {
		preset = presetOf(c.catalog.Presets, t.Webhook.Provider)
	}
	if preset != nil && preset.Sample != nil && preset.Category != "standard" && !preset.BodyFromToken && preset.Split == nil &&
		t.Webhook.Split == nil {
		if data, ok := dataOf(t.Webhook, preset, preset.Sample.Body); ok {
			k.Add("the sample of "+preset.Name, data)
			k.Nested = preset.Sample.TypeJSON != "" && preset.Data == nil && t.Webhook.Data == nil
		}
	}
	if simple && t.Webhook.Split == nil {
		for _, f := range c.looseFixtures() {
			if data, ok := dataOf(t.Webhook, preset, f.body); ok {
				k.Add(f.name, data)
			}
		}
	}
	c.addRecorded(w, t, k)
	if len(k.Samples) == 0 {
		return nil
	}
	if len(w.Starts) > 1 && len(w.Inputs) > 0 {
		inputs := map[string]any{} // a manual run has its inputs as data
		for _, in := range w.Inputs {
			inputs[in.Name] = nil
		}
		k.Samples = append(k.Samples, inputs)
	}
	return k
}

// manyRecorded is the number of recorded events that are enough to know a trigger's fields.
const manyRecorded = 20

// addRecorded adds recorded events. With enough of them, a field that none contains is reported
// even if the provider's sample has it.
func (c *checker) addRecorded(w *Workflow, t *Trigger, k *expr.Samples) {
	if c.catalog.Recorded == nil {
		return
	}
	var types []string
	for _, s := range w.Starts {
		if s.Trigger == t.Name {
			types = append(types, s.Events...)
		}
	}
	list := c.catalog.Recorded(t.Name, types)
	for _, data := range list {
		k.Add("", data)
	}
	if len(list) > 0 {
		k.Recorded = &expr.Recorded{Trigger: t.Name, Data: list}
		for _, e := range w.When {
			k.Recorded.Guards = append(k.Recorded.Guards, e.Text)
		}
		w.EachStep(func(s *Step) {
			if s.If != nil {
				k.Recorded.Guards = append(k.Recorded.Guards, s.If.Text)
			}
		})
	}
	if len(list) >= manyRecorded {
		k.Whose, k.Own = fmt.Sprintf("the last %d recorded events of %s", len(list), t.Name), true
	} else if len(list) > 0 && k.Whose == "" {
		k.Whose = "the recorded events of " + t.Name
	}
}

// onlyTrigger returns the only trigger that starts a workflow, nil if there are several or if it
// listens to other runs.
func (c *checker) onlyTrigger(w *Workflow) *Trigger {
	var found *Trigger
	for _, s := range w.Starts {
		switch {
		case s.Kind == "trigger" && found == nil && c.p.Triggers[s.Trigger] != nil:
			found = c.p.Triggers[s.Trigger]
		case !s.ByHand() && s.Kind != "call":
			return nil
		}
	}
	return found
}

// testData returns the events of the workflow's tests, in its own file and in tests/.
func (c *checker) testData(w *Workflow, hook *Webhook) []any {
	if hook != nil && hook.Split != nil {
		return nil
	}
	preset := (*Preset)(nil)
	if hook != nil {
		preset = presetOf(c.catalog.Presets, hook.Provider)
	}
	var out []any
	for _, n := range append(testNodes(w.tests), c.fixtures().tests[w.ID]...) {
		var test struct {
			Event struct {
				Fixture    string
				Body, Data any
			}
		}
		if n.Decode(&test) != nil {
			continue
		}
		bodies := []any{test.Event.Body}
		if test.Event.Fixture != "" {
			if v, err := c.p.readJSON(test.Event.Fixture); err == nil {
				bodies = append(bodies, v)
			}
		}
		for _, b := range bodies {
			if hook == nil {
				break
			}
			if data, ok := dataOf(hook, preset, b); ok {
				out = append(out, data)
			}
		}
		if test.Event.Data != nil {
			out = append(out, test.Event.Data)
		}
	}
	return out
}

// dataOf returns event.data for a body.
func dataOf(hook *Webhook, preset *Preset, body any) (any, bool) {
	of := hook.Data
	if of == nil && preset != nil {
		of = preset.Data
	}
	if body == nil || of == nil {
		return body, body != nil
	}
	if !of.Compiled() {
		return nil, false
	}
	none := map[string]any{}
	v, err := of.Eval(&expr.Env{
		Names: expr.Names{
			"body":    body,
			"headers": none,
			"query":   none,
			"raw":     "",
			"method":  "POST",
			"url":     "",
			"path":    "",
			"claims":  nil,
			"item":    nil,
		},
		Now: time.Unix(0, 0),
	})
	return v, err == nil && v != nil
}
