package control

import (
	"context"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// BeginOrder claims a key for an order, or returns the order that has it.
func (ctl *Control) BeginOrder(ctx context.Context, key string, digest []byte) (engine.Order, error) {
	o, err := ctl.o.Store.BeginOrder(ctx, key, digest, time.Now().UTC())
	if err != nil {
		return o, fmt.Errorf("storing the Idempotency-Key: %w", err)
	}
	return o, nil
}

// EndOrder stores the response to an order. A failed order releases its key, so that it can be
// retried.
func (ctl *Control) EndOrder(ctx context.Context, key string, o engine.Order) error {
	if err := ctl.o.Store.EndOrder(ctx, key, o); err != nil {
		return fmt.Errorf("storing the response for an Idempotency-Key: %w", err)
	}
	return nil
}
