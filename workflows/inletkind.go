package workflows

import "slices"

// Inlet is how an event arrives: event.inlet in expressions.
type Inlet string

// InletData says what the data of an inlet's events contains.
type InletData int

// The contents of event.data.
const (
	// DataBody is the body of a request, or the value of the trigger's data expression.
	DataBody InletData = iota
	// DataItem is an item that was not sent as a request: it has no body and no headers.
	DataItem
	// DataInputs are the inputs of the workflow that the event starts.
	DataInputs
	// DataFacts are facts about something else. They are stored in the column of inputs, and are
	// not inputs.
	DataFacts
)

// InletKind describes the events of an inlet. Each kind has its own file; the code that produces
// its events is in package triggers or in the engine.
type InletKind struct {
	Inlet Inlet
	// Help describes in a few words how its events arrive.
	Help string
	Data InletData
	// InData, InKey and InType describe event.data, event.key and event.type.
	InData, InKey, InType string
	// AtTrigger reports whether its events go to a trigger of the project, and so to all workflows
	// that listen to it. Other events go to one workflow.
	AtTrigger bool
	// Outside reports whether anybody can send such an event. Each is then authenticated; the
	// sender chooses its type, and the trigger selects the types to accept.
	Outside bool
	// FromRun reports whether a run causes its events: the engine then limits the length of the
	// chain.
	FromRun bool
	// Starts reports whether on: has a key of this name, which is therefore not allowed as a
	// trigger name.
	Starts bool
}

// inletKinds lists all kinds, in the order of messages, documents and the schema.
var inletKinds = []InletKind{
	webhookInlet,
	pollInlet,
	scheduleInlet,
	manualInlet,
	callInlet,
	runEndInlet,
	emitInlet,
}

// InletKinds returns the kinds of inlets.
func InletKinds() []InletKind { return slices.Clone(inletKinds) }

// Kind returns the description of an inlet. An unknown kind, which a later version may have stored,
// has events with a body.
func (i Inlet) Kind() InletKind {
	for _, k := range inletKinds {
		if k.Inlet == i {
			return k
		}
	}
	return InletKind{Inlet: i}
}

// Known reports whether the kind exists.
func (i Inlet) Known() bool { return i.Kind().Help != "" }

// inletNames returns the names of the kinds for which f returns true.
func inletNames(f func(InletKind) bool) (names []string) {
	for _, k := range inletKinds {
		if f(k) {
			names = append(names, string(k.Inlet))
		}
	}
	return names
}
