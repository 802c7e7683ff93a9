// Package engine carries an event from its durable acceptance to the end of its
// runs. Read it in the order of an event's life, one file a stop:
//
//	accept.go   1  a delivery is stored, or found to be known, then answered
//	match.go    2  every workflow of its trigger decides; runs begin
//	early.go       both at once, in one transaction, when nothing is in the way
//	work.go     3  runs are taken up, as many at a time as allowed
//	perform.go  4  one attempt: on record, done, on record
//	loop.go        what was made is stored, again and again, until the run waits or ends
//	advance.go  5  what is due next, or how the run ended
//
// What a run may wait for besides a moment: wait.go (a person, an event) and
// call.go (another run, which ending.go ends with its caller). pin.go keeps what a run
// began with.
//
// Between stop 1 and 2 lies the one asynchronous break, and it is a table: what
// was acknowledged and not matched yet stands in the store's inbox. Events come there
// when they cannot be decided at once: many at a time, in an order to keep, or with
// nobody free.
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
// read ends alone. memory.go and outputs.go bound what all of them take in memory.
//
// The package knows the language (workflows) and the planner. It must not know
// HTTP handlers, SQL, providers or any particular action: ways in, ways out and
// the store meet it through the contracts in inlet.go, action.go and store.go.
package engine
