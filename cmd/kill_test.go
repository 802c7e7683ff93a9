package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/triggers"
)

// killCycles is how often the server is killed; HOOKLOOM_KILLS sets another number.
const killCycles = 30

// ledger is the outside's own record: which idempotency keys came how often,
// with which bodies, and which of them were answered with success.
type ledger struct {
	mu       sync.Mutex
	bodies   map[string]map[string]bool
	answered map[string]int
	came     map[string]int
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the server was killed while it sent
	}
	key := r.Header.Get("Idempotency-Key") + r.Header.Get("webhook-id")
	l.mu.Lock()
	if l.bodies[key] == nil {
		l.bodies[key] = map[string]bool{}
	}
	l.bodies[key][r.URL.Path+" "+string(body)] = true
	l.came[key]++
	l.answered[key]++
	l.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"id":1}`)) // a killed server shows in its own history
}

func buildBinary(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "hookloom")
	cmd := exec.Command("go", "build", "-o", bin, "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// process is a real server process.
type process struct {
	cmd  *exec.Cmd
	addr string
	log  bytes.Buffer
}

func startProcess(t *testing.T, bin, dir, addr, admin string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(bin, "serve", dir, "--addr", addr, "--admin-addr", admin, "--log-level", "warn")}
	p.cmd.Stderr = &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		resp, err := http.Get("http://" + addr + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return p
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	t.Fatalf("the server does not come up\n%s", p.log.String())
	return nil
}

// TestKillMinusNineLosesNothingAcknowledged is promise 1 and 3 with a real
// process under load, killed at random moments.
func TestKillMinusNineLosesNothingAcknowledged(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for half a minute")
	}
	cycles := killCycles
	if n := os.Getenv("HOOKLOOM_KILLS"); n != "" {
		if _, err := fmt.Sscan(n, &cycles); err != nil {
			t.Fatal(err)
		}
	}
	out := &ledger{bodies: map[string]map[string]bool{}, answered: map[string]int{}, came: map[string]int{}}
	sinkListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sinkServer := &http.Server{Handler: out, ReadHeaderTimeout: time.Second}
	sinkDone := make(chan error, 1)
	go func() { sinkDone <- sinkServer.Serve(sinkListener) }()
	defer func() {
		sinkServer.Close()
		<-sinkDone
	}()
	dir := t.TempDir()
	sink := "http://" + sinkListener.Addr().String()
	flow := "on: hook\nwhen: event.data.n >= 0\nsteps:\n  - {id: first, uses: http/post, with: {url: " + sink + "/first, body: {n: \"${{ event.data.n }}\"}}}\n" +
		"  - {uses: log, with: {message: \"${{ steps.first.output.body.id }}\", level: debug}}\n  - {id: second, uses: webhook/send, with: {url: " + sink + "/second, secret: \"${{ secrets.OUT }}\", type: n, body: {n: \"${{ event.data.n }}\"}}}\n"
	for name, text := range map[string]string{"hookloom.yaml": "triggers: {hook: {webhook: {provider: standard, secret: \"${{ secrets.IN }}\"}}}\negress: {allow: [127.0.0.1]}\n",
		"workflows/w.yaml": flow, ".env": "IN=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nOUT=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"} {
		if err := writeFile(filepath.Join(dir, name), text); err != nil {
			t.Fatal(err)
		}
	}
	l, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.usable(); err != nil {
		t.Fatal(err)
	}
	bin, addr, admin := buildBinary(t), freeAddr(t), freeAddr(t)
	acked := &ackList{events: map[string]string{}}
	for c := range cycles {
		p := startProcess(t, bin, dir, addr, admin)
		loadCtx, stopLoad := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				acked.load(loadCtx, t, l, addr, fmt.Sprintf("%d-%d", c, i))
			}()
		}
		time.Sleep(time.Duration(5+rand.IntN(400)) * time.Millisecond)
		if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = p.cmd.Wait() // it was killed
		stopLoad()
		wg.Wait()
	}
	p := startProcess(t, bin, dir, addr, admin)
	began := time.Now()
	waitIdle(t, dir)
	idle := time.Since(began).Round(time.Millisecond)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, p.log.String())
	}
	out.mu.Lock() // the sink still serves
	keys := len(out.came)
	out.mu.Unlock()
	t.Logf("%d cycles, %d acknowledged, %d keys at the sink; the last restart was idle after %v", cycles, len(acked.events), keys, idle)
	checkLedger(t, dir, acked.events, out)
}

// ackList is the client's journal: every 2xx that was read.
type ackList struct {
	mu     sync.Mutex
	events map[string]string // key -> event id
}

func (a *ackList) load(ctx context.Context, t *testing.T, l *loaded, addr, prefix string) {
	for i := 0; ctx.Err() == nil; i++ {
		key := fmt.Sprintf("%s-%d", prefix, i)
		s, err := triggers.Sample(l.project, "hook", l.secrets.Lookup, triggers.SampleOrder{ID: key, Body: fmt.Appendf(nil, `{"type":"n","data":{"n":%d,"key":%q}}`, i, key)})
		if err != nil {
			t.Error(err)
			return
		}
		status, body, err := deliver(ctx, "http://"+addr, s)
		if err != nil {
			return // the server is gone
		}
		if status == http.StatusAccepted || status == http.StatusOK {
			_, rest, _ := strings.Cut(body, `"event":"`)
			id, _, _ := strings.Cut(rest, `"`)
			a.mu.Lock()
			a.events[key] = id
			a.mu.Unlock()
		}
	}
}

