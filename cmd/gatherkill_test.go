package cmd

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
)

// TestKillMinusNineLosesNoGatheredEvent kills a real process under load whose workflows
// gather, end and clean up runs: each event is in exactly one run of a debounce and of a
// batch, and each run that is ended has run its finally.
func TestKillMinusNineLosesNoGatheredEvent(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for some seconds")
	}
	cycles := 8
	if n := os.Getenv("HOOKLOOM_KILLS"); n != "" {
		if _, err := fmt.Sscan(n, &cycles); err != nil {
			t.Fatal(err)
		}
	}
	out := &ledger{bodies: map[string]map[string]bool{}, answered: map[string]int{}, came: map[string]int{}}
	sink, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: out, ReadHeaderTimeout: time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(sink) }()
	defer func() {
		server.Close()
		<-done
	}()
	dir := t.TempDir()
	writeGatherProject(t, dir, "http://"+sink.Addr().String())
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
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				acked.load(ctx, t, l, addr, fmt.Sprintf("%d-%d", c, i))
			}()
		}
		time.Sleep(time.Duration(20+rand.IntN(400)) * time.Millisecond)
		if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = p.cmd.Wait() // it was killed
		stop()
		wg.Wait()
	}
	p := startProcess(t, bin, dir, addr, admin)
	waitIdle(t, dir)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, p.log.String())
	}
	t.Logf("%d cycles, %d acknowledged", cycles, len(acked.events))
	checkGathered(t, dir, acked.events)
	out.mu.Lock()
	defer out.mu.Unlock()
	for key, bodies := range out.bodies {
		if len(bodies) > 1 {
			t.Errorf("%s came with %d bodies", key, len(bodies))
		}
	}
}

func writeGatherProject(t *testing.T, dir, sink string) {
	t.Helper()
	post := "uses: http/post, with: {url: \"" + sink + "/%s\", body: {n: \"${{ event.key }}\"}}"
	for name, text := range map[string]string{
		"hookloom.yaml":       "triggers: {hook: {webhook: {provider: standard, secret: \"${{ secrets.IN }}\"}}}\negress: {allow: [127.0.0.1]}\n",
		".env":                "IN=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
		"workflows/last.yaml": "on: hook\ndebounce: {key: event.data.n % 7, wait: 40ms, max: 150ms}\nsteps: [{" + fmt.Sprintf(post, "last") + "}]\n",
		"workflows/all.yaml": "on: hook\nbatch: {key: event.data.n % 5, size: 10, wait: 100ms}\nconcurrency: 4\n" +
			"steps: [{uses: http/post, with: {url: \"" + sink + "/all\", body: {keys: \"${{ map(events, .key) }}\"}}}]\n",
		// Every event ends the run of the one before it with the same rest, unless it is over.
		"workflows/ended.yaml": "on: hook\nwhen: event.data.n % 3 == 0\ncancel_on: {event: hook, key: event.data.n % 2}\nsteps: [{sleep: 30ms}]\n" +
			"finally: [{" + fmt.Sprintf(post, "ended") + "}]\n",
	} {
		if err := writeFile(filepath.Join(dir, name), text); err != nil {
			t.Fatal(err)
		}
	}
}

// checkGathered holds that each event is in exactly one run of each gathering workflow.
func checkGathered(t *testing.T, dir string, acked map[string]string) {
	t.Helper()
	ctx := context.Background()
	h, err := store.OpenHistory(filepath.Join(dir, "hookloom.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	in := map[string]int{} // workflow and event
	ended := 0
	for q := (engine.Query{Limit: 1000}); ; {
		page, err := h.RunPage(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Items {
			id, err := engine.ParseRunID(r.ID)
			if err != nil {
				t.Fatal(err)
			}
			d, err := h.RunDetail(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			in[r.Workflow+" "+r.Event]++
			for _, ev := range d.Events {
				in[r.Workflow+" "+ev]++
			}
			switch {
			case r.Workflow == "ended" && r.Status == "cancelled":
				ended++
				if n := len(d.Steps); n == 0 && d.StartedAt != nil || n > 0 && !strings.HasPrefix(d.Steps[n-1].Path, "finally/") {
					t.Errorf("%s was cancelled without its finally: %+v", r.ID, d.Steps)
				}
			case r.Status != "succeeded":
				t.Errorf("%s of %s %s: %s", r.ID, r.Workflow, r.Status, r.Error)
			}
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	for key, id := range acked {
		for _, w := range []string{"last", "all"} {
			if n := in[w+" "+id]; n != 1 {
				t.Errorf("%s (%s) is in %d runs of %s", key, id, n, w)
			}
		}
	}
	if ended == 0 {
		t.Error("no run was ended by an event")
	}
	found, err := h.Check(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if len(f.Wrong) > 0 {
			t.Errorf("%s: %q", f.What, f.Wrong)
		}
	}
}
