package store

import (
	"context"
	"fmt"
)

// This file estimates how much of a PostgreSQL database the history takes. The files of its tables do not tell:
// they do not shrink when rows are removed, and the space of removed rows is used again. So the rows are counted,
// which reads an index only, and their size is that of a sample.

const (
	// sampleParts is how many parts of the history, at equal distances, the sample has rows of.
	sampleParts = 20
	// sampleRows is how many events, and how many runs, it has of each part.
	sampleRows = 50
)

// A row takes its values, 28 bytes in its page, and in each index about 20 bytes and the indexed texts. A page is
// filled to about nine tenths. pg_column_size is the size of a value as it is stored, which may be compressed.
const (
	// sampleEvents has the size of events with their keys, decisions and further deliveries.
	sampleEvents = `SELECT count(*), coalesce(sum(1.1 * (230 + 4 * pg_column_size(e.trigger) + 3 * pg_column_size(e.key) +
		pg_column_size(e.headers) + pg_column_size(e.query) + pg_column_size(e.data_expr) + pg_column_size(e.path) +
		coalesce(pg_column_size(e.body), 0) + coalesce(pg_column_size(e.inputs), 0) + coalesce(pg_column_size(e.sealed), 0) +
		coalesce(pg_column_size(e.proof), 0) +
		(SELECT coalesce(sum(90 + 2 * pg_column_size(d.workflow) + pg_column_size(d.version) + pg_column_size(d.reason) +
			pg_column_size(d.trace)), 0) FROM decisions d WHERE d.event_id = e.id) +
		(SELECT 100 * count(*) FROM sightings s WHERE s.event_id = e.id) +
		(SELECT coalesce(sum(300 + pg_column_size(c.headers) + coalesce(pg_column_size(c.body), 0)), 0) FROM conflicts c
			WHERE c.event_id = e.id))), 0)::bigint
		FROM (SELECT * FROM events WHERE id >= ? ORDER BY id LIMIT ?) e`
	// sampleRuns has the size of runs with their steps.
	sampleRuns = `SELECT count(*), coalesce(sum(1.15 * (200 + 2 * pg_column_size(r.workflow) + pg_column_size(r.version) +
		pg_column_size(r.text) + coalesce(pg_column_size(r.output), 0) + coalesce(pg_column_size(r.error), 0) +
		coalesce(pg_column_size(r.sealed), 0) +
		(SELECT coalesce(sum(130 + 2 * pg_column_size(s.path) + pg_column_size(s.action) + coalesce(pg_column_size(s.input), 0) +
			coalesce(pg_column_size(s.output), 0) + coalesce(pg_column_size(s.error), 0) + coalesce(pg_column_size(s.sealed), 0) +
			coalesce(pg_column_size(s.destination), 0)), 0) FROM steps s WHERE s.run_id = r.id))), 0)::bigint
		FROM (SELECT * FROM runs WHERE id >= ? ORDER BY id LIMIT ?) r`
)

// historySize is how many bytes the history takes, in total and for each event.
type historySize struct{ bytes, perEvent int64 }

// historySize estimates the size of the history on PostgreSQL. It is never more than the size of the files.
func (s *Store) historySize(ctx context.Context) (out historySize, err error) {
	var files, events, runs int64
	if err := s.readers.QueryRowContext(ctx, postgresSize).Scan(&files); err != nil {
		return out, classify(err)
	}
	if err := s.readers.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM runs)`).Scan(&events,
		&runs); err != nil {
		return out, classify(err)
	}
	ofEvents, err := s.sampled(ctx, "events", sampleEvents)
	if err != nil {
		return out, err
	}
	ofRuns, err := s.sampled(ctx, "runs", sampleRuns)
	if err != nil {
		return out, err
	}
	estimate := int64(float64(events)*ofEvents + float64(runs)*ofRuns)
	return historySize{min(estimate, files), estimate / max(events, 1)}, nil
}

// sampled returns the size of the average row of a table, with what belongs to it.
func (s *Store) sampled(ctx context.Context, table, query string) (float64, error) {
	var first, last int64
	err := s.readers.QueryRowContext(ctx, fmt.Sprintf(`SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM %s`, table)).Scan(&first, &last)
	if err != nil {
		return 0, classify(err)
	}
	var rows, bytes int64
	for i := range int64(sampleParts) {
		var n, size int64
		if err := s.readers.QueryRowContext(ctx, query, first+(last-first)/sampleParts*i, sampleRows).Scan(&n, &size); err != nil {
			return 0, classify(err)
		}
		rows, bytes = rows+n, bytes+size
	}
	return float64(bytes) / float64(max(rows, 1)), nil
}
