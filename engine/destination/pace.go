package destination

import (
	"context"
	"time"

	"github.com/hookloom/hookloom/workflows"
	"golang.org/x/time/rate"
)

// pace keeps the attempts to a host at a rate: no stretch of time as long as the rate's
// has more of them. The bucket spreads them; it alone would let a burst more through in
// the stretch that follows a pause, so the last attempts are counted as well. It goes by
// the monotonic clock.
type pace struct {
	limit  workflows.Limit
	bucket *rate.Limiter
	// last are the moments of the last limit.Rate attempts, the oldest at next once
	// there are as many.
	last []time.Time
	next int
}

// newPace begins with a full bucket, or for a process that has just started with a debt
// of one burst: what the process before sent is not known.
func newPace(l workflows.Limit, now time.Time, justStarted bool) *pace {
	perSecond := float64(l.Rate) / l.Per.Seconds()
	// The dispatcher looks ten times a second.
	burst := min(max(1, int(perSecond/10)), l.Rate)
	p := &pace{limit: l, bucket: rate.NewLimiter(rate.Limit(perSecond), burst)}
	if justStarted {
		p.bucket.ReserveN(now, burst)
		p.bucket.ReserveN(now, burst)
	}
	return p
}

// allow takes one attempt.
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

// full reports whether the last stretch of time has all that it may.
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

// freshFor is how long after its permit an attempt may go without asking the rate again.
const freshFor = 100 * time.Millisecond

// Renew asks the rate again when the process was stopped between the permit and the
// attempt: then others may have gone since, and it waits for its turn.
func (p *Permit) Renew(ctx context.Context) {
	if p == nil || p.at.IsZero() {
		return
	}
	for ctx.Err() == nil {
		now := time.Now()
		p.ds.mu.Lock()
		pace := p.d.pace
		if pace == nil || now.Sub(p.at) < freshFor || pace.allow(now) {
			p.ds.mu.Unlock()
			return
		}
		at := pace.opens(now)
		p.ds.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(max(at.Sub(now), time.Millisecond)):
		}
	}
}
