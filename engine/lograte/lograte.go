// Package lograte limits how often the same line is logged. During an outage each delivery and each retry
// fails in the same way, and anyone who sends deliveries could fill the disk with lines.
//
// It knows nothing about what is logged. It must not be used for lines of which each one matters.
package lograte

import (
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Flood is how often a line that each delivery of a flood would log is logged.
const Flood = time.Second

// Log logs each text at most once in a period. Its methods are safe for concurrent use.
type Log struct {
	every time.Duration
	mu    sync.Mutex
	// lines are by text, which is constant: the map stays small.
	lines map[string]*line
}

// line is when a text was logged last, and how often it was left out since then.
type line struct {
	at         time.Time
	suppressed int
}

// New returns a log that logs each text at most once in every.
func New(every time.Duration) *Log { return &Log{every: every, lines: map[string]*line{}} }

// Warn logs a warning if its text was not logged in the period before; otherwise it counts it. The next
// line of the text says how many were left out, as suppressed. There is no line at the end of a period:
// when an outage is over, nothing more is logged of it.
func (l *Log) Warn(to *slog.Logger, text string, args ...any) {
	if args, ok := l.take(text, args); ok {
		to.Warn(text, args...)
	}
}

// Error is Warn for an error.
func (l *Log) Error(to *slog.Logger, text string, args ...any) {
	if args, ok := l.take(text, args); ok {
		to.Error(text, args...)
	}
}

// take reports whether a text may be logged now, and returns its arguments with the number of those left
// out before.
func (l *Log) take(text string, args []any) (with []any, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	last := l.lines[text]
	if last != nil && now.Sub(last.at) < l.every {
		last.suppressed++
		return nil, false
	}
	l.lines[text] = &line{at: now}
	if last != nil && last.suppressed > 0 {
		args = append(slices.Clip(args), "suppressed", last.suppressed)
	}
	return args, true
}
