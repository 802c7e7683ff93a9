//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/testsize"
	"github.com/hookloom/hookloom/triggers"
)

// outsides are targets, the first of which may misbehave; they record the delay between each
// delivery and its call.
type outsides struct {
	mode  atomic.Value // string
	urls  []string
	mu    sync.Mutex
	took  []time.Duration
	calls int
	bad   atomic.Int64 // in progress at the bad one, and the maximum
	most  atomic.Int64
	over  chan struct{}
}

func newOutsides(t *testing.T, n int) *outsides {
	o := &outsides{over: make(chan struct{})}
	o.mode.Store("well")
	for i := range n {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if i == 0 && o.mode.Load() != "well" {
				o.misbehave(w, r)
				return
			}
			var b struct{ At int64 }
			_ = json.NewDecoder(r.Body).Decode(&b) // a broken one shows as a strange time
			o.mu.Lock()
			if i > 0 {
				o.took = append(o.took, time.Since(time.Unix(0, b.At)))
			}
			o.calls++
			o.mu.Unlock()
			_, _ = w.Write([]byte("{}"))
		}))
		t.Cleanup(s.Close)
		o.urls = append(o.urls, s.URL+"/call")
	}
	t.Cleanup(func() { close(o.over) }) // before the servers close: it ends those that hang
	return o
}

func (o *outsides) misbehave(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client has disconnected
	n := o.bad.Add(1)
	defer o.bad.Add(-1)
	for most := o.most.Load(); n > most && !o.most.CompareAndSwap(most, n); most = o.most.Load() {
	}
	switch o.mode.Load() {
	case "hangs":
		select {
		case <-r.Context().Done():
		case <-o.over:
		}
	case "resets":
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = c.(*net.TCPConn).SetLinger(0) // a reset, not a close
			_ = c.Close()
		}
	case "drips":
		for {
			if _, err := w.Write([]byte("x")); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-r.Context().Done():
				return
			case <-o.over:
				return
			}
		}
	case "answers 500":
		w.WriteHeader(http.StatusInternalServerError)
	case "answers 429":
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(http.StatusTooManyRequests)
	}
}

// TestBadTargetsDoNotSpread lets one of twenty targets misbehave in each way in turn, at 200
// deliveries per second. All calls to the others must be made; it prints how much later they are
// than just before, when all targets were well. HOOKLOOM_BADTARGETS sets the seconds for each.
func TestBadTargetsDoNotSpread(t *testing.T) {
	realProcess(t)
	each := testsize.Of(t, "HOOKLOOM_BADTARGETS", 2)
	o := newOutsides(t, 20)
	x := &lively{project: newProject(t,
		map[string]string{"hookloom.yaml": "triggers: {hook: {webhook: {provider: generic, secret: \"${{ secrets.S }}\", key: " +
			"body.id}}}\negress: {allow: [127.0.0.1]}\n", ".env": "S=a-secret-of-this-test-012\n",
			"workflows/w.yaml": "on: hook\nsteps:\n  - {uses: http/post, with: {url: \"${{ event.data.base }}\", body: {at: \"${{ event.data.at " +
				"}}\"}}, timeout: 5s, retry: {max: 2, delay: 1s}}\n"})}
	x.begin(t)
	defer x.stop()
	base := 0.0
	for i, mode := range []string{"well", "hangs", "well", "resets", "well", "drips", "well", "answers 500", "well", "answers 429"} {
		o.mode.Store(mode)
		o.most.Store(0)
		o.mu.Lock()
		o.took, o.calls = nil, 0
		o.mu.Unlock()
		goroutines := x.goroutines(t)
		sent := x.loadEvenly(t, o, fmt.Sprint(mode, i), 200, each)
		deadline := time.Now().Add(time.Minute)
		for {
			o.mu.Lock()
			n := len(o.took)
			o.mu.Unlock()
			if n == sent {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d of %d calls to the others were made", mode, n, sent)
			}
			time.Sleep(10 * time.Millisecond)
		}
		o.mu.Lock()
		slices.Sort(o.took)
		p50, p99 := o.took[len(o.took)/2], o.took[len(o.took)*99/100]
		o.mu.Unlock()
		if mode == "well" {
			base = p99.Seconds()
		}
		if most := o.most.Load(); most > 512*3/4 {
			t.Errorf("%s: %d attempts at once to the bad target", mode, most)
		}
		if more := x.goroutines(t) - goroutines; more > 3000 {
			t.Errorf("%s: %d goroutines more", mode, more)
		}
		t.Logf("%-12s %d calls to the others, p50 %v, p99 %v, %.2f of when all were well just before; at most %d at once to it", mode, sent,
			p50.Round(10*time.Microsecond), p99.Round(10*time.Microsecond), p99.Seconds()/base, o.most.Load())
	}
}

// goroutines returns the number of goroutines of the server.
func (x *lively) goroutines(t *testing.T) int {
	t.Helper()
	_, b := x.call(t, "GET", "/metrics", "")
	_, rest, _ := strings.Cut(string(b), "\ngo_goroutines ")
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// loadEvenly sends deliveries, one in twenty for each target, and returns how many were for targets
// other than the first.
func (x *lively) loadEvenly(t *testing.T, o *outsides, name string, rate, seconds int) (others int) {
	t.Helper()
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	var wg sync.WaitGroup
	for i := range rate * seconds {
		<-tick.C
		if i%20 != 0 {
			others++
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			id := fmt.Sprint(name, "-", i)
			s, err := triggers.Sample(x.flows, "hook", x.secrets.Lookup,
				triggers.SampleOrder{ID: id, Body: fmt.Appendf(nil, `{"id":%q,"base":%q,"at":%d}`, id, o.urls[i%20], time.Now().UnixNano())})
			if err != nil {
				t.Error(err)
				return
			}
			if status, _, err := deliver(t.Context(), x.hooksURL(), s); err != nil || status != http.StatusAccepted {
				t.Errorf("%d %v", status, err)
			}
		}()
	}
	wg.Wait()
	return others
}
