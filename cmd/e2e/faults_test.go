//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/hookloom/hookloom/engine/testsize"
)

// This file tests faults around a real server: its file is moved, it is suspended, it is killed
// while starting or stopping, it has few descriptors.

// TestAServerWhoseFilesAreMovedEnds checks that it exits within a second, with status 74 and a
// message, and acknowledges nothing after the move.
func TestAServerWhoseFilesAreMovedEnds(t *testing.T) {
	realProcess(t)
	onFiles(t)
	for _, c := range []struct {
		name string
		move func(db string) error
		busy bool
	}{
		{"removed, idle", func(db string) error { return errors.Join(os.Remove(db), os.Remove(db+"-wal"), os.Remove(db+"-shm")) }, false},
		{"removed under load", func(db string) error { return errors.Join(os.Remove(db), os.Remove(db+"-wal"), os.Remove(db+"-shm")) }, true},
		{"moved", func(db string) error { return os.Rename(db, db+".old") }, true},
		{"replaced", func(db string) error {
			return errors.Join(os.WriteFile(db+".new", nil, 0o600), os.Rename(db+".new", db))
		}, true},
		{"log removed", func(db string) error { return os.Remove(db + "-wal") }, true},
		{"lock removed", func(db string) error { return os.Remove(db + ".lock") }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := hookProject(t, map[string]string{"w": "on: hook\nsteps: [{stop: x}]\n"})
			s := p.start(t)
			if status := p.send(t, "before"); status != http.StatusAccepted {
				t.Fatalf("answered %d", status)
			}
			if err := c.move(p.db); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			for i := 0; c.busy && time.Since(began) < 3*time.Second; i++ {
				status := p.send(t, fmt.Sprint("after", i))
				if status == http.StatusAccepted || status == http.StatusOK {
					t.Errorf("acknowledged after %v", time.Since(began))
				}
				if status == 0 {
					break
				}
			}
			if code := s.end(t, 10*time.Second); code != exitIO {
				t.Errorf("exit status %d", code)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("it took %v", took)
			}
			if !strings.Contains(s.log.String(), "nothing more is acknowledged") {
				t.Errorf("log: %s", s.log.String())
			}
		})
	}
}

// TestAServerWhoseDatabaseIsOverwrittenEnds does what cp other.db hookloom.db does. The next start
// has the complete new content, and nothing of the old.
func TestAServerWhoseDatabaseIsOverwrittenEnds(t *testing.T) {
	realProcess(t)
	onFiles(t)
	p := hookProject(t, map[string]string{"w": "on: hook\nsteps: [{stop: x}]\n"})
	s := p.start(t)
	if status := p.send(t, "copied"); status != http.StatusAccepted {
		t.Fatalf("answered %d", status)
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	s.end(t, 10*time.Second)
	former, err := os.ReadFile(p.db)
	if err != nil {
		t.Fatal(err)
	}
	s = p.start(t)
	for i := range 30 {
		if status := p.send(t, fmt.Sprint("gone", i)); status != http.StatusAccepted {
			t.Fatalf("answered %d", status)
		}
	}
	if err := os.WriteFile(p.db, former, 0o600); err != nil { // truncates, as cp does
		t.Fatal(err)
	}
	began := time.Now()
	if status := p.send(t, "late"); status == http.StatusAccepted || status == http.StatusOK {
		t.Errorf("acknowledged: %d", status)
	}
	if code := s.end(t, 10*time.Second); code != exitIO {
		t.Errorf("exit status %d", code)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	if log := s.log.String(); !strings.Contains(log, "overwritten in place") || !strings.Contains(log, "nothing more is acknowledged") {
		t.Errorf("log: %s", log)
	}
	p.start(t)
	for key, want := range map[string]int{"copied": http.StatusOK, "gone1": http.StatusAccepted} {
		if status := p.send(t, key); status != want {
			t.Errorf("%s after the restart: %d", key, status)
		}
	}
}

// stamps is a target that records when each request arrived.
type stamps struct {
	mu   sync.Mutex
	came []time.Time
}

func (s *stamps) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	s.mu.Lock()
	s.came = append(s.came, time.Now())
	s.mu.Unlock()
	_, _ = io.WriteString(w, "{}")
}

func (s *stamps) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.came)
}

