//go:build unix

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/testsize"
)

// TestAFloodOfLargeBodiesIsThrottled sends a megabyte over each of many connections to a real process
// whose disk takes 20 ms per sync. Its memory stays bounded, refused clients are told when to
// retry, and what was acknowledged is stored. HOOKLOOM_FLOOD sets the number of connections.
func TestAFloodOfLargeBodiesIsThrottled(t *testing.T) {
	realProcess(t)
	connections := testsize.Of(t, "HOOKLOOM_FLOOD", 500)
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("SKIPPED: strace, which makes the disk slow, is not installed")
	}
	p := newProject(t, map[string]string{"hookloom.yaml": "triggers:\n" +
		"  flood: {webhook: {auth: none, key: 'headers[\"x-id\"]', max_body: 2MiB}}\n"})
	p.logLevel = "error"
	// -D: the server is our child, not the tracer's.
	s := launch(t, append([]string{strace, "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null",
		"-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:delay_exit=20000"}, p.argv()...)...)
	if err := s.ready(http.DefaultClient, "http://"+p.addr+"/readyz"); err != nil {
		t.Skipf("SKIPPED: the server cannot be traced here: %v\n%s", err, s.log.String())
	}
	body := append(append([]byte(`{"pad":"`), bytes.Repeat([]byte("x"), 1<<20)...), `"}`...)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	var acked, held, cut atomic.Int64
	var wg sync.WaitGroup
	for i := range connections {
		wg.Add(1)
		go func() {
			defer wg.Done()
			flood(t, client, p.hookURL("flood"), fmt.Sprint("flood-", i), body, &acked, &held, &cut)
		}()
	}
	wg.Wait()
	peak := s.peakMemory(t)
	s.stop(t)
	if peak > 300<<10 {
		t.Errorf("%d MiB at the peak", peak>>10)
	}
	h := p.history(t)
	n := 0
	q := engine.Query{Limit: 1000}
	for {
		list, err := h.Events(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if n += len(list); len(list) < q.Limit {
			break
		}
		q.After = list[len(list)-1].ID
	}
	if int64(n) != acked.Load() || n != connections {
		t.Errorf("%d acknowledged, %d stored, of %d", acked.Load(), n, connections)
	}
	t.Logf("%d connections of 1 MB, 20 ms a sync: %d MiB at the peak, %d times held off, %d cut while sending; all were stored in the end",
		connections, peak>>10, held.Load(), cut.Load())
}

// flood sends one delivery until it is accepted.
func flood(t *testing.T, client *http.Client, url, id string, body []byte, acked, held, cut *atomic.Int64) {
	for {
		req, err := http.NewRequest("POST", url, bytes.NewReader(body))
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("X-Id", id)
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			cut.Add(1) // the server responds and closes before it has read everything
			time.Sleep(100 * time.Millisecond)
			continue
		}
		_, _ = io.Copy(io.Discard, resp.Body) // the status says it
		resp.Body.Close()
		switch {
		case resp.StatusCode == http.StatusAccepted, resp.StatusCode == http.StatusOK:
			acked.Add(1)
			return
		case (resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests) &&
			resp.Header.Get("Retry-After") != "":
			held.Add(1)
			time.Sleep(100 * time.Millisecond)
		default:
			t.Errorf("%d %v", resp.StatusCode, resp.Header)
			return
		}
	}
}
