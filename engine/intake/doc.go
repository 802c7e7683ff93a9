// Package intake takes deliveries in and decides about events. Read it in the order of an event's
// way:
//
//	accept.go    1  a delivery is stored, or found to be known, then answered
//	decide.go    2  every workflow of its trigger is evaluated; runs begin (package runner)
//	fastpath.go     1 and 2 in one transaction, when nothing is in the way
//	ordered.go      events that must be decided one after another
//	inbox.go        what was stored and not decided is read, as slots allow
//
// poll.go stores what polls and schedules found, outcome.go asks for acceptances whose result was
// lost, await.go waits for the end of an event's run.
//
// Between 1 and 2 lies the one asynchronous break, and it is a table: the inbox holds the events
// that were acknowledged and not decided yet. Events stay there when they cannot be decided at
// once: many at a time, in an order to keep, or with no slot free.
//
//	delivery --> event --> decision: filtered | skipped | rule_failed
//	                          |
//	                          v
//	                         run (package runner)
//
// Intake (intake.go) has one lock. It calls the runner, with or without that lock held, and is
// called by it as runner.Arrivals.
//
// The package knows rules, the project in force and the store of events. It must not know how
// steps are carried out: no actions, no permits, no waits of runs. It must not know HTTP handlers,
// SQL or providers either.
package intake
