package redact

import (
	"slices"

	"github.com/hookloom/hookloom/workflows"
)

// matcher finds any of many texts in one pass. It looks at blocks of three bytes at the end of a
// window as long as the shortest text, and advances by as much as the block allows (Wu and Manber,
// A Fast Algorithm for Multi-Pattern Searching, 1994): the cost of a search does not grow with the
// number of texts.
type matcher struct {
	shortest int
	shift    [blocks]uint8
	// begin has the texts whose window ends with a block, longest first.
	begin map[uint16][]form
}

// form is a text to search for.
type form struct {
	text string
	// base64 reports whether a character that also contains bits of what follows, and padding, may
	// come after it and belong to it.
	base64 bool
}

const (
	blockSize = 3
	blocks    = 1 << 12
)

func blockOf[T string | []byte](s T, end int) uint16 {
	return (uint16(s[end-2])<<6 ^ uint16(s[end-1])<<3 ^ uint16(s[end])) & (blocks - 1)
}

// newMatcher takes texts of at least three bytes; without texts it returns nil, which matches
// nothing.
func newMatcher(forms []form) *matcher {
	if len(forms) == 0 {
		return nil
	}
	m := &matcher{shortest: len(forms[0].text), begin: map[uint16][]form{}}
	for _, f := range forms {
		m.shortest = min(m.shortest, len(f.text))
	}
	for i := range m.shift {
		m.shift[i] = uint8(min(m.shortest-blockSize+1, 255))
	}
	for _, f := range forms {
		for end := blockSize - 1; end < m.shortest; end++ {
			b := blockOf(f.text, end)
			m.shift[b] = min(m.shift[b], uint8(min(m.shortest-1-end, 255)))
		}
		b := blockOf(f.text, m.shortest-1)
		m.begin[b] = append(m.begin[b], f)
	}
	for b := range m.begin {
		slices.SortFunc(m.begin[b], func(x, y form) int { return len(y.text) - len(x.text) })
	}
	return m
}

// span is a range of a text; to is exclusive.
type span struct{ from, to int }

// find returns the next match at or after an offset; ok is false if there is none.
func find[T string | []byte](m *matcher, s T, at int) (sp span, ok bool) {
	for end := at + m.shortest - 1; end < len(s); {
		b := blockOf(s, end)
		if n := m.shift[b]; n > 0 {
			end += int(n)
			continue
		}
		from := end - m.shortest + 1
		for _, f := range m.begin[b] {
			if to := from + len(f.text); to <= len(s) && string(s[from:to]) == f.text {
				if f.base64 {
					to = base64End(s, to)
				}
				return span{from, to}, true
			}
		}
		end++
	}
	return span{}, false
}

// base64End extends a match by the last character and the padding of a base64 text.
func base64End[T string | []byte](s T, at int) int {
	if at < len(s) && isBase64(s[at]) && (at+1 == len(s) || !isBase64(s[at+1])) {
		at++
	}
	for n := 0; n < 2 && at < len(s) && s[at] == '='; n++ {
		at++
	}
	return at
}

func isBase64(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/' || c == '-' || c == '_'
}

// replaced returns s with *** for each match, also in escapes; overlapping matches are replaced as one. changed is
// false if there is none, and s is not copied in that case.
func replaced[T string | []byte](m *matcher, s T) (out []byte, changed bool) {
	return replacedSpans(allSpans(m, s), s, workflows.Mask)
}

// allSpans returns the matches in a text and in its decoded forms.
func allSpans[T string | []byte](m *matcher, s T) []span {
	list := spans(m, s)
	if more := escapedSpans(m, s); len(more) > 0 {
		list = united(append(list, more...))
	}
	return list
}

func replacedBy[T string | []byte](m *matcher, s T, by string) (out []byte, changed bool) {
	return replacedSpans(spans(m, s), s, by)
}

// replacedByAny masks what either of two matchers finds. Both search the original text: if one
// masked first, the other would not find the remains of a longer secret.
func replacedByAny[T string | []byte](a, b *matcher, s T) (out []byte, changed bool) {
	list := allSpans(a, s)
	if more := allSpans(b, s); len(list) == 0 {
		list = more
	} else if len(more) > 0 {
		list = united(append(list, more...))
	}
	return replacedSpans(list, s, workflows.Mask)
}

// spans returns the matches in order; overlapping ones are merged.
func spans[T string | []byte](m *matcher, s T) (list []span) {
	if m == nil {
		return nil
	}
	sp, ok := find(m, s, 0)
	for ok {
		next, more := find(m, s, sp.from+1)
		for at := 0; more && next.from < sp.to; next, more = find(m, s, at) {
			sp.to, at = max(sp.to, next.to), next.from+1
		}
		list = append(list, sp)
		sp, ok = next, more
	}
	return list
}

// united merges overlapping spans.
func united(list []span) []span {
	slices.SortFunc(list, func(x, y span) int { return x.from - y.from })
	out := list[:1]
	for _, sp := range list[1:] {
		if last := &out[len(out)-1]; sp.from < last.to {
			last.to = max(last.to, sp.to)
		} else {
			out = append(out, sp)
		}
	}
	return out
}

func replacedSpans[T string | []byte](list []span, s T, by string) (out []byte, changed bool) {
	if len(list) == 0 {
		return nil, false
	}
	done := 0
	for _, sp := range list {
		out = append(append(out, s[done:sp.from]...), by...)
		done = sp.to
	}
	return append(out, s[done:]...), true
}
