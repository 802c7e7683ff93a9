// Package triggers implements the inlets: it routes requests, verifies that they are
// genuine, finds the key, type and time of their events and gives deliveries to the
// engine's Sink; it runs polls and schedules. Providers are data under providers/.
//
// A request passes through: webhook.go, body.go, verify.go, event.go, identity.go, stored.go,
// respond.go.
//
// It knows the engine's contracts, signatures and the language. It must not
// know actions, the store, the console or how runs are executed.
package triggers
