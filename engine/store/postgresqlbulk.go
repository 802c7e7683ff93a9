package store

import (
	"database/sql/driver"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"
)

// This file executes the most common statements of a transaction together: one statement writes the rows of
// all commands of a batch. The rows of a table are held back until another statement names the table, so that
// each statement finds what it would have found without this.

// rowKey identifies a row within its table.
type rowKey struct {
	id      int64
	text    string
	attempt int64
}

// bulk is a statement that writes one row, and its form for many rows.
type bulk struct {
	table string
	// key returns the row that the statement writes.
	key func(args []driver.Value) rowKey
	// one reports whether each row must be changed: otherwise the assumption of a command is wrong.
	one bool
	// text is the statement for many rows, in PostgreSQL's SQL.
	text string
}

// errAssumed means that a statement has changed other rows than a batch has assumed. The commands are then
// executed again, each alone, with a round trip for each answer.
var errAssumed = errors.New("a row has changed meanwhile")

func firstID(args []driver.Value) rowKey { id, _ := args[0].(int64); return rowKey{id: id} }

func lastID(args []driver.Value) rowKey { return firstID(args[len(args)-1:]) }

func stepKey(args []driver.Value) rowKey {
	k := firstID(args)
	k.text, _ = args[1].(string)
	k.attempt, _ = args[2].(int64)
	return k
}

func decisionKey(args []driver.Value) rowKey {
	k := firstID(args)
	k.text, _ = args[1].(string)
	return k
}

// updateRuns is updateRun for many runs. IS TRUE keeps PostgreSQL from reading all runs at work by their index,
// and comparing each with each row.
const updateRuns = `UPDATE ` + schemaName + `.runs AS r SET boots = CASE WHEN v.progress THEN 0 ELSE r.boots END, status = v.status,
	started_at = v.started_at, finished_at = v.finished_at, due_at = v.due_at, active_ms = v.active_ms, output = v.output, error = v.error,
	text = v.text FROM (SELECT unnest($1::boolean[]) AS progress, unnest($2::text[]) AS status, unnest($3::bigint[]) AS started_at,
		unnest($4::bigint[]) AS finished_at, unnest($5::bigint[]) AS due_at, unnest($6::bigint[]) AS active_ms, unnest($7::text[]) AS output,
		unnest($8::text[]) AS error, unnest($9::text[]) AS text, unnest($10::bigint[]) AS id) AS v
	WHERE r.id = v.id AND (r.status = 'running') IS TRUE`

// bulks are the statements that are executed together, by their text for SQLite.
var bulks = map[string]*bulk{
	insertPlain:    {table: "events", key: firstID, text: forRows(insertPlain)},
	insertEvent:    {table: "events", key: firstID, text: forRows(insertEvent)},
	insertInbox:    {table: "inbox", key: firstID, text: forRows(insertInbox, ownerNode)},
	insertDecision: {table: "decisions", key: decisionKey, text: forRows(insertDecision)},
	insertRun:      {table: "runs", key: firstID, text: forRows(insertRun, ownerNode)},
	upsertStep:     {table: "steps", key: stepKey, text: forRows(upsertStep)},
	insertStep:     {table: "steps", key: stepKey, text: forRows(insertStep)},
	updateRun:      {table: "runs", key: lastID, one: true, text: updateRuns},
	deleteInbox: {table: "inbox", key: firstID, one: true,
		text: `DELETE FROM ` + schemaName + `.inbox WHERE event_id = ANY ($1::bigint[])`},
}

// ownerNode is the column of the node that decides an event or executes a run.
const ownerNode = "owner_node"

var insertForm = regexp.MustCompile(`(?s)^(INSERT INTO \w+ \(([^)]*)\))\s+VALUES \([?, \n\t]*\)(.*)$`)

// forRows returns the form of an INSERT that takes an array for each column. The arrays are read side by side:
// in FROM, PostgreSQL would first store the rows of each.
// With own, the rows belong to this node.
func forRows(query string, own ...string) string {
	parts := insertForm.FindStringSubmatch(query)
	var arrays []string
	insert := parts[1]
	for _, column := range own {
		insert = strings.Replace(insert, "(", "("+column+", ", 1)
		arrays = append(arrays, nodeNumber)
	}
	for i, column := range strings.Split(parts[2], ",") {
		arrays = append(arrays, "unnest($"+strconv.Itoa(i+1)+"::"+columnType(strings.TrimSpace(column))+"[])")
	}
	return translate(insert) + ` SELECT ` + strings.Join(arrays, ", ") + ` ` + translate(parts[3])
}

