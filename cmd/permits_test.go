package cmd

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
)

// TestTheRateOfATriggerHoldsForAllNodesTogether: three nodes accept as many deliveries as one would, and
// answer the others 429 with the time to wait.
func TestTheRateOfATriggerHoldsForAllNodesTogether(t *testing.T) {
	address := postgrestest.Shared(t).Database(t)
	dir := projectIn(t, map[string]string{"hookloom.yaml": "" +
		"triggers:\n  shop: {webhook: {auth: none, key: 'headers[\"x-id\"]', rate: 10/s}}\n"})
	l, mistakes := workflows.Load(dir, workflows.Catalog{}, nil)
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	var hooks []*triggers.Hooks
	for _, name := range []string{"a", "b", "c"} {
		s, err := store.Open(t.Context(), address, store.Options{Verb: "serve", Node: name})
		if err != nil {
			t.Fatal(err)
		}
		sv := &server{store: s}
		e := machine.New(machine.Options{Store: s})
		if err := e.Use(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		h, err := triggers.NewHooks(e, slog.New(slog.DiscardHandler), triggers.Deps{Permits: sv.permits()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			h.Close()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		use, err := h.Prepare(l, func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		use()
		hooks = append(hooks, h)
	}
	var mu sync.Mutex
	answers := map[int]int{}
	began := time.Now()
	var wg sync.WaitGroup
	for n := range 12 {
		wg.Go(func() {
			for i := 0; time.Since(began) < time.Second; i++ {
				r := httptest.NewRequest(http.MethodPost, "/hooks/shop", strings.NewReader("{}"))
				r.Header.Set("X-Id", fmt.Sprint(n, " ", i))
				w := httptest.NewRecorder()
				hooks[n%3].ServeHTTP(w, r)
				mu.Lock()
				answers[w.Code]++
				mu.Unlock()
				if w.Code == http.StatusTooManyRequests {
					if w.Header().Get("Retry-After") != "1" {
						t.Errorf("Retry-After: %q", w.Header().Get("Retry-After"))
					}
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	good := answers[http.StatusAccepted] + answers[http.StatusOK]
	if most := 10 + int(10*took.Seconds()) + 1; good > most || good < 10 || answers[http.StatusTooManyRequests] == 0 {
		t.Errorf("%d of 10 and 10/s accepted in %v: %v", good, took, answers)
	}
}
