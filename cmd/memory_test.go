package cmd

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
)

// TestBodiesThatGrowWhenDecodedTakeBoundedMemory: many connections send lists of empty
// objects, of which each takes a dozen times its text once decoded. All are taken, and
// all run, in order where the workflow asks for it.
func TestBodiesThatGrowWhenDecodedTakeBoundedMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a real process")
	}
	const connections, each, most = 40, 6, 340 << 10
	dir := t.TempDir()
	for name, text := range map[string]string{
		"hookloom.yaml":       "triggers:\n  wide: {webhook: {auth: none, key: body.i}}\n",
		"workflows/any.yaml":  "on: wide\nwhen: event.data.i != ''\nsteps:\n  - uses: log\n    with: {message: \"${{ len(event.data.l) }}\"}\n",
		"workflows/lane.yaml": "on: wide\nconcurrency: {group: \"${{ event.type }}\", limit: 1}\nsteps:\n  - uses: log\n    with: {message: \"${{ event.data.i }}\"}\n",
	} {
		if err := writeFile(filepath.Join(dir, name), text); err != nil {
			t.Fatal(err)
		}
	}
	bin, addr, admin := buildBinary(t), freeAddr(t), freeAddr(t)
	p := startProcess(t, bin, dir, addr, admin)
	list := `"l":[` + strings.TrimSuffix(strings.Repeat("{},", 180_000), ",") + "]}"
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for c := range connections {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range each {
				if err := sendUntilTaken(ctx, client, "http://"+addr+"/hooks/wide", []byte(fmt.Sprintf(`{"i":"%d-%d",`, c, i)+list)); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	waitIdle(t, dir)
	peak := peakMemory(t, p.cmd.Process.Pid)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, p.log.String())
	}
	t.Logf("%d connections of %d bodies of 540 KB: %d MiB at the peak", connections, each, peak>>10)
	if peak > most {
		t.Errorf("%d KiB, at most %d", peak, most)
	}
	h, err := store.OpenHistory(filepath.Join(dir, "hookloom.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for _, w := range []string{"any", "lane"} {
		runs, err := h.Runs(t.Context(), engine.Query{Workflow: w, Status: "succeeded", Limit: 1000})
		if err != nil || len(runs) != connections*each {
			t.Errorf("%s: %d runs succeeded of %d: %v", w, len(runs), connections*each, err)
		}
	}
}

// sendUntilTaken sends a delivery as a patient provider does.
func sendUntilTaken(ctx context.Context, client *http.Client, url string, body []byte) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		switch resp.StatusCode {
		case http.StatusAccepted, http.StatusOK:
			return nil
		case http.StatusServiceUnavailable, http.StatusTooManyRequests:
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		default:
			return fmt.Errorf("answered %d", resp.StatusCode)
		}
	}
}
