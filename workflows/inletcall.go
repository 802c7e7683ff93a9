package workflows

// InletCall is the inlet of runs that a step of another workflow starts.
const InletCall Inlet = "call"

var callInlet = InletKind{
	Inlet:   InletCall,
	Help:    "a call step of another workflow",
	Data:    DataInputs,
	InData:  "the inputs",
	InKey:   "the calling run, step and attempt",
	InType:  "`call`",
	FromRun: true,
	Starts:  true,
}
