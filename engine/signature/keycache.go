package signature

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// keyCache holds the keys that one scheme has fetched, by address. Unverified callers
// choose addresses and key ids, so the cost is limited: one fetch at a time and
// fetchesPerMinute of them; known keys never wait for a fetch.
type keyCache struct {
	mu      sync.Mutex
	entries map[string]*cached
	// failed are addresses that gave no key, until when.
	failed map[string]failure
	// slot is held by the one fetch that is under way; waiting counts who wants it.
	slot    chan struct{}
	waiting int
	// minute and spent count the fetches of the present minute.
	minute time.Time
	spent  int
}

// cached is what one address gave.
type cached struct {
	keys    []PublicKey
	fetched time.Time
	until   time.Time
	used    time.Time
	// flight is closed when the fetch that is under way ends; nil when there is none.
	flight *flight
}

type failure struct {
	err   error
	until time.Time
}

// flight is one fetch, which all who need it wait for.
type flight struct {
	done chan struct{}
	keys []PublicKey
	err  error
}

const (
	// maxCached bounds the addresses that are remembered, and those that failed.
	maxCached = 256
	// retryFetch is how long a failure is remembered, and how often an address is
	// asked for a key that it did not have.
	retryFetch = 30 * time.Second
	// fetchTime bounds one fetch, slotTime the wait for the one before.
	fetchTime = 5 * time.Second
	slotTime  = 5 * time.Second
	// fetchesPerMinute and maxFetchWaiters limit the fetches that unverified callers can
	// cause.
	fetchesPerMinute = 30
	maxFetchWaiters  = 16
)

// get returns the keys of an address, fetched if need be.
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
	// Keys that are due to be fetched again count a while longer when that fails.
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
		c.fly(ctx, address, e, f, now, keep, !known, fetch)
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

// holds reports whether the keys can prove what names kid: a set whose keys have names
// holds only those.
func holds(keys []PublicKey, kid string) bool {
	return kid == "" || slices.ContainsFunc(keys, func(k PublicKey) bool { return k.ID == "" || k.ID == kid })
}

// fly fetches, and notes what came of it. It goes on when who asked has left: others
// may wait for it.
func (c *keyCache) fly(ctx context.Context, address string, e *cached, f *flight, now time.Time, keep time.Duration, patient bool,
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
		c.forget(address)
	case !refused: // the address was asked, and gave nothing
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

// enter waits for the fetch before to end, if there is patience, and counts.
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

// forget drops the address that was not used for longest, beyond maxCached. It is
// called with the lock held.
func (c *keyCache) forget(except string) {
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
