package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Error says why a database cannot be used, and what to do.
type Error struct {
	// Address is that of the database, without its password.
	Address string
	// Problem is one sentence; Fix is what to do, of one or more lines.
	Problem, Fix string
	// Temporary is true if the problem may pass by itself: the start can be tried again.
	Temporary bool
	// NoTables is true if the database does not have the tables.
	NoTables bool
	cause    error
}

// Error implements error.
func (e *Error) Error() string {
	text := e.Address + ": " + e.Problem
	if e.Fix != "" {
		text += "\n" + e.Fix
	}
	return text
}

// Unwrap returns the driver's error.
func (e *Error) Unwrap() error { return e.cause }

// The classes of errors that the server names (PostgreSQL documentation, appendix A).
const (
	codeWrongPassword  = "28P01"
	codeNotAuthorized  = "28000"
	codeNoDatabase     = "3D000"
	codeNoRight        = "42501"
	codeTooMany        = "53300"
	codeStarting       = "57P03"
	codeNotAccepting   = "55000"
	codeUnknownSetting = "42704"
	codeProtocol       = "08P01"
	codeNoStatement    = "26000"
	codeSameStatement  = "42P05"
	classShutdown      = "57P"
)

// Explain returns an error of the driver in words, as an *Error. Other errors stay as they are.
func (a *Address) Explain(err error) error {
	var known *Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	e := &Error{Address: a.String(), cause: err}
	var server *pgconn.PgError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &server):
		a.explainServer(e, server)
	case errors.Is(err, pgconn.ErrReadOnlyConnection), strings.Contains(err.Error(), "server is in hot standby mode"):
		a.standby(e)
	case errors.Is(err, pgconn.ErrReadWriteConnection), errors.Is(err, pgconn.ErrPrimaryConnection):
		e.Problem = "the server is not what target_session_attrs asks for: " + lastOf(err)
		e.Fix = "Use target_session_attrs=read-write: Hookloom writes to the primary."
		e.Temporary = true
	case !timedOut(err) && a.explainTLS(e, err):
	case timedOut(err), away(err):
		a.explainNetwork(e, err)
	default:
		return err
	}
	return e
}

// away reports whether there is no connection.
func away(err error) bool {
	var dialed *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &dialed) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, pgconn.ErrConnClosed)
}

