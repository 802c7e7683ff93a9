//go:build unix

package e2e

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/testsize"
)

// slowProject has one workflow whose call takes a while.
func slowProject(t *testing.T, target string) *project {
	t.Helper()
	return hookProject(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: call, uses: http/post, with: {url: " + target +
		", body: \"${{ event.key }}\"}}\n"})
}

// TestSIGTERMLetsOpenRequestsAndCallsFinish checks that each accepted request gets a response, that no call
// in progress is interrupted or repeated, and that the exit status is 0. HOOKLOOM_STOPS sets the
// number of cycles.
func TestSIGTERMLetsOpenRequestsAndCallsFinish(t *testing.T) {
	realProcess(t)
	var mu sync.Mutex
	came := map[string]int{}
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		came[r.Header.Get("Idempotency-Key")]++
		mu.Unlock()
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		_, _ = io.WriteString(w, "{}")
	}))
	defer target.Close()
	p := slowProject(t, target.URL)
	acked := newAcknowledged()
	for c := range testsize.Of(t, "HOOKLOOM_STOPS", 5) {
		s := p.start(t)
		stopLoad := p.senders(t, acked, 4, fmt.Sprint(c))
		time.Sleep(time.Duration(50+rand.IntN(200)) * time.Millisecond)
		s.signal(t, syscall.SIGTERM)
		// By default SIGHUP ends a process, even one that is shutting down.
		time.Sleep(20 * time.Millisecond)
		if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		if code := s.end(t, time.Minute); code != exitOK {
			t.Errorf("exit status %d\n%s", code, s.log.String())
		}
		stopLoad()
	}
	s := p.start(t)
	p.idle(t)
	s.stop(t)
	j, err := readJournals(t.Context(), p.db)
	if err != nil {
		t.Fatal(err)
	}
	j.acked, j.effectsPerRun = acked.events, 1
	mu.Lock()
	defer mu.Unlock()
	for key, n := range came {
		j.effects[key] = effect{[]string{"x"}, n}
		if n > 1 {
			t.Errorf("%s was called %d times", key, n)
		}
	}
	for _, v := range j.violations() {
		t.Error(v)
	}
	t.Logf("%d acknowledged, %d calls", len(acked.events), len(came))
}

// TestAFailedSyncEndsTheProcess checks it because SQLite itself would continue, and what was
// acknowledged could be lost. After it nothing is acknowledged, the exit status reports it, and a
// restart has everything that was acknowledged.
func TestAFailedSyncEndsTheProcess(t *testing.T) {
	realProcess(t)
	onFiles(t)
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("SKIPPED: strace, which injects the fault, is not installed")
	}
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "{}") }))
	defer target.Close()
	for _, when := range []int{12, 29} {
		p := slowProject(t, target.URL)
		p.start(t).stop(t) // the syncs of the migrations are not counted
		s := launch(t, append([]string{strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync",
			"-e", fmt.Sprintf("inject=fdatasync,fsync:error=EIO:when=%d+", when)}, p.argv()...)...)
		if err := s.ready(http.DefaultClient, "http://"+p.addr+"/readyz"); err != nil {
			t.Skipf("SKIPPED: the server cannot be traced here: %v\n%s", err, s.log.String())
		}
		acked := newAcknowledged()
		p.load(t.Context(), t, acked, "k") // until the server is gone, or does not respond
		if code := s.end(t, 20*time.Second); code != exitIO {
			t.Errorf("when=%d: exit status %d\n%s", when, code, s.log.String())
		}
		again := p.start(t)
		p.idle(t)
		again.stop(t)
		present := map[string]bool{}
		items, err := p.history(t).Events(t.Context(), engine.Query{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range items {
			present[e.Key] = true
		}
		for key := range acked.events {
			if !present[key] {
				t.Errorf("when=%d: acknowledged %s is lost", when, key)
			}
		}
		if len(acked.events) == 0 {
			t.Errorf("when=%d: nothing was acknowledged before", when)
		}
	}
}

// TestABacklogTakesNoMemory sends deliveries while the target does not respond; the process stays
// small, and works off the backlog when the target is back. HOOKLOOM_BACKLOG sets the number of
// events.
func TestABacklogTakesNoMemory(t *testing.T) {
	realProcess(t)
	const most = 256 << 10 // KiB
	var open atomic.Bool
	hold := make(chan struct{})
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !open.Load() {
			select {
			case <-hold:
			case <-r.Context().Done():
			}
		}
		_, _ = io.WriteString(w, "{}")
	}))
	defer target.Close()
	p := slowProject(t, target.URL)
	s := p.start(t)
	events := testsize.Of(t, "HOOKLOOM_BACKLOG", 10_000)
	acked := newAcknowledged()
	stopLoad := p.senders(t, acked, 16, "k")
	for acked.count() < events {
		time.Sleep(20 * time.Millisecond)
	}
	stopLoad()
	peak := s.peakMemory(t)
	open.Store(true)
	close(hold)
	began := time.Now()
	p.idle(t)
	t.Logf("%d events waited: %d MiB at the peak; worked off in %v", len(acked.events), peak>>10, time.Since(began).Round(time.Millisecond))
	if peak > most {
		t.Errorf("%d KiB, at most %d", peak, most)
	}
	s.stop(t)
}
