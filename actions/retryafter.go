package actions

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// longestAsked is the maximum delay taken from a Retry-After.
	longestAsked = 24 * time.Hour
	// epochFrom is the number from which seconds must be a Unix time: as a delay they would be
	// longer than 30 years. Numbers from epochMillis on are in ms.
	epochFrom, epochMillis = 1e9, 1e12
)

// retryAfter parses a delay in seconds, also with a fraction, an HTTP date (RFC 9110, 10.2.3), or
// an RFC 3339 date, which services write in bodies. Some services send a Unix time in seconds,
// which is recognized. Invalid values count as absent.
func retryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if header == "" {
		return 0
	}
	d := time.Duration(0)
	if strings.Trim(header, "0123456789.") == "" {
		n, err := strconv.ParseFloat(header, 64)
		switch {
		case err != nil:
			return 0
		case n >= epochMillis:
			d = untilEpoch(n/1000, now)
		case n >= epochFrom:
			d = untilEpoch(n, now)
		default:
			d = time.Duration(min(n, longestAsked.Seconds()) * float64(time.Second))
		}
	} else if t, err := http.ParseTime(header); err == nil {
		d = t.Sub(now)
	} else if t, err := time.Parse(time.RFC3339, header); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), longestAsked)
}

// untilEpoch returns the time until a Unix time in seconds.
func untilEpoch(seconds float64, now time.Time) time.Duration {
	left := seconds - float64(now.UnixMilli())/1000
	return time.Duration(min(max(left, 0), longestAsked.Seconds()) * float64(time.Second))
}
