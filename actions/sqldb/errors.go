package sqldb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/egress"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows/value"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/mattn/go-sqlite3"
)

// codeOf returns the database's own code of an error: SQLSTATE of PostgreSQL, the number of MySQL,
// the extended code of SQLite; empty if the database returned none.
func (t *target) codeOf(err error) string {
	var p *pgconn.PgError
	var m *mysql.MySQLError
	var s sqlite3.Error
	switch {
	case errors.As(err, &p):
		return p.Code
	case errors.As(err, &m):
		return strconv.Itoa(int(m.Number))
	case errors.As(err, &s):
		return strconv.Itoa(int(s.ExtendedCode))
	}
	return ""
}

// rolledBack reports whether the transaction was rolled back because of concurrent ones and may
// succeed if repeated: serialization failures and deadlocks (PostgreSQL 40001, 40P01; MySQL 1205,
// 1213; SQLITE_BUSY).
func (t *target) rolledBack(err error) bool {
	var s sqlite3.Error
	if errors.As(err, &s) {
		return s.Code == sqlite3.ErrBusy || s.Code == sqlite3.ErrLocked
	}
	return slices.Contains([]string{"40001", "40P01", "1205", "1213"}, t.codeOf(err))
}

// unique are the codes of a duplicate key.
var unique = []string{"23505", "1062", strconv.Itoa(int(sqlite3.ErrConstraintUnique)), strconv.Itoa(int(sqlite3.ErrConstraintPrimaryKey))}

// refusedLogin are the codes of a wrong user, password or database.
var refusedLogin = []string{"28000", "28P01", "3D000", "1044", "1045", "1049", "1698"}

// shutDown are the codes of a database that is starting, stopping or out of resources: a retry
// could help.
var shutDown = []string{"57P01", "57P02", "57P03", "53000", "53100", "53200", "53300", "55P03", "1040", "1053", "1203"}

// explain converts an error to the one that the step records.
func (t *target) explain(ctx context.Context, err error) error {
	var known *plan.Error
	var certificate *tls.CertificateVerificationError
	code := t.codeOf(err)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.Is(err, egress.ErrRefused):
		return &plan.Error{Message: err.Error(), Code: "address_not_allowed"}
	case errors.As(err, &certificate):
		return plan.Permanent("tls",
			"the certificate of %s is not trusted: %v (ca: of the connection names a private authority, sslmode=require or "+
				"tls=skip-verify in its url encrypts without a check)", t.url.Hostname(), certificate.Err)
	case code == "" && errors.Is(err, errCommit):
		return errors.Join(&plan.Error{Message: t.errorText(err), Code: "network", Retryable: true}, engine.ErrUnanswered)
	case code == "" && t.isNetwork(err):
		return &plan.Error{Message: t.errorText(err), Code: "network", Retryable: true}
	}
	e := &plan.Error{Message: t.errorText(err), Code: "sql", Details: map[string]any{"code": code}}
	switch {
	case slices.Contains(unique, code):
		e.Code = "conflict"
	case slices.Contains(refusedLogin, code):
		e.Code = "no_credential"
	case t.rolledBack(err), slices.Contains(shutDown, code), ctx.Err() != nil:
		e.Retryable = true
	}
	return e
}

// isNetwork reports whether the connection failed: the transaction is then rolled back.
func (t *target) isNetwork(err error) bool {
	var n net.Error
	var c *pgconn.ConnectError
	return t.kind != "sqlite" && (errors.As(err, &n) || errors.As(err, &c) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded) ||
		strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "bad connection") ||
		errors.Is(err, mysql.ErrMalformPkt) || errors.Is(err, mysql.ErrPktSync))
}

// errorText returns an error's text, without the password and shortened.
func (t *target) errorText(err error) string {
	s := strings.Join(strings.Fields(strings.ToValidUTF8(err.Error(), "\ufffd")), " ")
	if p, set := t.url.User.Password(); set && p != "" {
		s = strings.ReplaceAll(s, p, "***")
	}
	where := t.kind
	if a := t.address(); a != "" {
		where += " at " + a
	}
	return fmt.Sprintf("%s: %s", where, value.CutText(s, 600))
}
