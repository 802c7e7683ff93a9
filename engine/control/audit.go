package control

import (
	"context"
	"fmt"

	"github.com/hookloom/hookloom/engine"
)

// Audit stores an action of a person.
func (ctl *Control) Audit(ctx context.Context, a engine.AuditEntry) error {
	a.Who, a.Target = ctl.o.Redactor.Text(a.Who), ctl.o.Redactor.Text(a.Target)
	if err := ctl.o.Store.Audit(ctx, a); err != nil {
		return fmt.Errorf("writing the audit log: %w", err)
	}
	return nil
}
