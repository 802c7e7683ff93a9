// Package store keeps Hookloom's events, runs and attempts in SQLite, or in a PostgreSQL database. One
// goroutine writes, and combines the waiting writes into one synced commit; each caller returns after
// its own commit. Readers have their own connections.
//
// The statements are written once, for both databases (dialect.go). Files named postgresql*.go have
// what PostgreSQL needs: the connection, lost connections, and the nodes that share a database. Their
// transactions run one after another, as those of one process do on SQLite.
//
// The package knows SQL and the engine's types. It must not know HTTP, YAML, providers or actions,
// and it makes no decisions: each method is one transaction that the engine requests.
package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/atomicfile"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/mattn/go-sqlite3"
)

//go:embed migrations/sqlite/*.sql
var migrations embed.FS

// Options configure a store; zero values are right for production.
type Options struct {
	// Redactor masks secrets in everything that is written.
	Redactor *redact.Redactor
	// Sealer encrypts masked values for the runs that still need them; if nil, they are not kept.
	Sealer Sealer
	// Synchronous is FULL unless a power-cut test asks for less.
	Synchronous string
	// Fault is called before each write of a batch with its number, counted from 1; an error
	// replaces the write. For crash tests.
	Fault func(n int) error
	// MaxQueued is how many writes may wait; 8192 by default.
	MaxQueued int
	// MaxQuarantine is how many refused deliveries are kept; 10,000 by default.
	MaxQuarantine int
	// MaxQuarantineBytes bounds the bodies, headers and texts of refused deliveries,
	// 64 MiB by default; the oldest bodies are dropped first.
	MaxQuarantineBytes int64
	// Verb is the command that opens the database, "serve" by default. Open waits for the end of
	// any other verb.
	Verb string
	Log  *slog.Logger
	// Node is the name of this node of a database on a PostgreSQL server, the host's name by default.
	Node string
	// Signals is notified of commits; NewSignals by default.
	Signals engine.Signals
	// Migrations are the migrations of PostgreSQL, in migrations/postgres; those of this program by default.
	// A test opens a database as a program of the next version does.
	Migrations fs.FS
}

// Store is an open database. It implements engine.Store.
type Store struct {
	path     string
	o        Options
	lock     *os.File
	w        *writer
	readers  *sql.DB
	instance string
	lastID   int64
	claims   *claims
	// quarantine tracks the size of the refused deliveries.
	quarantine quarantine
	sole       soleNode
}

var _ engine.Store = (*Store)(nil)

// InUseError reports that another process uses the database.
type InUseError struct{ Path, Holder string }

// Error implements error.
func (e *InUseError) Error() string {
	if postgres.IsAddress(e.Path) {
		return fmt.Sprintf("%s is in use by another hookloom process (%s): stop it first; hookloom nodes lists all servers", e.Path, e.Holder)
	}
	return fmt.Sprintf("%s is in use by another hookloom process (%s): stop it first, or give this one another --db", e.Path, e.Holder)
}

// Open opens or creates the database at path, exclusively: a second process gets *InUseError.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	if o.Synchronous == "" {
		o.Synchronous = "FULL"
	}
	if o.Verb == "" {
		o.Verb = "serve"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Signals == nil {
		o.Signals = NewSignals()
	}
	if o.MaxQueued == 0 {
		o.MaxQueued = 8192
	}
	if o.MaxQuarantine == 0 {
		o.MaxQuarantine = 10_000
	}
	if o.MaxQuarantineBytes == 0 {
		o.MaxQuarantineBytes = 64 << 20
	}
	if strings.Contains(path, "://") && !postgres.IsAddress(path) {
		return nil, fmt.Errorf("database %s: give a file path, or an address that begins with postgres:// for a PostgreSQL server",
			strings.SplitN(path, "://", 2)[0])
	}
	if postgres.IsAddress(path) {
		s := &Store{o: o, claims: newClaims()}
		if err := s.openPostgres(ctx, path); err != nil {
			return nil, err
		}
		return s, nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("database path: %w", err)
	}
	s := &Store{path: abs, o: o, claims: newClaims(), sole: soleNode{since: time.Now()}}
	if s.lock, err = takeLock(ctx, abs, o.Verb); err != nil {
		return nil, err
	}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening database %s: %w", path, classify(err)), s.lock.Close())
	}
	return s, nil
}

// minVersion is the first SQLite without the WAL-reset bug (sqlite.org, release
// notes of 3.51.3).
const minVersion = 3051003

