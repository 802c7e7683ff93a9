//go:build race

package engine

// raceDetector tells that the heap also holds what the detector needs.
const raceDetector = true
