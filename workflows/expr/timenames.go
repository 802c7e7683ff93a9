package expr

import (
	"slices"
	"strings"
)

// timeNames are parts of the names that fields with a time have. A number in the
// range of our days is a time under such a name only: elsewhere it may be an id.
var timeNames = []string{
	"at", "time", "date", "created", "updated", "modified", "occurred", "timestamp", "ts", "when",
	"since", "on", "gmt", "ms", "epoch",
}

// NamesTime reports whether the last name of an expression is one of a time.
func NamesTime(expression string) bool {
	name := expression[strings.LastIndexAny(expression, ".?[")+1:]
	var words []string
	for _, w := range strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune("_-'\"[]() ", r) }) {
		words = append(words, strings.ToLower(w))
		if i := strings.LastIndexAny(w, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"); i > 0 {
			words = append(words, strings.ToLower(w[i:])) // the last word of updatedAt
		}
	}
	for _, w := range words {
		if slices.Contains(timeNames, w) {
			return true
		}
	}
	return false
}