func (s *Store) open(ctx context.Context) error {
	if _, v, _ := sqlite3.Version(); v < minVersion {
		return fmt.Errorf("SQLite %d is older than %d", v, minVersion)
	}
	if err := cutRestore(realPath(s.path)); err != nil {
		return err
	}
	_, statErr := os.Stat(s.path)
	fresh := os.IsNotExist(statErr)
	if fresh {
		// Payloads are private; SQLite gives the WAL the same mode.
		f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	room := newSpace(s.path)
	conn, err := s.openWriter(fresh)
	if err != nil && errors.Is(classify(err), engine.ErrFull) && room.held() > 0 {
		room.release() // for SQLite's files next to the database, and for migrations
		conn, err = s.openWriter(fresh)
	}
	if err != nil {
		return err
	}
	checkpointer, err := openConn(s.path, "rw", s.o.Synchronous)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	s.w = newWriter(conn, checkpointer, realPath(s.path)+"-wal", s.o)
	s.w.path, s.w.space, s.w.passAt, s.w.waitAt = s.path, room, room.limit, 2*room.limit
	for _, c := range []*sqlite3.SQLiteConn{conn, checkpointer} {
		if _, err := c.Exec(fmt.Sprintf("PRAGMA journal_size_limit = %d", room.limit), nil); err != nil {
			return errors.Join(err, conn.Close(), checkpointer.Close())
		}
	}
	if s.readers, err = openAllReaders(ctx, s.path); err != nil {
		return errors.Join(err, conn.Close(), checkpointer.Close())
	}
	if err = s.readLast(ctx); err != nil {
		return errors.Join(err, conn.Close(), checkpointer.Close(), s.readers.Close())
	}
	if s.w.files, err = watchFiles(s.path, s.lock); err == nil {
		s.w.mark, err = markFile(conn, s.path)
	}
	if err != nil {
		return errors.Join(err, conn.Close(), checkpointer.Close(), s.readers.Close())
	}
	if f, err := os.Open(s.w.wal); err == nil {
		s.w.walFile = f
		s.w.walStart = (&walEnd{}).next(f)
	}
	if room.claim() != nil {
		s.w.relieve()
	}
	s.w.start()
	return nil
}

// openWriter opens the connection that writes, and brings the file up to date.
func (s *Store) openWriter(fresh bool) (*sqlite3.SQLiteConn, error) {
	if fresh {
		if err := setPageSize(s.path); err != nil {
			return nil, err
		}
	}
	conn, err := openConn(s.path, "rwc", s.o.Synchronous)
	if err != nil {
		return nil, err
	}
	if err := s.prepareFile(conn, fresh); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// pageSize is the page size of a new file, in bytes. An event of a usual size, 1 to 2 KB, wastes a
// third of a page of 4 KB; larger pages cost more if few events share a commit, since each commit
// writes complete pages. Files keep their first page size. On a disk of less than smallDisk bytes
// the page size is smallPage.
const (
	pageSize  = 8192
	smallPage = 4096
	smallDisk = 64 << 20
)

// setPageSize initializes a new file. Its page size is fixed once anything is written
// (sqlite.org/pragma.html#pragma_page_size), including by setting auto_vacuum.
func setPageSize(path string) error {
	conn, err := openUntrusted("file:" + escapePath(path) + "?mode=rwc")
	if err != nil {
		return err
	}
	size := pageSize
	if _, total, err := DiskSpace(filepath.Dir(path)); err == nil && total < smallDisk {
		size = smallPage
	}
	_, err = conn.Exec(fmt.Sprintf("PRAGMA page_size = %d; PRAGMA auto_vacuum = incremental; PRAGMA journal_mode = WAL", size), nil)
	return errors.Join(err, conn.Close())
}

func (s *Store) prepareFile(conn *sqlite3.SQLiteConn, fresh bool) error {
	level := map[string]string{"OFF": "0", "NORMAL": "1", "FULL": "2", "EXTRA": "3"}[s.o.Synchronous]
	if err := checkPragmas(conn, map[string]string{"journal_mode": "wal", "synchronous": level, "foreign_keys": "0"}); err != nil {
		return err
	}
	if err := migrate(conn); err != nil {
		return err
	}
	if !fresh {
		return nil
	}
	// The file's name is durable only when its folder is synced.
	return atomicfile.SyncDir(filepath.Dir(s.path))
}

// dsn sets every setting explicitly: the driver's default is synchronous=NORMAL, which loses
// acknowledged events at a power cut.
func dsn(path, mode, synchronous string) string {
	v := "file:" + escapePath(path) + "?mode=" + mode + "&_busy_timeout=5000"
	if mode != "ro" {
		// Only one goroutine uses the connection: SQLite need not lock it at each call.
		v += "&_mutex=no&_journal_mode=WAL&_synchronous=" + synchronous + "&_txlock=immediate&_auto_vacuum=incremental"
	} else {
		v += "&_query_only=1"
	}
	return v
}

// escapePath prevents a file's name from being parsed as parameters.
func escapePath(p string) string {
	return strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(p)
}

// cacheSize bounds SQLite's page cache of a writing connection, in KiB. Tables and indexes grow at
// their right edges, for which this is plenty; of random event ids it holds the index of some
// 50,000, and the operating system's cache has the rest. With 90,000 random ids, 16 MiB took no less
// processor time.
const cacheSize = 4 << 10

func openConn(path, mode, synchronous string) (*sqlite3.SQLiteConn, error) {
	conn, err := openUntrusted(dsn(path, mode, synchronous))
	if err != nil {
		return nil, err
	}
	for _, p := range []string{"PRAGMA wal_autocheckpoint = 0", "PRAGMA journal_size_limit = 67108864", "PRAGMA temp_store = MEMORY",
		fmt.Sprintf("PRAGMA cache_size = -%d", cacheSize)} {
		if _, err := conn.Exec(p, nil); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", p, err), conn.Close())
		}
	}
	return conn, nil
}

// OpenReaders opens a read-only pool for lists and details. The file must exist.
func OpenReaders(path string) (*sql.DB, error) {
	db := sql.OpenDB(fileConnector(dsn(path, "ro", "")))
	db.SetMaxOpenConns(4)
	db.SetConnMaxIdleTime(time.Minute)
	return db, nil
}

// openAllReaders opens all connections of a server's pool and keeps them: later there may be no
// free file descriptor.
func openAllReaders(ctx context.Context, path string) (*sql.DB, error) {
	db, err := OpenReaders(path)
	if err != nil {
		return nil, err
	}
	n := 4
	if limit, limited := fileLimit(); limited && limit < 64 {
		n = 2
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	db.SetConnMaxIdleTime(0)
	for range n {
		conn, err := db.Conn(ctx)
		if err == nil {
			defer conn.Close() // returns it to the pool
			var name string
			err = conn.QueryRowContext(ctx, `SELECT name FROM meta LIMIT 1`).Scan(&name) // opens its files
		}
		if err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return db, nil
}

func checkPragmas(conn *sqlite3.SQLiteConn, want map[string]string) error {
	for name, value := range want {
		got, err := queryText(conn, "PRAGMA "+name)
		if err != nil {
			return err
		}
		if got != value {
			return fmt.Errorf("PRAGMA %s is %s, not %s: this disk cannot guarantee durability", name, got, value)
		}
	}
	return nil
}

// migrate updates the schema, each numbered file in a transaction. A database of a newer program is
// rejected.
func migrate(conn *sqlite3.SQLiteConn) error { return migrateTo(conn, math.MaxInt) }

// migrateTo migrates up to a version.
func migrateTo(conn *sqlite3.SQLiteConn, version int) error {
	files, err := fs.Glob(migrations, "migrations/sqlite/*.sql")
	if err != nil {
		return err
	}
	sort.Strings(files)
	text, err := queryText(conn, "PRAGMA user_version")
	if err != nil {
		return err
	}
	have, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	if have > len(files) {
		return fmt.Errorf("it was made by a newer hookloom (schema %d, this one knows %d): install that version or a later one", have, len(files))
	}
	for i := have; i < min(len(files), version); i++ {
		if err := applyMigration(conn, files[i], i+1); err != nil {
			return fmt.Errorf("migration %s: %w", filepath.Base(files[i]), err)
		}
	}
	return nil
}

func applyMigration(conn *sqlite3.SQLiteConn, file string, number int) error {
	text, err := migrations.ReadFile(file)
	if err != nil {
		return err
	}
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		return err
	}
	// user_version takes no parameter; number is trusted.
	batch := "BEGIN IMMEDIATE;\n" + string(text) +
		fmt.Sprintf("\nINSERT INTO meta (name, value) VALUES ('instance', '%s') ON CONFLICT DO NOTHING;\nPRAGMA user_version = %d;\nCOMMIT;",
			hex.EncodeToString(random[:]), number)
	if _, err := conn.Exec(batch, nil); err != nil {
		_, back := conn.Exec("ROLLBACK", nil)
		return errors.Join(err, back)
	}
	return nil
}

// Instance implements engine.Store.
func (s *Store) Instance() string { return s.instance }

// LastID implements engine.Store.
func (s *Store) LastID() int64 { return s.lastID }

// Readers returns the read-only pool for lists and details.
func (s *Store) Readers() *sql.DB { return s.readers }

// Failed returns a channel that is closed when writing is no longer possible; Err returns the
// reason.
func (s *Store) Failed() <-chan struct{} { return s.w.broken }

// Err returns the error that made writing impossible.
func (s *Store) Err() error { return s.w.err() }

// Close commits the waiting writes, shrinks the WAL and releases the file.
func (s *Store) Close() error {
	werr := s.w.close()
	err := errors.Join(werr, s.readers.Close())
	if s.w.pg != nil {
		return err
	}
	var moved *MovedError
	if !errors.As(s.w.err(), &moved) || !moved.hollow {
		err = errors.Join(err, s.w.mark.file.Close()) // after the last connection, see fileMark
	}
	return errors.Join(err, s.lock.Close())
}
