package store

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/redact"
)

// openWithEvents opens a new database with twelve events.
func openWithEvents(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for n := range 12 {
		d := &engine.Delivery{Trigger: "shop", Inlet: "webhook", Key: fmt.Sprint(n), Type: "t", Time: time.Now(), ReceivedAt: time.Now(),
			Raw: []byte(`{"a":1}`), Headers: map[string]string{"x": "y"}, Dedupe: time.Hour}
		if _, err := s.Accept(t.Context(), engine.EventID(n+1), d); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *Store) mustExec(t *testing.T, query string, args ...driver.Value) {
	t.Helper()
	if err := s.w.do(t.Context(), true, func(t *tx) error { return t.exec(query, args...) }); err != nil {
		t.Fatal(err)
	}
}

// TestADamagedEventIsListedWithoutItsContent: its runs report why they cannot continue, and nothing else of it is used.
func TestADamagedEventIsListedWithoutItsContent(t *testing.T) {
	s := openWithEvents(t, Options{})
	for id, x := range []struct{ damage, want string }{{"", ""}, {"crc = crc + 1", "its checksum is wrong"}, {"headers = '{'", "its headers"},
		{"query = '{'", "its query"}, {"inputs = '{'", "its inputs"}} {
		if x.damage != "" {
			s.mustExec(t, `UPDATE events SET `+x.damage+` WHERE id = ?`, int64(id+1))
		}
		_, err := s.Event(t.Context(), engine.EventID(id+1))
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%q: %v", x.damage, err)
		}
		ev, err := s.event(t.Context(), engine.EventID(id+1))
		if err != nil {
			t.Fatal(err)
		}
		sound := ev.Locked == nil && string(ev.Raw) == `{"a":1}` && ev.Headers["x"] == "y"
		bare := ev.Locked != nil && ev.Raw == nil && ev.Headers != nil && len(ev.Headers)+len(ev.Query)+len(ev.Inputs) == 0
		if sound != (x.want == "") || bare != (x.want != "") || ev.Key != fmt.Sprint(id) {
			t.Errorf("%q: %+v", x.damage, ev)
		}
	}
	check := func() (f Finding) {
		t.Helper()
		found, err := s.History().Check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, f = range found {
			if strings.Contains(f.What, "checksum") {
				return f
			}
		}
		t.Fatal("the checksums are not checked")
		return f
	}
	if f := check(); f.Rows != 12 || len(f.Wrong) != 1 || f.Wrong[0] != engine.EventID(2).String() {
		t.Errorf("one damaged event: %+v", f)
	}
	s.mustExec(t, `UPDATE events SET crc = 1`)
	if f := check(); f.Rows != 12 || len(f.Wrong) != 10 {
		t.Errorf("twelve damaged events: %+v", f)
	}
}

// TestAMarkThatCannotBeReadIsReportedOrIgnored: one decides whether a database is served, the other is shown only.
func TestAMarkThatCannotBeReadIsReportedOrIgnored(t *testing.T) {
	s := openWithEvents(t, Options{})
	for _, mark := range []string{"", "{"} {
		if mark != "" {
			s.mustExec(t, `INSERT INTO meta (name, value) VALUES ('clock_step', ?1), ('copied_to', ?1)`, mark)
		}
		if step, err := s.History().ClockStep(t.Context()); step != nil || err != nil {
			t.Errorf("step of the clock %q: %+v, %v", mark, step, err)
		}
		if err := s.copied(t.Context()); (err == nil) != (mark == "") || err != nil && !strings.Contains(err.Error(), "copied_to") {
			t.Errorf("copied %q: %v", mark, err)
		}
	}
}

