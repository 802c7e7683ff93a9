//go:build race

package signature_test

// raceDetector reports whether pools drop what they hold at random, so that
// allocations cannot be counted.
const raceDetector = true
