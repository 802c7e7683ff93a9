//go:build race

package memory

// raceDetector reports whether the heap also holds what the detector needs.
const raceDetector = true
