package triggers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows/value"
)

// progress is the state of an inlet besides its cursor, stored as JSON.
type progress struct {
	// Full is the largest number of items that a page had.
	Full int `json:"full,omitempty"`
	// Request is the digest of the list's request: another list has other pages.
	Request string `json:"request,omitempty"`
	// Walk is in progress: the next poll continues it. Nil if the list was read to its end.
	Walk *walk `json:"walk,omitempty"`
	// Turned is the expression under pages that has led to a next page: it names an existing field,
	// and returns nothing only on the last page.
	Turned string `json:"turned,omitempty"`
	// fresh reports whether the walk begins now. doubt is why it may have ended too early.
	fresh bool
	doubt *doubt
}

// walk is one reading of a list from its beginning to its end. It may take several polls. The
// cursor moves when it has ended, never past unread items.
type walk struct {
	// Began is when its first page was requested.
	Began time.Time `json:"began"`
	// First reports whether the walk only records existing items and starts no runs.
	First bool `json:"first,omitempty"`
	// Base is the cursor from which the request looks back. From, if not nil, is requested instead,
	// without looking back: it continues a list without pages: after a truncated page.
	Base any `json:"base,omitempty"`
	From any `json:"from,omitempty"`
	// Next, Token or Count is the next page to read; all are empty for the first page.
	Next  string `json:"next,omitempty"`
	Token any    `json:"token,omitempty"`
	Count *int   `json:"count,omitempty"`
	// Pages is the number of pages read.
	Pages int `json:"pages,omitempty"`
	// Second and Mark are digests of the URLs or tokens of the second page and of a later one: a
	// list that returns to one of them is a cycle. Last is the digest of the last page, Same how
	// often in a row it was repeated, and Empty how many pages in a row had no items.
	Second string `json:"second,omitempty"`
	Mark   string `json:"mark,omitempty"`
	Last   string `json:"last,omitempty"`
	Same   int    `json:"same,omitempty"`
	Empty  int    `json:"empty,omitempty"`
	// Greatest is the greatest cursor of the items. Head is the first cursor, Lowest the smallest
	// so far, Falls how often the cursor fell below it, and Rises reports that it rose.
	Greatest any  `json:"greatest,omitempty"`
	Head     any  `json:"head,omitempty"`
	Lowest   any  `json:"lowest,omitempty"`
	Falls    int  `json:"falls,omitempty"`
	Rises    bool `json:"rises,omitempty"`
	// Counted reports whether pages are found by counting: deleting an item of a page that was read
	// moves an item of the next page to it, where it is not seen. Such a walk is repeated until it
	// finds nothing more up to Bar, the greatest cursor of the previous walk, and at least the
	// Before items of that walk; Tries counts the repetitions. Fresh and UpToBar count its items up
	// to Bar.
	Counted bool `json:"counted,omitempty"`
	Tries   int  `json:"tries,omitempty"`
	Bar     any  `json:"bar,omitempty"`
	Before  int  `json:"before,omitempty"`
	Fresh   int  `json:"fresh,omitempty"`
	UpToBar int  `json:"up_to_bar,omitempty"`
	// All counts its items up to Greatest: it becomes Before of a walk up to that bar.
	All int `json:"all,omitempty"`
	// Ahead counts the items that move no cursor: dated ahead, or without a cursor. Stayed counts
	// those of them that were known, and AheadBefore is the Ahead of the previous walk: if one of
	// them disappears, other items move as well.
	Ahead       int `json:"ahead,omitempty"`
	Stayed      int `json:"stayed,omitempty"`
	AheadBefore int `json:"ahead_before,omitempty"`
	// top is the greatest cursor of the last page that may move the cursor.
	top any
	// resumed reports whether the walk continues after a pause, and has found only items that were
	// read before it: items added in the meantime have moved the others.
	resumed bool
}

// maxTries bounds how often a list is read again because items disappear from it.
const maxTries = 3

