//go:build linux

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/testsize"
	"github.com/hookloom/hookloom/triggers"
)

// TestKillMinusNineLosesNothingAcknowledged guards promises 1 and 3 with a real process under load,
// killed at random moments. HOOKLOOM_KILLS sets how often.
func TestKillMinusNineLosesNothingAcknowledged(t *testing.T) {
	realProcess(t)
	cycles := testsize.Of(t, "HOOKLOOM_KILLS", 30)
	out := newLedger(t)
	flow := `on: hook
when: event.data.n >= 0
steps:
  - {id: first, uses: http/post, with: {url: URL/first, body: {n: "${{ event.data.n }}"}}}
  - {uses: log, with: {message: "${{ steps.first.output.body.id }}", level: debug}}
  - {id: second, uses: webhook/send, with: {url: URL/second, secret: "${{ secrets.OUT }}", type: n, body: {n: "${{ event.data.n }}"}}}
`
	p := newProject(t, map[string]string{"hookloom.yaml": hookConfig, ".env": hookEnv + strings.Replace(hookEnv, "IN=", "OUT=", 1),
		"workflows/w.yaml": strings.ReplaceAll(flow, "URL", out.url)})
	acked := newAcknowledged()
	idle := p.killCycles(t, acked, cycles, 16)
	t.Logf("%d cycles, %d acknowledged, %d keys at the sink; the last restart was idle after %v", cycles, acked.count(), out.keys(), idle)
	out.check(t, p.db, acked, 2)
}

// TestDiskFullIsA503AndNoRestartIsNeeded fills a small file system and frees it.
func TestDiskFullIsA503AndNoRestartIsNeeded(t *testing.T) {
	onFiles(t)
	mount := t.TempDir()
	if err := syscall.Mount("tmpfs", mount, "tmpfs", 0, "size=3m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(mount, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	p := newProjectIn(t, mount,
		map[string]string{"hookloom.yaml": "triggers: {hook: {webhook: {provider: generic, secret: \"${{ secrets.IN }}\"}}}\n",
			"workflows/w.yaml": "on: hook\nsteps: [{stop: x}]\n", ".env": "IN=0123456789abcdef\n"})
	s := p.start(t)
	acked := map[string]bool{}
	send := func(i int, size int) int {
		key := fmt.Sprint("k", i)
		body := fmt.Appendf(nil, `{"k":%q,"pad":%q}`, key, strings.Repeat("x", size))
		sample, err := triggers.Sample(p.flows, "hook", p.secrets.Lookup, triggers.SampleOrder{ID: key, Body: body})
		if err != nil {
			t.Fatal(err)
		}
		status, _, err := deliver(t.Context(), "http://"+p.addr, sample)
		if err != nil {
			t.Fatal(err)
		}
		if status == http.StatusAccepted {
			acked[key] = true
		}
		return status
	}
	full, i := false, 0
	for ; i < 200 && !full; i++ {
		status := send(i, 64<<10)
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
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		i++
		if send(i, 100) == http.StatusAccepted {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing is accepted after space came back")
		}
	}
	p.idle(t)
	items, err := p.history(t).Events(t.Context(), engine.Query{Limit: 1000})
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
	s.stop(t)
}

// TestASecondServerOnTheSameFileIsRefused starts two real processes.
func TestASecondServerOnTheSameFileIsRefused(t *testing.T) {
	onFiles(t)
	p := newProject(t, map[string]string{"hookloom.yaml": "triggers: {}\n"})
	s := p.start(t)
	second := launch(t, p.bin, "serve", p.dir, "--db", p.db, "--addr", freeAddr(t), "--admin-addr", freeAddr(t))
	if code := second.end(t, 20*time.Second); code != exitInUse || !strings.Contains(second.log.String(), "in use by another hookloom") {
		t.Errorf("exit status %d\n%s", code, second.log.String())
	}
	s.stop(t)
}
