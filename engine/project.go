package engine

import (
	"time"
)

// ProjectState describes which of the project's files are loaded.
type ProjectState struct {
	// LoadedAt is when the current files were loaded.
	LoadedAt time.Time `json:"loaded_at"`
	// FailedAt is when a reload last found a mistake; nil if all files are loaded in their current
	// version.
	FailedAt *time.Time `json:"failed_at,omitempty"`
	// Mistakes are the mistakes in the files as they are now, as hookloom validate prints them;
	// empty for none.
	Mistakes string `json:"mistakes,omitempty"`
	// Kept are files whose last good version is used; Left are broken files without one, which are
	// ignored.
	Kept []string `json:"kept,omitempty"`
	Left []string `json:"left,omitempty"`
	// Restart lists changed settings that take effect at the next start.
	Restart []string `json:"restart_needed,omitempty"`
}

// Broken reports whether some files are not loaded in their current version.
func (s *ProjectState) Broken() bool { return s != nil && s.FailedAt != nil }

// BrokenFiles counts the files that are not loaded in their current version.
func (s *ProjectState) BrokenFiles() int {
	if !s.Broken() {
		return 0
	}
	return max(1, len(s.Kept)+len(s.Left))
}
