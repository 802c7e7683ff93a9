package engine

import (
	"time"

	"github.com/hookloom/hookloom/engine/destination"
)

// This file defines how a run waits for the destination of its next attempt, and how endpoints that
// answered 410 Gone are paused.

// Destined is an Action that can name the destination of an attempt. An attempt without a permit of
// its destination (package destination) is recorded as waiting: the run releases its slot, and the
// wait does not count as an attempt.
type Destined interface {
	// Destination returns scheme://host:port; empty if it cannot be determined, in which case Do
	// returns the error.
	Destination(in Input) string
}

// Endpointed is an Action whose receiver may stop further deliveries with 410 (Standard Webhooks,
// "Operational webhooks").
type Endpointed interface {
	// Endpoint returns the receiver's URL.
	Endpoint(in Input) string
}

// DestinationOf returns the name of a URL's destination, from its scheme, host and port, and its
// path.
func DestinationOf(origin, path string) string { return destination.Scope(origin, path) }

// Pause is an endpoint that is paused until a person resumes it.
type Pause struct {
	// Key is a digest of its URL, which may contain a secret; Endpoint is the form that may be
	// shown.
	Key      string    `json:"key"`
	Endpoint string    `json:"endpoint"`
	Run      string    `json:"run"`
	At       time.Time `json:"at"`
}
