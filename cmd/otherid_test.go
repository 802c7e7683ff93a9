package cmd

import (
	"errors"
	"strings"
	"testing"
)

// TestAnIDOfAnotherKindNamesItsCommand checks what is said of an id that a command does not show.
func TestAnIDOfAnotherKindNamesItsCommand(t *testing.T) {
	for id, want := range map[string]string{
		"run_0d3c6f2a41e00000": "write hookloom run run_0d3c6f2a41e00000",
		"evt_0d3c6f2a41e00000": "write hookloom event evt_0d3c6f2a41e00000",
		"ref_3":                "write hookloom quarantine ref_3",
		"cfl_3":                "write hookloom admit cfl_3",
		"bat_0d3c6f2a41e00000": "write hookloom batches",
		"ch_1":                 "the hint",
		"run_":                 "the hint",
		"own_1":                "the hint",
	} {
		if got := otherID(errors.New("no"), "own_", id, "the hint").Error(); !strings.HasSuffix(got, "no; "+want) {
			t.Errorf("%s: %s", id, got)
		}
	}
}
