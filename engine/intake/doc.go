// Package intake accepts deliveries and decides about events. Read it in execution order:
//
//	accept.go    1  a delivery is stored, or recognized as a duplicate, then answered
//	decide.go    2  every workflow of its trigger is evaluated; runs begin (package runner)
//	fastpath.go     1 and 2 in one transaction, if nothing requires them to be separate
//	ordered.go      events that must be decided one after another
//	inbox.go        stored events without a decision are read, as slots allow
//
// poll.go stores what polls and schedules found, outcome.go looks up acceptances whose result was
// lost, await.go waits for the end of an event's run.
//
// The only asynchronous boundary lies between 1 and 2, and it is a table: the inbox holds the
// events that were acknowledged and not decided yet. Events stay there if they cannot be decided at
// once: because there are many, because their order must be kept, or because no slot is free.
//
//	delivery --> event --> decision: filtered | skipped | rule_failed
//	                          |
//	                          v
//	                         run (package runner)
//
// Intake (intake.go) has one lock. It calls the runner, with or without that lock held, and the
// runner calls it as runner.Arrivals.
//
// The package knows rules, the current project and the store of events. It must not know how steps
// are executed: no actions, no permits, no waits of runs. It must not know HTTP handlers, SQL or
// providers either.
package intake
