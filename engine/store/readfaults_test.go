package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/testgolden"
)

// A read whose query or row fails must say so: an incomplete result looks like a complete one.
func TestAReadReportsTheFailureOfAnyQueryOrRow(t *testing.T) {
	s, _ := openFilled(t, filepath.Join(t.TempDir(), "x.db"))
	readsFail(t, s, store.ErrLostFile, engine.ErrDisk, someReads)
}

// someReads are all reads, without those that differ from others only in a filter or in an id.
func someReads(s *store.Store) (out []oneRead) {
	kinds := map[string]int{}
	for _, r := range slices.Concat(readsOfStore(s), readsOfHistory(s.History())) {
		kind, _, several := strings.Cut(r.name, " run_")
		if !several {
			kind, _, several = strings.Cut(r.name, " evt_")
		}
		if kinds[kind]++; !several || kinds[kind]%3 == 1 {
			out = append(out, r)
		}
	}
	for i, r := range readsOfLists(s.History()) {
		if i%7 == 0 {
			out = append(out, r)
		}
	}
	return out
}

// readsFail makes each read with a failure at each of its steps.
func readsFail(t *testing.T, s *store.Store, failure, reported error, reads func(*store.Store) []oneRead) {
	t.Helper()
	failing(t, s, failure, reads, func(r oneRead, at int, _ any, err error) {
		if !errors.Is(err, reported) {
			t.Errorf("%s, failure at step %d: %v", r.name, at, err)
		}
	})
}

// failing makes each read once for each of its steps, which fails.
func failing(t *testing.T, s *store.Store, failure error, reads func(*store.Store) []oneRead,
	result func(r oneRead, at int, v any, err error)) {
	t.Helper()
	steps, failAt := 0, 0
	if err := s.ReadThrough(func() error {
		if steps++; steps == failAt {
			return failure
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, r := range reads(s) {
		// The many rows of one query are alike.
		for failAt = 1; ; failAt += 1 + failAt/40 {
			steps = 0
			v, err := r.do(t.Context())
			if steps < failAt {
				break
			}
			result(r, failAt, v, err)
		}
	}
}

// A damaged row is an error of the read, an error of its run or event, or a line of a list that lacks what cannot be
// read. The file testdata/damaged.txt holds which: for each step of a read E for an error, and + for another result
// than that of the undamaged row.
func TestADamagedRowIsShownOrReported(t *testing.T) {
	s, _ := openFilled(t, filepath.Join(t.TempDir(), "x.db"))
	sound := map[string]string{}
	text := func(v any) string {
		b, err := json.Marshal(v)
		return fmt.Sprint(worked.ReplaceAllString(string(b), ""), err)
	}
	for _, r := range someReads(s) {
		if v, err := r.do(t.Context()); !r.volatile && err == nil {
			sound[r.name] = text(v)
		}
	}
	seen := map[string]string{}
	steady := func(s *store.Store) []oneRead {
		return slices.DeleteFunc(someReads(s), func(r oneRead) bool { return sound[r.name] == "" })
	}
	failing(t, s, store.ErrEmptyRow, steady, func(r oneRead, _ int, v any, err error) {
		switch {
		case err != nil:
			seen[r.name] += "E"
		case text(v) != sound[r.name]:
			seen[r.name] += "+"
		default:
			seen[r.name] += "."
		}
	})
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		fmt.Fprintf(&b, "%s: %s\n", name, seen[name])
	}
	testgolden.Compare(t, "damaged.txt", b.String())
}
