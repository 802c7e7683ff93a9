//go:build unix

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// arrivals are when each request came to a target that does not answer the first one of each body.
type arrivals struct {
	mu   sync.Mutex
	at   map[string][]time.Time
	done chan struct{}
}

// ServeHTTP implements http.Handler.
func (a *arrivals) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	a.mu.Lock()
	a.at[string(body)] = append(a.at[string(body)], time.Now())
	first := len(a.at[string(body)]) == 1
	a.mu.Unlock()
	if first {
		select {
		case <-r.Context().Done():
		case <-a.done:
		}
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, "{}") // a killed node shows in its history
}

// until waits until n requests have come of each of some bodies, and returns when the last one came.
func (a *arrivals) until(t *testing.T, bodies, n int) (last time.Time) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		a.mu.Lock()
		complete := 0
		for _, list := range a.at {
			if len(list) >= n {
				complete++
				if list[n-1].After(last) {
					last = list[n-1]
				}
			}
		}
		a.mu.Unlock()
		if complete == bodies {
			return last
		}
	}
	t.Fatalf("%d requests of each of %d did not come", n, bodies)
	return last
}

// TestOpenRunsGoOnWhenTheirNodeIsGone: within 5 seconds after kill -9, and after the end of the lease if the
// node is only stopped, which ends when it goes on.
func TestOpenRunsGoOnWhenTheirNodeIsGone(t *testing.T) {
	const runs = 10
	for name, within := range map[string]time.Duration{"killed": 5 * time.Second, "stopped": 6 * time.Second} {
		t.Run(name, func(t *testing.T) {
			a := &arrivals{at: map[string][]time.Time{}, done: make(chan struct{})}
			target := httptest.NewServer(a)
			t.Cleanup(func() { close(a.done); target.Close() })
			c := newNodeSet(t, 2, map[string]string{"hookloom.yaml": nodesConfig, "workflows/w.yaml": strings.ReplaceAll(
				`{on: hook, steps: [{uses: http/post, with: {url: URL, body: {id: "${{ event.key }}"}}, timeout: 1m, retry: 5}]}`, "URL", target.URL)})
			time.Sleep(2500 * time.Millisecond) // until the nodes may take over from each other
			acked := newAcknowledged()
			for i := range runs {
				key := fmt.Sprint("k", i)
				c.postUntilAccepted(t, acked, "http://"+c.nodes[0].addr+"/hooks/hook", key, fmt.Sprintf(`{"id":%q}`, key))
			}
			a.until(t, runs, 1)
			began := time.Now()
			if name == "killed" {
				c.nodes[0].process().kill()
			} else {
				go c.nodes[0].pause(8 * time.Second)
			}
			took := a.until(t, runs, 2).Sub(began)
			t.Logf("%s: %d runs went on after %v", name, runs, took.Round(time.Millisecond))
			if took > within {
				t.Errorf("runs of a node that was %s went on after %v", name, took)
			}
			c.settle(t, time.Minute)
			for deadline := time.Now().Add(time.Minute); c.nodes[0].starts.Load() < 2; time.Sleep(20 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("a node whose work was taken over does not end\n%s", c.logs())
				}
			}
		})
	}
}
