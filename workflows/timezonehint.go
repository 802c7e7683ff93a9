package workflows

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"github.com/hookloom/hookloom/workflows/spelling"
)

// This file says what to write for a time zone that does not exist.

// zones are common time zones, for suggestions.
var zones = []string{
	"Europe/London", "Europe/Dublin", "Europe/Lisbon", "Europe/Berlin", "Europe/Paris", "Europe/Madrid", "Europe/Rome",
	"Europe/Istanbul", "Europe/Amsterdam", "Europe/Brussels", "Europe/Zurich", "Europe/Vienna", "Europe/Warsaw", "Europe/Prague",
	"Europe/Budapest", "Europe/Athens", "Europe/Bucharest", "Europe/Sofia", "Europe/Belgrade", "Europe/Zagreb", "Europe/Copenhagen",
	"Europe/Stockholm", "Europe/Oslo", "Europe/Helsinki", "Europe/Tallinn", "Europe/Riga", "Europe/Vilnius", "Europe/Kyiv",
	"Europe/Moscow", "Europe/Luxembourg", "America/New_York", "America/Chicago", "America/Denver", "America/Phoenix",
	"America/Los_Angeles", "America/Anchorage", "America/Detroit", "America/Toronto", "America/Vancouver", "America/Halifax",
	"America/Mexico_City", "America/Bogota", "America/Lima", "America/Santiago", "America/Sao_Paulo", "America/Caracas",
	"Asia/Tokyo", "Asia/Seoul", "Asia/Shanghai", "Asia/Hong_Kong", "Asia/Taipei", "Asia/Singapore", "Asia/Manila", "Asia/Jakarta",
	"Asia/Bangkok", "Asia/Kolkata", "Asia/Karachi", "Asia/Dhaka", "Asia/Colombo", "Asia/Kathmandu", "Asia/Dubai", "Asia/Riyadh",
	"Asia/Tehran", "Asia/Jerusalem", "Africa/Cairo", "Africa/Lagos", "Africa/Nairobi", "Africa/Johannesburg", "Africa/Casablanca",
	"Australia/Sydney", "Australia/Melbourne", "Australia/Brisbane", "Australia/Perth", "Australia/Adelaide", "Pacific/Auckland",
	"Pacific/Honolulu", "Atlantic/Reykjavik",
}

// zoneCities are well-known cities by the zone whose time they have: the database of time zones names only one
// city for each. Source: IANA tz database, files zone1970.tab and backward.
var zoneCities = map[string]string{
	"Europe/Berlin": "munich muenchen münchen hamburg frankfurt cologne koeln köln stuttgart dusseldorf duesseldorf düsseldorf leipzig " +
		"dresden hanover hannover nuremberg nuernberg nürnberg bremen bonn essen dortmund mannheim karlsruhe freiburg germany",
	"Europe/Zurich": "geneva geneve genf basel bern berne lausanne lugano switzerland zürich zuerich",
	"Europe/Vienna": "graz salzburg linz innsbruck austria wien",
	"Europe/Rome":   "milan milano turin torino naples napoli florence bologna venice genoa palermo italy roma",
	"Europe/Madrid": "barcelona valencia seville bilbao malaga zaragoza spain",
	"Europe/Paris":  "lyon marseille toulouse nice bordeaux lille nantes strasbourg france",
	"Europe/London": "manchester birmingham edinburgh glasgow liverpool leeds bristol cardiff cambridge oxford england scotland",
	"Europe/Lisbon": "porto oporto lisboa portugal", "Europe/Dublin": "cork galway ireland",
	"Europe/Amsterdam": "rotterdam utrecht eindhoven the_hague netherlands", "Europe/Brussels": "antwerp ghent bruges belgium",
	"Europe/Warsaw": "krakow kraków cracow gdansk wroclaw poznan lodz poland", "Europe/Prague": "brno ostrava praha",
	"Europe/Stockholm": "gothenburg malmo uppsala sweden", "Europe/Copenhagen": "aarhus odense denmark",
	"Europe/Oslo": "bergen trondheim norway", "Europe/Helsinki": "tampere espoo turku finland",
	"Europe/Moscow": "saint_petersburg st_petersburg", "Europe/Istanbul": "ankara izmir antalya turkey",
	"Europe/Athens": "thessaloniki greece", "Europe/Kyiv": "lviv odesa kharkiv ukraine", "Europe/Bucharest": "cluj timisoara romania",
	"Asia/Kolkata": "mumbai bombay delhi new_delhi bangalore bengaluru chennai madras hyderabad pune ahmedabad jaipur noida " +
		"gurgaon gurugram kochi india",
	"Asia/Shanghai": "beijing peking shenzhen guangzhou hangzhou chengdu wuhan nanjing tianjin xian suzhou china",
	"Asia/Tokyo":    "osaka kyoto yokohama nagoya sapporo fukuoka kobe japan", "Asia/Seoul": "busan incheon korea",
	"Asia/Ho_Chi_Minh": "hanoi da_nang danang vietnam", "Asia/Dubai": "abu_dhabi sharjah uae",
	"Asia/Riyadh": "jeddah mecca medina", "Asia/Jerusalem": "haifa israel", "Asia/Karachi": "lahore islamabad rawalpindi pakistan",
	"Asia/Manila": "cebu quezon_city philippines", "Asia/Jakarta": "bandung surabaya", "Asia/Kuala_Lumpur": "penang malaysia",
	"America/New_York": "boston washington washington_dc miami atlanta philadelphia pittsburgh baltimore charlotte orlando tampa " +
		"cleveland columbus raleigh new_york_city nyc brooklyn eastern",
	"America/Chicago": "dallas houston austin san_antonio minneapolis milwaukee new_orleans nashville memphis kansas_city st_louis " +
		"saint_louis oklahoma_city omaha central",
	"America/Denver": "salt_lake_city albuquerque boulder colorado_springs mountain",
	"America/Los_Angeles": "san_francisco seattle portland san_diego san_jose sacramento las_vegas oakland palo_alto mountain_view " +
		"cupertino redmond pacific california",
	"America/Detroit": "ann_arbor", "America/Phoenix": "tucson scottsdale",
	"America/Toronto": "ottawa montreal quebec hamilton_ontario", "America/Edmonton": "calgary",
	"America/Sao_Paulo": "rio_de_janeiro rio brasilia belo_horizonte curitiba", "America/Mexico_City": "guadalajara puebla",
	"America/Bogota": "medellin cali colombia", "America/Argentina/Buenos_Aires": "rosario",
	"Australia/Sydney": "canberra newcastle wollongong", "Australia/Brisbane": "gold_coast",
	"Pacific/Auckland":    "wellington christchurch new_zealand",
	"Africa/Johannesburg": "cape_town durban pretoria", "Africa/Cairo": "alexandria egypt", "Africa/Lagos": "abuja nigeria",
	"Africa/Casablanca": "rabat marrakesh marrakech", "Africa/Nairobi": "mombasa kenya",
}

