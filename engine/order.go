package engine

import (
	"time"
)

// Order is an order of the API that came with an Idempotency-Key
// (draft-ietf-httpapi-idempotency-key-header).
type Order struct {
	// Known tells that the key was used before; Same that it was for the same order.
	Known, Same bool
	// Status is how it was answered, 0 while it is not; Answer the body.
	Status int
	Answer []byte
	At     time.Time
}

// OrderTime is how long the key of an order is remembered.
const OrderTime = 24 * time.Hour
