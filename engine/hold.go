package engine

import (
	"time"

	"github.com/hookloom/hookloom/engine/destination"
)

// This file is how a run waits for the destination of its next attempt, and how an
// endpoint that answered 410 Gone gets no more.

// Destined is an Action that tells where an attempt would go. An attempt that has
// no permit of its destination (package destination) waits on record: the run gives
// its slot back, and the wait costs no attempt.
type Destined interface {
	// Destination gives scheme://host:port; empty when it cannot be told, and Do will
	// say why.
	Destination(in Input) string
}

// Endpointed is an Action whose receiver may say that it wants no more, by 410
// (Standard Webhooks, "Operational webhooks").
type Endpointed interface {
	// Endpoint gives the receiver's URL.
	Endpoint(in Input) string
}

// DestinationOf gives the name of the destination of a URL, by its scheme, host and port
// and its path.
func DestinationOf(origin, path string) string { return destination.Scope(origin, path) }

// Pause is an endpoint that gets nothing until a person resumes it.
type Pause struct {
	// Key is a digest of its URL, which may hold a secret; Endpoint is what may be
	// shown of it.
	Key      string    `json:"key"`
	Endpoint string    `json:"endpoint"`
	Run      string    `json:"run"`
	At       time.Time `json:"at"`
}
