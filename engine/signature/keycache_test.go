package signature

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fetcher answers every fetch after a delay, and counts.
type fetcher struct {
	takes         time.Duration
	asked, atOnce atomic.Int64
	most          atomic.Int64
	err           error
	mu            sync.Mutex
	keys          []PublicKey
}

func (f *fetcher) fetch(ctx context.Context) ([]PublicKey, error) {
	f.asked.Add(1)
	if n := f.atOnce.Add(1); n > f.most.Load() {
		f.most.Store(n)
	}
	defer f.atOnce.Add(-1)
	select {
	case <-time.After(f.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.keys, f.err
}

// TestAKnownKeyIsNotDelayedByUnknownOnes checks that a cached key is available at once, whatever
// keys others request.
func TestAKnownKeyIsNotDelayedByUnknownOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fetcher{takes: 300 * time.Millisecond, keys: []PublicKey{{ID: "k"}}}
		c := &keyCache{}
		ask := func(kid string) ([]PublicKey, error) {
			return c.get(t.Context(), "https://p/jwks", kid, time.Now(), time.Hour, f.fetch)
		}
		if _, err := ask("k"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() { _, _ = ask(fmt.Sprint("forged-", i)) })
		}
		synctest.Wait()
		began := time.Now()
		if keys, err := ask("k"); err != nil || len(keys) != 1 || time.Since(began) != 0 {
			t.Errorf("%v %v after %v", keys, err, time.Since(began))
		}
		wg.Wait()
		if n := f.asked.Load(); n != 2 {
			t.Errorf("%d fetches; want 2: the first, and one for all the unknown", n)
		}
	})
}

// TestInventedKeyURLsCostLittle checks that URLs invented by callers cause one fetch at a time, and
// a limited number per minute.
func TestInventedKeyURLsCostLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fetcher{takes: 100 * time.Millisecond, err: errors.New("404")}
		c := &keyCache{}
		var wg sync.WaitGroup
		for i := range 500 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 20 * time.Millisecond)
				_, _ = c.get(t.Context(), fmt.Sprint("https://p/", i), "", time.Now(), time.Hour, f.fetch)
			})
		}
		wg.Wait()
		if f.most.Load() != 1 || f.asked.Load() > fetchesPerMinute {
			t.Errorf("%d fetches, %d at once", f.asked.Load(), f.most.Load())
		}
	})
}

// TestFetchedKeysSurviveFloodsAndOutages checks that cached keys survive many invented URLs, and an
// unreachable provider.
func TestFetchedKeysSurviveFloodsAndOutages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := &fetcher{keys: []PublicKey{{ID: "k"}}}
		bad := &fetcher{err: errors.New("down")}
		c := &keyCache{}
		if _, err := c.get(t.Context(), "https://p/good", "k", time.Now(), time.Hour, good.fetch); err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			_, _ = c.get(t.Context(), fmt.Sprint("https://p/", i), "", time.Now(), time.Hour, bad.fetch)
			time.Sleep(3 * time.Second)
		}
		time.Sleep(20 * time.Minute)
		if keys, err := c.get(t.Context(), "https://p/good", "k", time.Now(), time.Hour, bad.fetch); err != nil || len(keys) != 1 {
			t.Errorf("an hour later, with the provider down: %v %v", keys, err)
		}
		if good.asked.Load() != 1 {
			t.Errorf("%d fetches", good.asked.Load())
		}
	})
}

// TestARotatedKeyIsFetched checks that a rotated key is found at most half a minute after the last
// fetch.
func TestARotatedKeyIsFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fetcher{keys: []PublicKey{{ID: "old"}}}
		c := &keyCache{}
		ask := func(kid string) bool {
			keys, err := c.get(t.Context(), "https://p/jwks", kid, time.Now(), time.Hour, f.fetch)
			return err == nil && holds(keys, kid)
		}
		if !ask("old") {
			t.Fatal("the first key is not there")
		}
		f.keys = []PublicKey{{ID: "new"}}
		if ask("new") {
			t.Error("asked again at once")
		}
		time.Sleep(retryFetch)
		if !ask("new") {
			t.Error("the new key is not found")
		}
	})
}

// TestFetchesAreBoundedByTheirLimits: 30 of them a minute, 16 who wait, five seconds for a fetch and for the
// one before it.
func TestFetchesAreBoundedByTheirLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fetcher{err: errors.New("404")}
		c := &keyCache{}
		ask := func(n int) error {
			_, err := c.get(t.Context(), fmt.Sprint("https://p/", n), "", time.Now(), time.Hour, f.fetch)
			return err
		}
		for i := range 31 {
			if err := ask(i); errors.Is(err, ErrUnavailable) != (i == 30) {
				t.Errorf("fetch %d of a minute: %v", i, err)
			}
		}
		time.Sleep(time.Minute - time.Nanosecond)
		if err := ask(31); !errors.Is(err, ErrUnavailable) {
			t.Errorf("before the minute has ended: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if err := ask(32); errors.Is(err, ErrUnavailable) {
			t.Errorf("a minute later: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f := &fetcher{takes: time.Hour}
		c := &keyCache{}
		var ended []time.Duration
		var mu sync.Mutex
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 18 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				_, err := c.get(t.Context(), fmt.Sprint("https://p/", i), "", time.Now(), time.Hour, f.fetch)
				mu.Lock()
				defer mu.Unlock()
				if ended = append(ended, time.Since(began)); err == nil {
					t.Error("a fetch that hangs gives keys")
				}
			})
		}
		wg.Wait()
		// One fetches and 16 wait for it; the one behind them is refused at once. At five seconds the
		// second fetch begins, and the others have waited as long as they may.
		if ended[0] != 17*time.Millisecond || ended[1] != 5*time.Second || ended[16] > 5*time.Second+16*time.Millisecond ||
			ended[17] != 10*time.Second {
			t.Errorf("they ended after %v", ended)
		}
	})
}

// TestFailedFetchIsCachedForHalfAMinute, so that an address that gives nothing is not asked by each delivery.
func TestFailedFetchIsCachedForHalfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fetcher{err: errors.New("404")}
		c := &keyCache{}
		for _, x := range []struct {
			after time.Duration
			asked int64
		}{{0, 1}, {30*time.Second - 1, 1}, {1, 2}} {
			time.Sleep(x.after)
			if _, err := c.get(t.Context(), "https://p/", "k", time.Now(), time.Hour, f.fetch); err == nil || f.asked.Load() != x.asked {
				t.Errorf("%s later: %v, %d fetches", x.after, err, f.asked.Load())
			}
		}
	})
}

// TestCacheKeepsRecentlyUsedURLs: 256 of them; the one that was not used for longest gives way.
func TestCacheKeepsRecentlyUsedURLs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fetcher{keys: []PublicKey{{ID: "k"}}}
		c := &keyCache{}
		ask := func(n int) {
			time.Sleep(3 * time.Second)
			if _, err := c.get(t.Context(), fmt.Sprint("https://p/", n), "k", time.Now(), 24*time.Hour, f.fetch); err != nil {
				t.Fatal(err)
			}
		}
		for n := range 256 {
			ask(n)
		}
		ask(0) // used again, so that 1 is the oldest
		if f.asked.Load() != 256 {
			t.Errorf("%d fetches of 256 addresses", f.asked.Load())
		}
		ask(256)
		for n, want := range map[int]int64{0: 257, 2: 257, 256: 257} {
			if ask(n); f.asked.Load() != want {
				t.Errorf("%d was forgotten", n)
			}
		}
		if ask(1); f.asked.Load() != 258 {
			t.Error("the oldest was not forgotten")
		}
	})
}
