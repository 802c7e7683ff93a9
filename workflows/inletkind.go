package workflows

import "slices"

// Inlet is the way by which an event comes: event.inlet in expressions.
type Inlet string

// InletData says what the data of an inlet's events are.
type InletData int

// What event.data can be.
const (
	// DataBody is the body of a request, or what an expression of the trigger makes of it.
	DataBody InletData = iota
	// DataItem is an item that nobody sent as a request: there is no body and no header.
	DataItem
	// DataInputs are the inputs of the workflow that the event starts.
	DataInputs
	// DataFacts are facts about something else. They are stored in the place of inputs,
	// and are none.
	DataFacts
)

// InletKind is what is known of an inlet's events. Each kind has a file of its own; what
// brings its events stands where they are made (package triggers, the engine).
type InletKind struct {
	Inlet Inlet
	// Help says in a few words how its events come.
	Help string
	Data InletData
	// InData, InKey and InType say what event.data, event.key and event.type are.
	InData, InKey, InType string
	// AtTrigger tells that its events go to a trigger of the project, and so to all that
	// listen to it. Others go to one workflow.
	AtTrigger bool
	// Outside tells that anybody may send one, so that each is proved, and that its type
	// is the sender's: the trigger says which types it takes.
	Outside bool
	// FromRun tells that a run caused it: the engine keeps how long such a chain is.
	FromRun bool
	// Starts tells that on: has a key of this name, which no trigger may have then.
	Starts bool
}

// inletKinds is the table of all kinds, in the order in which they are named in messages,
// documents and the schema.
var inletKinds = []InletKind{
	webhookInlet,
	pollInlet,
	scheduleInlet,
	manualInlet,
	callInlet,
	runEndInlet,
	emitInlet,
}

// InletKinds lists the kinds of inlets.
func InletKinds() []InletKind { return slices.Clone(inletKinds) }

// Kind is what is known of an inlet. One that is not known, which a later version may have
// stored, has events with a body.
func (i Inlet) Kind() InletKind {
	for _, k := range inletKinds {
		if k.Inlet == i {
			return k
		}
	}
	return InletKind{Inlet: i}
}

// Known reports whether there is such a kind.
func (i Inlet) Known() bool { return i.Kind().Help != "" }

// inletNames names the kinds that f is true of.
func inletNames(f func(InletKind) bool) (names []string) {
	for _, k := range inletKinds {
		if f(k) {
			names = append(names, string(k.Inlet))
		}
	}
	return names
}
