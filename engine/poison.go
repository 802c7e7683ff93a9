package engine

// SuspectCrashes is after how many crashes during its work a run is suspected of causing
// them: from then on it runs beside a few others, then alone, to find out which run it is.
const SuspectCrashes = 2
