package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/engine"
)

// This file finds rows that cannot be read. Their run or event fails alone when it is needed;
// nothing else would report it before.

// maxBadRows is how many rows one finding lists.
const maxBadRows = 10

// BadRow is a row that cannot be read.
type BadRow struct {
	// Of is the run or event that the row belongs to.
	Of string
	// What describes what is wrong with which part.
	What string
	// Open reports whether the run has not ended, or the event is not decided.
	Open bool
}

// String describes the problem and the remedy.
func (b BadRow) String() string {
	do := "hookloom replay " + b.Of + " runs it again"
	switch {
	case strings.HasPrefix(b.Of, "evt_"):
		do = "its runs end as dead letters; ask its sender to send it again"
	case b.Open:
		do = "it ends as a dead letter when it continues; hookloom cancel " + b.Of + " ends it now"
	}
	return fmt.Sprintf("%s: %s: %s", b.Of, b.What, do)
}

// Unreadable reads every run, step, answer and event as the engine does, and returns the rows that
// cannot be read, at most maxBadRows of each kind. If ctx ends early, it returns what was found
// until then and no error. looked is the number of rows read.
func (h *History) Unreadable(ctx context.Context) (bad []BadRow, looked int64, err error) {
	for _, read := range []func(context.Context) ([]BadRow, int64, error){h.badRuns, h.badSteps, h.badAnswers, h.badEvents} {
		b, n, err := read(ctx)
		bad, looked = append(bad, b...), looked+n
		if ctx.Err() != nil {
			return bad, looked, nil
		}
		if err != nil {
			return bad, looked, err
		}
	}
	return bad, looked, nil
}

// eachRow calls read for each row of a query: read describes what is wrong with the row.
func (h *History) eachRow(ctx context.Context, query string, read func(scanner) (BadRow, bool)) (bad []BadRow, n int64, err error) {
	rows, err := h.db.QueryContext(ctx, query)
	if err != nil {
		return nil, 0, classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		n++
		if b, wrong := read(rows); wrong && len(bad) < maxBadRows {
			bad = append(bad, b)
		}
	}
	return bad, n, classify(rows.Err())
}

// jsonOf describes what is wrong with stored JSON.
func jsonOf(what string, columns ...sql.NullString) error {
	for _, c := range columns {
		if _, err := decodeColumn(c); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

func (h *History) badRuns(ctx context.Context) ([]BadRow, int64, error) {
	return h.eachRow(ctx, `SELECT id, finished_at IS NULL, output, error, event_id, created_at, started_at, finished_at, active_ms, boots
		FROM runs`, func(row scanner) (BadRow, bool) {
		var id, event, created, active, boots int64
		var started, finished sql.NullInt64
		var open bool
		var output, failure sql.NullString
		err := row.Scan(&id, &open, &output, &failure, &event, &created, &started, &finished, &active, &boots)
		if err == nil {
			err = errors.Join(jsonOf("its output", output), jsonOf("its error", failure))
		} else {
			err = fmt.Errorf("its row: %w", err)
		}
		return badRow(engine.RunID(id).String(), open, err)
	})
}

func badRow(of string, open bool, err error) (BadRow, bool) {
	if err == nil {
		return BadRow{}, false
	}
	return BadRow{Of: of, What: strings.ReplaceAll(err.Error(), "\n", "; "), Open: open}, true
}

func (h *History) badSteps(ctx context.Context) ([]BadRow, int64, error) {
	const query = `SELECT s.run_id, r.finished_at IS NULL, s.path, s.attempt, s.started_at, s.finished_at, s.output, s.error FROM steps s
		JOIN runs r ON r.id = s.run_id`
	return h.eachRow(ctx, query, func(row scanner) (BadRow, bool) {
		var run, attempt, started int64
		var open bool
		var path string
		var finished sql.NullInt64
		var output, failure sql.NullString
		err := row.Scan(&run, &open, &path, &attempt, &started, &finished, &output, &failure)
		if err == nil {
			err = errors.Join(jsonOf("the output of step "+path, output), jsonOf("the error of step "+path, failure))
		} else {
			err = fmt.Errorf("the row of step %s: %w", path, err)
		}
		return badRow(engine.RunID(run).String(), open, err)
	})
}

func (h *History) badAnswers(ctx context.Context) ([]BadRow, int64, error) {
	const query = `SELECT a.run_id, r.finished_at IS NULL, a.path, a.attempt, a.output FROM answers a JOIN runs r ON r.id = a.run_id`
	return h.eachRow(ctx, query, func(row scanner) (BadRow, bool) {
		var run, attempt int64
		var open bool
		var path string
		var output sql.NullString
		err := row.Scan(&run, &open, &path, &attempt, &output)
		if err == nil {
			err = jsonOf("the answer to step "+path, output)
		}
		return badRow(engine.RunID(run).String(), open, err)
	})
}

func (h *History) badEvents(ctx context.Context) ([]BadRow, int64, error) {
	return h.eachRow(ctx, `SELECT `+eventColumns+` FROM events`, func(row scanner) (BadRow, bool) {
		id := &firstColumn{row: row}
		_, unreadable, err := scanEvent(id)
		return badRow(engine.EventID(id.value).String(), true, errors.Join(unreadable, err))
	})
}

// firstColumn keeps the id of a row of which the full scan may fail.
type firstColumn struct {
	row   scanner
	value int64
}

// Scan implements scanner.
func (f *firstColumn) Scan(dest ...any) error {
	err := f.row.Scan(dest...)
	if id, ok := dest[0].(*int64); ok {
		f.value = *id
	}
	return err
}
