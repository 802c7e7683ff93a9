package workflows

// InletWebhook is the inlet of requests that providers send to a trigger's address.
const InletWebhook Inlet = "webhook"

var webhookInlet = InletKind{
	Inlet:     InletWebhook,
	Help:      "a request of a provider",
	Data:      DataBody,
	InData:    "the body, or what `webhook.data` or the preset makes of it",
	InKey:     "the trigger's `key`, else the provider's event id, else a standard id header",
	InType:    "the provider's type, or `event_type`; else the trigger's name",
	AtTrigger: true,
	Outside:   true,
	Starts:    true,
}
