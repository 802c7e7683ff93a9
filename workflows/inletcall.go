package workflows

// InletCall is the inlet of runs that a step of another workflow called.
const InletCall Inlet = "call"

var callInlet = InletKind{
	Inlet:   InletCall,
	Help:    "a call step of another workflow",
	Data:    DataInputs,
	FromRun: true,
	Starts:  true,
}