// explainServer explains what a server has answered.
func (a *Address) explainServer(e *Error, err *pgconn.PgError) {
	role, database := quoted(a.config.User), quoted(a.config.Database)
	switch {
	case err.Code == codeWrongPassword:
		e.Problem = fmt.Sprintf("the password of role %s is wrong, or the role does not exist", role)
		if a.config.Password == "" {
			e.Problem = fmt.Sprintf("role %s needs a password, and none was given", role)
		}
		e.Fix = "The password comes from the address (server.db, HOOKLOOM_DB=postgres://USER:PASSWORD@HOST/DATABASE), PGPASSWORD or ~/.pgpass; " +
			escapes + fmt.Sprintf(".\nAs a superuser, in psql: \\password %s sets the password; "+
			"if the role does not exist, first CREATE ROLE %s LOGIN;", role, role)
	case err.Code == codeNotAuthorized && strings.Contains(err.Message, "pg_hba.conf"):
		e.Problem = fmt.Sprintf("the server does not accept role %s from this machine: %s", role, err.Message)
		e.Fix = "Add a line to the server's pg_hba.conf and reload it, for example:\n  hostssl " + a.config.Database + " " + a.config.User +
			" ADDRESS/32 scram-sha-256"
		if strings.Contains(err.Message, "no encryption") {
			e.Fix += "\nIf it accepts this role with TLS only, use sslmode=verify-full."
		}
	case err.Code == codeNotAuthorized && strings.Contains(err.Message, "not permitted to log in"):
		e.Problem = fmt.Sprintf("the server does not accept role %s: %s", role, err.Message)
		e.Fix = fmt.Sprintf("As a superuser: ALTER ROLE %s LOGIN;", role)
	case err.Code == codeNotAuthorized:
		e.Problem = fmt.Sprintf("the server does not accept role %s: %s", role, err.Message)
		e.Fix = fmt.Sprintf("As a superuser: CREATE ROLE %s LOGIN, and set its password with \\password %s (in psql)", role, role)
	case err.Code == codeNoDatabase:
		e.Problem = fmt.Sprintf("the server has no database %s", database)
		e.Fix = fmt.Sprintf("As a superuser: CREATE DATABASE %s OWNER %s;", database, role)
	case err.Code == codeNoRight && strings.Contains(err.Message, "for database"):
		e.Problem = fmt.Sprintf("role %s may not connect to database %s", role, database)
		e.Fix = fmt.Sprintf("As a superuser: GRANT CONNECT ON DATABASE %s TO %s;", database, role)
	case err.Code == codeNoRight:
		e.Problem = fmt.Sprintf("role %s lacks a right: %s", role, err.Message)
		e.Fix = a.grants(!strings.Contains(err.Message, "for database"))
	case err.Code == codeTooMany:
		e.Problem = "the server takes no more connections: " + err.Message
		e.Fix = tooMany(err.Message, role, database)
		e.Temporary = true
	case err.Code == codeStarting, err.Code == codeNotAccepting, strings.HasPrefix(err.Code, classShutdown):
		e.Problem = "the server is starting or stopping: " + err.Message
		e.Fix = "Try again in a moment."
		e.Temporary = true
	case a.Hints && (err.Code == codeNoStatement || err.Code == codeSameStatement || err.Code == codeProtocol && a.isOurs(err.Message)):
		e.Problem = "a pooler in transaction mode is between Hookloom and the server: " + err.Message
		e.Fix = "Add the parameter hints=off to the address (after ? or &)."
	case err.Code == codeUnknownSetting, err.Code == codeProtocol:
		e.Problem = "the server, or a pooler before it, rejects a parameter of the address: " + err.Message
		e.Fix = "Parameters are those of libpq (sslmode, sslrootcert, connect_timeout, ...), of the server, and Hookloom's: " +
			"schema, hints, atomic_pages."
	default:
		e.Problem = fmt.Sprintf("the server answers: %s (SQLSTATE %s)", err.Message, err.Code)
		e.Fix = err.Hint
	}
}

// isOurs reports whether a pooler rejects a parameter that the address does not have: Hookloom sets some
// for its own connections, unless hints are off.
func (a *Address) isOurs(message string) bool {
	const rejected = "unsupported startup parameter"
	_, inAddress := a.config.RuntimeParams[message[strings.LastIndex(message, " ")+1:]]
	return strings.HasPrefix(message, rejected) && !inAddress
}

// tooMany is what to do about a limit of connections: that of the role, of the database or of the server.
func tooMany(message, role, database string) string {
	text := "Raise max_connections of the server"
	switch {
	case strings.Contains(message, "for role"):
		text = fmt.Sprintf("As a superuser: ALTER ROLE %s CONNECTION LIMIT -1;", role)
	case strings.Contains(message, "for database"):
		text = fmt.Sprintf("As a superuser: ALTER DATABASE %s CONNECTION LIMIT -1;", database)
	}
	return text + "\nA node opens up to 11 connections. Or close connections of other programs; it may also pass by itself."
}

// explainTLS explains why there is no TLS; it reports false for other errors.
func (a *Address) explainTLS(e *Error, err error) bool {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verify *tls.CertificateVerificationError
	var alert tls.AlertError
	switch {
	case errors.As(err, &unknown):
		e.Problem = "the server's certificate is signed by an authority that this machine does not know"
		e.Fix = "Add the parameter sslrootcert=FILE to the address (after ? or &): the certificate of that " +
			"authority in PEM (your provider publishes it)."
	case errors.As(err, &name):
		e.Problem = "the server's certificate is for another host: " + name.Error()
		e.Fix = "Use a host name of the certificate in the address; sslmode=verify-ca does not compare the name."
	case errors.As(err, &invalid):
		e.Problem = "the server's certificate is not valid: " + invalid.Error()
		e.Fix = "Renew the certificate, or correct the clock of this machine."
	case errors.As(err, &verify):
		e.Problem = "the server's certificate cannot be verified: " + verify.Err.Error()
		e.Fix = "Add the parameter sslrootcert=FILE to the address (after ? or &): the certificate of its authority in PEM."
	case strings.Contains(err.Error(), "server refused TLS connection") && a.alwaysTLS():
		e.Problem = "the server does not offer TLS, and the address asks for it"
		e.Fix = "Turn it on at the server (ssl = on); on a network that you trust, add ?sslmode=disable to the address.\n" +
			"For hosts other than this machine the default is sslmode=verify-full."
	case errors.As(err, &alert), strings.Contains(err.Error(), "tls error") && a.alwaysTLS():
		e.Problem = "TLS with the server fails: " + lastOf(err)
		e.Fix = "Compare the server's ssl settings with sslmode, sslrootcert, sslcert and sslkey of the address."
	default:
		return false
	}
	return true
}

