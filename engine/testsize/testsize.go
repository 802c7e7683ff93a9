// Package testsize reads the sizes of tests from the environment: the tests of a release run with
// larger sizes than CI. It knows nothing of Hookloom.
package testsize

import (
	"os"
	"strconv"
	"testing"
)

// Of returns the number in the environment variable name, or standard if the variable is not set.
func Of(t testing.TB, name string, standard int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return standard
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}
