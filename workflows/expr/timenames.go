package expr

import (
	"slices"
	"strings"
)

// timeNames are words in the names of fields with a time. A number in the range of current times is
// a time only under such a name; elsewhere it may be an id.
var timeNames = []string{
	"at", "time", "date", "created", "updated", "modified", "occurred", "timestamp", "ts", "when",
	"since", "on", "gmt", "ms", "epoch",
}

// NamesTime reports whether the last name of an expression suggests a time.
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
