package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"math"
	"strings"
)

// reader reads a table that may be damaged. Unreadable rows are skipped.
type reader struct {
	from    *sql.DB
	name    string
	columns []string
	t       *Salvaged
	put     func([]driver.Value) error
}

// maxGaps bounds how many gaps are skipped: each costs about a hundred look-ups.
const maxGaps = 10_000

// byRow reads a table with rowids, in their order. At an unreadable page it searches for the next
// rowid from which reading can continue.
func (r *reader) byRow(ctx context.Context) error {
	next := int64(math.MinInt64)
	for {
		last, some, err := r.rows(ctx, `WHERE rowid >= ? ORDER BY rowid`, next)
		if some && last == math.MaxInt64 || err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if some {
			next = last + 1
		}
		r.gap(err)
		var found bool
		if next, found = r.after(ctx, next); !found || r.t.Gaps > maxGaps {
			return nil
		}
	}
}

// after finds a rowid beyond an unreadable page, as near as possible.
func (r *reader) after(ctx context.Context, from int64) (int64, bool) {
	if from == math.MinInt64 {
		from = 0 // ids of this schema are positive
		if r.readable(ctx, from) {
			return from, true
		}
	}
	bad, step := from, int64(1)
	for {
		if bad > math.MaxInt64-step {
			return 0, false
		}
		if r.readable(ctx, bad+step) {
			break
		}
		bad, step = bad+step, step*2
	}
	good := bad + step
	for good-bad > 1 {
		if middle := bad + (good-bad)/2; r.readable(ctx, middle) {
			good = middle
		} else {
			bad = middle
		}
	}
	return good, true
}

// readable reports whether the row at or after a rowid can be read.
func (r *reader) readable(ctx context.Context, rowid int64) bool {
	rows, err := r.from.QueryContext(ctx, r.query(`WHERE rowid >= ? ORDER BY rowid LIMIT 1`), rowid)
	if err != nil {
		return false
	}
	defer rows.Close()
	found := rows.Next()
	return found && rows.Err() == nil
}

// byKey reads a table without rowids from both ends.
func (r *reader) byKey(ctx context.Context, key []string) error {
	order := `"` + strings.Join(key, `", "`) + `"`
	_, _, err := r.rows(ctx, `ORDER BY `+order)
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	r.gap(err)
	before := r.t.Rows
	down := `"` + strings.Join(key, `" DESC, "`) + `" DESC`
	// Rows of the first pass would be repeated only if the middle is readable; then they replace
	// themselves.
	if _, _, err := r.rows(ctx, `ORDER BY `+down); err == nil {
		r.t.Rows -= before
	}
	return ctx.Err()
}

func (r *reader) gap(err error) {
	r.t.Gaps++
	if r.t.Problem == "" && err != nil {
		r.t.Problem = err.Error()
	}
}

// rows passes rows on until the end or an error; last is the rowid of the last one.
func (r *reader) rows(ctx context.Context, rest string, args ...any) (last int64, some bool, err error) {
	rows, err := r.from.QueryContext(ctx, r.query(rest), args...)
	if err != nil {
		return 0, false, err
	}
	defer rows.Close()
	row, v := make([]any, len(r.columns)), make([]driver.Value, len(r.columns))
	dest := []any{&last}
	for i := range row {
		dest = append(dest, &row[i])
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return last, some, err
		}
		for i, x := range row {
			v[i] = x
		}
		some = true
		if err := r.put(v); err != nil {
			return last, some, err
		}
	}
	return last, some, rows.Err()
}

// query reads the columns after the rowid, which is 0 if there is none. Of a table with rowids it
// does not use indexes, which may be damaged.
func (r *reader) query(rest string) string {
	id, index := "0", ""
	if strings.HasPrefix(rest, "WHERE rowid") {
		id, index = "rowid", "NOT INDEXED "
	}
	return `SELECT ` + id + `, "` + strings.Join(r.columns, `", "`) + `" FROM "` + r.name + `" ` + index + rest
}
