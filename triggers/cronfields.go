package triggers

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// cronField is one of the five fields and its allowed values.
type cronField struct {
	name     string
	min, max int
	names    []string // of min and the following values
}

var cronFields = []cronField{
	{"minute", 0, 59, nil}, {"hour", 0, 23, nil}, {"day", 1, 31, nil},
	{"month", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{"weekday", 0, 7, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

var cronWords = []string{"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}

// checkWord checks a cron of one word.
func checkWord(text string) error {
	if every, ok := strings.CutPrefix(text, "@every "); ok {
		d, err := time.ParseDuration(strings.TrimSpace(every))
		if err != nil {
			return fmt.Errorf("%s is not a duration; write every: 5m instead of cron", text)
		}
		if d < time.Second {
			return fmt.Errorf("%s would run without a pause; write every: 1s or more instead of cron", text)
		}
		return nil
	}
	for _, w := range cronWords {
		if w == text {
			return nil
		}
	}
	return fmt.Errorf("%s is not known; known are %s", text, strings.Join(cronWords, ", "))
}

// check checks the text of a field.
func (f cronField) check(text string) error {
	for _, part := range strings.Split(text, ",") {
		if err := f.part(part); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

func (f cronField) part(part string) error {
	if part == "" {
		return fmt.Errorf("an empty entry next to a comma")
	}
	if err := f.foreign(part); err != nil {
		return err
	}
	span, step, stepped := strings.Cut(part, "/")
	if stepped {
		n, err := strconv.Atoi(step)
		if err != nil || n < 1 {
			return fmt.Errorf("the step after / in %s must be 1 or more", part)
		}
		if n > f.max-f.min+1 {
			return fmt.Errorf("the step in %s is larger than the field (%d to %d); for an interval write every: instead of cron", part,
				f.min, f.max)
		}
	}
	if span == "*" || span == "?" {
		return nil
	}
	from, to, isRange := strings.Cut(span, "-")
	a, err := f.value(from)
	if err != nil {
		return err
	}
	if !isRange {
		return nil
	}
	b, err := f.value(to)
	if err != nil {
		return err
	}
	if a > b {
		return fmt.Errorf("%s ends before it begins; write %s-%d,%d-%s", span, from, f.last(), f.min, to)
	}
	return nil
}

// last is the largest value; 7 as a weekday is another name for 0.
func (f cronField) last() int {
	if f.name == "weekday" {
		return f.max - 1
	}
	return f.max
}

// foreign reports syntax of other crons that is not supported.
func (f cronField) foreign(part string) error {
	upper := strings.ToUpper(part)
	switch {
	case strings.Contains(part, "#"):
		return fmt.Errorf("%s (the n-th weekday of the month) is not supported; run it on each such weekday, with a condition in its when", part)
	case upper == "L" || upper == "LW" || strings.HasSuffix(upper, "L") && len(upper) == 2 || strings.HasPrefix(upper, "L-"):
		return fmt.Errorf("%s (the last one of the month) is not supported; take the first day of the next month, or run it on 28-31 with a "+
			"condition in its when", part)
	case strings.HasSuffix(upper, "W") && len(upper) <= 3 && upper[0] >= '0' && upper[0] <= '9':
		return fmt.Errorf("%s (the nearest working day) is not supported; run it on 1-5 as weekday, with a condition in its when", part)
	case strings.HasPrefix(upper, "H"):
		return fmt.Errorf("%s (a time spread by hash) is not supported; write a time, and add jitter: 5m", part)
	}
	return nil
}

func (f cronField) value(text string) (int, error) {
	for i, n := range f.names {
		if strings.EqualFold(n, text) {
			return f.min + i, nil
		}
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil && len(f.names) > 0:
		return 0, fmt.Errorf("%q is neither a number from %d to %d nor one of %s", text, f.min, f.max, strings.Join(f.names, ", "))
	case err != nil:
		return 0, fmt.Errorf("%q is not a number from %d to %d", text, f.min, f.max)
	case n < f.min || n > f.max:
		return 0, fmt.Errorf("%d is out of range, %d to %d", n, f.min, f.max)
	}
	return n, nil
}

// ExplainCron returns notes on a valid cron whose meaning may surprise; empty for none.
func ExplainCron(text string) []string {
	fields := strings.Fields(text)
	if len(fields) != len(cronFields) {
		return nil
	}
	var out []string
	for i, unit := range []string{"the hour", "the day"} {
		f := cronFields[i]
		step, ok := strings.CutPrefix(fields[i], "*/")
		n, err := strconv.Atoi(step)
		size := f.max + 1
		if !ok || err != nil || n < 1 || size%n == 0 {
			continue
		}
		last := (size - 1) / n * n
		if last == 0 {
			out = append(out, fmt.Sprintf("*/%d as %s matches only 0", n, f.name))
			continue
		}
		out = append(out, fmt.Sprintf("*/%d as %s starts again at 0 with %s: %d is followed by 0, after %d", n, f.name, unit, last, size-last))
	}
	if restricts(fields[2]) && restricts(fields[4]) {
		out = append(out, fmt.Sprintf("day %s and weekday %s: cron runs when either of them matches", fields[2], fields[4]))
	}
	return out
}

func restricts(field string) bool { return !strings.HasPrefix(field, "*") && field != "?" }

// byWallClock reports whether a cron goes by the wall clock on the night when the clocks
// go back, because its minute or hour holds * or a step (cron(8): "wildcard" jobs). One
// at fixed times runs once.
func byWallClock(text string) bool {
	if text == "@hourly" {
		return true
	}
	fields := strings.Fields(text)
	return len(fields) == len(cronFields) && strings.ContainsAny(fields[0]+fields[1], "*/?")
}
