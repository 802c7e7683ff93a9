package engine

import (
	"encoding/json"

	"github.com/hookloom/hookloom/engine/plan"
)

// This file is how a replay from the failed step goes on with the run before it.

// carryOn has a run that continues another one see what that one saw: the same ids and
// random values, and, for calls in doubt, the same moment and the same idempotency key.
// Otherwise a call that may have taken effect would be another one to its receiver.
func (dr *driver) carryOn(t *Taken) {
	if t.Run.Continues == 0 {
		return
	}
	dr.state.RunID = dr.rootOf(t.Run.Continues, t.FirstReplays)
	if !t.FirstStarted.IsZero() {
		dr.state.StartedAt = t.FirstStarted
	}
	dr.kept = t.Kept
	for path, k := range t.Kept {
		if dr.state.Kept == nil {
			dr.state.Kept = map[string]*plan.Kept{}
		}
		dr.state.Kept[path] = &plan.Kept{Run: dr.described(k.Run, dr.state.StartedAt), Began: k.Began}
	}
}

// keyRun is the root of the idempotency key that a step has.
func (dr *driver) keyRun(path string) string {
	if k, ok := dr.kept[path]; ok {
		return dr.rootOf(k.Run, k.Replays)
	}
	return dr.keyRoot()
}

// InDoubt tells the paths of the calls that may have taken effect: an attempt was cut, and
// no later one was answered.
func (d *RunDetail) InDoubt() map[string]bool {
	out := map[string]bool{}
	for _, path := range d.KeptKeys {
		out[path] = true
	}
	for _, s := range d.Steps {
		answered := s.Status == "succeeded" || s.Status == "skipped"
		if s.Status == "failed" {
			var e struct{ Status *int }
			answered = json.Unmarshal(s.Error, &e) == nil && e.Status != nil
		}
		switch {
		case s.Status == "unknown":
			out[s.Path] = true
		case answered:
			delete(out, s.Path)
		}
	}
	return out
}
