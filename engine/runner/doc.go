// Package runner executes runs: from the moment a run begins, or is due again, until it waits or
// has ended. Read it in execution order:
//
//	begin.go    1  a new run becomes an execution and plans its first steps
//	due.go         runs that are due in the store are taken up, as slots (slots.go) allow
//	load.go        a stored run becomes an execution again
//	loop.go     2  start attempts, advance, store, again until the run waits or ends
//	attempt.go     one attempt: its input, its limits, its result
//	advance.go     the planner's next steps, as one update to store
//	poison.go      runs that end the process, or cannot be recorded, end alone
//
// execution.go is one executing run, and the only place where one is made. Besides time, a run may
// wait for: wait.go (a person, an event), call.go (another run, which ending.go ends together with
// its caller), hold.go (a permit for a destination), connection.go (a person who repairs a
// connection), gather.go (more events). cancel.go, cancelon.go and flow.go end runs from outside;
// answer.go lets a step answer for another run.
//
//	queued -> running -> succeeded | failed | timed_out | cancelled
//	    ^     |
//	    +-- waiting (a pause, a sleep, a person, an event, a called run)
//
// Data never ends the process: values are checked against limits when they are made (package
// plan), rows are read back without limits, and a run whose rows cannot be read fails alone.
// Package memory bounds the memory of all runs (outputs.go).
//
// Runner (runner.go) has one lock, and each execution one goroutine that owns it. Effects of runs
// outside the runner, such as events, go to Arrivals, which is called without the lock.
//
// The package knows the planner, actions and destinations. It must not know how events are
// accepted and decided, or anything of HTTP handlers, SQL, providers or particular actions.
package runner
