// Package engine holds the types and contracts of the engine: events, deliveries, decisions, runs,
// the contracts of the store and of actions, and the items of lists. The other packages depend on
// these types and not on each other. The package does no work of its own: it starts no goroutine,
// takes no lock and does not know HTTP. Actions are built with the client that sends their requests.
//
// The packages below implement the engine. An event passes through them in one direction; a package
// may call those below it and none above it:
//
//	a delivery (package triggers)                       a request (packages console, cmd)
//	     |                                                      |
//	     v                                                      v
//	intake     accept -> decide                       <---   control
//	     |     (inbox: events that wait to be decided)
//	     v
//	runner     begin -> loop: attempts, advance, commit, until the run waits or ends
//	     |     (due: stored runs whose time has come)
//	     v
//	alert      conditions that people should know of
//	registry   the current project, versions, switches, secrets, what a run sees
//	     |
//	     v
//	persist (writes that must not be lost), plan (what comes next), destination (permits),
//	memory, redact, content, files
//	     |
//	     v
//	store
//
// Runs also make events (emit, call, their end): the runner passes them to the intake through its
// interface Arrivals. Package machine makes these packages and connects them.
//
// Durable data goes through the contracts in store.go, one per user: eventstore.go, runstore.go,
// controlstore.go, inletstore.go, historystore.go, signals.go. Package store implements them, and
// storetest is the suite that every store must pass. dryrun uses the same rules and the same
// planner without side effects.
//
// The package knows the language (workflows) and the planner's types. It must not know HTTP, SQL,
// providers, any particular action, or how the machine works.
package engine
