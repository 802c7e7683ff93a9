package workflows

// InletManual is the inlet of runs that a person or a program started.
const InletManual Inlet = "manual"

var manualInlet = InletKind{
	Inlet:  InletManual,
	Help:   "a start by a person: hookloom run, the console, the API",
	Data:   DataInputs,
	Starts: true,
}
