package engine

import (
	"context"
	"fmt"
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

// BeginOrder claims a key for an order, or finds the one that has it.
func (e *Engine) BeginOrder(ctx context.Context, key string, digest []byte) (Order, error) {
	o, err := e.o.Store.BeginOrder(ctx, key, digest, time.Now().UTC())
	if err != nil {
		return o, fmt.Errorf("keeping the Idempotency-Key: %w", err)
	}
	return o, nil
}

// EndOrder keeps how an order was answered. One that failed gives its key back: it may
// be tried again.
func (e *Engine) EndOrder(ctx context.Context, key string, o Order) error {
	if err := e.o.Store.EndOrder(ctx, key, o); err != nil {
		return fmt.Errorf("keeping the answer to an Idempotency-Key: %w", err)
	}
	return nil
}