// most returns the maximum number of requests within an interval.
func (s *stamps) most(within time.Duration) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := 0
	for i, at := range s.came {
		for at.Sub(s.came[first]) >= within {
			first++
		}
		n = max(n, i-first+1)
	}
	return n
}

// closeStarts counts the starts that came within a number of milliseconds after the start limit
// places before.
func closeStarts(t *testing.T, path, query string, limit, within int) (n int) {
	t.Helper()
	gaps := `SELECT count(*) FROM (SELECT started_at - lag(started_at, %d) OVER (ORDER BY started_at) AS gap FROM (%s) AS starts) AS gaps ` +
		`WHERE gap < %d`
	if onServer(path) {
		gaps = strings.NewReplacer("FROM runs", "FROM hookloom.runs", "FROM steps", "FROM hookloom.steps").
			Replace(fmt.Sprintf(gaps, limit, query, within))
		n, err := strconv.Atoi(postgrestest.Value(t, path, gaps))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	db, err := store.OpenReaders(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(fmt.Sprintf(gaps, limit, query, within)).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestARateHoldsAcrossStopsOfTheProcess checks it for SIGSTOP, kill -9 and SIGTERM, for runs and for
// destinations.
func TestARateHoldsAcrossStopsOfTheProcess(t *testing.T) {
	realProcess(t)
	pause := time.Duration(testsize.Of(t, "HOOKLOOM_PAUSE", 4)) * time.Second
	for _, c := range []struct{ name, flow, project string }{
		{"runs", "rate: {limit: 5, per: 1s}\n", ""},
		{"destination", "", "destinations: {127.0.0.1:PORT: {rate: 5/s}}\n"},
	} {
		for _, how := range []string{"SIGSTOP", "SIGKILL", "SIGTERM"} {
			t.Run(c.name+" "+how, func(t *testing.T) {
				t.Parallel()
				target := &stamps{}
				server := httptest.NewServer(target)
				defer server.Close()
				p := hookProject(t, map[string]string{"w": "on: hook\n" + c.flow + "steps:\n  - {uses: http/post, retry: 0, with: {url: " +
					server.URL + ", body: x}}\n"})
				if c.project != "" {
					_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
					if err := writeFile(filepath.Join(p.dir, "hookloom.yaml"), hookConfig+strings.Replace(c.project, "PORT", port, 1)); err != nil {
						t.Fatal(err)
					}
				}
				s := p.start(t)
				const events = 40
				for i := range events {
					if status := p.send(t, fmt.Sprint("k", i)); status != http.StatusAccepted {
						t.Fatalf("answered %d", status)
					}
				}
				for target.count() < 7 {
					time.Sleep(10 * time.Millisecond)
				}
				switch how {
				case "SIGSTOP":
					s.signal(t, syscall.SIGSTOP)
					time.Sleep(pause)
					s.signal(t, syscall.SIGCONT)
				case "SIGKILL":
					s.kill()
					time.Sleep(pause)
					s = p.start(t)
				case "SIGTERM":
					s.stop(t)
					time.Sleep(pause)
					s = p.start(t)
				}
				for deadline := time.Now().Add(60 * time.Second); target.count() < events && time.Now().Before(deadline); {
					time.Sleep(20 * time.Millisecond)
				}
				s.stop(t)
				if n := target.count(); n < events {
					t.Errorf("%d requests", n)
				}
				if c.project != "" {
					// There is some time between a permit and its request, more on a loaded
					// machine.
					if n := target.most(700 * time.Millisecond); n > 5 {
						t.Errorf("%d requests within 0.7 s, at most 5 are allowed in a second", n)
					}
					return
				}
				// An interrupted call is repeated, which is not a start.
				if n := closeStarts(t, p.db, `SELECT started_at FROM runs`, 5, 1000); n > 0 {
					t.Errorf("%d runs started within a second of the fifth before", n)
				}
				// The stop may fall between the start of a run and that of its first step.
				if n := closeStarts(t, p.db, `SELECT min(started_at) AS started_at FROM steps GROUP BY run_id`, 5, 700); n > 0 && how != "SIGSTOP" {
					t.Errorf("%d first steps began within 0.7 s of the fifth before", n)
				}
			})
		}
	}
}

// TestFewDescriptorsAreEnough checks that with a limit of 34 open files, thirty senders and
// hundreds of idle connections, a server keeps running and accepts deliveries.
func TestFewDescriptorsAreEnough(t *testing.T) {
	realProcess(t)
	target := &stamps{}
	server := httptest.NewServer(target)
	defer server.Close()
	p := hookProject(t, map[string]string{"w": "on: hook\nsteps:\n  - {uses: http/post, with: {url: " + server.URL + ", body: x}}\n"})
	s := launch(t, append([]string{"/bin/sh", "-c", `ulimit -n 34; exec "$0" "$@"`}, p.argv()...)...)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", p.addr); err == nil {
			c.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not come up\n%s", s.log.String())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	acked := newAcknowledged()
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := 0; ctx.Err() == nil; n++ {
				p.load(ctx, t, acked, fmt.Sprintf("%d-%d", i, n)) // until an error, then again
			}
		}()
	}
	time.Sleep(time.Duration(testsize.Of(t, "HOOKLOOM_SENDERS", 5)) * time.Second)
	cancel()
	wg.Wait()
	busy := acked.count()
	if busy < 100 {
		t.Errorf("%d deliveries were taken", busy)
	}
	for _, idle := range []int{60, 100, 400} {
		var open []net.Conn
		for range idle {
			c, err := net.Dial("tcp", p.addr)
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, c)
		}
		began := time.Now()
		for i := range 5 {
			if status := p.send(t, fmt.Sprintf("idle%d-%d", idle, i)); status != http.StatusAccepted {
				t.Errorf("with %d idle connections: answered %d", idle, status)
			}
		}
		t.Logf("five deliveries beside %d idle connections: %v", idle, time.Since(began).Round(time.Millisecond))
		for _, c := range open {
			c.Close()
		}
	}
	p.idle(t)
	s.stop(t)
	failed, err := p.history(t).Runs(t.Context(), engine.Query{Status: "failed", Limit: 10})
	if err != nil || len(failed) > 0 {
		t.Errorf("%d runs failed: %+v %v", len(failed), failed, err)
	}
	t.Logf("%d deliveries from thirty senders, %d calls", busy, target.count())
}

