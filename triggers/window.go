package triggers

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// SecretWindow is how long a trigger waits for the secret that its provider's
// handshake brings, once an operator has asked for it.
const SecretWindow = 15 * time.Minute

// ErrNoSecretAwaited is wrapped if a trigger takes no secret from a handshake.
var ErrNoSecretAwaited = errors.New("no secret is awaited")

// Windows says which triggers wait for a secret, and until when. Its methods are safe for concurrent use.
type Windows interface {
	// Open lets a trigger capture one secret until a time.
	Open(trigger string, until time.Time) error
	// Awaited reports whether the window of a trigger is open.
	Awaited(trigger string, now time.Time) bool
	// Take closes a window and reports whether it was open. Where Deps.Capture closes it with the secret,
	// Take only reports that.
	Take(trigger string, now time.Time) bool
}

// windows holds the triggers that wait for a secret, and until when. The sender of the
// first handshake chooses the secret, so one is taken only after an operator asked for it.
// A window is used once and does not survive a restart.
type windows struct {
	mu    sync.Mutex
	until map[string]time.Time
}

func newWindows() *windows { return &windows{until: map[string]time.Time{}} }

// Open implements Windows.
func (w *windows) Open(trigger string, until time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.until[trigger] = until
	return nil
}

// Awaited implements Windows.
func (w *windows) Awaited(trigger string, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return now.Before(w.until[trigger])
}

// Take implements Windows.
func (w *windows) Take(trigger string, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	open := now.Before(w.until[trigger])
	delete(w.until, trigger)
	return open
}

// AwaitSecret opens the window of a trigger and returns the time at which it closes.
func (h *Hooks) AwaitSecret(trigger string) (time.Time, error) {
	for _, r := range h.table.Load().routes {
		if r.trigger.Name != trigger {
			continue
		}
		switch {
		case r.preset == nil || !r.preset.Captures():
			return time.Time{}, fmt.Errorf("%w: the provider of trigger %s does not send its secret in a handshake", ErrNoSecretAwaited, trigger)
		case r.pending == "":
			return time.Time{}, fmt.Errorf("%w: the secret of trigger %s is set already; add another name to the list under secret: of the "+
				"trigger, or remove the secret from .env (with PostgreSQL: from the table captured_secrets)", ErrNoSecretAwaited, trigger)
		}
		until := time.Now().Add(SecretWindow)
		if err := h.deps.Windows.Open(trigger, until); err != nil {
			return time.Time{}, err
		}
		h.log.Info("a secret is awaited", "trigger", trigger, "secret", r.pending, "until", until.UTC())
		return until, nil
	}
	return time.Time{}, fmt.Errorf("trigger %q with a webhook: %w", trigger, engine.ErrNotFound)
}

// unawaited returns why a handshake may not bring a secret now; "" if it may.
func (r *route) unawaited(at time.Time) string {
	switch {
	case r.pending == "":
		return "its secret is not accepted: one is set already"
	case r.deps.Windows != nil && !r.deps.Windows.Awaited(r.trigger.Name, at):
		return "its secret is not accepted: it was not requested. Run hookloom triggers --await-secret " + r.trigger.Name +
			", and have the provider send the handshake again"
	}
	return ""
}
