//go:build race

package memory

// raceDetector tells that the heap also holds what the detector needs.
const raceDetector = true
