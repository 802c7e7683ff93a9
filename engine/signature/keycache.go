package signature

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// keyCache caches the keys that one scheme has fetched, by URL. Unverified callers choose URLs and
// key ids, so the cost is limited: one fetch at a time and fetchesPerMinute of them; known keys
// never wait for a fetch.
type keyCache struct {
	mu      sync.Mutex
	entries map[string]*cached
	// failed are URLs without a key, with the time until which they are not fetched.
	failed map[string]failure
	// slot is held during a fetch; waiting is the number of waiting callers.
	slot    chan struct{}
	waiting int
	// minute and spent count the fetches of the current minute.
	minute time.Time
	spent  int
}

// cached is the result of one URL.
type cached struct {
	keys    []PublicKey
	fetched time.Time
	until   time.Time
	used    time.Time
	// flight is the fetch in progress; nil if there is none.
	flight *flight
}

type failure struct {
	err   error
	until time.Time
}

// flight is one fetch, for which all callers that need it wait.
type flight struct {
	done chan struct{}
	keys []PublicKey
	err  error
}

const (
	// maxCached limits the cached URLs, and the failed ones.
	maxCached = 256
	// retryFetch is how long a failure is cached, and how often a URL is fetched for a key that it
	// did not contain.
	retryFetch = 30 * time.Second
	// fetchTime limits one fetch, slotTime the wait for the one before.
	fetchTime = 5 * time.Second
	slotTime  = 5 * time.Second
	// fetchesPerMinute and maxFetchWaiters limit the fetches that unverified callers can
	// cause.
	fetchesPerMinute = 30
	maxFetchWaiters  = 16
)

// get returns the keys of a URL, fetched if needed.
func (c *keyCache) get(ctx context.Context, address, kid string, now time.Time, keep time.Duration,
	fetch func(context.Context) ([]PublicKey, error)) ([]PublicKey, error) {
	c.mu.Lock()
	if c.entries == nil {
		c.entries, c.failed, c.slot = map[string]*cached{}, map[string]failure{}, make(chan struct{}, 1)
	}
	e := c.entries[address]
	if e == nil {
		e = &cached{}
	}
	// Keys that should be refreshed stay valid for a while if that fails.
	known := e.keys != nil && holds(e.keys, kid) && now.Before(e.until.Add(keep))
	stale := e.keys
	e.used = now
	past, failed := c.failed[address]
	failed = failed && now.Before(past.until)
	switch {
	case known && (now.Before(e.until) || e.flight != nil || failed), e.keys != nil && !known && now.Sub(e.fetched) < retryFetch:
		c.mu.Unlock()
		return stale, nil
	case failed:
		c.mu.Unlock()
		return nil, past.err
	}
	f := e.flight
	if f == nil {
		f = &flight{done: make(chan struct{})}
		e.flight = f
		c.entries[address] = e
		c.mu.Unlock()
		c.fetchShared(ctx, address, e, f, now, keep, !known, fetch)
	} else {
		c.mu.Unlock()
	}
	if known {
		if f.err != nil {
			return stale, nil
		}
		return f.keys, nil
	}
	select {
	case <-f.done:
		return f.keys, f.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %v", ErrUnavailable, ctx.Err())
	}
}

// holds reports whether the keys can verify what names kid: in a set with key ids, only the listed
// ones.
func holds(keys []PublicKey, kid string) bool {
	return kid == "" || slices.ContainsFunc(keys, func(k PublicKey) bool { return k.ID == "" || k.ID == kid })
}

// fetchShared fetches and records the result. It continues if its caller gives up: others may wait for it.
func (c *keyCache) fetchShared(ctx context.Context, address string, e *cached, f *flight, now time.Time, keep time.Duration, patient bool,
	fetch func(context.Context) ([]PublicKey, error)) {
	err := c.enter(now, patient)
	refused := err != nil
	if !refused {
		fetchCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTime)
		f.keys, f.err = fetch(fetchCtx)
		cancel()
		<-c.slot
	} else {
		f.err = err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e.flight = nil
	switch {
	case f.err == nil:
		e.keys, e.fetched, e.until, e.used = f.keys, now, now.Add(keep), now
		delete(c.failed, address)
		c.evict(address)
	case !refused: // the URL was fetched without a result
		if len(c.failed) >= maxCached {
			clear(c.failed)
		}
		c.failed[address] = failure{f.err, now.Add(retryFetch)}
	}
	if e.keys == nil {
		delete(c.entries, address)
	}
	close(f.done)
}

// enter waits for the previous fetch to end, if patient, and counts.
func (c *keyCache) enter(now time.Time, patient bool) error {
	c.mu.Lock()
	if now.Sub(c.minute) >= time.Minute || now.Before(c.minute) {
		c.minute, c.spent = now, 0
	}
	if c.spent >= fetchesPerMinute || c.waiting >= maxFetchWaiters {
		c.mu.Unlock()
		return fmt.Errorf("%w now: too many were requested", ErrUnavailable)
	}
	if !patient && len(c.slot) > 0 {
		c.mu.Unlock()
		return fmt.Errorf("%w now: another is being fetched", ErrUnavailable)
	}
	c.spent++
	c.waiting++
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.waiting--
		c.mu.Unlock()
	}()
	timer := time.NewTimer(slotTime)
	defer timer.Stop()
	select {
	case c.slot <- struct{}{}:
		return nil
	case <-timer.C:
	}
	return fmt.Errorf("%w now: another is being fetched", ErrUnavailable)
}

// evict evicts the least recently used URL beyond maxCached. The caller holds the lock.
func (c *keyCache) evict(except string) {
	if len(c.entries) <= maxCached {
		return
	}
	oldest := ""
	for a, e := range c.entries {
		if a != except && e.flight == nil && (oldest == "" || e.used.Before(c.entries[oldest].used)) {
			oldest = a
		}
	}
	delete(c.entries, oldest)
}
