package control

import (
	"context"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// BeginOrder claims a key for an order, or finds the one that has it.
func (ctl *Control) BeginOrder(ctx context.Context, key string, digest []byte) (engine.Order, error) {
	o, err := ctl.o.Store.BeginOrder(ctx, key, digest, time.Now().UTC())
	if err != nil {
		return o, fmt.Errorf("keeping the Idempotency-Key: %w", err)
	}
	return o, nil
}

// EndOrder keeps how an order was answered. One that failed gives its key back: it may
// be tried again.
func (ctl *Control) EndOrder(ctx context.Context, key string, o engine.Order) error {
	if err := ctl.o.Store.EndOrder(ctx, key, o); err != nil {
		return fmt.Errorf("keeping the answer to an Idempotency-Key: %w", err)
	}
	return nil
}