// zoneOffset matches a distance from UTC.
var zoneOffset = lazyregexp.New(`(?i)^(?:UTC|GMT|Z)?\s*([+-])\s*(\d{1,2})(?::?(\d{2}))?$`)

// lettersOnly matches a word.
var lettersOnly = lazyregexp.New(`[A-Za-z]{3,}`)

// zoneList says where the names of time zones are.
const zoneList = "write the name of a city that has a zone, such as Europe/Berlin, or UTC: " +
	"https://data.iana.org/time-zones/tzdb/zone1970.tab lists them"

// zoneHint says what to write for a time zone that does not exist. It proposes another city only for a misspelling:
// the times of cities with similar names differ.
func zoneHint(tz string) string {
	if m := zoneOffset.FindStringSubmatch(tz); m != nil {
		return offsetHint(m[1], m[2], m[3])
	}
	plain := strings.ToLower(strings.NewReplacer(" ", "_", "-", "_").Replace(tz))
	region, city, has := strings.Cut(plain, "/")
	if !has {
		region, city = "", plain
	}
	for _, zone := range slices.Sorted(maps.Keys(zoneCities)) {
		if slices.Contains(strings.Fields(zoneCities[zone]), city) {
			return fmt.Sprintf("write %s: it has the time of %s", zone, title(city))
		}
	}
	best, bestDistance := "", 1+min(2, len(city)/5)
	for _, zone := range zones {
		of, name, _ := strings.Cut(strings.ToLower(zone), "/")
		near := region == "" || region == of || len(region) > 4 && spelling.Distance(region, of, 3) < 3
		if city == name {
			best = zone
			break
		}
		if n := spelling.Distance(city, name, bestDistance); near && n < bestDistance {
			best, bestDistance = zone, n
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if plain == "z" || plain == "zulu" || plain == "gmt" || plain == "ut" || plain == "utc" {
		return "write UTC"
	}
	return zoneList
}

// title writes the name of a city as people do.
func title(city string) string {
	words := strings.Split(city, "_")
	for i, w := range words {
		if w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, " ")
}

// offsetHint says how to write a distance from UTC. The names of these zones have the opposite sign: Etc/GMT-1 is one
// hour ahead of UTC. Source: IANA tz database, file etcetera, which follows the sign of POSIX.
func offsetHint(sign, hours, minutes string) string {
	n, err := strconv.Atoi(hours)
	const summer = "a city's zone also follows summer time"
	if err != nil || n > 14 || sign == "-" && n > 12 {
		return zoneList
	}
	if minutes != "" && minutes != "00" {
		return "a distance with minutes has no name: write a city that has this time, such as Asia/Kolkata for +05:30"
	}
	if n == 0 {
		return "write UTC"
	}
	opposite := map[string]string{"+": "-", "-": "+"}[sign]
	hint := fmt.Sprintf("write Etc/GMT%s%d (its sign is the opposite: this is UTC%s%d)", opposite, n, sign, n)
	if city := offsetCities[sign+strconv.Itoa(n)]; city != "" {
		hint += fmt.Sprintf(", or a city such as %s: %s", city, summer)
	}
	return hint
}

// offsetCities are cities by the distance of their winter time from UTC.
var offsetCities = map[string]string{
	"+1": "Europe/Berlin", "+2": "Europe/Athens", "+3": "Europe/Istanbul", "+8": "Asia/Singapore", "+9": "Asia/Tokyo",
	"+10": "Australia/Sydney", "+12": "Pacific/Auckland", "-5": "America/New_York", "-6": "America/Chicago", "-7": "America/Denver",
	"-8": "America/Los_Angeles", "-3": "America/Sao_Paulo", "+7": "Asia/Bangkok", "+4": "Asia/Dubai",
}

// timezone reads a time zone; nil if it is not set.
func (d *decoder) timezone(o *objectNode, name string) *time.Location {
	tz := o.text(name, "")
	if tz == "" {
		return nil
	}
	loc, err := time.LoadLocation(tz)
	if err != nil {
		d.add(o.at(name), "unknown-word", fmt.Sprintf("no time zone %q", tz), zoneHint(tz))
		return nil
	}
	return loc
}
