package engine

// SuspectCrashes is the number of crashes during a run's execution after which the run is suspected
// of causing them: from then on it executes together with a few others, then alone, to find out
// which run it is.
const SuspectCrashes = 2
