package cmd

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/store"
)

// TestExternalLoadIsCountedOncePerID starts a target, sends it events like a load generator, and
// compares the final report of the target.
func TestExternalLoadIsCountedOncePerID(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	read, write := io.Pipe()
	a := &app{out: write, err: io.Discard, output: "json"}
	ended, dir := make(chan error, 1), t.TempDir()
	go func() {
		err := a.benchTarget(ctx, benchOptions{target: "whole", dir: dir})
		write.CloseWithError(io.EOF)
		ended <- err
	}()
	printed := json.NewDecoder(bufio.NewReader(read))
	var target struct{ URL, Body, Script string }
	if err := printed.Decode(&target); err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(target.Body)
	if err != nil {
		t.Fatal(err)
	}
	if script, err := os.ReadFile(target.Script); err != nil || !strings.Contains(string(script), string(body)) {
		t.Errorf("the script does not send the body: %v\n%s", err, script)
	}
	unpaid := strings.Replace(string(body), "paid", "open", 2)
	for _, x := range []struct{ id, body string }{{"1", string(body)}, {"2", string(body)}, {"1", string(body)}, {"3", unpaid}} {
		resp, err := http.Post(target.URL+"?id="+x.id, "application/json", strings.NewReader(x.body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			t.Fatalf("event %s: %s", x.id, resp.Status)
		}
	}
	awaitIdle(t, filepath.Join(dir, "hookloom.db"))
	stop()
	var report map[string]float64
	if err := printed.Decode(&report); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"events": 3, "runs_ended": 2, "runs_failed": 0, "left_out": 1} {
		if report[name] != want {
			t.Errorf("%s: %v, not %v", name, report[name], want)
		}
	}
	if report["peak_memory_mb"] < 10 || report["cpu_us"] <= 0 {
		t.Errorf("memory or processor time is missing: %v", report)
	}
}

// awaitIdle waits until no event and no run of a database is open.
func awaitIdle(t *testing.T, db string) {
	t.Helper()
	h, err := store.OpenHistory(db)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if c, err := h.Counts(t.Context()); err == nil && c.Open+c.Inbox == 0 {
			return
		}
	}
	t.Fatal("runs are still open")
}

func TestBenchWorkflowActsOnTheRequestedShareOfEvents(t *testing.T) {
	for _, share := range []float64{0, 0.1, 0.5, 0.75, 1} {
		n := 0
		for i := range int64(1000) {
			if acts(i+1, share) {
				n++
			}
		}
		if n != int(share*1000) {
			t.Errorf("%v: %d of 1000", share, n)
		}
	}
}

func TestRandomIDsAreUniqueAndUnordered(t *testing.T) {
	seen, rising := map[string]bool{}, 0
	last := ""
	for i := range 1000 {
		id := randomID(fmt.Sprint("1-", i))
		if id > last {
			rising++
		}
		seen[id], last = true, id
	}
	if len(seen) != 1000 || rising < 400 || rising > 600 {
		t.Errorf("%d different ids, %d larger than the one before", len(seen), rising)
	}
}
