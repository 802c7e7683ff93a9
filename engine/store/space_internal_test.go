package store

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
)

// The reserve and some writes must fit on the disk. What the reserve has already counts.
func TestTheReserveFitsOrAsMuchOfItAsThereIsSpace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := newSpace(path)
	if s.reserve != path+"-reserve" || s.dir != filepath.Dir(path) || s.limit < minWALLimit || s.limit > maxWALLimit {
		t.Errorf("%+v", s)
	}
	const limit = 1 << 20
	free, failure := int64(0), error(nil)
	s.limit, s.stat = limit, func(dir string) (int64, int64, error) {
		if dir != s.dir {
			t.Errorf("the space of %s", dir)
		}
		return free, 1 << 40, failure
	}
	if s.size() != 2*limit || s.need() != 3*limit || s.held() != 0 {
		t.Errorf("%d, %d, %d", s.size(), s.need(), s.held())
	}
	for _, c := range []struct {
		free    int64
		failure error
		fits    bool
	}{{3 * limit, nil, true}, {3*limit - 1, nil, false}, {9 * limit, errors.New("no disk"), false}, {0, nil, false}} {
		if free, failure = c.free, c.failure; s.fits() != c.fits {
			t.Errorf("%+v", c)
		}
	}
	free, failure = 3*limit-1, nil
	if err := s.claim(); !errors.Is(err, errNoSpace) || exists(s.reserve) {
		t.Errorf("no space: %v", err)
	}
	free = 3 * limit
	if err := s.claim(); err != nil || s.held() != 2*limit {
		t.Errorf("%d bytes are held, %v", s.held(), err)
	}
	for free, fits := range map[int64]bool{limit: true, limit - 1: false} {
		s.stat = func(string) (int64, int64, error) { return free, 1 << 40, nil }
		if s.fits() != fits {
			t.Errorf("beside the reserve, %d bytes: %t", free, s.fits())
		}
		if err := s.claim(); err != nil {
			t.Errorf("the reserve is there: %v", err)
		}
	}
	if s.release(); s.held() != 0 || exists(s.reserve) {
		t.Error("the reserve is still there")
	}
	if err := os.WriteFile(s.reserve, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(s.reserve, 2*limit); err != nil {
		t.Fatal(err)
	}
	if s.held() != 0 {
		t.Errorf("a sparse file holds %d bytes", s.held())
	}
	if s.keep(); s.held() != 2*limit {
		t.Errorf("%d bytes are held", s.held())
	}
	s.reserve = filepath.Join(s.dir, "none", "x")
	if s.keep(); s.held() != 0 || s.allocate(1) == nil {
		t.Error("a file is made in a folder that is not there")
	}
}

