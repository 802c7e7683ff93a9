package engine

import (
	"time"
)

// ProjectState tells which of the project's files are in force.
type ProjectState struct {
	// LoadedAt is when the files in force were loaded.
	LoadedAt time.Time `json:"loaded_at"`
	// FailedAt is when a reload last found a mistake; nil when the files as they are
	// now are all in force.
	FailedAt *time.Time `json:"failed_at,omitempty"`
	// Mistakes are those of the files as they are now, as hookloom validate prints
	// them; empty when there are none.
	Mistakes string `json:"mistakes,omitempty"`
	// Kept are files whose last good version is in force; Left are broken files that
	// have none, and take no part.
	Kept []string `json:"kept,omitempty"`
	Left []string `json:"left,omitempty"`
	// Restart names settings that have changed and take effect at the next start.
	Restart []string `json:"restart_needed,omitempty"`
}

// Broken tells that not all files are in force as they are now.
func (s *ProjectState) Broken() bool { return s != nil && s.FailedAt != nil }

// BrokenFiles counts the files that are not in force as they are now.
func (s *ProjectState) BrokenFiles() int {
	if !s.Broken() {
		return 0
	}
	return max(1, len(s.Kept)+len(s.Left))
}