func waitIdle(t *testing.T, dir string) {
	t.Helper()
	h, err := store.OpenHistory(filepath.Join(dir, "hookloom.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	deadline := time.Now().Add(60 * time.Second)
	for time.Now().Before(deadline) {
		c, err := h.Counts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c.Open == 0 && c.Inbox == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("runs are still open after a minute")
}

// checkLedger holds the three journals against each other.
func checkLedger(t *testing.T, dir string, acked map[string]string, out *ledger) {
	t.Helper()
	j, err := readJournals(t.Context(), filepath.Join(dir, "hookloom.db"))
	if err != nil {
		t.Fatal(err)
	}
	j.acked, j.effectsPerRun = acked, 2
	out.mu.Lock()
	defer out.mu.Unlock()
	for key, bodies := range out.bodies {
		e := effect{came: out.came[key]}
		for b := range bodies {
			e.bodies = append(e.bodies, b)
		}
		j.effects[key] = e
	}
	violations := j.violations()
	for i, v := range violations {
		if i == 20 {
			t.Errorf("and %d more", len(violations)-i)
			break
		}
		t.Error(v)
	}
}

// TestDiskFullIsA503AndNoRestartIsNeeded fills a small file system and frees it.
func TestDiskFullIsA503AndNoRestartIsNeeded(t *testing.T) {
	mount := t.TempDir()
	if err := syscall.Mount("tmpfs", mount, "tmpfs", 0, "size=3m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(mount, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	for name, text := range map[string]string{"hookloom.yaml": "triggers: {hook: {webhook: {provider: generic, secret: \"${{ secrets.IN }}\"}}}\n",
		"workflows/w.yaml": "on: hook\nsteps: [{stop: x}]\n", ".env": "IN=0123456789abcdef\n"} {
		if err := writeFile(filepath.Join(mount, name), text); err != nil {
			t.Fatal(err)
		}
	}
	s, stop := startServer(t, mount)
	defer stop()
	l, err := load(mount)
	if err != nil {
		t.Fatal(err)
	}
	acked := map[string]bool{}
	send := func(i int, size int) (int, http.Header) {
		key := fmt.Sprint("k", i)
		sample, err := triggers.Sample(l.project, "hook", l.secrets.Lookup, triggers.SampleOrder{ID: key, Body: fmt.Appendf(nil, `{"k":%q,"pad":%q}`, key, strings.Repeat("x", size))})
		if err != nil {
			t.Fatal(err)
		}
		status, _, err := deliver(t.Context(), s.hooksURL(), sample)
		if err != nil {
			t.Fatal(err)
		}
		if status == http.StatusAccepted {
			acked[key] = true
		}
		return status, nil
	}
	full, i := false, 0
	for ; i < 200 && !full; i++ {
		status, _ := send(i, 64<<10)
		full = status == http.StatusServiceUnavailable
		if !full && status != http.StatusAccepted {
			t.Fatalf("answered %d", status)
		}
	}
	if !full {
		t.Fatal("the disk did not fill up")
	}
	if err := syscall.Mount("tmpfs", mount, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		i++
		if status, _ := send(i, 100); status == http.StatusAccepted {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing is accepted after space came back")
		}
		time.Sleep(20 * time.Millisecond)
	}
	waitIdle(t, mount)
	items, err := s.store.History().Events(t.Context(), engine.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range items {
		delete(acked, e.Key)
		if e.Runs != 1 {
			t.Errorf("%s has %d runs", e.Key, e.Runs)
		}
	}
	if len(acked) > 0 {
		t.Errorf("acknowledged and lost: %v", acked)
	}
}

// TestASecondServerOnTheSameFileIsRefused starts two real processes.
func TestASecondServerOnTheSameFileIsRefused(t *testing.T) {
	bin, dir := buildBinary(t), t.TempDir()
	if err := writeFile(filepath.Join(dir, "hookloom.yaml"), "triggers: {}\n"); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, bin, dir, freeAddr(t), freeAddr(t))
	second := exec.Command(bin, "serve", dir, "--addr", freeAddr(t), "--admin-addr", freeAddr(t))
	out, err := second.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitInUse || !strings.Contains(string(out), "in use by another hookloom") {
		t.Errorf("%v\n%s", err, out)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
}
