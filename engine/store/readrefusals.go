package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hookloom/hookloom/engine"
)

// Quarantine lists refused deliveries, newest first. Their number is bounded.
func (h *History) Quarantine(ctx context.Context, q engine.Query) ([]engine.RefusalItem, error) {
	var w where
	if err := h.refusalConditions(ctx, &w, q); err != nil {
		return nil, err
	}
	tail, err := w.page(q, refusalPrefix, "id")
	if err != nil {
		return nil, err
	}
	return collect(ctx, h.db, selectRefusal+w.String()+tail, w.args, func(s scanner) (engine.RefusalItem, error) {
		x, body, err := scanRefusal(s)
		if utf8.Valid(body) {
			x.Body = string(body)
		}
		return x, err
	})
}

const selectRefusal = `SELECT id, at, trigger, reason, detail, diagnosis, remote, method, path, url, headers, size, event_id, body
	FROM quarantine`

func scanRefusal(s scanner) (engine.RefusalItem, []byte, error) {
	var x engine.RefusalItem
	var id, at int64
	var headers string
	var event sql.NullInt64
	var body []byte
	err := s.Scan(&id, &at, &x.Trigger, &x.Reason, &x.Detail, &x.Diagnosis, &x.Remote, &x.Method, &x.Path, &x.URL, &headers, &x.Size,
		&event, &body)
	x.ID, x.At, x.Kept = fmt.Sprintf("%s%d", refusalPrefix, id), fromMillis(at),
		min(len(body), x.Size) // masked fields may be longer than the original ones
	if event.Valid {
		x.Event = engine.EventID(event.Int64).String()
	}
	if err == nil {
		err = json.Unmarshal([]byte(headers), &x.Headers)
	}
	return x, body, err
}

// refusalPrefix begins the id of a refused delivery.
const refusalPrefix = "ref_"

// ParseRefusalID parses ref_ and a number.
func ParseRefusalID(s string) (int64, error) {
	text, ok := strings.CutPrefix(s, refusalPrefix)
	n, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not the id of a refused delivery: ref_ and a number", s)
	}
	return n, nil
}

// Refusal loads one refused delivery, and the stored bytes of its body.
func (h *History) Refusal(ctx context.Context, id string) (*engine.RefusalItem, []byte, error) {
	n, err := ParseRefusalID(id)
	if err != nil {
		return nil, nil, err
	}
	x, body, err := scanRefusal(h.db.QueryRowContext(ctx, selectRefusal+` WHERE id = ?`, n))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, fmt.Errorf("refused delivery %s: %w", id, engine.ErrNotFound)
	}
	if err != nil {
		return nil, nil, classify(err)
	}
	if utf8.Valid(body) {
		x.Body = string(body)
	}
	return &x, body, nil
}
