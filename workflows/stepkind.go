package workflows

import (
	"slices"

	"github.com/hookloom/hookloom/workflows/expr"
)

// stepKind is one kind of step. Each kind has its own file with its key, decoding and checks. The
// planner executes it: a case of (*planner).body in package engine/plan.
type stepKind interface {
	// key is the key that makes a step one of this kind, with its help. A step has the key of
	// exactly one kind.
	key() field
	// modifiers are the additional keys that only some kinds accept, out of limitedModifiers.
	modifiers() []string
	// read reads the value of the key, and of keys that only this kind accepts. It is called for
	// every step, so that a step with a wrong key is read completely too.
	read(r stepReader, s *Step)
	// check checks a step of this kind.
	check(s *stepChecker, st *Step, sc *expr.Scope)
}

// stepKinds lists all kinds, in the order of messages and the schema.
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

// limitedModifiers are the step keys that only some kinds accept.
var limitedModifiers = []string{
	"with", "retry", "on_unknown", "else", "cases", "default", "detach", "timeout", "deadline", "foreach", "output", "on_failure",
}

// stepReader reads one step. It contains the position of the step.
type stepReader struct {
	*builder
	o *objectNode
	// depth is the nesting depth of the step; prefix names the list, such as finally.
	depth  int
	prefix string
}

// list reads the list of steps in a key.
func (r stepReader) list(key string) []*Step { return r.steps(r.o.vals[key], r.depth+1, r.prefix) }

// branches reads the steps in a key that run in parallel.
func (r stepReader) branches(key string) []*Step {
	return r.stepList(r.o.vals[key], r.depth+1, r.prefix, false)
}

// StepKinds returns the keys of the kinds of steps.
func StepKinds() []string {
	names := make([]string, len(stepKinds))
	for i, k := range stepKinds {
		names[i] = k.key().name
	}
	return names
}

// stepKindOf returns the kind with a key, nil if there is none.
func stepKindOf(key string) stepKind {
	for _, k := range stepKinds {
		if k.key().name == key {
			return k
		}
	}
	return nil
}

// kindFields returns the keys of all kinds.
func kindFields() []field {
	fields := make([]field, len(stepKinds))
	for i, k := range stepKinds {
		fields[i] = k.key()
	}
	return fields
}

// kindsWith returns the kinds that accept a modifier; limited is false if all accept it.
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
