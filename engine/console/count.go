package console

import (
	"context"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// activity caches the counts of past intervals, so that a page does not count a long history again.
// A run that ends late changes a past interval, so they are recounted at intervals.
type activity struct {
	mu      sync.Mutex
	step    time.Duration
	buckets []engine.Bucket
	at      time.Time
	whole   time.Time
}

const (
	activityFresh = 2 * time.Second
	activityWhole = 5 * time.Minute
	// activityOpen is the number of the last intervals that may still change much.
	activityOpen = 2
)

// get returns the n intervals up to now.
func (a *activity) get(ctx context.Context, log Log, now time.Time, step time.Duration, n int) ([]engine.Bucket, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	from := now.UTC().Truncate(step).Add(-time.Duration(n-1) * step)
	same := a.step == step && len(a.buckets) == n
	if same && now.Sub(a.at) < activityFresh && a.buckets[0].At.Equal(from) {
		return a.buckets, nil
	}
	kept := 0
	if same && now.Sub(a.whole) < activityWhole {
		if moved := int(from.Sub(a.buckets[0].At) / step); moved >= 0 && moved < n {
			kept = max(0, n-moved-activityOpen)
			a.buckets = a.buckets[moved:]
		}
	}
	fresh, err := log.Activity(ctx, from.Add(time.Duration(kept)*step), step, n-kept)
	if err != nil {
		a.step = 0
		return nil, err
	}
	a.buckets = append(append([]engine.Bucket{}, a.buckets[:kept]...), fresh...)
	a.step, a.at = step, now
	if kept == 0 {
		a.whole = now
	}
	return a.buckets, nil
}

// ttlCache caches a page's counts for a short time, so that many viewers share the cost.
type ttlCache[K comparable, V any] struct {
	mu sync.Mutex
	by map[K]ttlEntry[V]
}

type ttlEntry[V any] struct {
	at    time.Time
	value V
}

// ttlCacheFor is the maximum age of a cached count.
const ttlCacheFor = 5 * time.Second

func (k *ttlCache[K, V]) get(key K, now time.Time, count func() (V, error)) (V, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if x, ok := k.by[key]; ok && now.Sub(x.at) < ttlCacheFor {
		return x.value, nil
	}
	v, err := count()
	if err != nil {
		return v, err
	}
	if k.by == nil || len(k.by) > 8 {
		k.by = map[K]ttlEntry[V]{}
	}
	k.by[key] = ttlEntry[V]{now, v}
	return v, nil
}
