// Package machine assembles the engine from its packages: it makes them, starts them in order, and
// stops them within the grace period. Triggers, console and cmd call it. The work is done by the
// packages:
//
//	intake    deliveries become events, and events are decided
//	runner    runs are executed
//	control   requests of operators: replay, cancel, answer
//	alert     conditions that people should know of
//	registry  the current project
//	persist   writes that must not be lost
//
// Its tests test all of them together, over a real store.
//
// It must not know rules, steps or rows: its methods pass calls on, or start and stop packages
// (engine.go). None of these packages knows HTTP handlers, SQL, providers or actions; they reach
// them through the interfaces in contracts.go and store.go (one contract per user of the store:
// eventstore.go, runstore.go, controlstore.go, inletstore.go, historystore.go).
package machine