// TestKilledAsItStartsOrEnds checks that kill -9 at random moments of the start and of the shutdown
// loses nothing acknowledged and repeats nothing that is recorded.
func TestKilledAsItStartsOrEnds(t *testing.T) {
	realProcess(t)
	out := newLedger(t)
	p := hookProject(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: first, uses: http/post, with: {url: " + out.url +
		"/first, body: \"${{ event.key }}\"}}\n  - {sleep: 100ms}\n" +
		"  - {id: second, uses: http/post, with: {url: " + out.url + "/second, body: \"${{ event.key }}\"}}\n"})
	acked := newAcknowledged()
	for c := range testsize.Of(t, "HOOKLOOM_KILLS", 6) {
		// As it starts, once or twice.
		for range 1 + rand.IntN(2) {
			early := launch(t, p.argv()...)
			time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond)
			early.kill()
		}
		s := p.start(t)
		stopLoad := p.senders(t, acked, 4, fmt.Sprint(c))
		time.Sleep(time.Duration(50+rand.IntN(150)) * time.Millisecond)
		s.signal(t, syscall.SIGTERM)
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond) // while it drains
		s.kill()                                                    // or it ended before
		stopLoad()
	}
	s := p.start(t)
	p.idle(t)
	s.stop(t)
	t.Logf("%d acknowledged, %d keys at the target", acked.count(), out.keys())
	out.check(t, p.db, acked, 2)
}
