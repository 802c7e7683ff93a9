// Package spelling finds the word that a person most likely meant.
//
// It must not know what the words are for.
package spelling

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// plain returns a word as it is compared: in lower case, with underscores for dashes.
func plain(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "_")) }

// Typo returns the candidate of which word is a misspelling: edit distance with transpositions, at
// most 2 (1 for words of three letters or fewer and candidates of two), dashes treated as
// underscores. It returns "" if none is near.
func Typo(word string, candidates []string) string {
	limit := 2
	if utf8.RuneCountInString(word) <= 3 {
		limit = 1
	}
	best, bestDistance := "", limit+1
	for _, c := range candidates {
		if d := Distance(plain(word), plain(c), bestDistance); d < bestDistance && (d < 2 || utf8.RuneCountInString(c) > 2) {
			best, bestDistance = c, d
		}
	}
	return best
}

// Nearest returns the candidate that a person most likely meant by word: its Typo, or the one to
// which word adds a prefix or suffix. It returns "" if none is near.
func Nearest(word string, candidates []string) string {
	best := Typo(word, candidates)
	if best == "" {
		// "dealid" for "id": the word with a prefix or suffix.
		for _, c := range candidates {
			if len(c) >= 2 && len(c) > len(best) && (strings.HasSuffix(plain(word), plain(c)) ||
				strings.HasPrefix(plain(word), plain(c)+"_")) {
				best = c
			}
		}
	}
	return best
}

// Distance is the optimal string alignment distance, cut off at limit.
func Distance(a, b string, limit int) int {
	x, y := []rune(a), []rune(b)
	if len(x)-len(y) >= limit || len(y)-len(x) >= limit {
		return limit
	}
	before, prev := make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row := make([]int, len(y)+1)
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev = prev, row
	}
	return prev[len(y)]
}

// Suggest returns a question with the candidate nearest to word, or "" if none is near.
func Suggest(word string, candidates []string) string {
	if m := Nearest(word, candidates); m != "" {
		return fmt.Sprintf("did you mean %q?", m)
	}
	return ""
}

// SuggestOr is like Suggest, but returns the list of words if none is near.
func SuggestOr(word string, words []string) string {
	if s := Suggest(word, words); s != "" {
		return s
	}
	return "one of " + strings.Join(words, ", ")
}
