package triggers

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// neverBefore is a fixed start for checking whether a cron ever occurs.
var neverBefore = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// CheckCron returns what is wrong with a cron of five fields. It uses the parser of
// robfig/cron and covers its gaps: TZ= panics, a trailing comma passes, 7 is refused, and
// a date that never occurs is not an error.
func CheckCron(text string) (err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("cron %q is not valid", text)
		}
	}()
	if strings.Contains(text, "TZ=") {
		return fmt.Errorf("write the time zone in timezone:, not in cron")
	}
	fields := strings.Fields(text)
	if !strings.HasPrefix(text, "@") && len(fields) != 5 {
		if len(fields) == 6 {
			return fmt.Errorf("6 fields: seconds are not supported")
		}
		return fmt.Errorf("cron has five fields, got %d", len(fields))
	}
	for i, f := range fields {
		if strings.HasSuffix(f, ",") || strings.HasPrefix(f, ",") {
			return fmt.Errorf("field %d ends with a comma", i+1)
		}
	}
	if strings.HasPrefix(text, "@") {
		if err := checkWord(text); err != nil {
			return fmt.Errorf("cron: %w", err)
		}
	} else {
		for i, f := range fields {
			if err := cronFields[i].check(f); err != nil {
				return fmt.Errorf("cron: %w", err)
			}
		}
	}
	s, err := parseCron(text)
	if err != nil {
		return fmt.Errorf("cron %q is not valid", text)
	}
	if s.Next(neverBefore).IsZero() {
		return fmt.Errorf("cron %q never matches a time", text)
	}
	return nil
}

// parseCron parses five fields, or a word such as @daily. 7 is Sunday too.
func parseCron(text string) (cron.Schedule, error) {
	fields := strings.Fields(text)
	if len(fields) == 5 {
		fields[4] = sundays(fields[4])
	}
	// Without its own zone the parser would use the machine's.
	return cron.ParseStandard("TZ=UTC " + strings.Join(fields, " "))
}

// sundays replaces 7 by 0 in a weekday field; 5-7 becomes 5-6,0.
func sundays(field string) string {
	parts := strings.Split(field, ",")
	for i, p := range parts {
		from, to, isRange := strings.Cut(p, "-")
		switch {
		case p == "7":
			parts[i] = "0"
		case isRange && to == "7" && from == "7":
			parts[i] = "0"
		case isRange && to == "7":
			parts[i] = from + "-6,0"
		}
	}
	return strings.Join(parts, ",")
}
