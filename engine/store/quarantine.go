package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/hookloom/hookloom/engine"
)

// quarantine tracks the size of the stored refused deliveries, by trigger. When there are too many,
// the oldest of the trigger with the most are removed: a flood at one trigger does not remove the
// evidence of another. Only the writer uses it; stale may be set by anybody.
type quarantine struct {
	shares map[string]*quarantineShare
	// added counts additions since the totals were read: a transaction that is executed twice
	// counts twice, so the totals are read again from time to time.
	added int
	stale atomic.Bool
}

// quarantineShare is the share of one trigger.
type quarantineShare struct {
	number, bytes int64
	// bodiless is the id up to which all bodies have been removed.
	bodiless int64
}

// recountQuarantine is the number of additions after which the totals are read again.
const recountQuarantine = 1000

// refusalBytes is the size of a row without its numbers.
const refusalBytes = `octet_length(headers) + octet_length(url) + octet_length(path) + octet_length(detail) + octet_length(diagnosis)`

// bodyBytes is the size of the body, masked and encrypted.
const bodyBytes = `coalesce(octet_length(body), 0) + coalesce(octet_length(sealed), 0)`

// Refuse implements engine.Store.
func (s *Store) Refuse(ctx context.Context, r engine.Refusal) error {
	headers, url := s.texts(r.Headers), s.o.Redactor.Text(r.URL)
	r.Detail, r.Diagnosis, r.Path = s.o.Redactor.Text(r.Detail), s.o.Redactor.Text(r.Diagnosis), s.o.Redactor.Text(r.Path)
	body := s.o.Redactor.Bytes(r.Body)
	var sealed driver.Value
	whole := 0
	if (r.Whole != nil || r.WholeURL != "") && s.o.Sealer != nil {
		b, err := s.sealRefusal(r)
		if err != nil {
			s.o.Log.Warn("the refused delivery is stored only in masked form: it cannot be verified again", "trigger", r.Trigger, "error", err)
		} else {
			sealed, whole = b, len(b)
		}
	}
	return s.w.do(ctx, false, func(t *tx) error {
		if err := t.locked(); err != nil {
			return err
		}
		q := &s.quarantine
		if q.shares == nil || q.added >= recountQuarantine || q.stale.Load() {
			if err := q.count(t); err != nil {
				return err
			}
		}
		if err := t.exec(`INSERT INTO quarantine (at, trigger, reason, detail, diagnosis, remote, method, path, url, headers, size, body, `+
			`sealed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			r.At.UnixMilli(), r.Trigger, r.Reason, r.Detail, r.Diagnosis, r.RemoteIP, r.Method, r.Path, url, headers, int64(r.Size), body,
			sealed); err != nil {
			return err
		}
		q.added++
		x := q.share(r.Trigger)
		x.number++
		x.bytes += int64(len(headers) + len(url) + len(r.Path) + len(r.Detail) + len(r.Diagnosis) + len(body) + whole)
		return q.bound(t, int64(s.o.MaxQuarantine), s.o.MaxQuarantineBytes)
	})
}

// sealRefusal encrypts a refused delivery as it was received. With its URL it has another context, and
// the URL's length before it.
func (s *Store) sealRefusal(r engine.Refusal) ([]byte, error) {
	whole := r.Whole
	if whole == nil {
		whole = r.Body
	}
	if r.WholeURL == "" {
		return s.o.Sealer.Seal(whole, sealedRefusal)
	}
	b := binary.AppendUvarint(nil, uint64(len(r.WholeURL)))
	return s.o.Sealer.Seal(append(append(b, r.WholeURL...), whole...), sealedRequest)
}

// openRefusal is the reverse of sealRefusal. The URL is empty if the one that is shown is complete.
func (s *Store) openRefusal(sealed []byte) (url string, body []byte, err error) {
	if body, err = s.o.Sealer.Open(sealed, sealedRefusal); err == nil {
		return "", body, nil
	}
	b, err2 := s.o.Sealer.Open(sealed, sealedRequest)
	if err2 != nil {
		return "", nil, err
	}
	n, size := binary.Uvarint(b)
	if b = b[max(size, 0):]; size <= 0 || n > uint64(len(b)) {
		return "", nil, errors.New("it is damaged")
	}
	return string(b[:n]), b[n:], nil
}

func (q *quarantine) share(trigger string) *quarantineShare {
	if q.shares[trigger] == nil {
		q.shares[trigger] = &quarantineShare{}
	}
	return q.shares[trigger]
}

// count reads the totals.
func (q *quarantine) count(t *tx) error {
	q.stale.Store(false)
	q.shares, q.added = map[string]*quarantineShare{}, 0
	last := ""
	for first := true; ; first = false {
		dest := make([]driver.Value, 3)
		found, err := t.row(`SELECT trigger, count(*), sum(`+refusalBytes+` + `+bodyBytes+`) FROM quarantine
			WHERE trigger = (SELECT min(trigger) FROM quarantine WHERE trigger > ? OR ?) GROUP BY trigger`, dest, last, first)
		if err != nil {
			q.shares = nil
			return err
		}
		name, ok := textOf(dest[0])
		if !found || !ok {
			return nil
		}
		number, _ := dest[1].(int64)
		bytes, _ := dest[2].(int64)
		q.shares[name] = &quarantineShare{number: number, bytes: bytes}
		last = name
	}
}

// textOf reads a column that the driver returns as text or as bytes.
func textOf(v driver.Value) (string, bool) {
	switch x := v.(type) {
	case string:
		return x, true
	case []byte:
		return string(x), true
	}
	return "", false
}

// bound removes the oldest refusals of the trigger with the most beyond a number, and the oldest
// bodies beyond a size; if no bodies are left, entire refusals.
func (q *quarantine) bound(t *tx, number, size int64) error {
	for {
		var kept, bytes int64
		var most, largest string
		for name, x := range q.shares {
			kept, bytes = kept+x.number, bytes+x.bytes
			if m := q.shares[most]; m == nil || x.number > m.number || x.number == m.number && name < most {
				most = name
			}
			if m := q.shares[largest]; m == nil || x.bytes > m.bytes || x.bytes == m.bytes && name < largest {
				largest = name
			}
		}
		var err error
		switch {
		case kept > number:
			err = q.drop(t, most)
		case bytes > size:
			err = q.shorten(t, largest)
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// drop removes the oldest refusal of a trigger.
func (q *quarantine) drop(t *tx, trigger string) error {
	dest := make([]driver.Value, 2)
	found, err := t.row(`SELECT id, `+refusalBytes+` + `+bodyBytes+` FROM quarantine WHERE trigger = ? ORDER BY id LIMIT 1`, dest, trigger)
	if err != nil {
		return err
	}
	if !found {
		delete(q.shares, trigger) // the totals were wrong
		return nil
	}
	bytes, _ := dest[1].(int64)
	x := q.shares[trigger]
	x.number--
	x.bytes = max(0, x.bytes-bytes)
	return t.exec(`DELETE FROM quarantine WHERE id = ?`, dest[0])
}

// shorten removes the oldest body of a trigger, or its oldest refusal if no bodies are left.
func (q *quarantine) shorten(t *tx, trigger string) error {
	x := q.shares[trigger]
	dest := make([]driver.Value, 2)
	found, err := t.row(`SELECT id, `+bodyBytes+` FROM quarantine WHERE trigger = ? AND id > ? AND length(body) > 0 ORDER BY id LIMIT 1`,
		dest, trigger, x.bodiless)
	if err != nil {
		return err
	}
	if !found {
		return q.drop(t, trigger)
	}
	id, _ := dest[0].(int64)
	bytes, _ := dest[1].(int64)
	x.bodiless, x.bytes = id, max(0, x.bytes-bytes)
	return t.exec(`UPDATE quarantine SET body = NULL, sealed = NULL WHERE id = ?`, id)
}

// RefusedRequest returns the URL and the stored bytes of a refused delivery as received: to verify it
// again, not to display it.
func (s *Store) RefusedRequest(ctx context.Context, id string) (url string, body []byte, err error) {
	n, err := ParseRefusalID(id)
	if err != nil {
		return "", nil, err
	}
	var sealed []byte
	err = s.readers.QueryRowContext(ctx, `SELECT url, body, sealed FROM quarantine WHERE id = ?`, n).Scan(&url, &body, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil, fmt.Errorf("refused delivery %s: %w", id, engine.ErrNotFound)
	}
	if err != nil {
		return "", nil, classify(err)
	}
	if sealed == nil {
		return url, body, nil
	}
	if s.o.Sealer == nil {
		return "", nil, fmt.Errorf("refused delivery %s: its body is encrypted, and the key is missing", id)
	}
	whole, body, err := s.openRefusal(sealed)
	if err != nil {
		return "", nil, fmt.Errorf("refused delivery %s: its body is encrypted: %w", id, err)
	}
	return cmp.Or(whole, url), body, nil
}
