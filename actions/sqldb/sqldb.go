// Package sqldb implements sql/query and sql/exec: constant statements with values as parameters,
// in one transaction on PostgreSQL, MySQL, MariaDB or SQLite. Hosts are reached through the egress
// guard.
//
// It must not know HTTP, other actions, or Hookloom's own database.
package sqldb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// connector declares the connections of sql/query and sql/exec.
var connector = &workflows.Connector{Name: "sql", Description: "a database", Fields: []workflows.ConnectionField{
	{Name: "url", Type: "string", Required: true, Secret: true,
		Description: "postgres://USER:PASSWORD@HOST/DB, mysql://USER:PASSWORD@HOST/DB, or sqlite:data/shop.db, a file of the project"},
	{Name: "ca", Type: "string", Description: "CA certificates in PEM, instead of the system's"},
}}

const literalHint = "write $1 (PostgreSQL) or ? (MySQL, SQLite) instead, and put the value into args: [${{ ... }}]"

var argsInput = workflows.ActionInput{Name: "args", Type: "list",
	Help: "the values of $1, $2 (PostgreSQL) or of each ? (MySQL, SQLite), in order"}

// QuerySpec describes sql/query.
var QuerySpec = workflows.ActionSpec{Name: "sql/query", Help: "reads rows of a database, in a read-only transaction",
	SideEffects: true, Safe: true, Connection: connector,
	Example: map[string]any{"rows": []any{map[string]any{"id": 1}}, "columns": []any{"id"}, "count": 1},
	Inputs: []workflows.ActionInput{
		{Name: "query", Type: "string", Required: true, Literal: literalHint, Help: "one SELECT, without expressions"},
		argsInput,
		{Name: "max_rows", Type: "integer", Help: "1000 by default, at most 100000; more rows are an error"},
	},
	Outputs: []workflows.ActionOutput{{Name: "rows", Type: "list",
		Help: "one object for each row; numeric and decimal as text, times in RFC 3339"},
		{Name: "columns", Type: "list", Help: "names of the columns, in order"}, {Name: "count", Type: "integer", Help: "how many rows"}},
	Usage: `- id: customer
  uses: sql/query
  with:
    query: SELECT id, email, tier FROM customers WHERE email = $1
    args: ["${{ event.data.email }}"]
`}

// ExecSpec describes sql/exec.
var ExecSpec = workflows.ActionSpec{Name: "sql/exec", Help: "changes a database, all statements in one transaction", SideEffects: true,
	Connection: connector,
	Retry:      &workflows.Retry{Max: 3, Delay: time.Second, Factor: 2, MaxDelay: time.Minute, Jitter: true, OnlyUndone: true},
	Example:    map[string]any{"rows_affected": 1, "last_id": nil, "rows": []any{}},
	Inputs: []workflows.ActionInput{
		{Name: "statement", Type: "string", Literal: literalHint, Help: "one statement, without expressions"},
		argsInput,
		{Name: "batch", Type: "list", Help: "instead of args: a list of lists of values; the statement runs once for each"},
		{Name: "statements", Type: "list", Literal: literalHint, Help: "several: [{statement: ..., args: [...]}]"},
		{Name: "expect", Type: "integer",
			Help: "the number of rows that must be affected in total; else nothing is changed and the step fails with the code conflict"},
	},
	Outputs: []workflows.ActionOutput{{Name: "rows_affected", Type: "integer", Help: "rows affected by all statements"},
		{Name: "last_id", Type: "any", Help: "the id that MySQL or SQLite assigned to the last row, else null"},
		{Name: "rows", Type: "list", Help: "the rows of RETURNING"}},
	Usage: `- id: paid
  uses: sql/exec
  with:
    statement: UPDATE orders SET status = 'paid', paid_at = $2 WHERE id = $1 AND status <> 'paid'
    args: ["${{ event.data.order }}", "${{ event.data.paid_at }}"]
`}

const (
	// defaultRows and mostRows are the default and the maximum number of rows of a step.
	defaultRows, mostRows = 1000, 100_000
	// mostStatements is the maximum number of statements in a transaction.
	mostStatements = 10_000
	// triesInside is how often a transaction is tried that the database rolls back because of
	// concurrent ones.
	triesInside = 3
)

