package persist_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/persist"
	"github.com/hookloom/hookloom/engine/store"
)

// logged is a Store whose log lines go to a text.
func logged(s engine.Store) (*persist.Store, *strings.Builder) {
	var log strings.Builder
	return persist.New(s, slog.New(slog.NewTextHandler(&log, nil))), &log
}

// failed is the error that ends the process, nil for none.
func failed(s *persist.Store) error {
	select {
	case err := <-s.Failed():
		return err
	default:
		return nil
	}
}

// errRow is an error about the rows of one run.
var errRow = errors.New("CHECK constraint failed")

// TestWriteIsRetriedOnlyWhileTheDatabaseIsUnavailable: a full or busy database is asked
// again, an error about the row goes to the caller, and one about the database ends the
// process.
func TestWriteIsRetriedOnlyWhileTheDatabaseIsUnavailable(t *testing.T) {
	for _, c := range []struct {
		err    error
		writes int
		ends   bool
	}{
		{engine.ErrStale, 1, false}, {engine.ErrNotFound, 1, false}, {errRow, 1, false},
		{engine.ErrDisk, 1, true}, {engine.ErrClosed, 1, true}, {engine.ErrUnknown, 1, true},
		{engine.ErrFull, 3, false}, {engine.ErrBusy, 3, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, _ := logged(nil)
			s.Start(t.Context())
			n := 0
			err := s.Retry(func() error {
				if n++; n == 3 {
					return nil
				}
				return fmt.Errorf("commit: %w", c.err)
			})
			if n != c.writes || (err == nil) != (c.writes == 3) || err != nil && !errors.Is(err, c.err) {
				t.Errorf("%v: written %d times, %v", c.err, n, err)
			}
			if end := failed(s); (end != nil) != c.ends || end != nil && !errors.Is(end, c.err) {
				t.Errorf("%v: the process ends by %v", c.err, end)
			}
		})
	}
}

// TestPausesBetweenWritesDoubleUpToFiveSeconds, so that a full disk is neither hammered nor
// left alone for long once there is room.
func TestPausesBetweenWritesDoubleUpToFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := logged(nil)
		s.Start(t.Context())
		var pauses []time.Duration
		last := time.Now()
		err := s.Retry(func() error {
			if pauses = append(pauses, time.Since(last)); len(pauses) == 10 {
				return nil
			}
			last = time.Now()
			return engine.ErrFull
		})
		const want = "[0s 50ms 100ms 200ms 400ms 800ms 1.6s 3.2s 5s 5s]"
		if got := fmt.Sprint(pauses); err != nil || got != want {
			t.Errorf("%v, pauses %s", err, got)
		}
		if n := strings.Count(log.String(), "until the database can be used again"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, log)
		}
	})
}

func TestWriteIsAbandonedAtShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := logged(nil)
		work, end := context.WithTimeout(t.Context(), time.Minute)
		defer end()
		s.Start(work)
		began := time.Now()
		if err := s.Retry(func() error { return engine.ErrBusy }); !errors.Is(err, engine.ErrBusy) || time.Since(began) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if end := failed(s); end != nil {
			t.Errorf("a stop ends the process by %v", end)
		}
	})
}

// TestTheFirstErrorEndsTheProcess: the others follow from it.
func TestTheFirstErrorEndsTheProcess(t *testing.T) {
	t.Parallel()
	s, _ := logged(nil)
	s.Fail(engine.ErrDisk)
	s.Fail(engine.ErrClosed)
	if err := failed(s); !errors.Is(err, engine.ErrDisk) {
		t.Errorf("%v", err)
	}
	if err := failed(s); err != nil {
		t.Errorf("a second one: %v", err)
	}
}

// TestOnlyARowErrorFailsItsRun: one run fails for it, and not for what is wrong with
// the database or with the moment.
func TestOnlyARowErrorFailsItsRun(t *testing.T) {
	t.Parallel()
	s, _ := logged(nil)
	for _, err := range []error{nil, engine.ErrStale, engine.ErrNotFound, engine.ErrDisk, engine.ErrClosed, engine.ErrUnknown,
		engine.ErrFull, engine.ErrBusy} {
		if err != nil {
			err = fmt.Errorf("commit: %w", err)
		}
		if s.RowsFault(err) {
			t.Errorf("%v is taken for the row's", err)
		}
	}
	if !s.RowsFault(errRow) {
		t.Error("before the work begins, the row's error is not taken for its own")
	}
	work, end := context.WithCancel(t.Context())
	s.Start(work)
	if !s.RowsFault(errRow) {
		t.Error("the row's error is not taken for its own")
	}
	end()
	if s.RowsFault(errRow) {
		t.Error("an error of the stop is taken for the row's")
	}
}

