package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/mattn/go-sqlite3"
)

// kindOfError names what the engine makes of an error of the store.
func kindOfError(err error) string {
	var kinds []string
	for name, kind := range map[string]error{"full": engine.ErrFull, "busy": engine.ErrBusy, "disk": engine.ErrDisk} {
		if errors.Is(err, kind) {
			kinds = append(kinds, name)
		}
	}
	if errors.As(err, new(*AwayError)) {
		kinds = append(kinds, "away")
	}
	if len(kinds) == 2 && kinds[0] == "busy" && kinds[1] == "away" {
		return "away"
	}
	return strings.Join(kinds, " and ")
}

// TestEachErrorOfADatabaseHasItsKind: a delivery is refused for a full disk, waits for a server that is away, is
// repeated after a conflict, and ends the process after an error of the disk. Others concern one row.
func TestEachErrorOfADatabaseHasItsKind(t *testing.T) {
	for codes, want := range map[string]string{
		"53100":                               "full",
		"08000 08006 08P01 57P01 57P03 57P05": "away", "53300 25006 25P03 25P04 55P03": "away", "53200 57014": "away",
		"40001 40P01":             "busy",
		"XX001 XX002 58030 58P01": "disk",
		"23505 22P02 42P01 42501 XX000 57000 40002 25P02 53000 54000 09000 59000": "",
	} {
		for _, code := range strings.Fields(codes) {
			pe := &pgconn.PgError{Code: code}
			err := fmt.Errorf("writing: %w", pe)
			if got := kindOfError(classify(err)); got != want || !errors.Is(classify(err), err) {
				t.Errorf("PostgreSQL's %s: %q, want %q", code, got, want)
			}
			isAway := want == "away" && code != "53200" && code != "57014"
			if away(err) != isAway || conflicted(err) != (want == "busy") {
				t.Errorf("PostgreSQL's %s: away %v, conflicted %v", code, away(err), conflicted(err))
			}
		}
	}
	sqlite := func(code sqlite3.ErrNo, more sqlite3.ErrNoExtended, system syscall.Errno) error {
		return fmt.Errorf("writing: %w", sqlite3.Error{Code: code, ExtendedCode: more, SystemErrno: system})
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{sqlite(sqlite3.ErrFull, 0, 0), "full"}, {sqlite(sqlite3.ErrIoErr, sqlite3.ErrIoErrWrite, diskFull[0]), "full"},
		{sqlite(sqlite3.ErrIoErr, sqlite3.ErrIoErrFsync, diskFull[0]), "disk"},
		{sqlite(sqlite3.ErrIoErr, sqlite3.ErrIoErrDirFsync, diskFull[0]), "disk"},
		{sqlite(sqlite3.ErrIoErr, sqlite3.ErrIoErrWrite, 0), "disk"}, {sqlite(sqlite3.ErrCorrupt, 0, 0), "disk"},
		{sqlite(sqlite3.ErrCantOpen, 0, noDescriptors[0]), "busy"}, {sqlite(sqlite3.ErrCantOpen, 0, noDescriptors[1]), "busy"},
		{sqlite(sqlite3.ErrCantOpen, 0, 0), "disk"}, {sqlite(sqlite3.ErrIoErr, 0, noDescriptors[0]), "disk"},
		{sqlite(sqlite3.ErrBusy, 0, 0), "busy"}, {sqlite(sqlite3.ErrLocked, 0, 0), "busy"},
		{sqlite(sqlite3.ErrConstraint, 0, 0), ""}, {sqlite(sqlite3.ErrMismatch, 0, 0), ""}, {sqlite(sqlite3.ErrTooBig, 0, 0), ""},
		{sqlite(sqlite3.ErrRange, 0, 0), ""}, {sqlite(sqlite3.ErrError, 0, 0), ""}, {sqlite(sqlite3.ErrInterrupt, 0, 0), ""},
		{fmt.Errorf("reading: %w", driver.ErrBadConn), "away"}, {fmt.Errorf("reading: %w", sql.ErrConnDone), "away"},
		{&os.PathError{Err: diskFull[0]}, "full"}, {&os.PathError{Err: diskFull[1]}, "full"},
		{&os.PathError{Err: os.ErrPermission}, ""}, {sql.ErrNoRows, ""}, {context.Canceled, ""}, {nil, ""},
	} {
		if got := kindOfError(classify(c.err)); got != c.want || !errors.Is(classify(c.err), c.err) {
			t.Errorf("%#v: %q, want %q", c.err, got, c.want)
		}
	}
}

