package engine

import (
	"encoding/json"
)

// This file finds the calls that a replay from the failed step repeats with their old idempotency
// keys.

// InDoubt returns the paths of the calls that may have taken effect, and of those that called runs
// with such calls: an attempt was interrupted, and no later one got a response.
func (d *RunDetail) InDoubt() map[string]bool {
	out := map[string]bool{}
	for _, path := range d.KeptKeys {
		out[path] = true
	}
	for _, s := range d.Steps {
		answered := s.Status == "succeeded" || s.Status == "skipped"
		var e struct {
			Status  *int
			InDoubt bool `json:"in_doubt"`
		}
		if s.Status == "failed" {
			answered = json.Unmarshal(s.Error, &e) == nil && e.Status != nil
		}
		switch {
		case s.Status == "unknown" || e.InDoubt:
			out[s.Path] = true
		case answered:
			delete(out, s.Path)
		}
	}
	return out
}
