//go:build race

package signature_test

// raceDetector reports whether pools randomly drop items, so that allocations cannot be counted.
const raceDetector = true
