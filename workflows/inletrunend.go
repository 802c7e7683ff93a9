package workflows

// InletWorkflowRun is the inlet of events about the end of a run of another workflow.
const InletWorkflowRun Inlet = "workflow_run"

var runEndInlet = InletKind{
	Inlet:   InletWorkflowRun,
	Help:    "the end of another workflow's run",
	Data:    DataFacts,
	InData:  "`{run_id, workflow, status, output, error}` of the run that ended",
	InKey:   "the id of that run",
	InType:  "`workflow_run.STATUS`",
	FromRun: true,
	Starts:  true,
}
