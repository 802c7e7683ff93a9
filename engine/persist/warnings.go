package persist

import (
	"sync"
	"time"
)

// warnEvery is how often a warning about the database is repeated. An outage may last for hours, and
// what is tried again in it is tried several times a second.
const warnEvery = 30 * time.Second

// warnings are those that were logged last.
type warnings struct {
	mu   sync.Mutex
	last map[string]time.Time // by text, which is constant: the map stays small
}

// WarnAgain logs that the database cannot be used, for something that is tried again until it can. While
// this lasts, the same text is logged every half minute.
func (s *Store) WarnAgain(text string, err error) {
	w := &s.warned
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if last, ok := w.last[text]; ok && now.Sub(last) < warnEvery {
		return
	}
	w.last[text] = now
	s.log.Warn(text, "error", err)
}
