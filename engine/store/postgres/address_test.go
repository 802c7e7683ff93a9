package postgres_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/jackc/pgx/v5/pgconn"
)

// clean removes libpq's environment, which would count.
func clean(t *testing.T) {
	t.Helper()
	for _, name := range []string{"PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGSSLMODE", "PGSERVICE", "PGOPTIONS", "PGAPPNAME",
		"PGPASSFILE", "PGSERVICEFILE"} {
		t.Setenv(name, "")
	}
}

// TestAnAddressIsShownWithoutItsPassword: in no form of it.
func TestAnAddressIsShownWithoutItsPassword(t *testing.T) {
	clean(t)
	for text, want := range map[string]string{
		"hookloom.db":        "hookloom.db",
		"/srv/postgres/x.db": "/srv/postgres/x.db",
		"postgres://ada:hunter2@db:5433/shop?sslmode=disable":        "postgres://ada@db:5433/shop",
		"postgresql://ada@db/shop?password=hunter2":                  "postgres://ada@db/shop",
		"postgres://ada:hunter2@h1:1,h2:2/shop":                      "postgres://ada@h1:1,h2:2/shop",
		"postgres://ada:hunter2@/shop?host=/var/run/postgresql":      "postgres://ada@/shop?host=%2Fvar%2Frun%2Fpostgresql",
		"postgres://ada:hun/ter2@db/shop":                            "postgres://...",
		"postgres://ada:hunter2%@db/shop":                            "postgres://...",
		postgres.Unset:                                               "postgres://...",
		"mysql://ada:hunter2@db/shop":                                "mysql://...",
		"host=db user=ada password=hunter2":                          "postgres://...",
		" Password = hunter2 dbname=shop":                            "postgres://...",
		"hunter2@://db":                                              "postgres://...",
		"postgres:ada:hunter2@db":                                    "postgres://...",
		"postgres://ada:hunter2@db:port/shop":                        "postgres://...",
		"postgres://ada:hunter2@db/shop?sslmode=hunter2":             "postgres://...",
		"postgres://ada:hunter2@db/shop?sslrootcert=/nowhere/ca.pem": "postgres://...",
	} {
		if got := postgres.Name(text); got != want {
			t.Errorf("%s is shown as %s, want %s", text, got, want)
		}
		if _, err := postgres.Parse(text); err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
		if postgres.HasPassword(text) != (strings.Contains(text, "hun") || text == postgres.Unset) {
			t.Errorf("%s: HasPassword is %v", text, postgres.HasPassword(text))
		}
	}
}

// TestSpacesAndPlusSignsOfParametersAreKept: as with libpq, + is no space.
func TestSpacesAndPlusSignsOfParametersAreKept(t *testing.T) {
	clean(t)
	const address = "postgres://a@db/x?options=-c%20statement_timeout%3D5s&application_name=a+b&password=p%2Bq"
	other, err := postgres.WithSchema(address, "bench")
	if err != nil {
		t.Fatal(err)
	}
	for text, schema := range map[string]string{address: "hookloom", other: "bench"} {
		a, err := postgres.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		c := a.Config()
		options, name := c.RuntimeParams["options"], c.RuntimeParams["application_name"]
		if options != "-c statement_timeout=5s" || name != "a+b" || a.Password() != "p+q" || a.Schema != schema {
			t.Errorf("options %q, name %q, password %q, schema %s", options, name, a.Password(), a.Schema)
		}
	}
}

// TestShownAddressNamesTheTables: what messages show, and what their commands use, reaches the same tables.
func TestShownAddressNamesTheTables(t *testing.T) {
	clean(t)
	for text, want := range map[string]string{
		"postgres://a:p@db/x?sslmode=disable":               "postgres://a@db/x",
		"postgres://a:p@db/x?schema=hookloom":               "postgres://a@db/x",
		"postgres://a:p@db/x?schema=shop_2&sslmode=disable": "postgres://a@db/x?schema=shop_2",
		"postgres://a:p@/x?host=/run/pg&schema=shop_2":      "postgres://a@/x?host=%2Frun%2Fpg&schema=shop_2",
	} {
		if got := postgres.Name(text); got != want {
			t.Errorf("%s is shown as %s, want %s", text, got, want)
		}
		a, err := postgres.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := postgres.Parse(a.String()); err != nil || again.Schema != a.Schema {
			t.Errorf("%s read again: schema %v, %v", a, again, err)
		}
	}
}

