//go:build unix

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/testsize"
)

// growing is a service whose list grows, and that records what it receives.
type growing struct {
	mu     sync.Mutex
	items  []map[string]any
	told   map[string]int
	listed chan struct{}
}

func (g *growing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if id, ok := strings.CutPrefix(r.URL.Path, "/told/"); ok {
		g.told[id]++
		_, _ = w.Write([]byte("{}")) // a killed server does not read it
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"items": g.items}) // as above
	select {
	case g.listed <- struct{}{}:
	default:
	}
}

// TestKillBetweenFetchAndCommitLosesNoItem kills a real process around the moment at which the
// result of a poll is stored, with its cursor. No item is lost, and none runs twice.
func TestKillBetweenFetchAndCommitLosesNoItem(t *testing.T) {
	realProcess(t)
	g := &growing{told: map[string]int{}, listed: make(chan struct{}, 1)}
	service := httptest.NewServer(g)
	defer service.Close()
	p := newProject(t, map[string]string{
		"hookloom.yaml": "triggers:\n  things:\n    poll: {every: 24h, backfill: true, request: {url: \"" + service.URL +
			"/list\"}, items: response.body.items, key: item.id, cursor: item.at}\negress: {allow: [127.0.0.1]}\n",
		"workflows/w.yaml": "on: things\nsteps:\n  - {uses: http/post, with: {url: \"" + service.URL +
			"/told/${{ event.data.id }}\"}, retry: 3}\n",
	})
	// ask polls once, and reports whether there is more than one poll brings. On a server the killed process
	// still has the lease of the poll until this one has taken over from it: the answer is 409 until then.
	ask := func() (more bool, err error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.admin+"/api/v1/triggers/things/poll", nil)
		if err != nil {
			return false, err
		}
		req.Header.Set(console.ClientHeader, "1")
		resp, err := http.DefaultClient.Do(req)
		for end := time.Now().Add(time.Minute); err == nil && resp.StatusCode == http.StatusConflict && onServer(p.db) &&
			time.Now().Before(end); resp, err = http.DefaultClient.Do(req) {
			_ = resp.Body.Close()
			time.Sleep(20 * time.Millisecond)
		}
		if err != nil {
			return false, err
		}
		var r struct{ More bool }
		if resp.StatusCode/100 != 2 {
			err = fmt.Errorf("the poll was answered %d", resp.StatusCode)
		} else {
			err = json.NewDecoder(resp.Body).Decode(&r)
		}
		return r.More, errors.Join(err, resp.Body.Close())
	}
	const each = 20
	cycles := min(testsize.Of(t, "HOOKLOOM_KILLS", 15), 1000/each) // all fit on a page of the history
	killed := 0
	for c := range cycles {
		g.mu.Lock()
		for i := range each {
			n := c*each + i
			g.items = append(g.items, map[string]any{"id": fmt.Sprint("i-", n), "at": n})
		}
		g.mu.Unlock()
		s := p.start(t)
		select {
		case <-g.listed: // a poll of its own, at its start
		default:
		}
		asked := make(chan error, 1)
		go func() {
			_, err := ask()
			asked <- err
		}()
		select {
		case <-g.listed:
		case err := <-asked:
			if err != nil {
				t.Fatalf("the poll ended before the service was asked: %v", err)
			}
			asked <- nil
		}
		time.Sleep(time.Duration(rand.IntN(12000)) * time.Microsecond)
		s.kill()
		if <-asked != nil {
			killed++
		}
	}
	s := p.start(t)
	for more := true; more; {
		var err error
		if more, err = ask(); err != nil {
			t.Fatal(err)
		}
	}
	p.idle(t)
	s.stop(t)
	h := p.history(t)
	events, err := h.Events(t.Context(), engine.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	runs, err := h.Runs(t.Context(), engine.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	began := map[string]int{}
	for _, r := range runs {
		began[r.Event]++
		if r.Status != "succeeded" {
			t.Errorf("%s is %s: %s", r.ID, r.Status, r.Error)
		}
	}
	keys := map[string]int{}
	for _, e := range events {
		keys[e.Key]++
		if began[e.ID] != 1 {
			t.Errorf("%s ran %d times", e.Key, began[e.ID])
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range cycles * each {
		id := fmt.Sprint("i-", i)
		if keys[id] != 1 || g.told[id] == 0 {
			t.Errorf("%s: %d events, told %d times", id, keys[id], g.told[id])
		}
	}
	t.Logf("%d items in %d cycles, %d of them cut before the poll had answered", cycles*each, cycles, killed)
}