// atStart reports whether the next page is the first.
func (w *walk) atStart() bool {
	return w.Next == "" && w.Token == nil && w.Count == nil && w.From == nil
}

// confirm returns the walk that must find the same items again.
func (w *walk) confirm() *walk {
	return &walk{Began: w.Began, First: w.First, Base: w.Base, Greatest: w.Greatest, Tries: w.Tries + 1, Bar: w.Greatest, Before: w.All,
		AheadBefore: w.Ahead}
}

// restart returns the walk from its beginning.
func (w *walk) restart() *walk {
	return &walk{Began: w.Began, First: w.First, Base: w.Base, Greatest: w.Greatest, Tries: w.Tries, Bar: w.Bar, Before: w.Before,
		AheadBefore: w.AheadBefore}
}

// confirmed reports whether no item was missed between pages.
func (w *walk) confirmed() bool {
	if !w.Counted || w.Pages < 2 {
		return true
	}
	return w.Fresh == 0 && (!w.fewer() || w.Tries >= maxTries)
}

// fewer reports whether an item of the previous walk is gone.
func (w *walk) fewer() bool { return w.UpToBar < w.Before || w.Stayed < w.AheadBefore }

// loses reports whether items disappeared during each of the readings, so an item moved by a
// deletion may have been missed in all of them.
func (w *walk) loses() bool {
	return w.Counted && w.Pages > 1 && w.Tries >= maxTries && w.fewer()
}

// reached returns the cursor up to which all items were read.
func (w *walk) reached() any {
	if w.Bar != nil && w.Counted && w.Pages > 1 {
		return w.Bar
	}
	return w.Greatest
}

// resume reads the position of the inlet: the walk in progress, or a new one.
func (p *poller) resume(st engine.InletState, now time.Time) (*progress, error) {
	cursor, err := decodeCursor(st.Cursor)
	if err != nil {
		return nil, err
	}
	pr := &progress{}
	if len(st.Rest) > 0 {
		if err := p.unseal(st.Rest, pr); err != nil {
			return nil, fmt.Errorf("where the last poll stopped: %w", err)
		}
	}
	if request := p.digest(); pr.Request != request {
		first := pr.Walk != nil && pr.Walk.First
		*pr = progress{Request: request}
		if first {
			pr.Walk = &walk{Began: now, First: true}
		}
	}
	if pr.Walk != nil {
		pr.Walk.resumed = !pr.Walk.atStart()
	}
	if pr.Walk == nil {
		pr.fresh = true
		pr.Walk = &walk{Began: now, First: p.remembers(st), Base: p.capped(cursor, now.Add(p.poll.Overlap))}
		pr.Walk.Greatest = pr.Walk.Base
	}
	return pr, nil
}

// digest identifies the list that is requested.
func (p *poller) digest() string {
	sum := sha256.Sum256([]byte(p.poll.Outline()))
	return hex.EncodeToString(sum[:8])
}

// asked is the cursor that the walk's request reads.
func (p *poller) asked(w *walk) any {
	if w.From != nil && p.poll.Overlap > 0 {
		return lookBack(w.From, tick(w.From)) // others may have the same time
	}
	if w.From != nil {
		return w.From
	}
	return lookBack(w.Base, p.poll.Overlap)
}

