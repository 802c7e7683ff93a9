// Package triggers is how things get in: it routes inbound requests, proves
// that they are genuine, finds the event's key, type and time, and hands a
// delivery to the engine's Sink. Providers are data under providers/.
//
// It knows the engine's contracts, signatures and the language. It must not
// know actions, the store, the console or how a run goes on.
package triggers
