package postgres_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/jackc/pgx/v5/pgconn"
)

// explained are errors of the driver for one address.
type explained struct {
	address string
	errs    []error
}

// answer is an error that the server has sent.
func answer(code, message string) error {
	return fmt.Errorf("connecting: %w", &pgconn.PgError{Code: code, Message: message, Hint: "a hint"})
}

// noErrors is an error that could be several, and is none.
type noErrors struct{}

func (noErrors) Error() string { return "nothing" }

func (noErrors) Unwrap() []error { return nil }

// driverErrors are the errors that Explain knows, and some that it does not know.
func driverErrors() []explained {
	tlsErrors := []error{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}},
		x509.HostnameError{Host: "db.example", Certificate: &x509.Certificate{DNSNames: []string{"other.example"}}},
		x509.CertificateInvalidError{Reason: x509.Expired, Detail: "since May"},
		&tls.CertificateVerificationError{Err: errors.New("no chain")}, errors.New("server refused TLS connection"), tls.AlertError(40),
		errors.New("tls error: EOF")}
	return []explained{
		{"postgres://ada:pw@db.example/app", []error{
			answer("28P01", "password authentication failed"), answer("28000", `no pg_hba.conf entry for host "10.0.0.1", no encryption`),
			answer("28000", "pg_hba.conf rejects connection"), answer("28000", `role "ada" is not permitted to log in`),
			answer("28000", `role "ada" does not exist`), answer("3D000", `database "app" does not exist`),
			answer("42501", "permission denied for database app"), answer("42501", "permission denied for schema hookloom"),
			answer("53300", `too many connections for role "ada"`), answer("53300", `too many connections for database "app"`),
			answer("53300", "sorry, too many clients already"), answer("57P03", "the database system is starting up"),
			answer("55000", "database is not accepting connections"), answer("57P01", "terminating connection"),
			answer("26000", "prepared statement does not exist"), answer("42P05", "prepared statement exists"),
			answer("08P01", "unsupported startup parameter: jit"), answer("08P01", "unsupported startup parameter: x"),
			answer("08P01", "another violation"), answer("42704", "unrecognized configuration parameter"), answer("XX000", "something else"),
			context.Canceled, fmt.Errorf("reading: %w", context.DeadlineExceeded), pgconn.ErrReadOnlyConnection, pgconn.ErrReadWriteConnection,
			pgconn.ErrPrimaryConnection, errors.New("server is in hot standby mode"), io.EOF, fmt.Errorf("x: %w", io.ErrUnexpectedEOF),
			net.ErrClosed, &net.DNSError{Name: "db.example", Err: "no such host", IsNotFound: true},
			&net.DNSError{Name: "db.example", Err: "server misbehaving"}, &net.OpError{Op: "dial", Err: os.ErrNotExist},
			&net.OpError{Op: "dial", Err: errors.Join(errors.New("first"), errors.New("connection refused"))},
			&net.OpError{Op: "dial", Err: noErrors{}}, errors.New("an error of the program"), nil}},
		{"postgres://ada@db.example/app?schema=other&hints=off", []error{answer("28P01", "no password"), answer("26000", "no statement"),
			answer("08P01", "unsupported startup parameter: jit"), answer("42501", "permission denied for schema other"),
			answer("42501", "permission denied for database app")}},
		{"postgres://ada@db.example,db2.example/my-app?application_name=x", []error{pgconn.ErrReadOnlyConnection,
			answer("08P01", "unsupported startup parameter: application_name"), answer("3D000", "no database"), io.EOF}},
		{"postgres://ada@db.example/app?sslmode=verify-full", tlsErrors}, {"postgres://ada@db.example/app?sslmode=prefer", tlsErrors},
		{"postgres://ada@db.example/app?sslmode=disable", tlsErrors[4:]},
	}
}

// The file testdata/explained.txt holds what each error of the driver is in words.
func TestEachErrorOfTheDriverIsExplained(t *testing.T) {
	clean(t)
	var b strings.Builder
	for _, x := range driverErrors() {
		a, err := postgres.Parse(x.address)
		if err != nil {
			t.Fatal(err)
		}
		for _, cause := range x.errs {
			err := a.Explain(cause)
			var known *postgres.Error
			if !errors.As(err, &known) {
				fmt.Fprintf(&b, "%v\n  as it is: %v\n", cause, err)
				continue
			}
			fmt.Fprintf(&b, "%v\n  %s\n  temporary %v\n", cause, strings.ReplaceAll(err.Error(), "\n", "\n  "), known.Temporary)
			if !errors.Is(err, cause) || !errors.Is(a.Explain(fmt.Errorf("again: %w", err)), cause) {
				t.Errorf("the explanation of %v has lost it", cause)
			}
		}
	}
	testgolden.Compare(t, "explained.txt", b.String())
}

