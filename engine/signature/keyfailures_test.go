package signature

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestFailedFetchesAreCachedBesideEachOther, up to their limit: then all of them are forgotten.
func TestFailedFetchesAreCachedBesideEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := &fetcher{err: errors.New("404")}, &keyCache{}
		for i, n := range []int{0, 1, 0, 1} {
			if _, err := c.get(t.Context(), fmt.Sprint("https://p/", n), "k", time.Now(), time.Hour, f.fetch); err == nil {
				t.Fatal("fetched")
			}
			if want := int64(min(i+1, 2)); f.asked.Load() != want {
				t.Errorf("%d fetches after %d requests, want %d", f.asked.Load(), i+1, want)
			}
		}
		c.failed = map[string]failure{}
		for n := range maxCached {
			c.failed[fmt.Sprint("https://q/", n)] = failure{f.err, time.Now().Add(retryFetch)}
		}
		if _, err := c.get(t.Context(), "https://r/", "k", time.Now(), time.Hour, f.fetch); err == nil || len(c.failed) != 1 {
			t.Errorf("%d failures are cached: %v", len(c.failed), err)
		}
	})
}
