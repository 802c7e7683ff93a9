package signature

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

func (v *Verifier) checkClock(key int, clock string, now time.Time) Verdict {
	out := Verdict{Key: key}
	if v.Timestamp == nil {
		return out
	}
	t, err := parseClock(v.Timestamp.Unit, clock)
	if err != nil {
		return refused(NoClock, err.Error())
	}
	switch off := now.Sub(t); {
	case off > v.Timestamp.Tolerance:
		out = refused(Stale, fmt.Sprintf("%s old, %s allowed: a replay, or a clock is off", off.Round(time.Second), v.Timestamp.Tolerance))
	case -off > v.Timestamp.Tolerance:
		out = refused(Future, fmt.Sprintf("%s ahead, %s allowed: a clock is off", (-off).Round(time.Second), v.Timestamp.Tolerance))
	}
	out.Time = t
	return out
}

// parseClock parses the sender's timestamp. It accepts only the configured unit, and only one form
// of each time, whose length is unambiguous: timestamps are often followed by other text in the
// signed content.
func parseClock(unit, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, errors.New("no timestamp")
	}
	switch unit {
	case "unix_s", "unix_ms", "unix_auto":
		n, ok := plainDigits(text)
		switch {
		case ok && len(text) == 13 && unit != "unix_s":
			return time.UnixMilli(n), nil
		case ok && len(text) == 10 && unit != "unix_ms":
			return time.Unix(n, 0), nil
		}
		return time.Time{}, fmt.Errorf("timestamp is not of the form %s", unit)
	case "http_date":
		t, err := time.Parse(http.TimeFormat, text)
		if err != nil || t.Format(http.TimeFormat) != text {
			return time.Time{}, errors.New("timestamp is not an HTTP date")
		}
		return t, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || !rfc3339Form.MatchString(text) {
		return time.Time{}, errors.New("timestamp is not RFC 3339")
	}
	return t, nil
}

// rfc3339Form is stricter than time.Parse, which accepts one-digit hours and commas.
var rfc3339Form = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$`)

// plainDigits reads a number of at most 18 digits without sign, blanks or leading zeros.
func plainDigits(text string) (n int64, ok bool) {
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, text[0] != '0'
}

// FormatClock formats a time in a scheme's unit.
func FormatClock(unit string, t time.Time) string {
	switch unit {
	case "unix_s", "unix_auto":
		return strconv.FormatInt(t.Unix(), 10)
	case "unix_ms":
		return strconv.FormatInt(t.UnixMilli(), 10)
	case "http_date":
		return t.UTC().Format(http.TimeFormat)
	}
	return t.UTC().Format(time.RFC3339)
}
