package engine

import (
	"time"
)

// Order is an API request with an Idempotency-Key (draft-ietf-httpapi-idempotency-key-header).
type Order struct {
	// Known reports that the key was used before; Same that it was for the same request.
	Known, Same bool
	// Status is the HTTP status of the response, 0 while there is none; Answer is the body.
	Status int
	Answer []byte
	At     time.Time
}

// OrderTime is how long the key of a request is remembered.
const OrderTime = 24 * time.Hour
