package workflows

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata"
)

// TestATimeZoneIsCorrectedOnlyToOneWithTheSameTime: a near spelling, a city's zone or a distance from UTC, and
// never the zone of another city.
func TestATimeZoneIsCorrectedOnlyToOneWithTheSameTime(t *testing.T) {
	for tz, want := range map[string]string{
		"UTC+1": "write Etc/GMT-1 (its sign is the opposite: this is UTC+1)", "GMT-05:00": "write Etc/GMT+5 ",
		"+02:00": "write Etc/GMT-2 ", "UTC+05:30": "Asia/Kolkata for +05:30", "UTC+0": "write UTC", "+19:00": zoneList,
		"Europe/Munich": "write Europe/Berlin: it has the time of Munich", "Asia/Mumbai": "write Asia/Kolkata:",
		"America/San_Francisco": "write America/Los_Angeles:", "america/san francisco": "write America/Los_Angeles:",
		"Beijing": "write Asia/Shanghai:", "Europe/Lisabon": `did you mean "Europe/Lisbon"?`, "berlin": `did you mean "Europe/Berlin"?`,
		"europe/berlin": `did you mean "Europe/Berlin"?`, "Eruope/Paris": `did you mean "Europe/Paris"?`,
		"America/NewYork": `did you mean "America/New_York"?`, "Asia/Berlin": `did you mean "Europe/Berlin"?`,
		"Europe/Zurch": `did you mean "Europe/Zurich"?`,
		// Other cities of similar names.
		"Europe/Lome": zoneList, "Europe/Punich": zoneList, "Asia/Dubay_Town": zoneList, "Africa/Rome_": zoneList, "CEST": zoneList,
	} {
		if got := zoneHint(tz); !strings.HasPrefix(got, want) && !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", tz, got, want)
		}
	}
}

// TestEveryProposedTimeZoneExists and the sign of the proposed distances is the opposite one.
func TestEveryProposedTimeZoneExists(t *testing.T) {
	names := append([]string{}, zones...)
	for zone := range zoneCities {
		names = append(names, zone)
	}
	seen := map[string]string{}
	for zone, cities := range zoneCities {
		for _, city := range strings.Fields(cities) {
			if other := seen[city]; other != "" {
				t.Errorf("%s is in %s and %s", city, other, zone)
			}
			seen[city] = zone
		}
	}
	winter := time.Date(2026, 1, 15, 0, 0, 0, 0, time.UTC)
	for offset, zone := range offsetCities {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		_, seconds := winter.In(loc).Zone()
		if strings.HasPrefix(zone, "Australia/") || strings.HasPrefix(zone, "Pacific/") {
			_, seconds = winter.AddDate(0, 6, 0).In(loc).Zone()
		}
		if got := seconds / 3600; got != map[bool]int{true: 1, false: -1}[offset[0] == '+']*atoi(offset[1:]) {
			t.Errorf("%s: %s is %d hours from UTC", offset, zone, got)
		}
		etc, _, _ := strings.Cut(strings.TrimPrefix(offsetHint(offset[:1], offset[1:], ""), "write "), " ")
		at, err := time.LoadLocation(etc)
		if err != nil {
			t.Fatal(err)
		}
		if _, of := winter.In(at).Zone(); of != seconds {
			t.Errorf("%s: %s is %d seconds from UTC", offset, etc, of)
		}
	}
	for _, name := range names {
		if _, err := time.LoadLocation(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func atoi(s string) (n int) {
	for _, c := range s {
		n = 10*n + int(c-'0')
	}
	return n
}
