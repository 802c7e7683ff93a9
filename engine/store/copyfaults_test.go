package store_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// Each query, each row and each statement of a copy fails once. An error that is not reported would leave a copy without some rows.
func TestACopyReportsTheFailureOfAnyRowAndStatement(t *testing.T) {
	from := filepath.Join(t.TempDir(), "from.db")
	o := filledOptions()
	filled, err := store.Open(t.Context(), from, o)
	if err != nil {
		t.Fatal(err)
	}
	fillAll(t, filled)
	if err := filled.Close(); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		to   string
		rare int
	}{{filepath.Join(t.TempDir(), "to.db"), 20}, {postgrestest.Shared(t).Database(t), 1}} {
		if _, err := store.CopyDatabase(t.Context(), from, x.to, o); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Reopen(t.Context(), from, o); err != nil {
			t.Fatal(err)
		}
		source, err := store.Open(t.Context(), from, o)
		if err != nil {
			t.Fatal(err)
		}
		target, err := store.Open(t.Context(), x.to, o)
		if err != nil {
			t.Fatal(err)
		}
		step, failAt, failures := 0, 0, 0
		for _, s := range []*store.Store{source, target} {
			if err := s.ReadThrough(func() error {
				if step++; step == failAt {
					return store.ErrLostFile
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range store.CopyParts(source, target, "events", "keys", "audit", "meta", "kept_size", "places", "inbox") {
			attempt := func(read, write int) bool {
				t.Helper()
				denied, err := target.FailWrite(t.Context(), write)
				if err != nil {
					t.Fatal(err)
				}
				step, failAt = 0, read
				err = p.Do(t.Context())
				failed := step >= failAt && failAt > 0 || denied()
				if failed {
					failures++
				}
				if refused := p.Name == "mayTakeCopy" && !failed; refused && !strings.Contains(err.Error(), "is not empty: its table events has") ||
					!refused && (err != nil) != failed || failed && !errors.Is(err, store.ErrLostFile) && !target.Spoiled(err) {
					t.Errorf("%s, failure at row %d or statement %d (%v): %v", p.Name, read, write, failed, err)
				}
				return failed
			}
			for n := 1; attempt(n, 0); n += 1 + n/x.rare {
			}
			for n := 1; attempt(0, n); n += 1 + n/x.rare {
			}
		}
		if failures < 80 {
			t.Errorf("only %d failures", failures)
		}
		if err := errors.Join(source.Close(), target.Close()); err != nil {
			t.Error(err)
		}
	}
}
