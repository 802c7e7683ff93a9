// Package memory lends memory: to decoded bodies, to the outputs of runs, to answers that are
// being read. Budget is an amount that is lent, Share what one event has of it, Room what one
// attempt has. It must not know what it is lent for: events, runs and the store are its
// callers'.
package memory
