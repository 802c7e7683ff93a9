package engine

// ReplayOrder is how a run is replayed.
type ReplayOrder struct {
	// From is start, or failed to keep the steps that had succeeded.
	From string
	// Version is pinned, the version that ran, or current.
	Version string
	By      string
	// Again replays a run even if it was replayed before.
	Again bool
}

// Replayed is the run that replays another.
type Replayed struct {
	Run RunID
	// Already reports that an earlier order made it.
	Already bool
	// InDoubt is how many calls of the old run may have taken effect. A replay from the failed step
	// repeats them with the same idempotency key, one from the start with a new key.
	InDoubt int
}

// ReplayedError means that a run was replayed before.
type ReplayedError struct{ As RunID }

// Error implements error.
func (e *ReplayedError) Error() string { return "it was already replayed as " + e.As.String() }
