package workflows

// InletEmit is the inlet of events that the action hookloom/emit put into a trigger.
const InletEmit Inlet = "emit"

var emitInlet = InletKind{
	Inlet:     InletEmit,
	Help:      "a step with hookloom/emit",
	Data:      DataBody,
	AtTrigger: true,
	FromRun:   true,
}
