package persist

import (
	"time"
)

// warnEvery is how often a warning about the database is repeated. An outage may last for hours, and
// what is tried again in it is tried several times a second.
const warnEvery = 30 * time.Second

// WarnAgain logs that the database cannot be used, for something that is tried again until it can. While
// this lasts, the same text is logged every half minute.
func (s *Store) WarnAgain(text string, err error) {
	s.warned.Warn(s.log, text, "error", err)
}
