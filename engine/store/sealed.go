package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// Sealer encrypts values that a run still needs and that must not be readable in the database.
type Sealer interface {
	// Seal encrypts; context names the value, and Open needs the same context.
	Seal(plain []byte, context string) ([]byte, error)
	Open(sealed []byte, context string) ([]byte, error)
}

// The kinds of encrypted values, as their contexts.
const (
	sealedInputs = "inputs of an event"
	sealedOutput = "output of a step"
	sealedResult = "output of a run"
	// sealedRefusal is a refused body with masked fields: its signature covers the full body.
	// sealedRequest is such a body with the URL before it, whose query has masked fields.
	sealedRefusal = "body of a refused delivery"
	sealedRequest = "request of a refused delivery"
)

// masked is a value encoded for a row: the part that may be shown, and the full value encrypted if
// that part is less.
type masked struct{ shown, sealed driver.Value }

// encodeMasked encodes plain data, with secrets and sensitive headers masked.
func (s *Store) encodeMasked(v any, m *redact.Masker, context string) (out masked, err error) {
	return s.encodeFields(v, m, context, func(b []byte) ([]byte, bool) { return b, false })
}

// encodeFields is encodeMasked, and also masks fields in the text.
func (s *Store) encodeFields(v any, m *redact.Masker, context string, fields func([]byte) ([]byte, bool)) (out masked, err error) {
	if v == nil {
		return out, nil
	}
	safe, hidden := workflows.HideHeaders(v)
	var found, inFields bool
	if out.shown, err = encodeText(safe, func(b []byte) []byte {
		b, found = s.maskJSON(b, m)
		b, inFields = fields(b)
		return b
	}); err != nil {
		return masked{}, err
	}
	if hidden || found || inFields {
		// Without a key, masked values are lost: a run that continues after a restart sees ***.
		out.sealed, err = s.sealed(v, context)
		if err != nil {
			s.o.Log.Warn("a masked value was not kept for the run: after a restart its steps see ***", "what", context, "error", err)
			err = nil
		}
	}
	return out, err
}

// encodeBuffers are for JSON that becomes a string. Those larger than keptBuffer bytes are not kept.
var encodeBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

const keptBuffer = 16 << 10

// encodeText encodes plain data, and returns what mask makes of it as a string. mask must not keep its
// argument.
func encodeText(v any, mask func([]byte) []byte) (string, error) {
	p := encodeBuffers.Get().(*[]byte)
	defer encodeBuffers.Put(p)
	b, err := value.AppendStored((*p)[:0], v)
	if err != nil {
		return "", fmt.Errorf("it cannot be recorded: %w", err)
	}
	if cap(b) <= keptBuffer {
		*p = b
	}
	return string(mask(b)), nil
}

func encodeJSON(v any) ([]byte, error) {
	b, err := value.EncodeStored(v)
	if err != nil {
		return nil, fmt.Errorf("it cannot be recorded: %w", err)
	}
	return b, nil
}

func (s *Store) maskJSON(b []byte, m *redact.Masker) ([]byte, bool) {
	if m != nil {
		return m.JSON(b)
	}
	return s.o.Redactor.JSON(b)
}

// maskText masks a text by a run's masker, or by the redactor if there is none.
func (s *Store) maskText(t string, m *redact.Masker) string {
	if m != nil {
		return m.Text(t)
	}
	return s.o.Redactor.Text(t)
}

func (s *Store) sealed(v any, context string) (driver.Value, error) {
	if s.o.Sealer == nil {
		return nil, nil
	}
	b, err := encodeJSON(v)
	if err != nil {
		return nil, err
	}
	return s.o.Sealer.Seal(b, context)
}

// opened decrypts a value.
func (s *Store) opened(sealed []byte, context string) (any, error) {
	if s.o.Sealer == nil {
		return nil, errors.New("encrypted values cannot be decrypted here")
	}
	b, err := s.o.Sealer.Open(sealed, context)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", context, err)
	}
	return value.DecodeStored(b)
}

// encodeInputs encodes the inputs of an event. Secret inputs are stored as *** and encrypted; an
// input that cannot be encrypted is refused, since its run could not continue.
func (s *Store) encodeInputs(d *engine.Delivery) (out masked, err error) {
	if d.Inputs == nil {
		return out, nil
	}
	shown := d.Inputs
	if len(d.SecretInputs) > 0 {
		shown = make(map[string]any, len(d.Inputs))
		for k, v := range d.Inputs {
			if shown[k] = v; v != nil && slices.Contains(d.SecretInputs, k) {
				shown[k] = workflows.Mask
			}
		}
	}
	var m *redact.Masker
	if len(d.Hidden) > 0 {
		m = s.o.Redactor.With(d.Hidden)
	}
	var found bool
	if out.shown, err = encodeText(shown, func(b []byte) []byte {
		b, found = s.maskJSON(b, m)
		return b
	}); err != nil {
		return masked{}, err
	}
	if !found && len(d.Hidden) == 0 {
		return out, nil
	}
	out.sealed, err = s.sealed(map[string]any{"inputs": d.Inputs, "secret": list(d.SecretInputs), "hidden": list(d.Hidden)}, sealedInputs)
	if err != nil && len(d.Hidden) > 0 {
		return out, fmt.Errorf("secret inputs of %s cannot be kept: %w", d.Trigger, err)
	}
	return out, nil
}

func list(texts []string) []any {
	out := make([]any, len(texts))
	for i, t := range texts {
		out[i] = t
	}
	return out
}

func texts(v any) []string {
	l, _ := v.([]any)
	var out []string
	for _, e := range l {
		if t, ok := e.(string); ok {
			out = append(out, t)
		}
	}
	return out
}

// unseal restores the secret inputs of an event.
func (s *Store) unseal(ctx context.Context, ev *engine.Event) error {
	if ev == nil || ev.Inputs == nil {
		return nil
	}
	var sealed []byte
	if err := s.readers.QueryRowContext(ctx, `SELECT sealed FROM events WHERE id = ?`, int64(ev.ID)).Scan(&sealed); err != nil {
		return classify(err)
	}
	if sealed == nil {
		return nil
	}
	v, err := s.opened(sealed, sealedInputs)
	if err != nil {
		// The event is readable; its runs report why they cannot continue.
		ev.Locked = err
		return nil
	}
	m, _ := v.(map[string]any)
	ev.Inputs, _ = m["inputs"].(map[string]any)
	ev.SecretInputs, ev.Hidden = texts(m["secret"]), texts(m["hidden"])
	return nil
}

// unsealResult restores the full output of an ended run, for the run that called it. Without the
// key the masked output is used.
func (s *Store) unsealResult(ctx context.Context, r *engine.Run) error {
	var sealed []byte
	if err := s.readers.QueryRowContext(ctx, `SELECT sealed FROM runs WHERE id = ?`, int64(r.ID)).Scan(&sealed); err != nil {
		return classify(err)
	}
	if sealed == nil {
		return nil
	}
	v, err := s.opened(sealed, sealedResult)
	if err != nil {
		s.o.Log.Warn("the calling run sees *** in the output of the called run", "run", r.ID, "error", err)
		return nil
	}
	r.Output = v
	return nil
}