// Query executes sql/query. Client is a client of the guard that checks the addresses of databases.
type Query struct{ Client *http.Client }

// Exec executes sql/exec. Client is as in Query.
type Exec struct{ Client *http.Client }

// statement is a statement to execute.
type statement struct {
	text string
	args []any
}

// returning finds a clause that returns rows.
var returning = regexp.MustCompile(`(?i)\breturning\b`)

// Destination implements engine.Destined.
func (Query) Destination(in engine.Input) string { return destination(in) }

// Destination implements engine.Destined.
func (Exec) Destination(in engine.Input) string { return destination(in) }

func destination(in engine.Input) string {
	t, err := targetOf(in)
	if err != nil || t.address() == "" {
		return ""
	}
	return engine.DestinationOf(t.kind+"://"+t.address(), "")
}

// Do implements engine.Action.
func (q Query) Do(ctx context.Context, in engine.Input) (any, error) {
	limit := defaultRows
	if n, given := in.With["max_rows"].(int); given {
		if limit = n; n < 1 || n > mostRows {
			return nil, plan.Permanent("invalid_input", "max_rows is a number from 1 to %d", mostRows)
		}
	}
	args, err := listOf("args", in.With["args"])
	if err != nil {
		return nil, err
	}
	var out *table
	err = transact(ctx, q.Client, in, true, func(t *target, tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, value.Shown(in.With["query"]), t.arguments(args)...)
		if err != nil {
			return err
		}
		out, err = read(rows, limit)
		return errors.Join(err, rows.Close())
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"rows": out.rows, "columns": out.columns, "count": len(out.rows)}, nil
}

// Test implements engine.ConnectionTest.
func (q Query) Test(ctx context.Context, in engine.Input) (string, error) {
	in.With = map[string]any{"connection": in.With["connection"], "query": "SELECT 1"}
	if _, err := q.Do(ctx, in); err != nil {
		return "", err
	}
	return "SELECT 1 was answered", nil
}