// TestAnErrorOfTheConnectionMeansThatTheServerIsAway: the write is then repeated when the server is back.
func TestAnErrorOfTheConnectionMeansThatTheServerIsAway(t *testing.T) {
	_, unreachable := pgconn.Connect(t.Context(), "host="+t.TempDir()+" user=x")
	for err, want := range map[error]bool{
		nil: false, errors.New("a row"): false, context.Canceled: false,
		unreachable: true, fmt.Errorf("x: %w", io.EOF): true, fmt.Errorf("x: %w", io.ErrUnexpectedEOF): true, fmt.Errorf("x: %w", errLost): true,
		fmt.Errorf("x: %w", net.ErrClosed): true, fmt.Errorf("x: %w", context.DeadlineExceeded): true, errors.New("x: conn closed"): true,
		&net.OpError{Op: "read", Err: syscall.ECONNRESET}: true, fmt.Errorf("x: %w", new(pgconn.ConnectError)): true,
	} {
		if away(err) != want {
			t.Errorf("%T %v: away is %v", err, err, !want)
		}
	}
}

// An error of the server names the database without its password, and says what to do.
func TestAnErrorNamesTheDatabaseAndTheRemedy(t *testing.T) {
	a, err := postgres.Parse("postgres://u:hidden@db.example/d")
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("it is stopped")
	code := func(code string) error {
		return withFix(a, fmt.Errorf("reading: %w", &pgconn.PgError{Code: code, Message: "m"}))
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{&AwayError{Cause: cause}, "the database cannot be used at the moment: it is stopped"},
		{&AwayError{Path: "p", Cause: cause}, "the database p cannot be used at the moment: it is stopped"},
		{&AwayError{Path: "p", Cause: code("42P01")}, "the database has no tables of Hookloom, or those of an older version"},
		{code("42P01"), "hookloom db migrate makes them"}, {code("42703"), "hookloom db migrate makes them"},
		{code("3F000"), "hookloom db migrate makes them"}, {withFix(a, cause), "it is stopped"},
		{&NodeNameError{Name: "a", Holder: "b"}, `a node with the name "a" is already running (b)`},
	} {
		if got := c.err.Error(); !strings.Contains(got, c.want) || strings.Contains(got, "hidden") {
			t.Errorf("%q lacks %q", got, c.want)
		}
	}
	for _, known := range []string{"42501", "26000", "42P05"} {
		if !errors.As(code(known), new(*postgres.Error)) {
			t.Errorf("%s: %v has no fix", known, code(known))
		}
	}
	if err := code("23505"); errors.As(err, new(*postgres.Error)) {
		t.Errorf("another error has a fix: %v", err)
	}
	if !errors.Is(&AwayError{Cause: cause}, cause) || errors.Is(&AwayError{Cause: cause}, engine.ErrDisk) {
		t.Error("an AwayError is only busy and its cause")
	}
}

// TestAnAddressOfThisMachineIsNotOneForOthers: a command on another machine would reach its own server there.
func TestAnAddressOfThisMachineIsNotOneForOthers(t *testing.T) {
	for text, want := range map[string]string{"http://localhost:1": "", "http://127.0.0.1:1": "", "http://[::1]:1": "", ":%": "", "": "",
		"http://10.0.0.1:1": "http://10.0.0.1:1", "http://a.example": "http://a.example"} {
		if got := fromElsewhere(text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
