package cmd

import (
	"strings"
	"testing"
	"time"
)

func TestDoctorWarnsOfAClockThatDiffersFromTheServers(t *testing.T) {
	for ahead, want := range map[time.Duration]string{0: "", 2 * time.Second: "", -2 * time.Second: "",
		3 * time.Second: "3s ahead of", -time.Hour: "1h0m0s behind"} {
		d := clockHealth(ahead)
		if (d == nil) != (want == "") || d != nil && (d.Verdict != "warn" || !strings.Contains(d.Found, want)) {
			t.Errorf("%s: %+v", ahead, d)
		}
	}
}
