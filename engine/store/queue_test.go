package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/testgolden"
)

// Deliveries and notes are refused while the queue is three quarters full; all other writes wait, so that running work
// ends. The file testdata/queue.txt holds which do what; those that "write nothing" need no transaction with SQLite.
func TestRunningWorkWaitsForRoomInTheQueue(t *testing.T) {
	o := filledOptions()
	o.MaxQueued = 8
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	names := map[string][]string{}
	eachWrite(s, nil, func(name string, do func(context.Context) error) {
		waiting, release := s.FillQueue(t.Context())
		done := make(chan error, 1)
		go func() { done <- do(t.Context()) }()
		kind := ""
		for kind == "" {
			select {
			case err := <-done:
				if kind = "write nothing"; errors.Is(err, engine.ErrBusy) {
					kind = "are refused"
				}
				done <- err
			default:
				if waiting() > 0 {
					kind = "wait"
				} else {
					time.Sleep(20 * time.Microsecond)
				}
			}
		}
		release()
		if err := <-done; kind == "are refused" {
			err = do(t.Context()) // later writes need it
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else if err != nil && kind == "wait" && !errors.Is(err, engine.ErrPending) && !errors.Is(err, engine.ErrStale) {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.Contains(names[kind], name) {
			names[kind] = append(names[kind], name)
		}
	})
	var b strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(names)) {
		slices.Sort(names[kind])
		fmt.Fprintf(&b, "%s:\n  %s\n", kind, strings.Join(names[kind], "\n  "))
	}
	testgolden.Compare(t, "queue.txt", b.String())
}