// columnType is the type of a column in the tables of bulks and claims.
func columnType(column string) string {
	switch column {
	case "id", "event_id", "run_id", "time", "received_at", "crc", "identity", "same_body", "content_sum", "created_at", "started_at",
		"finished_at", "due_at", "active_ms", "attempt", "at", "seen_at", "expires_at":
		return "bigint"
	case "body", "digest":
		return "bytea"
	}
	return "text"
}

// heldRows are the rows of one table that were not sent yet.
type heldRows struct {
	// by are the rows, each with the statement that writes it. No two statements write the same row, so
	// their order does not matter.
	by map[rowKey]*bulk
	// bulks are the statements, in the order of their first rows.
	bulks []*bulk
	rows  map[*bulk][][]driver.Value
}

// hold adds a row to those that are sent together.
func (p *postgresql) hold(b *bulk, args []driver.Value) {
	for i, a := range args {
		switch x := a.(type) {
		case string:
			args[i] = storable(x)
			p.size += len(x)
		case []byte:
			p.size += len(x)
		}
	}
	h, key := p.held[b.table], b.key(args)
	if h != nil && h.by[key] != nil {
		p.release(b.table) // a row is written again
		h = nil
	}
	if h == nil || h.by == nil {
		h = &heldRows{by: map[rowKey]*bulk{}, rows: map[*bulk][][]driver.Value{}}
		p.held[b.table] = h
	}
	h.by[key] = b
	if h.rows[b] == nil {
		h.bulks = append(h.bulks, b)
	}
	h.rows[b] = append(h.rows[b], args)
}

// release adds the statements for the held rows of a table to those that are sent next.
func (p *postgresql) release(table string) {
	h := p.held[table]
	if h == nil {
		return
	}
	delete(p.held, table)
	for _, b := range h.bulks {
		rows, want := h.rows[b], int64(anyNumber)
		if b.one {
			want = int64(len(rows))
		}
		p.queue(p.here(b.text), want, nil, columnsOf(rows)...)
	}
}

// releaseAll releases all tables.
func (p *postgresql) releaseAll() {
	for _, table := range bulkTables {
		p.release(table)
	}
}

// releaseFor releases the tables that a statement names.
func (p *postgresql) releaseFor(t *postgresText) {
	if len(p.held) == 0 {
		return
	}
	for _, table := range bulkTables {
		if p.held[table] != nil && (t.all || slices.Contains(t.tables, table)) {
			p.release(table)
		}
	}
}

// bulkTables are the tables of bulks. Their order is that in which all transactions write to them.
var bulkTables = []string{"events", "inbox", "runs", "decisions", "steps"}

// postgresText is a statement in PostgreSQL's SQL.
type postgresText struct {
	text string
	// tables are those of bulks that the statement names. all means that it may read any of them.
	tables []string
	all    bool
}

func newPostgresText(query string, here func(string) string) *postgresText {
	t := &postgresText{text: here(translate(query))}
	for _, x := range tokens(query) {
		if slices.Contains(bulkTables, x.text) && !slices.Contains(t.tables, x.text) {
			t.tables = append(t.tables, x.text)
		}
		t.all = t.all || strings.HasSuffix(x.text, "_view")
	}
	return t
}

// column is one column of rows, as an array of PostgreSQL (pgtype.ArrayGetter).
type column struct {
	rows [][]driver.Value
	i    int
}

func columnsOf(rows [][]driver.Value) []any {
	out := make([]any, len(rows[0]))
	for i := range out {
		out[i] = column{rows, i}
	}
	return out
}

// Dimensions implements pgtype.ArrayGetter.
func (c column) Dimensions() []pgtype.ArrayDimension {
	return []pgtype.ArrayDimension{{Length: int32(len(c.rows)), LowerBound: 1}}
}

// Index implements pgtype.ArrayGetter.
func (c column) Index(i int) any { return c.rows[i][c.i] }

// IndexType implements pgtype.ArrayGetter: a value of the elements' type, nil if all are NULL.
func (c column) IndexType() any {
	for _, row := range c.rows {
		if row[c.i] != nil {
			return row[c.i]
		}
	}
	return nil
}
