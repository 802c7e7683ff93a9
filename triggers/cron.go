package triggers

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// neverBefore is any moment, to ask whether a cron ever comes.
var neverBefore = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// CheckCron says what is wrong with five fields of cron, in the user's words.
// Only robfig/cron's parser is used; its traps are closed here: TZ= panics,
// a trailing comma passes, 7 is refused, and a date that never comes is silent.
func CheckCron(text string) (err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("cron %q cannot be read", text)
		}
	}()
	if strings.Contains(text, "TZ=") {
		return fmt.Errorf("a time zone stands in timezone:, not in cron")
	}
	fields := strings.Fields(text)
	if !strings.HasPrefix(text, "@") && len(fields) != 5 {
		if len(fields) == 6 {
			return fmt.Errorf("6 fields: seconds are not supported")
		}
		return fmt.Errorf("cron has five fields, this one %d", len(fields))
	}
	for i, f := range fields {
		if strings.HasSuffix(f, ",") || strings.HasPrefix(f, ",") {
			return fmt.Errorf("field %d: a comma at its end", i+1)
		}
	}
	if len(fields) == 5 && fields[4] == "7" {
		fields[4] = "0"
	}
	s, err := cron.ParseStandard(strings.Join(fields, " "))
	if err != nil {
		return fmt.Errorf("cron: %s", strings.TrimPrefix(err.Error(), "failed to parse "))
	}
	if s.Next(neverBefore).IsZero() {
		return fmt.Errorf("cron %q never happens", text)
	}
	return nil
}
