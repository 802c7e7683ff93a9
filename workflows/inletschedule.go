package workflows

// InletSchedule is the inlet of events that a schedule creates, and of the engine's own alerts.
const InletSchedule Inlet = "schedule"

var scheduleInlet = InletKind{
	Inlet:     InletSchedule,
	Help:      "a planned time",
	Data:      DataItem,
	InData:    "`{}`, or the result of `schedule.data`; of alerts, what [alerts](alerts.md) lists",
	InKey:     "the planned time",
	InType:    "`schedule`; of alerts `alert.KIND`, and `alert.KIND.closed` when it is over",
	AtTrigger: true,
	Starts:    true,
}
