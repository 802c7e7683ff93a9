// Package machine carries an event from its durable acceptance to the end of its
// runs. Read it in the order of an event's life, one file a stop:
//
//	accept.go     1  a delivery is stored, or found to be known, then answered
//	decide.go     2  every workflow of its trigger is evaluated; runs begin
//	fastpath.go      1 and 2 in one transaction, when nothing is in the way
//	ordered.go       events that must be decided one after another
//	inbox.go         what was stored and not decided is read, as slots allow
//	due.go        3  due runs are taken up, as slots (slots.go) allow
//	begin.go         a new run becomes an execution
//	load.go          a stored run becomes an execution again
//	loop.go       4  start attempts, advance, store, again until the run waits or ends
//	attempt.go       one attempt: its input, its limits, its result
//	advance.go       the planner's next steps, as one update to store
//	poison.go        runs that end the process, or cannot be recorded, end alone
//
// Stops 1 and 2 are the Intake's (intake.go), stop 3 is the Runner's (runner.go). Each has a lock;
// the Intake calls the Runner, which tells of what runs bring about by Arrivals. engine.go puts the
// two together.
//
// execution.go is one run at work. What a run may wait for besides time: wait.go (a person, an
// event), call.go (another run, which ending.go ends with its caller), hold.go (a permit for a
// destination). orders.go is what package control sees of the machine.
//
// Between stops 1 and 2 lies the one asynchronous break, and it is a table: the inbox holds
// the events that were acknowledged and not decided yet. Events stay there when they cannot
// be decided at once: many at a time, in an order to keep, or with no slot free.
//
//	delivery --> event --> decision: filtered | skipped | rule_failed
//	                          |
//	                          v
//	        run: queued -> running -> succeeded | failed | timed_out | cancelled
//	                       ^     |
//	                       +-- waiting (a pause, a sleep, a person, an event, a called run)
//
// Data never ends the process: values are held to limits when they are made (package
// plan), rows are read back without limits, and a run or an event whose rows cannot be
// read ends alone. Package memory bounds what all of them take in memory.
//
// The package knows the language (workflows) and the planner. It must not know
// HTTP handlers, SQL, providers or any particular action: ways in, ways out and
// the store meet it through the interfaces in contracts.go and store.go (what the store does
// for each of its users: eventstore.go, runstore.go, controlstore.go, inletstore.go,
// historystore.go).
package machine
