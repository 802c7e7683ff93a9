package engine

// ReplayOrder says how a run is repeated.
type ReplayOrder struct {
	// From is start, or failed to keep the steps that had succeeded.
	From string
	// Version is pinned, the version that ran, or current.
	Version string
	By      string
	// Again repeats a run also when it was repeated already.
	Again bool
}

// Replayed is the run that repeats another.
type Replayed struct {
	Run RunID
	// Already tells that an earlier order made it.
	Already bool
	// InDoubt is how many calls of the old run may have taken effect. From the failed step
	// they are made again with the same idempotency key, from the start with a new one.
	InDoubt int
}

// ReplayedError says that a run was repeated already.
type ReplayedError struct{ As RunID }

// Error implements error.
func (e *ReplayedError) Error() string { return "it was already replayed as " + e.As.String() }
