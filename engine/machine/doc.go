// Package machine puts the engine together from its packages: it makes them, starts them in order,
// stops them within the grace, and is what triggers, console and cmd call. What happens is in the
// packages:
//
//	intake    deliveries become events, and events are decided
//	runner    runs are carried out
//	control   what people order
//	alert     conditions that people should know of
//	registry  the project in force
//	persist   writes that must not be lost
//
// Its tests are those of all of them together, over a real store.
//
// It must not know rules, steps or rows: a method here passes a call on, or starts and stops
// (engine.go). HTTP handlers, SQL, providers and actions are unknown to all of these packages; they
// meet them through the interfaces in contracts.go and store.go (what the store does for each of
// its users: eventstore.go, runstore.go, controlstore.go, inletstore.go, historystore.go).
package machine
