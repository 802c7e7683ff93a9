package workflows

// InletPoll is the inlet of items that a trigger requests, on its schedule or to find lost
// webhooks.
const InletPoll Inlet = "poll"

var pollInlet = InletKind{
	Inlet:     InletPoll,
	Help:      "an item that a poll found",
	Data:      DataItem,
	InData:    "the item, or what `poll.data` makes of it",
	InKey:     "`poll.key`",
	InType:    "`event_type`, else the trigger's name",
	AtTrigger: true,
	Starts:    true,
}
