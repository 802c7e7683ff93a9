package triggers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// This file reads lists without pages:. Items beyond a limit are requested with a greater cursor.

// onlyPage reports whether a list without pages was read to its end, as far as that can be
// determined. An answer truncated by a limit is continued after its greatest cursor, or the poll
// reports that it cannot continue.
func (p *poller) onlyPage(f *found, w *walk, rows []row, known map[string]bool) (ended bool) {
	if !p.poll.PerItem || len(rows) == 0 {
		return true
	}
	cut, old := p.cut(rows), true
	for _, r := range rows {
		old = old && known[r.delivery.Key]
	}
	newestFirst := w.Falls > 0 && !w.Rises
	switch {
	case cut && !w.First && !slices.ContainsFunc(rows, func(r row) bool { return !p.after(r.cursor, p.now().Add(p.poll.Overlap)) }):
		f.lost = fmt.Errorf("all %d items of the answer are dated in the future: write pages: to read the rest", len(rows))
		return true
	case newestFirst && cut && !w.First && (p.poll.AsksFrom() || compareCursors(w.Lowest, p.asked(w)) > 0):
		f.lost = fmt.Errorf("the answer of %d items does not reach back to the last item read%s: write pages: to read the rest, "+
			"or drop cursor: if every answer is complete", len(rows), cursorNamed(w.Base))
		return true
	case newestFirst || !p.poll.AsksFrom():
		return true
	case w.top != nil && (w.From == nil || compareCursors(w.top, w.From) > 0) && (old && p.poll.Overlap > 0 || w.From != nil || cut):
		// Not after w.Greatest: items that became visible late may lie before it.
		w.From = w.top
		return false
	case cut && old && !w.First && w.From != nil && !p.further(rows, w.From):
		f.lost = fmt.Errorf("the same %d items are returned again and again: more items have the cursor %s than one answer holds; "+
			"write pages: to read the rest", len(rows), clip(text(w.From), 60))
	}
	return true
}

// further reports whether a row has a greater cursor that a later poll may move to: one
// dated in the future never moves it.
func (p *poller) further(rows []row, cursor any) bool {
	return slices.ContainsFunc(rows, func(r row) bool {
		return r.cursor != nil && compareCursors(r.cursor, cursor) > 0 && !p.after(r.cursor, p.now().Add(p.poll.Overlap))
	})
}

// cursorNamed formats a cursor for a message; empty if there is none.
func cursorNamed(cursor any) string {
	if cursor == nil {
		return ""
	}
	return ", " + clip(text(cursor), 60)
}

// cut reports whether an answer has as many items as the request allows: there may be
// more.
func (p *poller) cut(rows []row) bool {
	with, err := p.request(p.poll.Request, expr.Names{"cursor": nil})
	if err != nil {
		return false
	}
	for _, place := range []string{"query", "body"} {
		m, _ := with[place].(map[string]any)
		for name, v := range m {
			n, ok := expr.Number(v)
			if s, isText := v.(string); isText && decimal(s) {
				_, err := fmt.Sscan(s, &n)
				ok = err == nil
			}
			if ok && slices.Contains(workflows.LimitNames, strings.ToLower(name)) {
				return len(rows) >= int(n)
			}
		}
	}
	return false
}

// maxReadAgain is the maximum number of requests that one poll of a list without pages makes,
// beyond its first, to read the overlap again.
const maxReadAgain = 9

// readsAgain reports whether this poll of a list without pages has read only known items, and
// continues at a cursor below that of the last poll.
func (p *poller) readsAgain(f *found, w *walk) bool {
	return !p.poll.Pages.Any() && len(f.fresh) == 0 && w.From != nil && w.Base != nil && compareCursors(w.From, w.Base) < 0
}
