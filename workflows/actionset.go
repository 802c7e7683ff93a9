package workflows

import (
	"maps"
	"slices"
	"strings"
)

// ConnectorLibrary is a set of connectors whose files are read when they are first needed. It is
// safe for concurrent use.
type ConnectorLibrary interface {
	// Names returns the names of the connectors, sorted. It reads no file.
	Names() []string
	// Get returns a connector by name; nil if there is none.
	Get(name string) *Connector
}

// Actions are the actions that steps may use, by name, such as http/request. Those of a library's
// connectors are read when one of them is first asked for: a project uses few of them. A nil
// *Actions is empty.
type Actions struct {
	specs   map[string]*ActionSpec
	library ConnectorLibrary // nil for none
	// replaced are the connectors of the library that others of the same name replace.
	replaced map[string]bool
}

// NewActions returns the actions of specs and of a library's connectors. The library may be nil.
func NewActions(specs map[string]*ActionSpec, library ConnectorLibrary) *Actions {
	return &Actions{specs: specs, library: library}
}

// Get returns an action by name; nil if there is none.
func (a *Actions) Get(name string) *ActionSpec {
	if a == nil {
		return nil
	}
	if s := a.specs[name]; s != nil {
		return s
	}
	connector, action, _ := strings.Cut(name, "/")
	k := a.fromLibrary(connector)
	if k == nil {
		return nil
	}
	for _, one := range k.Actions {
		if one.Name == action {
			return k.spec(one)
		}
	}
	return nil
}

// fromLibrary returns a connector of the library that no other replaces; nil if there is none.
func (a *Actions) fromLibrary(name string) *Connector {
	if a.library == nil || a.replaced[name] {
		return nil
	}
	return a.library.Get(name)
}

// All returns all actions, sorted by name. It reads the files of all connectors.
func (a *Actions) All() []*ActionSpec {
	if a == nil {
		return nil
	}
	out := slices.Collect(maps.Values(a.specs))
	if a.library != nil {
		for _, name := range a.library.Names() {
			if k := a.fromLibrary(name); k != nil {
				out = append(out, k.Specs()...)
			}
		}
	}
	slices.SortFunc(out, func(x, y *ActionSpec) int { return strings.Compare(x.Name, y.Name) })
	return out
}

// Names returns the names of all actions, sorted. It reads the files of all connectors.
func (a *Actions) Names() []string {
	var out []string
	for _, s := range a.All() {
		out = append(out, s.Name)
	}
	return out
}

// With returns a copy that has more actions, or others in place of those of the same names.
func (a *Actions) With(specs ...*ActionSpec) *Actions {
	c := a.clone()
	for _, s := range specs {
		c.specs[s.Name] = s
	}
	return c
}

// Connector returns the connector by name whose file describes actions; nil if there is none.
func (a *Actions) Connector(name string) *Connector {
	if k := a.connection(name); k != nil && len(k.Actions) > 0 {
		return k
	}
	return nil
}

// connection returns the connector by name that defines the connection of an action; nil if there
// is none.
func (a *Actions) connection(name string) *Connector {
	if a == nil {
		return nil
	}
	for _, s := range a.specs {
		if k := s.Needs(); k != nil && k.Name == name {
			return k
		}
	}
	return a.fromLibrary(name)
}

// connectorNames returns the names that connections may give as their connector, sorted.
func (a *Actions) connectorNames() []string {
	if a == nil {
		return nil
	}
	names := map[string]bool{}
	for _, s := range a.specs {
		if k := s.Needs(); k != nil {
			names[k.Name] = true
		}
	}
	if a.library != nil {
		for _, name := range a.library.Names() {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// builtInUnder reports the first action, by name, that is not a connector's and whose name begins
// with prefix; "" for none.
func (a *Actions) builtInUnder(prefix string) string {
	if a == nil {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(a.specs)) {
		if strings.HasPrefix(name, prefix) && a.specs[name].Connector == nil {
			return name
		}
	}
	return ""
}

// clone returns a copy, so that connectors can be put into it.
func (a *Actions) clone() *Actions {
	if a == nil {
		return &Actions{specs: map[string]*ActionSpec{}, replaced: map[string]bool{}}
	}
	c := &Actions{specs: maps.Clone(a.specs), library: a.library, replaced: maps.Clone(a.replaced)}
	if c.specs == nil {
		c.specs = map[string]*ActionSpec{}
	}
	if c.replaced == nil {
		c.replaced = map[string]bool{}
	}
	return c
}

// put adds the actions of a connector, in place of those of the connector of that name.
func (a *Actions) put(c *Connector) {
	a.replaced[c.Name] = true
	maps.DeleteFunc(a.specs, func(name string, _ *ActionSpec) bool { return strings.HasPrefix(name, c.Name+"/") })
	for _, s := range c.Specs() {
		a.specs[s.Name] = s
	}
}
