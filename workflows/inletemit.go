package workflows

// InletEmit is the inlet of events that the action hookloom/emit sends to a trigger.
const InletEmit Inlet = "emit"

var emitInlet = InletKind{
	Inlet:     InletEmit,
	Help:      "a step with hookloom/emit",
	Data:      DataBody,
	InData:    "the `data` of the step",
	InKey:     "the `key` of the step",
	InType:    "the `type` of the step, else the trigger's name",
	AtTrigger: true,
	FromRun:   true,
}
