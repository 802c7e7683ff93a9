package store_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
)

// Each statement of each write fails once. A write that hid the failure would be acknowledged although a part of
// it is not stored.
func TestAWriteReportsTheFailureOfAnyStatementAndStoresNothing(t *testing.T) {
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), filledOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	conn, err := s.Readers().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	changes := func() (n int64) { // it changes with each commit of another connection that has written
		t.Helper()
		if err := conn.QueryRowContext(t.Context(), `PRAGMA data_version`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	failing := func(n int, do func(context.Context) error) (denied bool, err error) {
		t.Helper()
		denies, err := s.FailWrite(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		err = do(t.Context())
		if _, err := s.FailWrite(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		return denies(), err
	}
	eachWrite(s, nil, func(name string, do func(context.Context) error) {
		for n := 1; ; n++ {
			before := changes()
			denied, err := failing(n, do)
			if !denied {
				if err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, engine.ErrPending) &&
					!errors.Is(err, engine.ErrStale) {
					t.Fatalf("%s: %v", name, err)
				}
				return
			}
			if !errors.Is(err, engine.ErrDisk) || changes() != before {
				t.Errorf("%s, failure at statement %d: %v, changes %d to %d", name, n, err, before, changes())
			}
		}
	})
}

// After Close, every write says that the store is closed, and every read that the database is.
func TestAClosedStoreRefusesEveryReadAndWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s, err := store.Open(t.Context(), path, filledOptions())
	if err != nil {
		t.Fatal(err)
	}
	fillAll(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// These need no database with SQLite, or look only at their arguments.
	alone := map[string]bool{"DescribeNode": true, "ShareRules": true, "OrderNodes": true, "ShareKey": true, "TakeOver": true, "Lease": true,
		"EndLease": true, "DoneOrder": true, "NodeOrders": true, "Rules": true}
	readFirst := map[string]bool{"ChangeBatch": true, "SaveProjectFiles": true, "files of the project replaced": true}
	eachWrite(s, nil, func(name string, do func(context.Context) error) {
		if err := do(t.Context()); err != nil && readFirst[name] {
			return
		} else if !errors.Is(err, engine.ErrClosed) && !errors.Is(err, errors.ErrUnsupported) && !alone[name] {
			t.Errorf("%s: %v", name, err)
		}
	})
	for _, r := range allReads(s) {
		if _, err := r.do(t.Context()); err == nil && !alone[r.name] {
			t.Errorf("%s of a closed store has a result", r.name)
		}
	}
}

// A caller that has given up gets no result, and its write is not stored.
func TestACallerThatHasGivenUpGetsItsError(t *testing.T) {
	s, _ := openFilled(t, filepath.Join(t.TempDir(), "x.db"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tolerant := map[string]bool{"NodeOrders": true, "Rules": true, "Refusal with a wrong id": true,
		"Unreadable": true} // the last returns what it has until then
	for _, r := range allReads(s) {
		_, err := r.do(ctx)
		if !errors.Is(err, context.Canceled) && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, engine.ErrQuery) && !tolerant[r.name] {
			t.Errorf("%s: %v", r.name, err)
		}
	}
}
