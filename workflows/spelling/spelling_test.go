package spelling_test

import (
	"testing"

	"github.com/hookloom/hookloom/workflows/spelling"
)

// TestDistanceCountsEdits: insertions, deletions, replacements and swaps of neighbours, up to the limit.
func TestDistanceCountsEdits(t *testing.T) {
	for _, c := range []struct {
		a, b  string
		limit int
		want  int
	}{
		{"", "", 3, 0}, {"a", "", 3, 1}, {"", "ab", 3, 2}, {"abc", "abc", 3, 0}, {"abc", "abd", 3, 1}, {"abc", "ab", 3, 1}, {"ab",
			"abc", 3, 1},
		{"abc", "bac", 3, 1}, {"abcd", "abdc", 3, 1}, {"abcd", "badc", 3, 2}, {"abc", "cab", 3, 2}, {"ca", "abc", 4, 3},
		{"kitten", "sitting", 9, 3},
		{"flaw", "lawn", 9, 2}, {"äöü", "aöü", 9, 1}, {"äö", "öä", 9, 1}, {"abcdef", "a", 5, 5}, {"abcdef", "a", 6, 5}, {"a",
			"abcdef", 5, 5},
		{"xbcdef", "a", 5, 5},
		{"a", "xbcdef", 5, 5}, {"a", "abcdef", 4, 4}, {"abcdef", "", 3, 3}, {"ab", "ba", 9, 1}, {"aab",
			"aba", 9, 1}, {"abab", "baba", 9, 2}, {"xyz",
			"abc", 9, 3},
		{"a cat", "an act", 9, 2}, {"azced", "abcdef", 9, 3}, {"timeout", "tiemout", 9, 1}, {"ab", "abcd", 2, 2}, {"abcd", "ab",
			2, 2}, {"ab", "abcd", 3, 2},
	} {
		if got := spelling.Distance(c.a, c.b, c.limit); got != c.want {
			t.Errorf("%q and %q, limit %d: %d, not %d", c.a, c.b, c.limit, got, c.want)
		}
	}
}

// TestNearestIsTheWordThatWasMeant, and nothing that only looks alike.
func TestNearestIsTheWordThatWasMeant(t *testing.T) {
	for _, c := range []struct {
		word  string
		among []string
		want  string
	}{
		{"timeuot", []string{"time", "timeout", "retry"}, "timeout"}, {"tmeot", []string{"timeout"}, "timeout"}, {"tmet",
			[]string{"timeout"}, ""},
		{"max-items", []string{"max_item", "max_items"}, "max_items"}, {"MAX_ITEMS", []string{"max-items"}, "max-items"},
		{"abcd", []string{"abxy"}, "abxy"}, {"abc", []string{"axy"}, ""}, {"abc", []string{"abx"}, "abx"}, {"äbc", []string{"axy"}, ""},
		{"äöüß", []string{"äöxy"}, "äöxy"}, {"abcd", []string{"abcx", "abcy"}, "abcx"}, {"abcd", []string{"abxy", "abcy"}, "abcy"},
		{"xyid", []string{"id"}, "id"}, {"ix", []string{"id"}, "id"}, {"axyz", []string{"xy"}, ""}, {"abcd", []string{"cd"}, "cd"},
		{"abcd", []string{"ab"}, ""}, {"dealid", []string{"d", "id", "lid"}, "lid"}, {"id_of_deal", []string{"id"}, "id"},
		{"idofdeal", []string{"id"}, ""},
		{"dealx", []string{"x"}, ""}, {"user-name-long", []string{"user_name", "user"}, "user_name"}, {"name", nil, ""}, {"",
			[]string{"ab"}, ""},
		{"same", []string{"same"}, "same"}, {"zzzz", []string{"abcd", "efgh"}, ""}, {"äx", []string{"äö"}, "äö"}, {"abcde",
			[]string{"abc"}, "abc"},
		{"id_of_no", []string{"id", "no"}, "id"},
	} {
		if got := spelling.Nearest(c.word, c.among); got != c.want {
			t.Errorf("%q among %q: %q, not %q", c.word, c.among, got, c.want)
		}
	}
}

func TestASuggestionIsAQuestionOrTheList(t *testing.T) {
	words := []string{"queue", "drop"}
	for word, want := range map[string][2]string{"quue": {`did you mean "queue"?`, `did you mean "queue"?`}, "zzzz": {"",
		"one of queue, drop"}} {
		if got := [2]string{spelling.Suggest(word, words), spelling.SuggestOr(word, words)}; got != want {
			t.Errorf("%s: %q", word, got)
		}
	}
}
