package expr

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows/value"
)

// timeLayouts are the formats of times that are parsed without a layout: RFC 3339 and shorter
// forms, and those of mail and HTTP (RFC 822, 850, 1123, 5322).
var timeLayouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999 -0700",
	"2006-01-02T15:04Z07:00",
	"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02",
	"Mon, 2 Jan 2006 15:04:05 -0700", "Mon, 2 Jan 2006 15:04:05 MST", "2 Jan 2006 15:04:05 -0700", "2 Jan 2006 15:04:05 MST",
	time.RFC822Z, time.RFC822, time.RFC850,
	"20060102T150405.999999999Z0700", "20060102T150405.999999999", // ISO 8601 in its basic format, as in iCalendar (RFC 5545, 3.3.5)
}

// zoneWords are the zones that RFC 822 defines, except UT and Z, see ParseTime.
var zoneWords = map[string]int{
	"GMT": 0,
	"UTC": 0,
	"EST": -5,
	"EDT": -4,
	"CST": -6,
	"CDT": -5,
	"MST": -7,
	"MDT": -6,
	"PST": -8,
	"PDT": -7,
}

// ParseTime parses a time in one of the formats that expressions and --since accept. Text without a
// zone is in zone.
func ParseTime(text string, zone *time.Location) (time.Time, error) {
	text = strings.TrimSpace(text)
	inUTC := text
	for _, word := range []string{" UT", " Z"} { // RFC 822, section 5.1; package time reads zones of three letters or more
		if rest, ok := strings.CutSuffix(text, word); ok {
			inUTC = rest + " UTC"
		}
	}
	if len(inUTC) > 19 && inUTC[10] == 't' { // RFC 3339, section 5.6
		inUTC = strings.Replace(strings.Replace(inUTC, "t", "T", 1), "z", "Z", 1)
	}
	for _, layout := range timeLayouts {
		if t, err := parseLocal(layout, inUTC, zone); err == nil || errors.As(err, new(*zoneError)) {
			return t, err
		}
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil && strings.Trim(text, "0123456789.") == "" {
		return time.Time{}, fmt.Errorf("%q is a number as text; write date(int(…)) if it is Unix seconds", value.Clip(text, 40))
	}
	return time.Time{}, fmt.Errorf("%q is not a time: write it as 2026-01-31T10:00:00Z, 2026-01-31 10:00, 2026-01-31 or as mail "+
		"does, or give its layout", value.Clip(text, 60))
}

// noZone is the zone of a time whose text has none: no place has an offset of a second.
var noZone = time.FixedZone("", 1)

// parseLocal parses a time; one without an offset or a zone is local time in zone. It returns a
// *zoneError if only the zone cannot be read.
func parseLocal(layout, text string, zone *time.Location) (time.Time, error) {
	t, err := time.ParseInLocation(layout, text, noZone)
	if err != nil || t.Location() == time.UTC {
		return t, err
	}
	// In a zone without names, package time reads a name as such, and takes the clock as UTC.
	name, offset := t.Zone()
	switch {
	case t.Location() == noZone:
		return localTime(t.Add(time.Second).UTC(), zone), nil
	case name != "":
		return namedZone(t.UTC(), name, zone)
	case offset <= -24*3600 || offset >= 24*3600:
		return t, &zoneError{fmt.Sprintf("%q has an offset of a day or more", value.Clip(text, 60))}
	}
	return time.ParseInLocation(layout, text, zone)
}

// localTime returns the time at which the clocks of a zone show what wall says in UTC. Around a
// change of the clock, package time chooses either offset: here a time that occurs twice is the first
// one, and a time that does not occur is as long after the change as it says, as in ECMAScript and
// Python.
func localTime(wall time.Time, zone *time.Location) time.Time {
	_, before := wall.AddDate(0, 0, -1).In(zone).Zone()
	_, after := wall.AddDate(0, 0, 1).In(zone).Zone()
	first := wall.Add(-time.Duration(before) * time.Second).In(zone)
	last := wall.Add(-time.Duration(after) * time.Second).In(zone)
	if _, offset := first.Zone(); offset == before {
		return first
	}
	if _, offset := last.Zone(); offset == after {
		return last
	}
	return first
}

// zoneError is a time whose zone cannot be read.
type zoneError struct{ text string }

// Error implements error.
func (e *zoneError) Error() string { return e.text }

// namedZone returns the time at which the clocks of the zone of a name, such as CET, EST, GMT+2 or +02, show what wall
// says in UTC. A name that zone uses in that year is the zone's; others are those of RFC 822.
func namedZone(wall time.Time, name string, zone *time.Location) (time.Time, error) {
	fixed := func(hours int) (time.Time, error) {
		at := time.FixedZone(name, hours*3600)
		return time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), at), nil
	}
	if signed := strings.TrimPrefix(name, "GMT"); signed != "" && strings.IndexByte("+-", signed[0]) >= 0 {
		if hours, err := strconv.Atoi(signed); err == nil && hours > -24 && hours < 24 {
			return fixed(hours)
		}
	}
	if offset, ok := offsetInYear(wall, name, zone); ok {
		return wall.Add(-time.Duration(offset) * time.Second).In(zone), nil
	}
	if hours, ok := zoneWords[name]; ok {
		return fixed(hours)
	}
	return wall, &zoneError{fmt.Sprintf("the zone abbreviation %s is ambiguous; write an offset such as +02:00", value.Clip(name, 10))}
}

