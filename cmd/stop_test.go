package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
)

// sized reads how often something is tried from the environment.
func sized(t *testing.T, name string, standard int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return standard
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// slowProject has one workflow whose call takes a while.
func slowProject(t *testing.T, target string) (dir string, l *loaded) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{"hookloom.yaml": "triggers: {hook: {webhook: {provider: standard, secret: \"${{ secrets.IN }}\"}}}\negress: {allow: [127.0.0.1]}\n",
		"workflows/w.yaml": "on: hook\nsteps:\n  - {id: call, uses: http/post, with: {url: " + target + ", body: \"${{ event.key }}\"}}\n", ".env": "IN=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"} {
		if err := writeFile(filepath.Join(dir, name), text); err != nil {
			t.Fatal(err)
		}
	}
	l, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, l
}

// TestSIGTERMLetsWhatIsOpenFinish: each delivery whose request was taken is
// answered, no call that was under way is cut or made again, and the exit status is
// 0. HOOKLOOM_STOPS sets another number of cycles.
func TestSIGTERMLetsWhatIsOpenFinish(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes")
	}
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
	dir, l := slowProject(t, target.URL)
	bin, addr, admin := buildBinary(t), freeAddr(t), freeAddr(t)
	acked := &ackList{events: map[string]string{}}
	for c := range sized(t, "HOOKLOOM_STOPS", 5) {
		p := startProcess(t, bin, dir, addr, admin)
		ctx, stopLoad := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				acked.load(ctx, t, l, addr, fmt.Sprintf("%d-%d", c, i))
			}()
		}
		time.Sleep(time.Duration(50+rand.IntN(200)) * time.Millisecond)
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		// By itself SIGHUP ends a process, also one that stops in an orderly way.
		time.Sleep(20 * time.Millisecond)
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("exit: %v\n%s", err, p.log.String())
		}
		stopLoad()
		wg.Wait()
	}
	p := startProcess(t, bin, dir, addr, admin)
	waitIdle(t, dir)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("exit: %v\n%s", err, p.log.String())
	}
	j, err := readJournals(t.Context(), filepath.Join(dir, "hookloom.db"))
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

// TestAFailedSyncEndsTheProcess: SQLite itself would go on, and what was
// acknowledged could be gone. After it nothing is acknowledged any more, the exit
// status says so, and a restart has all that was.
func TestAFailedSyncEndsTheProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes")
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("SKIPPED: strace, which injects the fault, is not installed")
	}
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "{}") }))
	defer target.Close()
	bin := buildBinary(t)
	// A start needs about twenty syncs: one for each migration, and the checkpoints.
	for _, when := range []int{32, 49} {
		dir, l := slowProject(t, target.URL)
		addr, admin := freeAddr(t), freeAddr(t)
		p := &process{cmd: exec.Command(strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e", fmt.Sprintf("inject=fdatasync,fsync:error=EIO:when=%d+", when),
			bin, "serve", dir, "--addr", addr, "--admin-addr", admin)}
		p.cmd.Stderr = &p.log
		if err := p.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		exited := make(chan error, 1)
		go func() { exited <- p.cmd.Wait() }()
		for up := false; !up; time.Sleep(20 * time.Millisecond) {
			resp, err := http.Get("http://" + addr + "/readyz")
			if err == nil {
				resp.Body.Close()
				up = true
			}
			select {
			case err := <-exited:
				t.Skipf("SKIPPED: the server cannot be traced here: %v\n%s", err, p.log.String())
			default:
			}
		}
		acked := &ackList{events: map[string]string{}}
		acked.load(t.Context(), t, l, addr, "k") // until the server is gone, or answers no more
		var end error
		select {
		case end = <-exited:
		case <-time.After(20 * time.Second):
			_ = p.cmd.Process.Kill()
			t.Fatalf("the process goes on after a failed sync\n%s", p.log.String())
		}
		var exit *exec.ExitError
		if !errors.As(end, &exit) || exit.ExitCode() != exitIO {
			t.Errorf("when=%d: exit %v\n%s", when, end, p.log.String())
		}
		again := startProcess(t, bin, dir, addr, admin)
		waitIdle(t, dir)
		if err := again.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := again.cmd.Wait(); err != nil {
			t.Errorf("exit: %v", err)
		}
		h, err := store.OpenHistory(filepath.Join(dir, "hookloom.db"))
		if err != nil {
			t.Fatal(err)
		}
		present := map[string]bool{}
		items, err := h.Events(t.Context(), engine.Query{Limit: 1000})
		if err = errors.Join(err, h.Close()); err != nil {
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

// TestABacklogTakesNoMemory: the target answers nothing while deliveries come; the
// process stays small, and works the backlog off when the target is back.
// HOOKLOOM_BACKLOG sets another number of events.
func TestABacklogTakesNoMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes")
	}
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
	dir, l := slowProject(t, target.URL)
	bin, addr, admin := buildBinary(t), freeAddr(t), freeAddr(t)
	p := startProcess(t, bin, dir, addr, admin)
	events := sized(t, "HOOKLOOM_BACKLOG", 10_000)
	acked := &ackList{events: map[string]string{}}
	ctx, stopLoad := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			acked.load(ctx, t, l, addr, fmt.Sprint(i))
		}()
	}
	for {
		acked.mu.Lock()
		n := len(acked.events)
		acked.mu.Unlock()
		if n >= events {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	stopLoad()
	wg.Wait()
	peak := peakMemory(t, p.cmd.Process.Pid)
	open.Store(true)
	close(hold)
	began := time.Now()
	waitIdle(t, dir)
	t.Logf("%d events waited: %d MiB at the peak; worked off in %v", len(acked.events), peak>>10, time.Since(began).Round(time.Millisecond))
	if peak > most {
		t.Errorf("%d KiB, at most %d", peak, most)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("exit: %v\n%s", err, p.log.String())
	}
}

// peakMemory is a process's largest resident set so far, in KiB.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skipf("SKIPPED: no /proc here: %v", err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	fields := strings.Fields(rest)
	n, err := strconv.Atoi(fields[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
