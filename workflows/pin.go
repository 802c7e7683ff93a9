package workflows

import (
	"fmt"
	"maps"
	"time"
)

// This file pins what a run's workflow uses: the versions of other workflows, connectors and
// triggers that were in effect when the run began.

// ConnectorFile is one file of connectors/.
type ConnectorFile struct {
	File string
	// Version is the version of the text, computed like a workflow's.
	Version string
	Text    []byte
}

// Uses lists what a workflow's steps use of the rest of the project, with versions.
type Uses struct {
	// Workflows are those that it calls; Connectors are those of its actions, built in or not.
	Workflows  map[string]string `json:"workflows,omitempty"`
	Connectors map[string]string `json:"connectors,omitempty"`
	// Triggers are those whose events it waits for, with how long they remember keys, in seconds.
	Triggers map[string]int64 `json:"triggers,omitempty"`
}

// None reports whether the workflow uses nothing else.
func (u Uses) None() bool {
	return len(u.Workflows) == 0 && len(u.Connectors) == 0 && len(u.Triggers) == 0
}

// Uses returns what a workflow uses of the rest of the project.
func (p *Project) Uses(w *Workflow) Uses {
	u := Uses{Workflows: map[string]string{}, Connectors: map[string]string{}, Triggers: map[string]int64{}}
	w.EachStep(func(s *Step) {
		if c := p.Workflows[s.Call]; c != nil && s.Call != "" {
			u.Workflows[s.Call] = c.Version
		}
		if s.Spec != nil && s.Spec.Connector != nil {
			u.Connectors[s.Spec.Connector.Name] = s.Spec.Connector.Version
		}
		for _, one := range s.Wait.Choices() {
			if t := p.Triggers[one.Event]; t != nil {
				dedupe, _ := t.shortestDedupe()
				u.Triggers[one.Event] = int64(dedupe / time.Second)
			}
		}
	})
	return u
}

// ConnectorText returns the file of a connector of the project; nil if there is none.
func (p *Project) ConnectorText(name string) []byte {
	if k := p.Actions.Connector(name); k != nil {
		return k.Text
	}
	return nil
}

// Pins are the stored versions against which a workflow's text is compiled instead of the current
// ones.
type Pins struct {
	// Workflows and Connectors are texts by name.
	Workflows, Connectors map[string][]byte
	// Triggers are as in Uses.
	Triggers map[string]int64
}

// Compile compiles a workflow's text, such as a run's pinned version, against its pins and
// otherwise this project. Steps that need something that no longer exists are marked.
func (p *Project) Compile(id string, text []byte, pins Pins) (*Workflow, Mistakes) {
	src := newSource("workflows/"+id+".yaml", text)
	src.zone, src.vars = p.Timezone, p.Vars
	w := parseWorkflow(src, id)
	if w == nil {
		return nil, src.mistakes.sorted()
	}
	q := *p
	q.Triggers, q.Workflows, q.Actions = maps.Clone(p.Triggers), maps.Clone(p.Workflows), p.Actions.clone()
	if w.Trigger != nil {
		q.Triggers[id] = w.Trigger
	}
	for name, seconds := range pins.Triggers {
		if q.Triggers[name] == nil {
			q.Triggers[name] = &Trigger{Name: name, src: src, remembered: time.Duration(seconds) * time.Second}
		}
	}
	for _, s := range w.Starts {
		// The trigger may have been removed; its runs continue anyway.
		if s.Kind == "trigger" && q.Triggers[s.Trigger] == nil {
			q.Triggers[s.Trigger] = &Trigger{Name: s.Trigger, src: src}
		}
	}
	for name, text := range pins.Workflows {
		if called := parseWorkflow(newSource("workflows/"+name+".yaml", text), name); called != nil {
			q.Workflows[name] = called
		}
	}
	for name, text := range pins.Connectors {
		q.useConnector(name, text)
	}
	c := &checker{stored: true, p: &q, catalog: &Catalog{Actions: q.Actions, Presets: p.Presets}}
	c.workflow(w)
	return w, src.mistakes.sorted()
}

// useConnector replaces a connector's actions by those of another text.
func (p *Project) useConnector(name string, text []byte) {
	c := parseConnector(newSource(fmt.Sprintf("connectors/%s.yaml", name), text))
	if c == nil {
		return
	}
	p.Actions.put(c)
}
