//go:build unix

package postgres_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// hidden is a password that no message may have.
const hidden = "hunter2"

// refused opens an address and checks the error: its words, and whether it may pass by itself.
func refused(t *testing.T, address string, temporary bool, words ...string) {
	t.Helper()
	a, err := postgres.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := a.Open(t.Context(), true)
	if err == nil {
		_ = c.Close(t.Context())
		t.Errorf("%s was opened, want %q", a, words)
		return
	}
	var e *postgres.Error
	if !errors.As(err, &e) {
		t.Errorf("%v is no *postgres.Error", err)
		return
	}
	if e.Temporary != temporary {
		t.Errorf("%v: temporary is %v", err, e.Temporary)
	}
	for _, w := range append(words, a.String()) {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v\ndoes not say %q", err, w)
		}
	}
	for _, secret := range []string{hidden, postgrestest.Password, "p%40ss"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%v has a password", err)
		}
	}
	if e.Fix == "" {
		t.Errorf("%v does not say what to do", err)
	}
}

// opened opens an address that is in order.
func opened(t *testing.T, address string) *postgres.Facts {
	t.Helper()
	a, err := postgres.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	c, f, err := a.Open(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

// role makes a role that may log in with the password hidden.
func role(t *testing.T, s *postgrestest.Server) string {
	t.Helper()
	name := postgrestest.Name("role")
	s.Exec(t, "CREATE ROLE "+name+" LOGIN PASSWORD '"+hidden+"'")
	return name
}

// TestPoolerIsNamed: errors that only a pooler in transaction mode causes name hints=off; a parameter of
// the address that the pooler does not know is named itself.
func TestPoolerIsNamed(t *testing.T) {
	clean(t)
	for _, c := range []struct {
		parameters, code, message string
		hints                     bool
	}{
		{"", "08P01", "unsupported startup parameter: jit", true},
		{"?jit=off", "08P01", "unsupported startup parameter: jit", false},
		{"?hints=off", "08P01", "unsupported startup parameter: jit", false},
		{"", "42704", "unrecognized configuration parameter \"sslmod\"", false},
		{"", "26000", "prepared statement \"s\" does not exist", true},
		{"", "42P05", "prepared statement \"s\" already exists", true},
		{"?hints=off", "42P05", "prepared statement \"s\" already exists", false},
	} {
		a, err := postgres.Parse("postgres://a:p@db/x" + c.parameters)
		if err != nil {
			t.Fatal(err)
		}
		err = a.Explain(&pgconn.PgError{Code: c.code, Message: c.message})
		if got := strings.Contains(err.Error(), "Add the parameter hints=off"); got != c.hints || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s %s: %v", c.parameters, c.message, err)
		}
	}
}

// TestUnreachableServerError says whether the host, the port or the socket is wrong.
func TestUnreachableServerError(t *testing.T) {
	clean(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	refused(t, "postgres://ada:hunter2@"+closed+"/x", true, "cannot be reached: ", "connection refused", "listen_addresses")
	refused(t, "postgres://ada:hunter2@"+silent.Addr().String()+"/x?connect_timeout=1", true, "does not answer within 1s", "firewall")
	refused(t, "postgres://ada:hunter2@nowhere.invalid/x", false, "there is no host nowhere.invalid", "spelling")
	refused(t, "postgres://ada:hunter2@/x?host=/nowhere", true, "no server listens on this socket", "folder of the server's socket")
}

// TestErrorsOfARoleThatMayNotConnect: each reason has its own words, with statements to paste. The fix is
// carried out, and helps.
func TestErrorsOfARoleThatMayNotConnect(t *testing.T) {
	clean(t)
	s := postgrestest.Shared(t)
	db := s.Database(t)
	name := role(t, s)
	refused(t, postgrestest.As(db, name, "wrong"), false, "password of role "+name+" is wrong", "~/.pgpass")
	refused(t, postgrestest.As(db, name, ""), false, "needs a password, and none was given", "HOOKLOOM_DB")
	refused(t, postgrestest.As(db, "nobody_here", hidden), false, "password of role nobody_here is wrong, or the role does not exist")
	refused(t, s.Named("no such"), false, `has no database "no such"`, `CREATE DATABASE "no such" OWNER ada;`)
	locked := postgrestest.Name("role")
	s.Exec(t, "CREATE ROLE "+locked+" PASSWORD '"+hidden+"'")
	refused(t, postgrestest.As(db, locked, hidden), false, "is not permitted to log in", "ALTER ROLE "+locked+" LOGIN")
	s.Exec(t, "ALTER ROLE "+locked+" LOGIN")
	refused(t, postgrestest.As(db, locked, hidden), false, "there is no schema hookloom") // it is connected
	database := strings.TrimPrefix(db[strings.LastIndex(db, "/"):], "/")
	s.Exec(t, "REVOKE CONNECT ON DATABASE "+database+" FROM PUBLIC")
	refused(t, postgrestest.As(db, name, hidden), false, "may not connect to database "+database,
		"GRANT CONNECT ON DATABASE "+database+" TO "+name+";")
	s.Exec(t, "GRANT CONNECT ON DATABASE "+database+" TO "+name+";", "ALTER ROLE "+name+" CONNECTION LIMIT 0")
	refused(t, postgrestest.As(db, name, hidden), true, "takes no more connections: too many connections for role",
		"ALTER ROLE "+name+" CONNECTION LIMIT -1;")
	s.Exec(t, "ALTER ROLE "+name+" CONNECTION LIMIT -1", "ALTER DATABASE "+database+" CONNECTION LIMIT 0")
	refused(t, postgrestest.As(db, name, hidden), true, "takes no more connections: too many connections for database",
		"ALTER DATABASE "+database+" CONNECTION LIMIT -1;")
	s.Exec(t, "ALTER DATABASE "+database+" CONNECTION LIMIT -1")
	refused(t, db+"?target_session_attrs=standby", true, "not what target_session_attrs asks for", "target_session_attrs=read-write")
	refused(t, db+"?target_session_attrs=read-only", true, "not what target_session_attrs asks for", "target_session_attrs=read-write")
	refused(t, db+"?nonsense=1", false, `unrecognized configuration parameter "nonsense"`, "sslrootcert")
}

// TestErrorOfARoleWithoutRightsListsTheGrants: those of the message are enough.
func TestErrorOfARoleWithoutRightsListsTheGrants(t *testing.T) {
	clean(t)
	s := postgrestest.Shared(t)
	db, name := s.Database(t), role(t, s)
	address := postgrestest.As(db, name, hidden)
	create := "CREATE SCHEMA hookloom AUTHORIZATION " + name + ";"
	refused(t, address, false, "there is no schema hookloom, and role "+name+" may not create it", create)
	postgrestest.Exec(t, db, "CREATE SCHEMA hookloom", "CREATE TABLE hookloom.events (id bigint)")
	refused(t, address, false, "may not use schema hookloom", "GRANT USAGE ON SCHEMA hookloom TO "+name+";")
	postgrestest.Exec(t, db, "GRANT USAGE ON SCHEMA hookloom TO "+name+";")
	refused(t, address, false, "must be created or updated, and role "+name+" may not do that", "hookloom db migrate")
	a, err := postgres.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = a.Open(t.Context(), false)
	grant := "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA hookloom TO " + name + ";"
	if err == nil || !strings.Contains(err.Error(), "may not read and change events of schema hookloom") ||
		!strings.Contains(err.Error(), grant) {
		t.Errorf("%v", err)
	}
	postgrestest.Exec(t, db, grant)
	c, _, err := a.Open(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close(t.Context())
	other := role(t, s)
	db = s.Database(t)
	postgrestest.Exec(t, db, "CREATE SCHEMA hookloom AUTHORIZATION "+other+";")
	opened(t, postgrestest.As(db, other, hidden))
}

// TestSettingsWeakerThanPromisedAreRefused: each of them, with what it costs.
func TestSettingsWeakerThanPromisedAreRefused(t *testing.T) {
	clean(t)
	s := postgrestest.Start(t, postgrestest.Options{})
	db := s.Database(t)
	if got := opened(t, db).Worth(); got != "the disk of this server" {
		t.Errorf("an answer is worth %s", got)
	}
	for _, level := range []string{"off", "local", "remote_write"} {
		refused(t, db+"?synchronous_commit="+level, false, "synchronous_commit is "+level, "loses acknowledged events",
			"ALTER ROLE ada SET synchronous_commit = on;")
	}
	opened(t, db+"?synchronous_commit=remote_apply")
	s.Exec(t, "ALTER ROLE ada SET synchronous_commit = off")
	refused(t, db, false, "synchronous_commit is off")
	s.Exec(t, "ALTER ROLE ada SET synchronous_commit = on;")
	opened(t, db)
	s.Restart(t, map[string]string{"fsync": "off"})
	refused(t, db, false, "fsync is off: a power cut loses acknowledged events", "ALTER SYSTEM SET fsync = on;")
	s.Restart(t, map[string]string{"fsync": "on", "full_page_writes": "off"})
	refused(t, db, false, "full_page_writes is off", "atomic_pages=yes")
	opened(t, db+"?atomic_pages=yes")
	s.Restart(t, map[string]string{"full_page_writes": "on", "default_transaction_read_only": "on"})
	refused(t, db, false, "transactions are read-only", "ALTER ROLE ada SET default_transaction_read_only = off;")
}

// TestDurabilityDependsOnConfirmingStandbys: by name, and without the right to see them.
func TestDurabilityDependsOnConfirmingStandbys(t *testing.T) {
	clean(t)
	s := postgrestest.Start(t, postgrestest.Options{})
	name := role(t, s)
	db := s.Database(t)
	standby := s.Standby(t, "s1")
	refused(t, standby.Named("postgres"), true, "is a standby, which is read-only", "target_session_attrs=read-write")
	s.Exec(t, "GRANT CREATE ON DATABASE "+db[strings.LastIndex(db, "/")+1:]+" TO "+name)
	for names, want := range map[string][2]string{
		"s1":           {"the disk of this server and standby s1", "the disk of this server and 1 of the standbys s1"},
		"FIRST 1 (s1)": {"the disk of this server and standby s1", "the disk of this server and 1 of the standbys s1"},
		"ANY 1 (s1, s2)": {"the disk of this server and any 1 of the standbys s1, s2",
			"the disk of this server and any 1 of the standbys s1, s2"},
	} {
		s.Exec(t, "ALTER SYSTEM SET synchronous_standby_names = '"+names+"'", "SELECT pg_reload_conf()")
		want := want
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
			got := [2]string{opened(t, db).Worth(), opened(t, postgrestest.As(db, name, hidden)).Worth()}
			if got == want {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %q, want %q", names, got, want)
			}
		}
	}
	// The address names both servers: the driver takes the one that can be written to.
	s.Exec(t, "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
	host := func(u string) string { return u[strings.LastIndex(u, "@")+1 : strings.LastIndex(u, "/")] }
	both := strings.Replace(db, host(db), host(standby.URL())+","+host(db), 1) + "?target_session_attrs=read-write"
	opened(t, both)
	s.Kill(t)
	refused(t, both, true, "none of these servers is a primary", "target_session_attrs=read-write")
}

// TestAServerOlderThan13IsRefused: a real server, whose version a proxy makes older.
func TestAServerOlderThan13IsRefused(t *testing.T) {
	clean(t)
	s := postgrestest.Shared(t)
	db := s.Database(t)
	version := postgrestest.Value(t, db, "current_setting('server_version_num')")
	host := db[strings.LastIndex(db, "@")+1 : strings.LastIndex(db, "/")]
	front := rewriting(t, host, version, "120022")
	refused(t, strings.Replace(db, host, front, 1)+"?sslmode=disable", false, "Hookloom needs 13 or later", "pg_upgrade")
}

// rewriting forwards connections to a server, and replaces a text of its answers with another of
// the same length.
func rewriting(t *testing.T, host, from, to string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", host)
			if err != nil {
				_ = c.Close()
				continue
			}
			go func() { _, _ = io.Copy(up, c); _ = up.Close() }()
			go func() {
				defer c.Close()
				b := make([]byte, 64<<10)
				for {
					n, err := up.Read(b)
					if n > 0 {
						_, _ = c.Write(bytes.ReplaceAll(b[:n], []byte(from), []byte(to)))
					}
					if err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// TestTLSIsVerified: a server without it, with an unknown authority, with another name, and with the
// authority's certificate.
func TestTLSIsVerified(t *testing.T) {
	clean(t)
	s := postgrestest.Start(t, postgrestest.Options{})
	db := s.Database(t)
	refused(t, db+"?sslmode=verify-full", false, "does not offer TLS", "ssl = on", "sslmode=disable")
	ca := certify(t, s.Data())
	s.Restart(t, map[string]string{"ssl": "on", "ssl_cert_file": "server.crt", "ssl_key_file": "server.key"})
	opened(t, db) // prefer
	local := strings.Replace(db, "127.0.0.1", "localhost", 1)
	refused(t, local+"?sslmode=verify-full", false, "signed by an authority that this machine does not know", "sslrootcert=FILE")
	opened(t, local+"?sslmode=verify-full&sslrootcert="+ca)
	refused(t, db+"?sslmode=verify-full&sslrootcert="+ca, false, "certificate is for another host", "sslmode=verify-ca")
	opened(t, db+"?sslmode=verify-ca&sslrootcert="+ca)
}

// certify writes a key and a certificate for localhost, which is its own authority, and returns the
// certificate's file.
func certify(t *testing.T, folder string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(folder)
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	for path, b := range map[string][]byte{
		filepath.Join(folder, "server.key"): pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		filepath.Join(folder, "server.crt"): pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		ca:                                  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
	} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if path != ca {
			own(t, path, info)
		}
	}
	return ca
}

func TestStartingOrStoppingServerIsATemporaryError(t *testing.T) {
	clean(t)
	s := postgrestest.Start(t, postgrestest.Options{})
	db := s.Database(t)
	a, err := postgres.Parse(db)
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Stop(t)
	_, err = c.Exec(t.Context(), "SELECT 1")
	var e *postgres.Error
	if !errors.As(a.Explain(err), &e) || !e.Temporary {
		t.Errorf("%v of a stopped server: %v", err, a.Explain(err))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Connect(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v after the end of the context", err)
	}
}
