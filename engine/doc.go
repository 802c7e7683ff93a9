// Package engine holds the nouns and contracts of the engine: events, deliveries, decisions,
// runs, what the store keeps and gives, what actions do, what lists show. It is what packages
// that meet each other agree on, and does nothing by itself: it starts no goroutine, takes no
// lock and opens no connection.
//
// Package machine carries an event from its acceptance to the end of its runs. Packages plan
// (what comes next), destination (permits), memory, redact and content are its parts.
//
// The package knows the language (workflows) and the planner's nouns. It must not know HTTP,
// SQL, providers, any particular action, or how the machine works.
package engine