// TestParametersOfAnAddress: libpq's and Hookloom's own.
func TestParametersOfAnAddress(t *testing.T) {
	clean(t)
	for text, want := range map[string]string{
		"postgres://a:p@db/x":                             "hookloom true false tls",
		"postgres://a:p@127.0.0.1/x":                      "hookloom true false tls or not",
		"postgres://a:p@[::1]:5/x":                        "hookloom true false tls or not",
		"postgres://a:p@localhost,db/x":                   "hookloom true false tls",
		"postgres://a:p@db/x?sslmode=disable":             "hookloom true false no tls",
		"postgres://a:p@db/x?hints=off&atomic_pages=yes":  "hookloom false true tls",
		"postgres://a:p@db/x?hints=on;b":                  "write postgres://USER:PASSWORD@HOST:5432/DATABASE",
		"postgres://a:p@db/x?schema=public":               "schema= of the address: use the name of a separate schema",
		"postgres://a:p@db/x?schema=shop_2":               "shop_2 true false tls",
		"mysql://a:p@db/x":                                "the database is a file, or on a PostgreSQL server",
		"host=db user=a password=p":                       "write postgres://USER:PASSWORD@HOST:5432/DATABASE",
		"postgres://a:p@db/x?hints=maybe":                 "hints=maybe of the address: it is on or off",
		"postgres://a:p@db/x?sslmode=yes":                 "sslmode is disable, prefer, require, verify-ca or verify-full",
		"postgres://a:p@db/x?sslrootcert=/nowhere/ca.pem": "sslrootcert of the address of the database: open /nowhere/ca.pem: no such file",
		"postgres://a:p@ss/word@db/x":                     "write characters such as @ / : # ? % of the password as %40 %2F",
		"postgres://a:p@db/x\n":                           "hookloom true false tls",
		"postgres://a@%2Frun%2Fpg:5433/x":                 "write the folder of a socket as a parameter",
		"postgres://a:p@db/x?schema=user":                 "schema= of the address: use the name of a separate schema",
		"postgres://a:p@db/x?schema=information_schema":   "schema= of the address: use the name of a separate schema",
		"postgres://a:p#1@db/x":                           "write characters such as",
		"postgres://a:p@db/x?sslmod=disable":              "sslmod= of the address of the database: there is no such parameter; did you",
		"postgres://a:p@db/x?SSLMode=disable":             "did you mean sslmode=?",
		"postgres://a:p@db/x?shema=shop":                  "did you mean schema=?",
		"postgres://a:p@db/x?hint=off":                    "did you mean hints=?",
		"postgres://a:p@db/x?conect_timeout=3":            "did you mean connect_timeout=?",
		"postgres://a:p@db/x?lock_timeout=3s&role=b":      "hookloom true false tls",
		"postgres://a:p@db/x?ssl_min=1&work_mem=4MB":      "hookloom true false tls",
	} {
		a, err := postgres.Parse(text)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			c := a.Config()
			security := "no tls"
			if c.TLSConfig != nil {
				security = "tls"
			}
			for _, f := range c.Fallbacks {
				if f.TLSConfig == nil {
					security = "tls or not"
				}
			}
			got = strings.Join([]string{a.Schema, truth(a.Hints), truth(a.AtomicPages), security}, " ")
			for _, own := range []string{"schema", "hints", "atomic_pages"} {
				if _, sent := c.RuntimeParams[own]; sent {
					t.Errorf("%s: the server is sent %s", text, own)
				}
			}
		}
		if got != want && (err == nil || !strings.Contains(got, want)) {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// TestHostsFromElsewhereAreVerifiedToo: a service file, a parameter and the environment name hosts, too.
func TestHostsFromElsewhereAreVerifiedToo(t *testing.T) {
	clean(t)
	file := filepath.Join(t.TempDir(), "services")
	if err := os.WriteFile(file, []byte("[far]\nhost=db\n[plain]\nhost=db\nsslmode=disable\n[near]\nhost=127.0.0.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PGSERVICEFILE", file)
	for text, want := range map[string]string{
		"postgres://a:p@/x?service=far":                "verified",
		"postgres://a:p@/x?service=far&sslmode=prefer": "prefer",
		"postgres://a:p@/x?service=plain":              "none",
		"postgres://a:p@/x?service=near":               "prefer",
		"postgres://a:p@db/x?service=near":             "verified",
		"postgres://a:p@127.0.0.1/x?host=db":           "verified",
		"postgres://a:p@/x?host=/run/pg,db":            "verified",
		"postgres://a:p@127.0.0.1/x?sslmode=":          "prefer",
		"postgres://a:p@db/x?sslmode=":                 "verified",
		"postgres://a:p@/x?service=none":               "service= or PGSERVICE names a section of",
	} {
		a, err := postgres.Parse(text)
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", text, err, want)
			}
			continue
		}
		got, c := "", a.Config()
		for _, f := range append([]*pgconn.FallbackConfig{{Host: c.Host, TLSConfig: c.TLSConfig}}, c.Fallbacks...) {
			switch {
			case strings.HasPrefix(f.Host, "/"):
			case f.TLSConfig == nil && got == "":
				got = "none"
			case f.TLSConfig == nil:
				got = "prefer"
			case f.TLSConfig.InsecureSkipVerify:
				got = "unverified"
			default:
				got = "verified"
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if got := postgres.Name("postgres://a:p@127.0.0.1/x?host=db"); got != "postgres://a@db/x" {
		t.Errorf("shown as %s", got)
	}
}

// TestAddressOfTheEnvironment: libpq's variables complete an address that names nothing.
func TestAddressOfTheEnvironment(t *testing.T) {
	clean(t)
	for name, value := range map[string]string{"PGHOST": "db", "PGUSER": "ada", "PGDATABASE": "shop", "PGPASSWORD": "p"} {
		t.Setenv(name, value)
	}
	for _, text := range []string{"postgres://", "postgres:///", " postgres:///shop\n"} {
		a, err := postgres.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if c := a.Config(); a.String() != "postgres://ada@db/shop" || c.RuntimeParams["application_name"] != "hookloom" || c.TLSConfig == nil {
			t.Errorf("%q: %s %v", text, a, c.RuntimeParams)
		}
	}
}

func truth(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// FuzzAnAddressNeverShowsItsPassword: whatever stands where.
func FuzzAnAddressNeverShowsItsPassword(f *testing.F) {
	for _, text := range []string{"@db/x", "@db:1/x?sslmode=verify-full", "/y@db", "#@db/x", "%@db", "?host=a", "@[::1]/x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		if strings.Contains(rest, "secret42") {
			return
		}
		text := "postgres://ada:secret42" + rest
		a, err := postgres.Parse(text)
		if err != nil {
			if strings.Contains(err.Error(), "secret42") {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if strings.Contains(a.Password(), "secret42") && strings.Contains(postgres.Name(text), "secret42") {
			t.Errorf("%q is shown as %s", text, postgres.Name(text))
		}
	})
}
