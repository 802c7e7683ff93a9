package workflows

// InletManual is the inlet of runs that a person or a program starts.
const InletManual Inlet = "manual"

var manualInlet = InletKind{
	Inlet:  InletManual,
	Help:   "a start by a person, a program or an agent: hookloom send, the console, the API, a tool of hookloom mcp",
	Data:   DataInputs,
	InData: "the inputs",
	InKey:  "the event's own id",
	InType: "`manual`",
	Starts: true,
}