func TestAReadOfDueWorkEndsTheProcessOnlyWhenTheDiskFails(t *testing.T) {
	t.Parallel()
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, c := range []struct {
		ctx          context.Context
		err          error
		again, fatal bool
		logged       string
	}{
		{t.Context(), engine.ErrDisk, false, true, ""},
		{t.Context(), engine.ErrBusy, true, false, "due runs cannot be read now: retrying"},
		{t.Context(), engine.ErrClosed, false, false, ""},
		{t.Context(), errRow, false, false, "hookloom check says which"},
		{stopped, engine.ErrDisk, false, false, ""},
		{stopped, engine.ErrBusy, false, false, ""},
	} {
		s, log := logged(nil)
		again, fatal := s.ReadError(c.ctx, fmt.Errorf("reading: %w", c.err))
		if again != c.again || (fatal != nil) != c.fatal || fatal != nil && !errors.Is(fatal, c.err) {
			t.Errorf("%v: again %v, fatal %v", c.err, again, fatal)
		}
		if !strings.Contains(log.String(), c.logged) || (c.logged == "") != (log.Len() == 0) {
			t.Errorf("%v: logged %q", c.err, log)
		}
	}
}

// TestAnOutageIsLoggedEveryHalfMinute, however often what it delays is tried again.
func TestAnOutageIsLoggedEveryHalfMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, log := logged(nil)
		s.Start(t.Context())
		for range 650 {
			s.ReadError(t.Context(), fmt.Errorf("reading: %w", engine.ErrBusy))
			time.Sleep(100 * time.Millisecond)
		}
		if got := strings.Count(log.String(), "due runs cannot be read now: retrying"); got != 3 {
			t.Errorf("logged %d times in 65 s, want 3", got)
		}
		log.Reset()
		away := 100
		err := s.Retry(func() error {
			if away--; away > 0 {
				return engine.ErrBusy
			}
			return nil
		})
		if got := strings.Count(log.String(), "runs wait until"); err != nil || got < 10 || got > 20 {
			t.Errorf("a write that was tried 100 times, every 5 s: %v, logged %d times", err, got)
		}
	})
}

// TestAnAcceptIsRepeatedUntilItIsKnown whether the event was stored. The sender that hangs up
// ends the first call alone: the event may be stored by then.
func TestAnAcceptIsRepeatedUntilItIsKnown(t *testing.T) {
	for name, c := range map[string]struct {
		unknown int
		then    error
	}{
		"known at once": {}, "refused at once": {0, engine.ErrFull}, "known at last": {4, nil}, "refused at last": {4, engine.ErrFull},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, _ := logged(nil)
			sender, hangUp := context.WithCancel(t.Context())
			calls := 0
			var pauses []time.Duration
			last := time.Now()
			err := s.UntilKnown(sender, func(ctx context.Context) error {
				pauses = append(pauses, time.Since(last))
				last = time.Now()
				hangUp()
				if calls++; calls > 1 && ctx.Err() != nil {
					t.Errorf("%s: call %d ends with the sender", name, calls)
				} else if calls == 1 && ctx.Err() == nil {
					t.Errorf("%s: the first call does not end with the sender", name)
				}
				if calls <= c.unknown {
					return engine.ErrUnknown
				}
				return c.then
			})
			if !errors.Is(err, c.then) || calls != c.unknown+1 || failed(s) != nil {
				t.Errorf("%s: %v after %d calls", name, err, calls)
			}
			if got := fmt.Sprint(pauses); c.unknown == 4 && got != "[0s 50ms 100ms 200ms 400ms]" {
				t.Errorf("%s: pauses %s", name, got)
			}
		})
	}
}

// TestUnknownOutcomeEndsTheProcess after ten seconds: the next start finds what was stored.
func TestUnknownOutcomeEndsTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := logged(nil)
		began := time.Now()
		err := s.UntilKnown(t.Context(), func(context.Context) error { return engine.ErrUnknown })
		if took := time.Since(began); !errors.Is(err, engine.ErrUnknown) || took < 10*time.Second || took > 11*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		if end := failed(s); !errors.Is(end, engine.ErrUnknown) {
			t.Errorf("the process ends by %v", end)
		}
	})
}