// The file testdata/weak.txt holds what is wrong with servers that Hookloom refuses, and the fix.
func TestEachWeaknessOfAServerIsNamedWithItsFix(t *testing.T) {
	sound := postgres.Facts{Version: 150000, Release: "15", Fsync: "on", FullPageWrites: "on", SynchronousCommit: "on",
		Rights: postgres.Rights{Exists: true, Usage: true, Create: true}}
	a, err := postgres.Parse("postgres://my-role@db.example/app")
	if err != nil {
		t.Fatal(err)
	}
	atomic, err := postgres.Parse("postgres://ada@db.example/app?atomic_pages=yes")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, x := range []struct {
		name string
		edit func(*postgres.Facts)
	}{
		{"sound", func(*postgres.Facts) {}}, {"old", func(f *postgres.Facts) { f.Version, f.Release = 129999, "12.9" }},
		{"oldest", func(f *postgres.Facts) { f.Version = 130000 }}, {"standby", func(f *postgres.Facts) { f.Standby = true }},
		{"read-only", func(f *postgres.Facts) { f.ReadOnly = true }}, {"no fsync", func(f *postgres.Facts) { f.Fsync = "off" }},
		{"local commits", func(f *postgres.Facts) { f.SynchronousCommit = "local" }},
		{"applied commits", func(f *postgres.Facts) { f.SynchronousCommit = "remote_apply" }},
		{"partial pages", func(f *postgres.Facts) { f.FullPageWrites = "off" }},
		{"no schema", func(f *postgres.Facts) { f.Rights = postgres.Rights{} }},
		{"no schema yet", func(f *postgres.Facts) { f.Rights = postgres.Rights{CanCreate: true} }},
		{"no usage", func(f *postgres.Facts) { f.Rights.Usage = false }}, {"no create", func(f *postgres.Facts) { f.Rights.Create = false }},
		{"denied", func(f *postgres.Facts) { f.Rights.Denied = []string{"runs", "steps"} }},
	} {
		f := sound
		x.edit(&f)
		fmt.Fprintf(&b, "%s\n", x.name)
		for _, err := range []error{a.Supported(&f), a.Writable(&f), a.Durable(&f), atomic.Durable(&f), a.Allowed(&f, false),
			a.Allowed(&f, true)} {
			text := "it is well"
			if err != nil {
				text = strings.ReplaceAll(err.Error(), "\n", "\n    ")
			}
			fmt.Fprintf(&b, "  %s\n", text)
		}
	}
	testgolden.Compare(t, "weak.txt", b.String())
}

func TestNamesOfSchemasAreChecked(t *testing.T) {
	for name, fits := range map[string]bool{"hookloom": true, "a_1": true, "pg_x": false, "A": false, "a-b": false, "": false, "1a": false,
		"public": false, "information_schema": false} {
		a, err := postgres.Parse("postgres://h/d?schema=" + name)
		if (err == nil) != fits || fits && a.Schema != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnAcknowledgedEventIsWhereTheSettingsSay(t *testing.T) {
	for _, x := range []struct {
		names      string
		confirming []string
		want       string
	}{
		{" ", nil, "the disk of this server"}, {"a", []string{"a"}, "the disk of this server and standby a"},
		{"a, b", []string{"a", "b"}, "the disk of this server and standbys a, b"}, {"2 (a, b, c)", nil,
			"the disk of this server and 2 of the standbys a, b, c"}, {"a, b", nil, "the disk of this server and 1 of the standbys a, b"},
		{"ANY 2 (a, b, c)", []string{"a"}, "the disk of this server and any 2 of the standbys a, b, c"},
		{"FIRST 1 (a)", []string{"a"}, "the disk of this server and standby a"},
		{"((a))", nil, "the disk of this server and the standbys of ((a))"},
	} {
		f := postgres.Facts{StandbyNames: x.names, Confirming: x.confirming}
		if got := f.Worth(); got != x.want {
			t.Errorf("%q: %s, want %s", x.names, got, x.want)
		}
	}
}

// The driver would send parameters that it does not know to the server, which rejects them.
func TestTheDriverGetsItsOwnParametersOnly(t *testing.T) {
	clean(t)
	for _, host := range []string{"localhost", "db.example"} {
		a, err := postgres.Parse("postgres://a@" + host + "/d?schema=s&hints=off&atomic_pages=yes&sslmode=&application_name=n")
		if err != nil {
			t.Fatal(err)
		}
		sent := a.Config().RuntimeParams
		if sent["application_name"] != "n" || a.Schema != "s" || a.Hints || !a.AtomicPages {
			t.Errorf("%s: %v, schema %s, hints %v, atomic pages %v", host, sent, a.Schema, a.Hints, a.AtomicPages)
		}
		for _, name := range []string{"schema", "hints", "atomic_pages", "sslmode"} {
			if v, found := sent[name]; found {
				t.Errorf("%s: the server gets %s=%s", host, name, v)
			}
		}
	}
}
