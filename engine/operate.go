package engine

import (
	"context"
	"fmt"
	"time"
)

// AuditEntry is one thing that a person did by the console or the API.
type AuditEntry struct {
	ID int64     `json:"id"`
	At time.Time `json:"at"`
	// Who is the name that was given; with a shared token it is a word, not a proof.
	Who string `json:"who"`
	// Role is view or operate; Remote the caller's address.
	Role   string `json:"role"`
	Remote string `json:"remote"`
	// Action is such as run.replay; Target the id or name that it was about.
	Action string `json:"action"`
	Target string `json:"target"`
	// Status is the HTTP status that answered it.
	Status int `json:"status"`
}

// Switch is a workflow that a person has switched off.
type Switch struct {
	Workflow string
	By       string
	At       time.Time
}

// Audit keeps what a person did.
func (e *Engine) Audit(ctx context.Context, a AuditEntry) error {
	a.Who, a.Target = e.o.Redactor.Text(a.Who), e.o.Redactor.Text(a.Target)
	if err := e.o.Store.Audit(ctx, a); err != nil {
		return fmt.Errorf("keeping the audit log: %w", err)
	}
	return nil
}

// SetEnabled switches a workflow off, over restarts and whatever its file says, or
// leaves it to its file again. Open runs go on; events that come meanwhile start
// none.
func (e *Engine) SetEnabled(ctx context.Context, workflow string, on bool, by string) error {
	e.using.Lock()
	defer e.using.Unlock()
	p := e.project.Load()
	if p == nil || p.Workflows[workflow] == nil {
		return fmt.Errorf("workflow %q: %w", workflow, ErrNotFound)
	}
	if err := e.o.Store.SetSwitch(ctx, Switch{Workflow: workflow, By: by, At: time.Now().UTC()}, on); err != nil {
		return fmt.Errorf("switching workflow %s: %w", workflow, err)
	}
	return e.use(ctx, p.Project)
}

// SwitchedOff tells which workflows a person has switched off.
func (e *Engine) SwitchedOff() map[string]Switch {
	p := e.project.Load()
	if p == nil {
		return nil
	}
	return p.off
}
