//go:build linux

package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/mattn/go-sqlite3"
)

// smallDisk is a disk of so many bytes, in memory. It takes root.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("no disk can be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillDisk leaves nothing free on a disk.
func fillDisk(t *testing.T, dir string) (file string) {
	t.Helper()
	f, err := os.CreateTemp(dir, "ballast")
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{64 << 10, 4 << 10} {
		for block := make([]byte, size); err == nil; {
			_, err = f.Write(block)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		err = nil
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// acceptUntilFull stores decided events with bodies of a size, and gives their ids.
func acceptUntilFull(t *testing.T, s *store.Store, next *int, size int) (stored []engine.EventID) {
	t.Helper()
	for range 100_000 {
		*next++
		d := delivery("a", fmt.Sprint(*next))
		d.Raw = []byte(`"` + string(bytes.Repeat([]byte("x"), size)) + `"`)
		id := engine.EventID(*next)
		_, _, err := s.AcceptDecided(ctx, id, d, engine.Match{Event: id, At: time.Now()})
		if errors.Is(err, engine.ErrFull) {
			return stored
		}
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, id)
	}
	t.Fatal("the disk does not get full")
	return nil
}

func untilRoom(t *testing.T, s *store.Store) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); s.Full() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(s.Full())
		}
	}
}

func holds(t *testing.T, s *store.Store, ids []engine.EventID) {
	t.Helper()
	for _, id := range ids {
		if _, err := s.History().EventDetail(ctx, id); err != nil {
			t.Fatalf("event %d: %v", id, err)
		}
	}
	found, err := s.History().Check(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if len(f.Wrong) > 0 {
			t.Errorf("%s: %v", f.What, f.Wrong)
		}
	}
}

// TestAFullDiskIsPrunedAndStoresAgain: what was stored stays, nothing else is taken
// meanwhile, pruning works, and what it gives back ends the state by itself.
func TestAFullDiskIsPrunedAndStoresAgain(t *testing.T) {
	for _, size := range []int{12 << 20, 48 << 20} {
		t.Run(fmt.Sprint(size>>20, "MB"), func(t *testing.T) {
			s, next := open(t, filepath.Join(smallDisk(t, size), "x.db"), store.Options{}), 0
			stored := acceptUntilFull(t, s, &next, 40_000)
			if len(stored) < size*6/10/40_000 {
				t.Errorf("%d of 40 kB were stored", len(stored))
			}
			if s.Full() == nil {
				t.Error("the store does not say that it is full")
			}
			holds(t, s, stored)
			if err := s.Unpause(ctx, "x"); !errors.Is(err, engine.ErrFull) {
				t.Errorf("the reserve is used up by others: %v", err)
			}
			half := len(stored) / 2
			n, err := s.Prune(ctx, engine.PruneOrder{Now: time.Now().Add(time.Hour), MaxSize: int64(size / 3), DefaultDedupe: time.Minute})
			if err != nil || n.Events < half || n.Bytes < int64(size/4) {
				t.Fatalf("%+v %v", n, err)
			}
			untilRoom(t, s)
			holds(t, s, stored[n.Events:])
			if more := acceptUntilFull(t, s, &next, 40_000); len(more) < n.Events/2 {
				t.Errorf("%d more were stored in the room of %d", len(more), n.Events)
			}
		})
	}
}

// TestServerSurvivesADiskFilledByOthers: also a start meanwhile, with nothing free at all.
func TestServerSurvivesADiskFilledByOthers(t *testing.T) {
	for _, size := range []int{12 << 20, 48 << 20} {
		t.Run(fmt.Sprint(size>>20, "MB"), func(t *testing.T) {
			dir := smallDisk(t, size)
			path, next := filepath.Join(dir, "x.db"), 0
			s := open(t, path, store.Options{})
			var stored []engine.EventID
			for range 3 { // with an end and a start between
				ballast := fillDisk(t, dir)
				stored = append(stored, acceptUntilFull(t, s, &next, 5_000)...)
				ballast2 := fillDisk(t, dir)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = open(t, path, store.Options{})
				if s.Full() == nil {
					t.Error("opened on a full disk, the store does not say so")
				}
				holds(t, s, stored)
				if _, err := s.Prune(ctx, engine.PruneOrder{Now: time.Now(), DefaultDedupe: time.Nanosecond}); err != nil {
					t.Errorf("pruning: %v", err)
				}
				for _, file := range []string{ballast, ballast2} {
					if err := os.Remove(file); err != nil {
						t.Fatal(err)
					}
				}
				untilRoom(t, s)
			}
			holds(t, s, stored)
		})
	}
}

// TestCommitOnAFullDiskIsRepeated where moving the WAL gave room.
func TestCommitOnAFullDiskIsRepeated(t *testing.T) {
	var times atomic.Int32
	s := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{Fault: func(n int) error {
		if n == 3 {
			times.Add(1)
			return sqlite3.Error{Code: sqlite3.ErrFull}
		}
		return nil
	}})
	for i := range 5 {
		if _, err := s.Accept(ctx, engine.EventID(i+1), delivery("a", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if times.Load() != 1 || s.Full() != nil {
		t.Errorf("%d faults, %v", times.Load(), s.Full())
	}
}

// TestReserveFileIsCreatedAgain: a whole file, without holes.
func TestReserveFileIsCreatedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	for range 2 {
		s := open(t, path, store.Options{})
		info, err := os.Stat(path + "-reserve")
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); info.Size() < 256<<10 || st.Blocks*512 < info.Size() || info.Mode() != 0o600 {
			t.Errorf("%d bytes in %d blocks, %v", info.Size(), st.Blocks, info.Mode())
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path + "-reserve"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTheWALIsBoundedByBytes under load, with readers, however much is written.
func TestTheWALIsBoundedByBytes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := open(t, path, store.Options{Synchronous: "OFF"})
	var largest int64
	watching := make(chan struct{})
	var watch, send sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-watching:
				return
			case <-time.After(time.Millisecond):
			}
			if info, err := os.Stat(path + "-wal"); err == nil {
				largest = max(largest, info.Size())
			}
			if _, err := s.History().Events(ctx, engine.Query{Limit: 5}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	var id atomic.Int64
	for range 8 {
		send.Go(func() {
			for range 250 {
				n := id.Add(1)
				d := delivery("a", fmt.Sprint(n))
				d.Raw = []byte(`"` + string(bytes.Repeat([]byte("x"), 20_000)) + `"`)
				if _, err := s.Accept(ctx, engine.EventID(n), d); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	send.Wait()
	close(watching)
	watch.Wait()
	t.Logf("%d kB", largest>>10)
	// From 8 MB on the log is moved beside the commits, which goes slowly on a busy machine; from 16 MB on commits
	// wait until it is moved. The last megabyte is for the commit that finds this out.
	if largest > 17<<20 {
		t.Errorf("40 MB were written: the WAL grew to %d kB", largest>>10)
	}
}