// Do implements engine.Action.
func (e Exec) Do(ctx context.Context, in engine.Input) (any, error) {
	list, err := statements(in.With)
	if err != nil {
		return nil, err
	}
	var affected int
	var last any
	var rows []any
	err = transact(ctx, e.Client, in, false, func(t *target, tx *sql.Tx) error {
		affected, last, rows = 0, nil, []any{}
		for _, s := range list {
			if err := t.exec(ctx, tx, s, &affected, &last, &rows); err != nil {
				return err
			}
		}
		if want, given := in.With["expect"].(int); given && affected != want {
			return plan.Permanent("conflict", "%d rows were affected, but expect is %d: nothing was changed", affected, want)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"rows_affected": affected, "last_id": last, "rows": rows}, nil
}

// statements returns the statements of sql/exec.
func statements(with map[string]any) ([]statement, error) {
	one := value.Shown(with["statement"])
	several, err := listOf("statements", with["statements"])
	if err != nil {
		return nil, err
	}
	if (one == "") == (len(several) == 0) {
		return nil, plan.Permanent("invalid_input", "write statement:, or statements: with a list of them")
	}
	args, err := listOf("args", with["args"])
	if err != nil {
		return nil, err
	}
	batch, err := listOf("batch", with["batch"])
	if err != nil {
		return nil, err
	}
	var out []statement
	if one != "" && with["batch"] == nil {
		out = append(out, statement{one, args})
	}
	for i, row := range batch {
		list, isList := row.([]any)
		if !isList {
			return nil, plan.Permanent("invalid_input", "batch[%d] is a list of values", i)
		}
		out = append(out, statement{one, list})
	}
	for i, x := range several {
		m, _ := x.(map[string]any)
		list, err := listOf(fmt.Sprintf("statements[%d].args", i), m["args"])
		if err != nil {
			return nil, err
		}
		if value.Shown(m["statement"]) == "" {
			return nil, plan.Permanent("invalid_input", "statements[%d] needs statement:", i)
		}
		out = append(out, statement{value.Shown(m["statement"]), list})
	}
	switch {
	case with["batch"] != nil && (one == "" || len(args) > 0):
		return nil, plan.Permanent("invalid_input", "batch needs statement, and replaces args")
	case len(out) > mostStatements:
		return nil, plan.Permanent("too_large", "%d statements are too many for one transaction: at most %d", len(out), mostStatements)
	}
	return out, nil
}

func listOf(what string, v any) ([]any, error) {
	list, isList := v.([]any)
	if !isList && v != nil {
		return nil, plan.Permanent("invalid_input", "%s is a list", what)
	}
	return list, nil
}

// exec executes a statement and sums up the results.
func (t *target) exec(ctx context.Context, tx *sql.Tx, s statement, affected *int, last *any, rows *[]any) error {
	if returning.MatchString(s.text) {
		r, err := tx.QueryContext(ctx, s.text, t.arguments(s.args)...)
		if err != nil {
			return err
		}
		got, err := read(r, mostRows-len(*rows))
		if err = errors.Join(err, r.Close()); err != nil {
			return err
		}
		*rows = append(*rows, got.rows...)
		*affected += len(got.rows)
		return nil
	}
	r, err := tx.ExecContext(ctx, s.text, t.arguments(s.args)...)
	if err != nil {
		return err
	}
	n, err := r.RowsAffected()
	if err != nil {
		return fmt.Errorf("counting rows: %w", err)
	}
	*affected += int(n)
	if id, err := r.LastInsertId(); err == nil && id != 0 {
		*last = int(id)
	}
	return nil
}

// transact opens the database, runs work in one transaction, and closes it. Work runs again if the
// database rolled it back because of concurrent transactions.
func transact(ctx context.Context, guarded *http.Client, in engine.Input, readOnly bool, work func(*target, *sql.Tx) error) error {
	t, err := targetOf(in)
	if err != nil {
		return err
	}
	db, err := t.open(guarded, in, readOnly)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for try := 1; ; try++ {
		err := t.once(ctx, db, readOnly, work)
		if err == nil || try == triesInside || !t.rolledBack(err) || ctx.Err() != nil {
			return t.explain(ctx, err)
		}
		select {
		case <-time.After(time.Duration(try) * 50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// errCommit marks a commit whose outcome is unknown.
var errCommit = errors.New("the commit got no response")

func (t *target) once(ctx context.Context, db *sql.DB, readOnly bool, work func(*target, *sql.Tx) error) error {
	// SQLite has no read-only transactions: the file is opened read-only.
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: readOnly && t.kind != "sqlite"})
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	if err = t.bound(ctx, tx); err == nil {
		err = t.refuseOwnDatabase(ctx, tx)
	}
	if err == nil {
		err = work(t, tx)
	}
	if err != nil {
		_ = tx.Rollback() // after a lost connection its error adds nothing
		return err
	}
	if err := tx.Commit(); err != nil {
		if t.codeOf(err) == "" && !readOnly {
			return errors.Join(errCommit, err)
		}
		return err
	}
	return nil
}

// bound makes the server itself stop a statement when the attempt's time is over.
func (t *target) bound(ctx context.Context, tx *sql.Tx) error {
	deadline, bounded := ctx.Deadline()
	if t.kind != "postgres" || !bounded {
		return nil
	}
	ms := max(time.Until(deadline).Milliseconds(), 1)
	_, err := tx.ExecContext(ctx, fmt.Sprintf("SET LOCAL statement_timeout = %d", ms))
	return err
}

// targetOf reads the connection that a step names.
func targetOf(in engine.Input) (*target, error) {
	name := cmp.Or(value.Shown(in.With["connection"]), connector.Name)
	f, err := in.ConnectionFields(name, connector)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(value.Shown(f["url"]))
	if err != nil { // its error would contain the password
		return nil, plan.Permanent("invalid_connection", "connection %s: url cannot be read; characters such as @ or / in the password are "+
			"percent-encoded", name)
	}
	return newTarget(name, u, value.Shown(f["ca"]))
}
