package workflows

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/spelling"
)

// cronFields says what the fields of cron are.
const cronFields = "minute hour day month weekday, such as 0 7 * * 1-5"

// cronNames are the names of weekdays and months in cron.
var cronNames = [][]string{
	{"sun", "mon", "tue", "wed", "thu", "fri", "sat"},
	{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"},
}

// longNames are the names of weekdays and months in full.
var longNames = []string{
	"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday",
	"january", "february", "march", "april", "june", "july", "august", "september", "october", "november", "december",
}

// cronHint says what to write in place of a wrong cron: the corrected one if it is clear what was meant.
func (c *checker) cronHint(text string) string {
	plain := strings.ToLower(strings.TrimSpace(text))
	if rest, is := strings.CutPrefix(plain, "every "); is {
		if len(rest) > 0 && (rest[0] < '0' || rest[0] > '9') {
			rest = "1 " + rest
		}
		if short := shortDuration(rest); short != "" {
			return "write every: " + short + " in place of cron:"
		}
	}
	fields := strings.Fields(text)
	switch {
	case len(fields) == 6 && fields[0] == "0":
		fields = fields[1:] // the seconds
	case len(fields) == 1 && slices.Contains(longNames[:7], plain):
		fields = []string{"0", "9", "*", "*", plain[:3]}
	case len(fields) != 5:
		return cronFields
	}
	if len(fields) == 5 {
		fields[3], fields[4] = cronNamesIn(fields[3], cronNames[1]), cronNamesIn(fields[4], cronNames[0])
	}
	fixed := strings.Join(fields, " ")
	if fixed == text || c.catalog.CheckCron(fixed) != nil {
		return cronFields
	}
	return fmt.Sprintf("write cron: %q (%s)", fixed, "minute hour day month weekday")
}

// cronNamesIn corrects the names of a field: Monday and FRY become mon and FRI.
func cronNamesIn(field string, known []string) string {
	return lettersOnly.ReplaceAllStringFunc(field, func(word string) string {
		plain := strings.ToLower(word)
		if slices.Contains(known, plain) {
			return word
		}
		meant := ""
		if slices.Contains(longNames, plain) {
			meant = plain[:3]
		} else if near := spelling.Nearest(plain, known); near != "" {
			meant = near
		}
		if meant == "" {
			return word
		}
		if word == strings.ToUpper(word) {
			return strings.ToUpper(meant)
		}
		return meant
	})
}