// offsetInYear returns the offset, in seconds, of a name that a zone uses at a time, or else within half a year of it.
func offsetInYear(wall time.Time, name string, zone *time.Location) (offset int, ok bool) {
	for day := range 183 {
		for _, t := range []time.Time{wall.AddDate(0, 0, day), wall.AddDate(0, 0, -day)} {
			if used, offset := t.In(zone).Zone(); used == name {
				return offset, true
			}
		}
	}
	return 0, false
}

// maxUnixSeconds is in the year 5138: larger values are milliseconds.
const maxUnixSeconds = 99_999_999_999

// unixTime converts Unix seconds, with microsecond precision.
func unixTime(v any) (time.Time, error) {
	d, err := toDecimal(v)
	if err != nil {
		return time.Time{}, err
	}
	f := toFloat(d).(float64)
	if math.Abs(f) > maxUnixSeconds {
		switch {
		case math.Abs(f) < maxUnixSeconds*1e3:
			return time.Time{}, fmt.Errorf("%s are milliseconds; write date(… / 1000)", d)
		case math.Abs(f) < maxUnixSeconds*1e6:
			return time.Time{}, fmt.Errorf("%s are microseconds; write date(… / 1000000)", d)
		case math.Abs(f) < maxUnixSeconds*1e9:
			return time.Time{}, fmt.Errorf("%s are nanoseconds; write date(decimal(…) / 1000000000)", d)
		}
		return time.Time{}, fmt.Errorf("%s is not a Unix time in seconds", value.Clip(d.String(), 40))
	}
	seconds, part := math.Modf(f)
	return time.Unix(int64(seconds), int64(math.Round(part*1e6))*1000).UTC(), nil
}

// AsTime converts a value to a time: text in the formats that date accepts, or Unix seconds.
func AsTime(v any) (time.Time, error) { return timeIn(v, time.UTC) }

// timeIn converts a time, Unix seconds, or text in a zone.
func timeIn(v any, zone *time.Location) (time.Time, error) {
	switch x := operand(v).(type) {
	case time.Time:
		return x, nil
	case int, float64, Decimal:
		return unixTime(x)
	case string:
		return ParseTime(x, zone)
	case nil:
		return time.Time{}, errors.New("date(nil): the value is nil; write ?? before it")
	}
	return time.Time{}, fmt.Errorf("%s is not a time", value.Describe(v))
}

// location returns a zone that is given as a result of timezone() or by name.
func location(v any) (*time.Location, bool, error) {
	switch x := v.(type) {
	case *time.Location:
		return x, true, nil
	case time.Location: // expr follows pointers of arguments
		return &x, true, nil
	case string:
		zone, err := loadZone(x)
		if err != nil {
			return nil, false, fmt.Errorf("%q is not a time zone, such as Europe/Berlin", value.Clip(x, 40))
		}
		return zone, true, nil
	}
	return nil, false, nil
}

// timeSteps is the work of parsing or formatting a time; parsing may try each format.
const timeSteps = 100

// date implements date(x), date(text, layout), date(text, layout, zone), and each with timezone(z)
// as the first argument, like expr.
func (m *meter) date(a []any) any {
	m.work(timeSteps)
	m.read(a, 2)
	zone, given := time.UTC, false
	if _, isText := arg("date", a, 0).(string); !isText {
		if z, ok, err := location(a[0]); ok {
			must(err)
			zone, given, a = z, true, a[1:]
		}
	}
	if len(a) > 2 {
		if given {
			panic(errors.New("date: the zone is given twice"))
		}
		z, ok, err := location(a[2])
		must(err)
		if !ok {
			panic(fmt.Errorf("date: argument 3 is a time zone such as Europe/Berlin, got %s", value.Describe(a[2])))
		}
		zone, given = z, true
	}
	v := arg("date", a, 0)
	if len(a) > 1 {
		text, layout := textArg("date", a, 0), textArg("date", a, 1)
		t, err := parseLocal(layout, text, zone)
		if errors.As(err, new(*zoneError)) {
			panic(err)
		}
		if err != nil {
			panic(fmt.Errorf("date: %q does not match the layout %q; a layout shows how Mon Jan 2 15:04:05 2006 would be written",
				value.Clip(text, 40), value.Clip(layout, 40)))
		}
		return t
	}
	t, err := timeIn(v, zone)
	must(err)
	if _, isText := v.(string); given && !isText {
		t = t.In(zone)
	}
	return t
}

// nowIn implements now() and now(timezone(z)).
func (m *meter) nowIn(a []any) any {
	if len(a) == 0 {
		return m.now
	}
	zone, ok, err := location(a[0])
	must(err)
	if !ok {
		panic(fmt.Errorf("now takes no argument or a time zone, got %s", value.Describe(a[0])))
	}
	return m.now.In(zone)
}