// TestABackupThatFailsLeavesNothing: an existing file is replaced only on demand.
func TestABackupThatFailsLeavesNothing(t *testing.T) {
	h, folder := openWithEvents(t, Options{}).History(), t.TempDir()
	file, full := filepath.Join(folder, "a.db"), filepath.Join(folder, "full")
	if err := errors.Join(os.WriteFile(file, []byte("mine"), 0o600), os.MkdirAll(filepath.Join(full, "x"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		file    string
		replace bool
		want    string
	}{{file, false, "already exists"}, {filepath.Join(folder, "none", "a.db"), true, "making the copy"}, {full, true, "full"}} {
		if _, err := h.Backup(t.Context(), x.file, x.replace); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v", x.file, err)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Backup(gone, filepath.Join(folder, "b.db"), false); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	list, err := os.ReadDir(folder)
	if text, _ := os.ReadFile(file); err != nil || len(list) != 2 || string(text) != "mine" {
		t.Errorf("%v, and the file is %q, %v", list, text, err)
	}
	if _, err := (&History{postgres: true}).Backup(t.Context(), file, true); err == nil || !strings.Contains(err.Error(), "pg_dump") {
		t.Errorf("PostgreSQL: %v", err)
	}
}

// TestTheLockNamesItsHolder: also the number alone that an earlier build wrote.
func TestTheLockNamesItsHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	for text, want := range map[string]Holder{"": {}, "12": {PID: 12, Verb: "serve"}, "12\ncheck\n": {PID: 12, Verb: "check"},
		"12\nserve\nhooks\nadmin\n": {PID: 12, Verb: "serve", Hooks: "hooks", Admin: "admin"}} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := readHolder(f); got != want {
			t.Errorf("%q: %+v", text, got)
		}
		if err := writeHolder(f, want); err == nil {
			t.Error("a lock that cannot be written is written")
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	held, err := takeLock(t.Context(), path, "check")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := takeLock(ctx, path, "serve"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a held lock: %v", err)
	}
	if err := os.Mkdir(path+"2.lock", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := takeLock(t.Context(), path+"2", "serve"); err == nil || !strings.Contains(err.Error(), "opening the database's lock") {
		t.Errorf("a folder in place of the lock: %v", err)
	}
	if _, err := takeLock(t.Context(), path+"/none/x", "serve"); err == nil {
		t.Error("a lock in no folder is taken")
	}
}

// TestAnEmptiedFileIsReported: SQLite would start anew in it.
func TestAnEmptiedFileIsReported(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	id, _, err := identify(path)
	if err != nil {
		t.Fatal(err)
	}
	look := func(filled bool) (int64, string) {
		var moved *MovedError
		size, err := openFiles{{path: path, what: "the file", id: id, filled: filled}}.look(path)
		if errors.As(err, &moved) {
			return size, moved.How
		}
		return size, fmt.Sprint(err)
	}
	if size, how := look(true); size != 5 || how != "<nil>" {
		t.Error(size, how)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, how := look(false); how != "<nil>" {
		t.Error("a file that was empty before:", how)
	}
	if _, how := look(true); how != "emptied" {
		t.Error("an emptied file:", how)
	}
}

// TestTheMarkOfTheFileHasItsCounter: a lower counter later shows an older file.
func TestTheMarkOfTheFileHasItsCounter(t *testing.T) {
	s := openWithEvents(t, Options{})
	head, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	if want := binary.BigEndian.Uint32(head[headCounter:]); s.w.mark.counter.Load() != want || want == 0 {
		t.Errorf("the counter is %d, the file's %d", s.w.mark.counter.Load(), want)
	}
}

// TestAStatementReleasesItsValues: the body of the last event would otherwise stay in memory.
func TestAStatementReleasesItsValues(t *testing.T) {
	s := openWithEvents(t, Options{})
	if err := s.w.do(t.Context(), true, func(tx *tx) error {
		const query = `SELECT 1 FROM meta WHERE name = ? AND value = ?`
		for name, do := range map[string]func() error{
			"exec": func() error { return tx.exec(`DELETE FROM meta WHERE name = ? AND value = ?`, "none", "large") },
			"put":  func() error { return tx.put(`DELETE FROM meta WHERE name = ? AND value = ?`, "none", "large") },
			"row":  func() error { _, err := tx.row(query, make([]driver.Value, 1), "none", "large"); return err },
		} {
			if err := do(); err != nil {
				return err
			}
			for _, b := range tx.w.bound {
				if b.Value != nil {
					t.Errorf("%s keeps %v", name, b.Value)
				}
			}
		}
		for query, want := range map[string]string{"PRAGMA foreign_keys = 1": "", "SELECT 'a' UNION ALL SELECT 'b'": "a",
			"SELECT 1 UNION ALL SELECT abs(-9223372036854775808)": "error", "SELECT x": "error"} {
			got, err := queryText(tx.w.conn, query)
			if err != nil && got == "" {
				got = "error"
			}
			if got != want {
				t.Errorf("%s: %q, want %q", query, got, want)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// brokenSealer is a key that is missing.
type brokenSealer struct{}

func (brokenSealer) Seal([]byte, string) ([]byte, error) { return nil, errors.New("no key") }

func (brokenSealer) Open([]byte, string) ([]byte, error) { return nil, errors.New("no key") }

// TestSecretInputsAreHiddenOrRefused: a run whose secret inputs were lost could not continue.
func TestSecretInputsAreHiddenOrRefused(t *testing.T) {
	r := &redact.Redactor{}
	d := &engine.Delivery{Trigger: "shop", Inputs: map[string]any{"a": nil, "b": "has s3cret-value", "c": "plain"},
		SecretInputs: []string{"a", "b"}, Hidden: []string{"s3cret-value"}}
	s := &Store{o: Options{Redactor: r}}
	if out, err := s.encodeInputs(d); err != nil || fmt.Sprint(out.shown) != `{"a":null,"b":"***","c":"plain"}` {
		t.Errorf("%v, %v", out.shown, err)
	}
	if got := s.maskText("has s3cret-value", r.With(d.Hidden)); strings.Contains(got, "s3cret") {
		t.Errorf("a run's secret is shown: %s", got)
	}
	if _, err := s.opened([]byte("x"), "c"); err == nil || !strings.Contains(err.Error(), "cannot be decrypted here") {
		t.Errorf("without a key: %v", err)
	}
	s.o.Sealer = brokenSealer{}
	if _, err := s.encodeInputs(d); err == nil || !strings.Contains(err.Error(), "secret inputs of shop cannot be kept: no key") {
		t.Errorf("secret inputs that cannot be encrypted: %v", err)
	}
	if _, err := s.opened([]byte("x"), "c"); err == nil || err.Error() != "c: no key" {
		t.Errorf("with another key: %v", err)
	}
	if out, err := s.encodeInputs(&engine.Delivery{}); err != nil || out.shown != nil {
		t.Errorf("without inputs: %v, %v", out.shown, err)
	}
}
