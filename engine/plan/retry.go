package plan

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// retry reports whether a failed step is retried, and after which pause from the end of its last
// attempt.
//
// Attempts interrupted by a crash are not counted: the other side did not cause them.
func (p *planner) retry(s *workflows.Step, path string, list []*Record) (bool, time.Duration) {
	last := list[len(list)-1]
	r := s.Retry
	implicit := r == nil
	if implicit {
		if !repeatable(s) && last.Status != Unknown && (last.Error == nil || last.Error.Code != TokenCode) {
			return false, 0 // without a token, nothing was sent
		}
		r = workflows.DefaultRetry()
	}
	spent := 0
	for _, x := range list {
		if x.Status == Failed || x.Status == Unknown && x.Error != nil {
			spent++
		}
	}
	if spent > r.Max || last.Error == nil {
		return false, 0
	}
	if !p.worthIt(s, path, r, implicit, last, spent) {
		return false, 0
	}
	if r.OnlyUndone && !undone(last) {
		return false, 0
	}
	pause := Pause(r, spent, fmt.Sprintf("%s/%s/%d", p.st.RunID, path, last.Attempt))
	if wait := min(last.Error.RetryAfter, r.MaxDelay); wait > pause {
		pause = wait
	}
	if r.For > 0 && last.FinishedAt.Add(pause).Sub(list[0].StartedAt) > r.For {
		return false, 0
	}
	if last.Error.Resumed {
		// Only the pause ends, so that decisions about other attempts stand.
		pause = 0
	}
	return true, pause
}

// undone reports whether the other side cannot have executed an attempt: nothing was sent, or it
// refused to process the request now (RFC 6585, 4).
func undone(r *Record) bool {
	return r.Status == Failed &&
		(r.Error.Status == 429 || r.Error.Status == 0 && (r.Error.Code == "network" || r.Error.Code == "destination_down" ||
			r.Error.Code == TokenCode))
}

// worthIt evaluates the workflow's retry condition; without one, it reports whether a retry can
// help.
func (p *planner) worthIt(s *workflows.Step, path string, r *workflows.Retry, implicit bool, last *Record, spent int) bool {
	if r.When == nil || implicit {
		return last.Error.Retryable || last.Status == Unknown
	}
	env := p.env(last.FinishedAt, path)
	e := *last.Error
	e.Attempts, e.Step = spent, path
	env.Names["error"] = e.names()
	ok, err := r.When.Condition(env)
	return err == nil && ok
}

// repeatable reports whether repeating the step is safe by HTTP's own rules (RFC 9110, 9.2.2): GET,
// HEAD, PUT, DELETE.
func repeatable(s *workflows.Step) bool {
	if s.Spec.Safe {
		return true
	}
	if !s.Spec.SafeMethods {
		return false
	}
	method := "GET"
	if v, constant := s.With.Field("method").IsConstant(); constant && v != nil {
		method = strings.ToUpper(fmt.Sprint(v))
	} else if !constant {
		return false
	}
	switch method {
	case "GET", "HEAD", "PUT", "DELETE":
		return true
	}
	return false
}

// Pause is the waiting time after the n-th failure, n from 1: delay times factor^(n-1), at most
// max_delay, and with jitter a point between half of that and all of it. The point is derived from
// the attempt's address, so that asking again returns the same time and thousands of runs spread
// out.
//
// With the defaults (1s, 2, 5m) the pauses before jitter are 1s, 2s, 4s, 8s, 16s, 32s, 64s, 128s,
// 256s, then 300s.
func Pause(r *workflows.Retry, n int, address string) time.Duration {
	full := float64(r.Delay) * math.Pow(r.Factor, float64(n-1))
	if full > float64(r.MaxDelay) || math.IsInf(full, 0) {
		full = float64(r.MaxDelay)
	}
	if !r.Jitter {
		return time.Duration(full)
	}
	// Addresses differ only in their last letters, which faster hashes do not spread.
	sum := sha256.Sum256([]byte(address))
	part := float64(binary.BigEndian.Uint64(sum[:])>>11) / float64(1<<53)
	return time.Duration(full/2 + part*full/2)
}

// RetryableStatus reports whether a server that answered with an HTTP status may answer differently
// soon (RFC 9110, 15; RFC 6585, 4).
func RetryableStatus(status int) bool {
	switch status {
	case 408, 425, 429:
		return true
	case 501, 505:
		return false
	}
	return status >= 500
}
