package workflows

import (
	"slices"

	"github.com/hookloom/hookloom/workflows/expr"
)

// stepKind is one of the things that a step can do. Each has a file of its own with its
// key, what is read and what is checked. The planner carries it out: a case of
// (*planner).body in package engine/plan.
type stepKind interface {
	// key is the key of a step that makes it one of this kind, with its help. A step has
	// the key of exactly one kind.
	key() field
	// modifiers are the keys beside it that only some kinds take, of limitedModifiers.
	modifiers() []string
	// read reads what stands under the key, and under keys that only this kind takes. It
	// is called for each step, so that what stands beside a wrong key is read too.
	read(r stepReader, s *Step)
	// check checks a step of this kind.
	check(s *stepChecker, st *Step, sc *expr.Scope)
}

// stepKinds is the table of all kinds, in the order in which they are named in messages
// and in the schema.
var stepKinds = []stepKind{
	usesStep{},
	groupStep{},
	parallelStep{},
	switchStep{},
	setStep{},
	sleepStep{},
	waitStep{},
	callStep{},
	stopStep{},
	failStep{},
}

// limitedModifiers are the keys of a step that fit only the kinds that name them.
var limitedModifiers = []string{
	"with", "retry", "on_unknown", "else", "cases", "default", "detach", "timeout", "deadline", "foreach", "output", "on_failure",
}

// stepReader reads one step. It holds where the step stands.
type stepReader struct {
	*builder
	o *objectNode
	// depth is how deep steps are nested there; prefix names the list, such as finally.
	depth  int
	prefix string
}

// list reads the steps that stand under a key.
func (r stepReader) list(key string) []*Step { return r.steps(r.o.vals[key], r.depth+1, r.prefix) }

// branches reads the steps under a key that run at once.
func (r stepReader) branches(key string) []*Step {
	return r.stepList(r.o.vals[key], r.depth+1, r.prefix, false)
}

// StepKinds names the kinds of steps, by their keys.
func StepKinds() []string {
	names := make([]string, len(stepKinds))
	for i, k := range stepKinds {
		names[i] = k.key().name
	}
	return names
}

// stepKindOf is the kind with a key, nil where there is none.
func stepKindOf(key string) stepKind {
	for _, k := range stepKinds {
		if k.key().name == key {
			return k
		}
	}
	return nil
}

// kindFields are the keys of all kinds.
func kindFields() []field {
	fields := make([]field, len(stepKinds))
	for i, k := range stepKinds {
		fields[i] = k.key()
	}
	return fields
}

// kindsWith names the kinds that a modifier fits; limited is false for one that fits all.
func kindsWith(modifier string) (names []string, limited bool) {
	if !slices.Contains(limitedModifiers, modifier) {
		return nil, false
	}
	for _, k := range stepKinds {
		if slices.Contains(k.modifiers(), modifier) {
			names = append(names, k.key().name)
		}
	}
	return names, true
}