// stored is a Store over a real database with one event of 1 MiB.
func stored(t *testing.T) (*persist.Store, *engine.Event) {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), store.Options{Synchronous: "OFF"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	now := time.Now().UTC()
	d := &engine.Delivery{Trigger: "hook", Inlet: "webhook", Key: "k", Type: "t", Time: now, ReceivedAt: now, Dedupe: time.Hour,
		Headers: map[string]string{"content-type": "application/json"}, Raw: []byte(`"` + strings.Repeat("x", 1<<20) + `"`)}
	ev := &engine.Event{ID: engine.EventID(engine.FirstID(now)), Delivery: *d}
	if _, err := db.Accept(t.Context(), ev.ID, d); err != nil {
		t.Fatal(err)
	}
	s, _ := logged(db)
	return s, ev
}

// TestAnEventWithABodyTakesItsMemoryOnce: with its share, it takes no second one, and gives
// back what it took.
func TestAnEventWithABodyTakesItsMemoryOnce(t *testing.T) {
	t.Parallel()
	s, ev := stored(t)
	for range 2 {
		got, err := s.AwaitShare(t.Context(), ev)
		if err != nil || got != ev {
			t.Fatal(got, err)
		}
		if lent := s.Decoded.Lent(); lent != ev.MemorySize() || lent < 1<<20 {
			t.Errorf("%d bytes are lent, the event takes %d", lent, ev.MemorySize())
		}
	}
	ev.Share.Release()
	if lent := s.Decoded.Lent(); lent != 0 {
		t.Errorf("%d bytes stay lent", lent)
	}
}

func TestAnEventWithoutABodyTakesNoMemory(t *testing.T) {
	t.Parallel()
	s, _ := logged(nil)
	ev := &engine.Event{}
	if !s.TryShare(ev) || ev.Share != nil || s.Decoded.Lent() != 0 {
		t.Errorf("share %v, %d bytes lent", ev.Share, s.Decoded.Lent())
	}
}

func TestEventReadAfterAWaitForMemoryHasItsShare(t *testing.T) {
	t.Parallel()
	s, ev := stored(t)
	all := s.Decoded.Whole(1 << 62)
	if !s.Decoded.Try(all) {
		t.Fatal("the budget is not free")
	}
	if s.TryShare(ev) {
		t.Fatal("an event has a share of a budget that is spent")
	}
	got := make(chan *engine.Event)
	go func() {
		loaded, err := s.AwaitShare(t.Context(), ev)
		if err != nil {
			t.Error(err)
		}
		got <- loaded
	}()
	select {
	case <-got:
		t.Fatal("it does not wait")
	case <-time.After(20 * time.Millisecond):
	}
	s.Decoded.Give(all)
	loaded := <-got
	if loaded == nil || string(loaded.Raw) != string(ev.Raw) || loaded.Share == nil || s.Decoded.Lent() != ev.MemorySize() {
		t.Fatalf("%d bytes are lent for %v", s.Decoded.Lent(), loaded)
	}
	loaded.Share.Release()
	if lent := s.Decoded.Lent(); lent != 0 {
		t.Errorf("%d bytes stay lent", lent)
	}
}

// TestEventWithoutItsBodyIsLoadedFirst, even if memory is free.
func TestEventWithoutItsBodyIsLoadedFirst(t *testing.T) {
	t.Parallel()
	s, ev := stored(t)
	absent := ev.WithoutBody()
	if s.TryShare(absent) {
		t.Error("an event without its body has a share")
	}
	loaded, err := s.AwaitShare(t.Context(), absent)
	if err != nil || len(loaded.Raw) != len(ev.Raw) {
		t.Errorf("%v, %v", loaded, err)
	}
}

// TestUnreadableEventReturnsItsMemory, and says which it is.
func TestUnreadableEventReturnsItsMemory(t *testing.T) {
	t.Parallel()
	s, ev := stored(t)
	missing := ev.WithoutBody()
	missing.ID++
	_, err := s.AwaitShare(t.Context(), missing)
	if !errors.Is(err, engine.ErrNotFound) || !strings.Contains(err.Error(), missing.ID.String()) || s.Decoded.Lent() != 0 {
		t.Errorf("%v, %d bytes lent", err, s.Decoded.Lent())
	}
	ended, end := context.WithCancel(t.Context())
	end()
	s.Decoded.Try(s.Decoded.Whole(1 << 62))
	if _, err := s.AwaitShare(ended, missing); !errors.Is(err, context.Canceled) {
		t.Errorf("a wait that is ended: %v", err)
	}
}
