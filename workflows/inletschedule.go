package workflows

// InletSchedule is the inlet of events that a schedule made. The engine's own alerts come by it too.
const InletSchedule Inlet = "schedule"

var scheduleInlet = InletKind{
	Inlet:     InletSchedule,
	Help:      "a planned time",
	Data:      DataItem,
	AtTrigger: true,
	Starts:    true,
}
