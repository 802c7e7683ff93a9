package workflows

// InletWebhook is the inlet of requests that a provider sends to a trigger's address.
const InletWebhook Inlet = "webhook"

var webhookInlet = InletKind{
	Inlet:     InletWebhook,
	Help:      "a request of a provider",
	Data:      DataBody,
	AtTrigger: true,
	Outside:   true,
	Starts:    true,
}
