// Package backtest shows what an edited workflow would have done: it decides recorded events
// again, simulates their runs with the planner of the engine, and compares the result with what
// the version that ran does under the same conditions. It sends nothing: a step gets the answer
// that is recorded for it.
//
//	backtest.go   Run: pages of events, decided and compared by several workers
//	versions.go   the versions that ran, compiled as they were pinned
//	item.go       one event for one workflow: who matched, which runs are simulated; change.go
//	              describes an event that only one side runs
//	made.go       the events that runs make; follow.go the further runs; ends.go those that listen to
//	              ends; callagain.go called ones
//	sim.go        a run by the clock of its time: attempts, pauses, sleeps and waits
//	worktime.go   what the timeout: of a run limits
//	clock.go      the moments at which a run decides
//	stream.go     the events of a workflow as a whole, in virtual time; flow.go its groups
//	answers.go    which recorded answer is used for which request; sent.go the HTTP requests of
//	              connectors
//	compare.go    the difference of two runs; because.go its cause
//	report.go     what is found, as JSON
//
// Each recorded run is first simulated as it ran. If the result differs from the record, the
// run is reported as unknown, and nothing is derived from it. Data missing from the record is never
// guessed: it is counted and named.
//
// The package opens no connection and writes nothing. It must not know SQL, how reports are
// printed, or how the machine works.
package backtest
