// Package engine holds the nouns and contracts of the engine: events, deliveries, decisions,
// runs, what the store keeps and gives, what actions do, what lists show. It is what packages
// that meet each other agree on, and does nothing by itself: it starts no goroutine and takes no
// lock.
//
// The packages under it are the engine at work. An event goes through them in one direction; what
// stands lower is asked by all above it and asks none of them:
//
//	a delivery (package triggers)                       an order (packages console, cmd)
//	     |                                                      |
//	     v                                                      v
//	intake     accept -> decide                       <---   control
//	     |     (inbox: events that wait for their turn)
//	     v
//	runner     begin -> loop: attempts, advance, commit, until the run waits or ends
//	     |     (due: stored runs whose time has come)
//	     v
//	alert      conditions that people should know of
//	registry   the project in force, versions, switches, secrets, what a run sees
//	     |
//	     v
//	persist (writes that must not be lost), plan (what comes next), destination (permits),
//	memory, redact, content, files
//	     |
//	     v
//	store
//
// A run makes events too (emit, call, its end): the runner hands them to the intake by its
// interface Arrivals. Package machine makes these packages and puts them together.
//
// What is durable goes through the contracts in store.go, one for each user: eventstore.go,
// runstore.go, controlstore.go, inletstore.go, historystore.go, signals.go. Package store
// implements them, and storetest is the suite that any store must pass.
// dryrun asks the same rules and the same planner without effects.
//
// The package knows the language (workflows) and the planner's nouns. It must not know HTTP
// handlers, SQL, providers, any particular action, or how the machine works.
package engine
