// Package engine holds the nouns and contracts of the engine: events, deliveries, decisions,
// runs, what the store keeps and gives, what actions do, what lists show. It is what packages
// that meet each other agree on, and does nothing by itself: it starts no goroutine and takes no
// lock.
//
// The rooms under it are the machine. An event goes through them from left to right; what
// stands lower is asked by all above it and asks none of them:
//
//	a delivery (package triggers)                      an order (packages console, cmd)
//	     |                                                     |
//	     v                                                     v
//	machine    accept -> decide -> execute           <---   control
//	     |          (doc.go there names its stops)             |
//	     v                                                     v
//	registry   the project in force, versions, switches, secrets, what a run sees
//	     |
//	     v
//	plan (what comes next), destination (permits), memory, redact, content, files
//
// What is durable goes through the interfaces in contracts.go, which package store implements.
// dryrun asks the same rules and the same planner without effects.
//
// The package knows the language (workflows) and the planner's nouns. It must not know HTTP
// handlers, SQL, providers, any particular action, or how the machine works.
package engine