func TestAFullDiskIsDescribed(t *testing.T) {
	err := &FullError{Path: "/d/x.db", Free: 3<<10 + 5, Need: 7 << 10}
	want := engine.ErrFull.Error() + ": 3 kB are free on the disk of /d/x.db, 7 kB are needed; free some space, or run hookloom prune"
	if err.Error() != want || !errors.Is(err, engine.ErrFull) || errors.Is(err, engine.ErrBusy) {
		t.Errorf("%v", err)
	}
	f, ferr := os.Create(filepath.Join(t.TempDir(), "zeros"))
	if ferr != nil {
		t.Fatal(ferr)
	}
	defer f.Close()
	if err := writeZeros(f, 70_000); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(f.Name()); err != nil || len(b) != 70_000 || strings.Trim(string(b), "\x00") != "" {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if err := writeZeros(f, 0); err != nil {
		t.Error(err)
	}
}

// On a full disk, only what frees space is executed. Each waiting caller gets the error.
func TestAFullDiskRefusesAllButUpkeep(t *testing.T) {
	w := &writer{log: slog.New(slog.DiscardHandler)}
	full := &FullError{}
	var batch []*command
	for i := range 4 {
		batch = append(batch, &command{done: make(chan error, 1), order: order{upkeep: i%2 == 1}})
	}
	all := append([]*command{}, batch...)
	kept := w.refuse(batch, full)
	if fmt.Sprint(kept) != fmt.Sprint([]*command{all[1], all[3]}) {
		t.Errorf("%v are kept of %v", kept, all)
	}
	for i, c := range all {
		if len(c.done) != (i+1)%2 {
			t.Errorf("command %d has %d answers", i, len(c.done))
		}
	}
	if err := <-all[0].done; !errors.Is(err, engine.ErrFull) {
		t.Error(err)
	}
	if answer(kept, full); len(all[1].done) != 1 || len(all[3].done) != 1 {
		t.Error("not each of a batch is answered once")
	}
}

// A queue takes what may wait until it is full, and nothing of a writer that is full, away, broken or closed.
func TestAQueueRefusesWhatCannotBeWritten(t *testing.T) {
	fresh := func() *writer {
		w := newWriter(nil, nil, "", Options{MaxQueued: 8})
		return w
	}
	w := fresh()
	put := func(o order) error { return w.enqueue(t.Context(), &command{done: make(chan error, 1), order: o}) }
	for i := range 7 {
		if err := put(order{}); err != nil {
			t.Errorf("delivery %d: %v", i, err)
		}
	}
	if err := put(order{}); !errors.Is(err, engine.ErrBusy) {
		t.Errorf("beyond three quarters: %v", err)
	}
	if err := put(order{wait: true}); err != nil || len(w.queue) != 8 {
		t.Errorf("running work: %v", err)
	}
	if got := w.gather(nil); len(got) != 8 || len(w.queue) != 0 {
		t.Errorf("%d commands are gathered", len(got))
	}
	failure, full, away := errors.New("no disk"), &FullError{}, &AwayError{}
	for name, c := range map[string]struct {
		change func()
		o      order
		want   error
	}{
		"full": {func() { w.full.Store(full) }, order{}, full}, "full, upkeep": {func() { w.full.Store(full) }, order{upkeep: true}, nil},
		"away": {func() { w.away.Store(away) }, order{upkeep: true}, away}, "broken": {func() { w.fatal(failure) }, order{wait: true}, failure},
		"closed":       {func() { w.closed = true; w.fatal(failure) }, order{}, engine.ErrClosed},
		"broken twice": {func() { w.fatal(failure); w.fatal(full) }, order{}, failure},
	} {
		w = fresh()
		c.change()
		err := put(c.o)
		if !errors.Is(err, c.want) || len(w.queue) != map[bool]int{true: 1}[c.want == nil] {
			t.Errorf("%s: %v, %d are queued", name, err, len(w.queue))
		}
	}
}

func TestALargeQueueIsCommittedInBatches(t *testing.T) {
	w := newWriter(nil, nil, "", Options{MaxQueued: 2 * maxBatch})
	for range maxBatch + 3 {
		w.queue <- &command{}
	}
	if first := w.gather([]*command{{}}); len(first) != maxBatch {
		t.Errorf("the first batch has %d commands", len(first))
	}
	if second := w.gather(nil); len(second) != 4 {
		t.Errorf("the second batch has %d commands", len(second))
	}
}

// Fault replaces a commit. Its error counts as a disk error, unless it is that of a full disk or a busy store.
func TestAnInjectedFaultIsAnErrorOfTheDisk(t *testing.T) {
	w, odd := &writer{}, errors.New("odd")
	if err := w.faulty(); err != nil || w.writes != 0 {
		t.Errorf("%v", err)
	}
	for i, c := range []struct {
		fault error
		disk  bool
	}{{nil, false}, {odd, true}, {engine.ErrFull, false}, {engine.ErrBusy, false}} {
		w.fault = func(n int) error {
			if n != i+1 {
				t.Errorf("commit %d is number %d", i, n)
			}
			return c.fault
		}
		err := w.faulty()
		var disk diskError
		if !errors.Is(err, c.fault) || errors.As(err, &disk) != c.disk {
			t.Errorf("%v: %v", c.fault, err)
		}
	}
}
