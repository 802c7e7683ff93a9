package expr

import (
	"maps"

	"github.com/expr-lang/expr/types"
)

// Scope is the set of names that an expression at one position of a file may use.
type Scope struct {
	// Where names the position in messages: "when", "a step's if".
	Where string
	// Names are the names, with their types.
	Names types.Map
	// HiddenSteps says why a step cannot be read here, for ids outside Names.
	HiddenSteps map[string]string
	// LaterVars are vars that are defined later in the file, with their lines.
	LaterVars map[string]int
	// MaybeNil are steps whose output is nil if they were skipped.
	MaybeNil map[string]bool
	// Sampled is Names with event.data typed by a sample; nil without one.
	Sampled types.Map
	// Lenient omits checks that earlier versions did not have, so that a stored version of a
	// workflow continues to run.
	Lenient bool
	// Samples is what is known about event.data; nil if nothing is.
	Samples *Samples
	// Item is the name of the loop's item; "" outside loops.
	Item string
	// Hint says how to read a name that is not available here; nil for the general hints.
	Hint func(name string) string
}

// In returns a copy of the scope for another position.
func (sc *Scope) In(where string) *Scope {
	out := &Scope{
		Where:       where,
		Names:       types.Map{},
		HiddenSteps: map[string]string{},
		MaybeNil:    map[string]bool{},
		Lenient:     sc.Lenient,
		Samples:     sc.Samples,
		Hint:        sc.Hint,
		Item:        sc.Item,
	}
	maps.Copy(out.Names, sc.Names)
	for _, k := range []string{"steps", "vars"} {
		if m, ok := sc.Names[k].(types.Map); ok {
			out.Names[k] = maps.Clone(m)
		}
	}
	maps.Copy(out.HiddenSteps, sc.HiddenSteps)
	maps.Copy(out.MaybeNil, sc.MaybeNil)
	if sc.Sampled != nil {
		out.Sampled = maps.Clone(sc.Sampled)
	}
	out.Sync()
	return out
}

// Sync updates Sampled after a change of Names.
func (sc *Scope) Sync() {
	if sc.Sampled == nil {
		return
	}
	for k, v := range sc.Names {
		if k != "event" {
			sc.Sampled[k] = v
		}
	}
	for k := range sc.Sampled {
		if _, ok := sc.Names[k]; !ok {
			delete(sc.Sampled, k)
		}
	}
}

// Drop removes names.
func (sc *Scope) Drop(names ...string) {
	for _, n := range names {
		delete(sc.Names, n)
	}
	sc.Sync()
}

// With returns a copy of the scope with one more name.
func (sc *Scope) With(name string, t types.Type) *Scope {
	out := sc.In(sc.Where)
	out.Names[name] = t
	out.Sync()
	return out
}

// AddVar adds vars.NAME if vars can be read.
func (sc *Scope) AddVar(name string) {
	if m, ok := sc.Names["vars"].(types.Map); ok {
		m[name] = types.Any
	}
}

// Steps returns the types of the steps that can be read, by id.
func (sc *Scope) Steps() types.Map {
	m, ok := sc.Names["steps"].(types.Map)
	if !ok {
		return types.Map{}
	}
	return m
}
