package machine

import (
	"context"
	"fmt"

	"github.com/hookloom/hookloom/engine"
)

// Audit keeps what a person did.
func (e *Engine) Audit(ctx context.Context, a engine.AuditEntry) error {
	a.Who, a.Target = e.o.Redactor.Text(a.Who), e.o.Redactor.Text(a.Target)
	if err := e.o.Store.Audit(ctx, a); err != nil {
		return fmt.Errorf("keeping the audit log: %w", err)
	}
	return nil
}
