//go:build race

package memory

// raceDetector reports whether the heap also contains the detector's data.
const raceDetector = true
