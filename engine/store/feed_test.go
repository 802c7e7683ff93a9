package store_test

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
)

// follower reads events as they come: by the feed, or as a list by their ids.
type follower func(ctx context.Context, h *store.History, after engine.Cursor) ([]engine.EventID, engine.Cursor, error)

func byFeed(ctx context.Context, h *store.History, after engine.Cursor) (ids []engine.EventID, at engine.Cursor, err error) {
	list, err := h.Feed(ctx, after, 1+rand.IntN(20))
	for _, c := range list {
		if after = c.At; c.Event != 0 {
			ids = append(ids, c.Event)
		}
	}
	return ids, after, err
}

// byID is how the live readers worked before there was a feed. It is here to show that these
// tests can fail.
func byID(ctx context.Context, h *store.History, after engine.Cursor) (ids []engine.EventID, at engine.Cursor, err error) {
	list, err := h.Events(ctx, engine.Query{After: after.String(), Ascending: true, Limit: 1 + rand.IntN(20)})
	for _, e := range list {
		id, err := engine.ParseEventID(e.ID)
		if err != nil {
			return nil, after, err
		}
		ids, after = append(ids, id), engine.Cursor(id)
	}
	return ids, after, err
}

func openFeed(t *testing.T, path string) (*store.Store, engine.Cursor) {
	t.Helper()
	s, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	end, err := s.History().FeedEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s, end
}

func acceptAt(t *testing.T, s *store.Store, id engine.EventID) {
	t.Helper()
	now := time.Now()
	d := &engine.Delivery{Trigger: "t", Inlet: "webhook", Key: id.String(), Type: "x", Time: now, ReceivedAt: now, Raw: []byte("{}"),
		Dedupe: time.Hour, Unsubscribed: true}
	if _, err := s.Accept(context.Background(), id, d); err != nil {
		t.Error(err)
	}
}

// TestFeedIsInCommitOrder: an event whose id was given first and that is committed
// last is told last; a reader by ids passes over it.
func TestFeedIsInCommitOrder(t *testing.T) {
	s, start := openFeed(t, filepath.Join(t.TempDir(), "x.db"))
	defer s.Close()
	var ids engine.IDs
	first, second := engine.EventID(ids.Next()), engine.EventID(ids.Next())
	told := map[string][]engine.EventID{}
	cursors := map[string]engine.Cursor{"feed": start, "ids": engine.Cursor(first - 1)}
	for _, id := range []engine.EventID{second, first} {
		acceptAt(t, s, id)
		for name, read := range map[string]follower{"feed": byFeed, "ids": byID} {
			list, at, err := read(t.Context(), s.History(), cursors[name])
			if err != nil {
				t.Fatal(err)
			}
			told[name], cursors[name] = append(told[name], list...), at
		}
	}
	if want := []engine.EventID{second, first}; !slices.Equal(told["feed"], want) {
		t.Errorf("the feed tells %v, want %v", told["feed"], want)
	}
	if want := []engine.EventID{second}; !slices.Equal(told["ids"], want) {
		t.Errorf("by ids %v are told, want %v: this test shows nothing", told["ids"], want)
	}
}

