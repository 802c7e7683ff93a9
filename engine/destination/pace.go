package destination

import (
	"context"
	"time"

	"github.com/hookloom/hookloom/workflows"
	"golang.org/x/time/rate"
)

// pacer enforces the rate of a host.
type pacer interface {
	// allow counts one attempt, if it may start now; opens is when the next one may.
	allow(now time.Time) bool
	opens(now time.Time) time.Time
}

// pace limits the attempts to a host so that no period of the rate's length has more of them. The
// bucket spreads them; alone it would admit an extra burst in the period after a pause, so the last
// attempts are counted as well. It uses the monotonic clock.
type pace struct {
	limit  workflows.Limit
	bucket *rate.Limiter
	// last are the times of the last limit.Rate attempts, with the oldest at index next once it is
	// full.
	last []time.Time
	next int
}

// newPace begins with a full bucket, or for a process that has just started with a debt of one
// burst: what the previous process sent is unknown.
func newPace(l workflows.Limit, now time.Time, justStarted bool) *pace {
	perSecond := float64(l.Rate) / l.Per.Seconds()
	// The dispatcher runs ten times a second.
	burst := min(max(1, int(perSecond/10)), l.Rate)
	p := &pace{limit: l, bucket: rate.NewLimiter(rate.Limit(perSecond), burst)}
	if justStarted {
		p.bucket.ReserveN(now, burst)
		p.bucket.ReserveN(now, burst)
	}
	return p
}

// allow counts one attempt.
func (p *pace) allow(now time.Time) bool {
	if p.full(now) || !p.bucket.AllowN(now, 1) {
		return false
	}
	if len(p.last) < p.limit.Rate {
		p.last = append(p.last, now)
		return true
	}
	p.last[p.next] = now
	p.next = (p.next + 1) % len(p.last)
	return true
}

// full reports whether the current period has reached its limit.
func (p *pace) full(now time.Time) bool {
	return len(p.last) == p.limit.Rate && now.Sub(p.last[p.next]) < p.limit.Per
}

// opens is when the next attempt may go.
func (p *pace) opens(now time.Time) time.Time {
	at := now
	if missing := 1 - p.bucket.TokensAt(now); missing > 0 {
		at = now.Add(time.Duration(missing / float64(p.bucket.Limit()) * float64(time.Second)))
	}
	if p.full(now) {
		if free := p.last[p.next].Add(p.limit.Per); free.After(at) {
			at = free
		}
	}
	return at
}

// freshFor is how long after its permit an attempt may start without asking the rate again.
const freshFor = 100 * time.Millisecond

// Renew asks the rate again if the process was suspended between the permit and the attempt: other
// attempts may have been sent since.
func (p *Permit) Renew(ctx context.Context) {
	if p == nil || p.at.IsZero() {
		return
	}
	ds, waits := p.ds, false
	ds.mu.Lock()
	defer ds.mu.Unlock()
	for ctx.Err() == nil {
		now := time.Now()
		pace := p.d.pace
		if pace == nil || !waits && now.Sub(p.at) < freshFor || pace.allow(now) {
			break
		}
		if s := p.d.shared; s != nil && !waits {
			s.waiting++
			ds.ask(p.d)
		}
		waits = true
		at := pace.opens(now)
		ds.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(max(at.Sub(now), time.Millisecond)):
		}
		ds.mu.Lock()
	}
	if s := p.d.shared; s != nil && waits {
		s.waiting = max(s.waiting-1, 0)
	}
}
