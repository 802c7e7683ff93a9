package workflows

// InletWorkflowRun is the inlet of events about the end of another workflow's run.
const InletWorkflowRun Inlet = "workflow_run"

var runEndInlet = InletKind{
	Inlet:   InletWorkflowRun,
	Help:    "the end of another workflow's run",
	Data:    DataFacts,
	FromRun: true,
	Starts:  true,
}