// see records the rows of a page: how far they reach, and in which order.
func (p *poller) see(w *walk, rows []row, fresh map[string]bool) {
	// An item may become visible on a page that was already read. So the cursor moves no further
	// than the start of the walk; the next walk looks back from there.
	limit := w.Began
	if w.Pages == 0 {
		limit = w.Began.Add(p.poll.Overlap)
	}
	w.top = nil
	for _, r := range rows {
		if ahead := r.cursor == nil || p.after(r.cursor, limit); p.poll.PerItem && ahead {
			if w.Ahead++; !fresh[r.delivery.Key] {
				w.Stayed++
			}
		}
		if !p.poll.PerItem || r.cursor == nil {
			continue
		}
		w.resumed = w.resumed && !fresh[r.delivery.Key] && w.Lowest != nil && compareCursors(r.cursor, w.Lowest) > 0
		if w.Lowest != nil && !w.resumed {
			// Lists with delayed items are out of order by their overlap.
			w.Rises = w.Rises || compareCursors(lookBack(r.cursor, p.poll.Overlap), w.Lowest) > 0
		}
		switch {
		case w.Lowest == nil:
			w.Head, w.Lowest = r.cursor, r.cursor
		case compareCursors(r.cursor, w.Lowest) < 0:
			w.Falls++
			w.Lowest = r.cursor
		}
		if p.after(r.cursor, limit) {
			continue
		}
		if w.top == nil || compareCursors(r.cursor, w.top) > 0 {
			w.top = r.cursor
		}
		w.All++
		if w.Bar == nil || compareCursors(r.cursor, w.Bar) <= 0 {
			w.UpToBar++
			if fresh[r.delivery.Key] {
				w.Fresh++
			}
		}
		if w.Greatest == nil || compareCursors(r.cursor, w.Greatest) > 0 {
			w.Greatest = r.cursor // a cursor that decreases moves nothing
		}
	}
}

// certainFalls is how many items, each older than the previous one, show that a list begins with
// the newest.
const certainFalls = 8

// pastAll reports whether a list that begins with the newest has reached items older than the
// cursor: the rest was read before.
func (p *poller) pastAll(w *walk, rows []row) bool {
	floor := w.Base
	if w.First {
		floor = w.Greatest
	}
	if !p.poll.PerItem || w.Rises || floor == nil || len(rows) == 0 || w.Falls < certainFalls &&
		(w.Falls == 0 || compareCursors(w.Head, floor) < 0) {
		return false
	}
	floor = lookBack(floor, 2*p.poll.Overlap)
	for _, r := range rows {
		if r.cursor == nil || compareCursors(r.cursor, floor) >= 0 {
			return false
		}
	}
	return true
}

// seal encodes the progress as JSON. The URL of a next page may contain one of our credentials; it
// is replaced by the name of its secret.
func (p *poller) seal(pr *progress) (json.RawMessage, error) {
	if pr == nil {
		return nil, nil
	}
	out := *pr
	if pr.Walk != nil {
		w := *pr.Walk
		w.Next = p.swapSecrets(w.Next, true)
		if s, ok := w.Token.(string); ok {
			w.Token = p.swapSecrets(s, true)
		}
		out.Walk = &w
	}
	raw, err := json.Marshal(out)
	return raw, err
}

func (p *poller) unseal(raw json.RawMessage, pr *progress) error {
	v, err := value.DecodeJSON(raw)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, pr); err != nil {
		return err
	}
	m, _ := v.(map[string]any)
	if w, _ := m["walk"].(map[string]any); w != nil && pr.Walk != nil {
		// encoding/json decodes every number as a float; ids need all their digits.
		x := pr.Walk
		x.Base, x.From, x.Token, x.Greatest = w["base"], w["from"], w["token"], w["greatest"]
		x.Head, x.Lowest, x.Bar = w["head"], w["lowest"], w["bar"]
		x.Next = p.swapSecrets(x.Next, false)
		if s, ok := x.Token.(string); ok {
			x.Token = p.swapSecrets(s, false)
		}
	}
	return nil
}

// swapSecrets replaces secrets by names, or names by secrets.
func (p *poller) swapSecrets(s string, hide bool) string {
	secrets, _ := p.env.Names["secrets"].(map[string]any)
	for name, v := range secrets {
		value := text(v)
		if value == "" || s == "" {
			continue
		}
		for kind, form := range map[string]string{"plain": value, "query": url.QueryEscape(value)} {
			mark := "\x00" + kind + ":" + name + "\x00"
			if hide {
				s = strings.ReplaceAll(s, form, mark)
			} else {
				s = strings.ReplaceAll(s, mark, form)
			}
		}
	}
	return s
}