// alwaysTLS reports whether no connection without TLS is tried.
func (a *Address) alwaysTLS() bool {
	return a.config.TLSConfig != nil &&
		!slices.ContainsFunc(a.config.Fallbacks, func(f *pgconn.FallbackConfig) bool { return f.TLSConfig == nil })
}

// explainNetwork explains why a server could not be asked.
func (a *Address) explainNetwork(e *Error, err error) {
	var dns *net.DNSError
	e.Temporary = true
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		e.Problem = fmt.Sprintf("there is no host %s", dns.Name)
		e.Fix = "Check the spelling of the host in the address."
		e.Temporary = false
	case errors.As(err, &dns):
		e.Problem = fmt.Sprintf("the name of host %s cannot be looked up: %s", dns.Name, dns.Err)
		e.Fix = "Check this machine's name servers, or try again."
	case errors.Is(err, os.ErrNotExist):
		e.Problem = "no server listens on this socket"
		e.Fix = "Start PostgreSQL, or correct host= in the address: it is the folder of the server's socket."
	case timedOut(err):
		e.Problem = fmt.Sprintf("the server does not answer within %s", a.config.ConnectTimeout)
		e.Fix = "Check that the host is up and that a firewall lets this machine reach the port; connect_timeout=SECONDS waits longer."
	default:
		e.Problem = "the server cannot be reached: " + lastOf(err)
		e.Fix = "Check that PostgreSQL runs, listens on this address (listen_addresses, port), and that the address is spelled correctly."
	}
}

func timedOut(err error) bool {
	return pgconn.Timeout(err) || errors.Is(err, context.DeadlineExceeded)
}

// lastOf is the innermost message of an error: the driver's outer ones repeat the address.
func lastOf(err error) string {
	for {
		switch x := err.(type) {
		case interface{ Unwrap() error }:
			if inner := x.Unwrap(); inner != nil {
				err = inner
				continue
			}
		case interface{ Unwrap() []error }:
			if list := x.Unwrap(); len(list) > 0 {
				err = list[len(list)-1]
				continue
			}
		}
		return err.Error()
	}
}

// standby explains a read-only server.
func (a *Address) standby(e *Error) {
	e.Problem = "this server is a standby, which is read-only"
	if strings.Contains(a.hosts, ",") {
		e.Problem = "none of these servers is a primary that can be reached: a standby is read-only"
	}
	e.Fix = "Use the address of the primary, or name all servers: postgres://USER@HOST1,HOST2/DATABASE?target_session_attrs=read-write"
	e.Temporary = true // it becomes the primary in a failover
}

// grants are statements that give the role what a server needs. exists is whether the schema exists.
func (a *Address) grants(exists bool) string {
	role, database, schema := quoted(a.config.User), quoted(a.config.Database), quoted(a.Schema)
	text := fmt.Sprintf("As a superuser, in database %s, let the role create and own the schema:\n"+
		"  CREATE SCHEMA %s AUTHORIZATION %s;\n"+
		"or let another role create it with hookloom db migrate, and then let this role use it:\n", database, schema, role)
	if exists {
		text = fmt.Sprintf("As the owner of schema %s, in database %s:\n", schema, database)
	}
	return text + fmt.Sprintf("  GRANT USAGE ON SCHEMA %s TO %s;\n  GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %s TO %s;\n"+
		"  GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA %s TO %s;", schema, role, schema, role, schema, role)
}

// quoted returns a name as SQL reads it.
func quoted(name string) string {
	if identifier.MatchString(name) {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}