// TestReadersUnderLoadGetEachEventOnce: callers that are fast and slow between an event's
// id and its commit, readers in other processes, and a restart in between.
func TestReadersUnderLoadGetEachEventOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s, start := openFeed(t, path)
	var ids engine.IDs
	const callers, each = 8, 100
	load := func() []engine.EventID {
		var sent sync.WaitGroup
		var mu sync.Mutex
		var all []engine.EventID
		for i := range callers {
			sent.Go(func() {
				for range each {
					id := engine.EventID(ids.Next())
					time.Sleep(time.Duration(i) * time.Duration(rand.IntN(2000)) * time.Microsecond)
					acceptAt(t, s, id)
					mu.Lock()
					all = append(all, id)
					mu.Unlock()
				}
			})
		}
		sent.Wait()
		return all
	}
	followers := map[string]follower{"feed": byFeed, "other feed": byFeed, "ids": byID}
	told := make(map[string][]engine.EventID)
	var mu sync.Mutex
	ctx, end := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	for name, read := range followers {
		reading.Go(func() {
			list := follow(ctx, t, path, start, read)
			mu.Lock()
			told[name] = list
			mu.Unlock()
		})
	}
	want := load()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ = openFeed(t, path)
	want = append(want, load()...)
	end()
	reading.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	for name := range followers {
		got := slices.Clone(told[name])
		slices.Sort(got)
		if once := len(slices.Compact(slices.Clone(got))); once != len(got) {
			t.Errorf("%s: %d of %d are told twice", name, len(got)-once, len(got))
		}
		if all := slices.Equal(got, want); all != (name != "ids") {
			t.Errorf("%s: %d told of %d; whole: %v", name, len(got), len(want), all)
		}
	}
	if !slices.Equal(told["feed"], told["other feed"]) {
		t.Error("two readers are told two orders")
	}
}

// follow reads the database until the context ends, and then to the end. Between some
// looks it is cut off and opens the file anew.
func follow(ctx context.Context, t *testing.T, path string, at engine.Cursor, read follower) (all []engine.EventID) {
	for last, whole := false, false; ; {
		h, err := store.OpenHistory(path)
		if err != nil {
			t.Error(err)
			return all
		}
		for range 1 + rand.IntN(10) {
			list, next, rerr := read(context.WithoutCancel(ctx), h, at)
			if err = rerr; err != nil {
				break
			}
			all, at = append(all, list...), next
			if len(list) == 0 && last {
				whole = true // nothing is new since the end
				break
			}
			if len(list) == 0 {
				last = ctx.Err() != nil
				time.Sleep(time.Millisecond)
			}
		}
		if err = errors.Join(err, h.Close()); err != nil {
			t.Error(err)
		}
		if err != nil || whole {
			return all
		}
	}
}

// TestTheFeedIsBounded: its oldest rows go, a reader is told that it came too late, and finds
// what it missed by time.
func TestTheFeedIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s, start := openFeed(t, path)
	acceptAt(t, s, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	fillFeed(t, path)
	s, _ = openFeed(t, path)
	defer s.Close()
	for i := range 300 {
		acceptAt(t, s, engine.EventID(i+2))
	}
	var bytes, rows int64
	if err := s.Readers().QueryRow(`SELECT sum(length(changes)), count(*) FROM feed`).Scan(&bytes, &rows); err != nil {
		t.Fatal(err)
	}
	if bytes > 8<<20+1<<16 || bytes < 4<<20 {
		t.Errorf("the feed has %d bytes in %d rows", bytes, rows)
	}
	if _, err := s.History().Feed(t.Context(), start, 10); !errors.Is(err, engine.ErrFeedGone) {
		t.Errorf("%v, want %v", err, engine.ErrFeedGone)
	}
	list, end, err := s.History().MissedChanges(t.Context(), 0)
	if err != nil || len(list) != 301 {
		t.Errorf("%d are missed, want 301: %v", len(list), err)
	}
	if !slices.IsSortedFunc(list, func(a, b engine.FeedChange) int { return cmp.Compare(a.Event, b.Event) }) {
		t.Error("they are not in order")
	}
	if more, err := s.History().Feed(t.Context(), end, 10); err != nil || len(more) != 0 {
		t.Errorf("%v follow, %v", more, err)
	}
}

// fillFeed puts rows in the feed that are larger than what one commit makes.
func fillFeed(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for i := range 120 {
		q := fmt.Sprintf(`INSERT INTO feed SELECT seq + %d, total + 100020, zeroblob(100000) FROM feed ORDER BY seq DESC LIMIT 1`, 1<<21)
		if _, err := db.Exec(q); err != nil {
			t.Fatal(i, err)
		}
	}
}
