//go:build unix

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// TestBodiesThatGrowWhenDecodedTakeBoundedMemory sends lists of empty objects over many
// connections, each of which takes a dozen times its text when decoded. All are accepted and run,
// in order if the workflow requires it.
func TestBodiesThatGrowWhenDecodedTakeBoundedMemory(t *testing.T) {
	realProcess(t)
	const connections, each, most = 40, 3, 340 << 10
	p := newProject(t, map[string]string{
		"hookloom.yaml":      "triggers:\n  wide: {webhook: {auth: none, key: body.i}}\n",
		"workflows/any.yaml": "on: wide\nwhen: event.data.i != ''\nsteps:\n  - uses: log\n    with: {message: \"${{ len(event.data.l) }}\"}\n",
		"workflows/lane.yaml": "on: wide\nconcurrency: {group: \"${{ event.type }}\", limit: 1}\nsteps:\n  - uses: log\n" +
			"    with: {message: \"${{ event.data.i }}\"}\n",
	})
	s := p.start(t)
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
				if err := sendUntilTaken(ctx, client, p.hookURL("wide"), []byte(fmt.Sprintf(`{"i":"%d-%d",`, c, i)+list)); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	p.idle(t)
	peak := s.peakMemory(t)
	s.stop(t)
	t.Logf("%d connections of %d bodies of 540 KB: %d MiB at the peak", connections, each, peak>>10)
	if peak > most {
		t.Errorf("%d KiB, at most %d", peak, most)
	}
	h := p.history(t)
	for _, w := range []string{"any", "lane"} {
		runs, err := h.Runs(t.Context(), engine.Query{Workflow: w, Status: "succeeded", Limit: 1000})
		if err != nil || len(runs) != connections*each {
			t.Errorf("%s: %d runs succeeded of %d: %v", w, len(runs), connections*each, err)
		}
	}
}

// sendUntilTaken sends a delivery like a provider that retries.
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
