package store_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/jackc/pgx/v5/pgconn"
)

// Each query, each row and each statement of pruning fails once. An error that is not reported would leave rows that were to be deleted.
func TestPruningReportsTheFailureOfAnyRowAndStatement(t *testing.T) {
	for _, x := range []struct {
		address     string
		failure     error
		least, rare int // how many failures there are at least, and after how many they become rare
	}{
		{filepath.Join(t.TempDir(), "x.db"), store.ErrLostFile, 300, 100},
		{postgrestest.Shared(t).Database(t), &pgconn.PgError{Code: "58030"}, 60, 1},
	} {
		s, _ := openFilled(t, x.address)
		phases, done := s.PrunePhases(engine.PruneOrder{Now: filledAt.Add(100 * time.Hour), Before: filledAt.Add(99 * time.Hour),
			Bodies: filledAt.Add(98 * time.Hour), MaxSize: 1, DefaultDedupe: time.Hour})
		step, failAt, failures := 0, 0, 0
		if err := s.ReadThrough(func() error {
			if step++; step == failAt {
				return x.failure
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		attempt := func(p store.Part, read, write int) (readFailed, writeFailed bool) {
			t.Helper()
			denied, err := s.FailWrite(t.Context(), write)
			if err != nil {
				t.Fatal(err)
			}
			step, failAt = 0, read
			err = p.Do(t.Context())
			if readFailed, writeFailed = step >= failAt, denied(); readFailed || writeFailed {
				failures++
			}
			if (err != nil) != (readFailed || writeFailed) || err != nil && !errors.Is(err, x.failure) && !s.Spoiled(err) {
				t.Errorf("%s, failure at row %d (%v) or statement %d (%v): %v", p.Name, read, readFailed, write, writeFailed, err)
			}
			return readFailed, writeFailed
		}
		next := func(n int) int { return n + 1 + n/x.rare }
		for _, p := range phases {
			read, write, both := 1, 1, 1
			for failed := true; failed; read = next(read) { // the reads before the first statement
				failed, _ = attempt(p, read, 1)
			}
			for failed := true; failed; write = next(write) { // the statements of the first transaction
				_, failed = attempt(p, read, write)
			}
			for more := true; more; both = next(both) {
				r, w := attempt(p, both, both)
				more = r || w
			}
		}
		if got := fmt.Sprintf("%+v", *done); failures < x.least ||
			got != "{Runs:15 Events:24 Bodies:24 Keys:70 Refusals:5 Values:1 Files:0 FileBytes:0 Bytes:0}" {
			t.Errorf("%d failures, and then %s", failures, got)
		}
		if _, err := s.FailWrite(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
	}
}
