package triggers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// found is the result of the pages of one poll.
type found struct {
	items          []*engine.Delivery
	data           []any
	cursor         json.RawMessage
	rest           json.RawMessage
	etag, modified string
	requests       int
	bytes          int64
	unchanged      bool
	quota          string
	lastResponse   map[string]any
	rows           []row
	// seen are the keys of rows; fresh those that were not known.
	seen, fresh map[string]bool
	// since are the keys of rows that were added after the first walk began.
	since map[string]bool
	// more reports whether the walk continues in the next poll; again, that the list was read to its
	// end and the next poll confirms the reading.
	more, again bool
	// later is why a first poll stopped early, and how much it had read.
	later error
	// warning describes which part of the list may be missing, although the poll has not failed.
	warning string
	// lost is why the list cannot be read back to the end of the last poll. The items are stored,
	// the cursor stays, and the poll has failed.
	lost error
}

// row is one item with its computed values.
type row struct {
	delivery *engine.Delivery
	item     any
	data     any
	cursor   any
}

// fetch reads page by page, from where the last poll stopped.
func (p *poller) fetch(ctx context.Context, st engine.InletState) (*found, error) {
	f := &found{seen: map[string]bool{}, fresh: map[string]bool{}, cursor: st.Cursor, rest: st.Rest}
	pr, err := p.resume(st, p.now())
	if err != nil {
		return f, err
	}
	budget := max(p.poll.MaxPages, 1)
	own := budget
	for n, restarted := 0, false; ; n++ {
		ended, err := p.page(ctx, f, pr, st)
		if err != nil && n == 0 && !restarted && !pr.Walk.atStart() && isGone(err) {
			// The service no longer knows the page: start again from the first.
			restarted, budget, n = true, budget+pr.Walk.Pages, -1
			pr.Walk = pr.Walk.restart()
			continue
		}
		if err != nil && n >= own && ctx.Err() == nil {
			f.more, f.later = true, err // this is more than pages.max allows: the next poll continues, or fails
			break
		}
		if err != nil {
			return f, fmt.Errorf("page %d: %w", f.requests, err)
		}
		if f.unchanged {
			return f, nil
		}
		if pr.Walk.First && !p.dated(f.rows) {
			budget = max(budget, p.firstPages)
		}
		if !ended && p.readsAgain(f, pr.Walk) {
			budget = max(budget, min(budget+1, own+maxReadAgain))
		}
		if f.more = !ended; ended || f.full(p, pr.Walk.First) || n+1 >= budget {
			break
		}
	}
	if f.more && pr.Walk.First && p.firstPages > own && !p.dated(f.rows) {
		f.warning = "the first read of the list takes several polls: items added before it ends start no runs"
	}
	if err := p.details(ctx, f, pr.Walk.First); err != nil {
		return f, err
	}
	return f, p.finish(f, pr)
}

// firstPages is the number of pages of a first poll. If items have no time, the list is read to its
// end at once: an item added between two polls of the first reading could not be distinguished from
// an old one.
const firstPages = 1000

// dated reports whether the cursors of items are times.
func (p *poller) dated(rows []row) bool {
	return p.poll.PerItem && slices.ContainsFunc(rows, func(r row) bool { return r.cursor != nil && p.isMoment(r.cursor) })
}

// full reports whether a poll has enough items; the rest is left to the next one.
func (f *found) full(p *poller, first bool) bool {
	return len(f.rows) >= maxPolled || p.bounded(first) && len(f.fresh) >= p.poll.MaxItems
}

// bounded reports whether new items become events, whose number per poll is limited.
func (p *poller) bounded(first bool) bool { return !first && !p.poll.Compare }

// page reads one page and advances the walk. It reports whether the walk has ended.
func (p *poller) page(ctx context.Context, f *found, pr *progress, st engine.InletState) (ended bool, err error) {
	w := pr.Walk
	with, err := p.pageRequest(w)
	if err != nil {
		return false, err
	}
	first := pr.fresh && f.requests == 0
	if first {
		conditional(with, st)
	}
	f.requests++
	resp, err := p.ask(ctx, with)
	if err != nil {
		return false, err
	}
	f.note(resp, first)
	if status, _ := resp["status"].(int); status == 304 && first {
		f.unchanged = true
		return true, nil
	}
	rows, items, err := p.take(resp, p.asked(w))
	if err != nil {
		return false, err
	}
	known, err := p.in.Known(ctx, p.trigger.Name, keysOf(rows))
	if err != nil {
		return false, err
	}
	taken, all := p.admit(f, rows, known, w.First)
	p.arrived(f, w, taken, first)
	if !all {
		w.Fresh += len(f.fresh)
		return false, nil // the page is requested again: the rest of it is not read yet
	}
	p.see(w, taken, f.fresh)
	w.Pages++
	if ended, err = p.turn(pr, resp, items, rows); err != nil {
		return false, err
	}
	pr.Full = max(pr.Full, items)
	if d := pr.doubt; d != nil && d.sure {
		f.lost = errors.New(d.text)
	} else if d != nil {
		f.warning = d.text
	}
	if !p.poll.Pages.Any() {
		return p.onlyPage(f, w, rows, known), nil
	}
	return ended || p.pastAll(w, rows), nil
}

// arrived records the items added since the first walk began, if that takes several polls: these
// are new. If cursors are not times, this is known once the list was read to its end: further items
// have a greater cursor than the first reading.
func (p *poller) arrived(f *found, w *walk, rows []row, firstPage bool) {
	if !w.First || firstPage || !p.poll.PerItem {
		return
	}
	for _, r := range rows {
		beyond := w.Bar != nil && r.cursor != nil && !p.isMoment(r.cursor) && compareCursors(r.cursor, w.Bar) > 0
		if beyond || p.after(r.cursor, w.Began) {
			if f.since == nil {
				f.since = map[string]bool{}
			}
			f.since[r.delivery.Key] = true
		}
	}
}

func keysOf(rows []row) []string {
	keys := make([]string, len(rows))
	for i, r := range rows {
		keys[i] = r.delivery.Key
	}
	return keys
}

// admit takes the rows of a page, new rows only up to the event limit of one poll; all reports
// whether no row is left.
func (p *poller) admit(f *found, rows []row, known map[string]bool, first bool) (taken []row, all bool) {
	if p.inlet == "reconcile" && !first {
		// The webhook delivery of a recent item may still arrive.
		rows = slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return p.now().Sub(r.delivery.Time) < onItsWay && r.cursor != nil })
	}
	taken = rows[:0:0]
	for _, r := range rows {
		key := r.delivery.Key
		if f.seen[key] {
			continue
		}
		if !known[key] {
			if p.bounded(first) && len(f.fresh) >= p.poll.MaxItems {
				f.rows = append(f.rows, taken...)
				return taken, false
			}
			f.fresh[key] = true
		}
		f.seen[key] = true
		taken = append(taken, r)
	}
	f.rows = append(f.rows, taken...)
	return taken, true
}

// note records the metadata of an answer.
func (f *found) note(resp map[string]any, first bool) {
	f.lastResponse = resp
	headers, _ := resp["headers"].(map[string]any)
	if first {
		f.etag, f.modified = text(headers["etag"]), text(headers["last-modified"])
	}
	f.quotaOf(resp)
}

// quotaOf returns the cost of an answer and the remaining quota.
func (f *found) quotaOf(resp map[string]any) {
	headers, _ := resp["headers"].(map[string]any)
	if n, ok := resp["bytes"].(int); ok {
		f.bytes += int64(n)
	}
	for _, name := range []string{"x-ratelimit", "ratelimit"} {
		if left, limit := text(headers[name+"-remaining"]), text(headers[name+"-limit"]); left != "" {
			f.quota = strings.Trim(left+"/"+limit, "/")
		}
	}
	if v := text(headers["x-shopify-shop-api-call-limit"]); v != "" {
		f.quota = v
	}
}

func conditional(with map[string]any, st engine.InletState) {
	h, _ := with["headers"].(map[string]any)
	if h == nil {
		h = map[string]any{}
	}
	if st.ETag != "" {
		h["If-None-Match"] = st.ETag
	}
	if st.Modified != "" {
		h["If-Modified-Since"] = st.Modified
	}
	if len(h) > 0 {
		with["headers"] = h
	}
}

// details requests the detail of each new item. For an item that no longer exists, the data of the
// list is used.
func (p *poller) details(ctx context.Context, f *found, first bool) error {
	if p.poll.Detail == nil {
		return nil
	}
	for _, r := range f.rows {
		if r.delivery.Partial = true; !f.fresh[r.delivery.Key] || first && !f.since[r.delivery.Key] || p.poll.Compare {
			continue // its data is not read
		}
		with, err := p.request(p.poll.Detail, expr.Names{"item": r.item})
		if err != nil {
			return fmt.Errorf("detail of %s: %w", clip(r.delivery.Key, 100), err)
		}
		f.requests++
		resp, err := p.ask(ctx, with)
		var e *plan.Error
		if errors.As(err, &e) && (e.Status == http.StatusNotFound || e.Status == http.StatusGone) {
			r.delivery.Flag = clip(fmt.Sprintf("item without detail: answered %d", e.Status), 300)
			continue
		}
		if err == nil {
			f.quotaOf(resp)
			err = p.complete(r, resp)
		}
		if err != nil {
			return fmt.Errorf("detail of %s: %w", clip(r.delivery.Key, 100), err)
		}
	}
	return nil
}

// complete sets the data of an item from its detail.
func (p *poller) complete(r row, detail map[string]any) error {
	var data any = detail["body"]
	if p.poll.Data != nil {
		var err error
		if data, err = p.poll.Data.Eval(&expr.Env{Names: expr.Names{"item": r.item, "detail": detail},
			Now: p.now().UTC()}); err != nil {
			return fmt.Errorf("data: %w", err)
		}
	}
	raw, err := value.EncodeJSON(data)
	r.delivery.Raw, r.delivery.Partial = raw, false
	return err
}

// request renders a request.
func (p *poller) request(of *workflows.Value, names expr.Names) (map[string]any, error) {
	for k, v := range p.env.Names {
		names[k] = v
	}
	env := &expr.Env{Names: names, Now: p.now()}
	with := map[string]any{}
	for _, k := range of.Keys() {
		fill := workflows.FillPlain
		switch k {
		case "url":
			fill = workflows.FillURL
		case "headers":
			fill = workflows.FillNonempty
		}
		v, err := of.Field(k).Render(env, fill)
		if err != nil {
			return nil, fmt.Errorf("request.%s: %w", k, err)
		}
		with[k] = v
	}
	with["accept"] = []any{"200-299", 304}
	return with, nil
}

// row computes key, data, type and cursor of an item.
func (p *poller) row(names expr.Names, item any) (row, error) {
	now := p.now().UTC()
	own := expr.Names{"item": item}
	for k, v := range names {
		own[k] = v
	}
	env := &expr.Env{Names: own, Now: now}
	out := row{data: item, item: item}
	var err error
	if p.poll.Data != nil && p.poll.Detail == nil {
		if out.data, err = p.poll.Data.Eval(env); err != nil {
			return out, fmt.Errorf("data: %w", err)
		}
	}
	raw, err := value.EncodeJSON(out.data)
	if err != nil {
		return out, err
	}
	whole, err := value.EncodeJSON(item)
	if err != nil {
		return out, err
	}
	d := &engine.Delivery{Trigger: p.trigger.Name, Inlet: workflows.InletPoll, Type: p.trigger.Name, Time: now, ReceivedAt: now,
		Headers: map[string]string{"content-type": "application/json"}, Query: map[string]string{},
		Raw: raw, Dedupe: p.poll.Dedupe, Recovered: p.inlet == "reconcile"}
	if v := p.version(item); v != "" {
		d.Headers[workflows.PollVersionHeader] = v
	}
	id := identity{key: p.poll.Key, eventType: p.poll.EventType}
	id.identifyItem(d, env, whole)
	if d.Flag != "" {
		d.Flag = clip("item without a key: "+d.Flag, 300)
	}
	if p.poll.PerItem {
		if out.cursor, err = p.poll.Cursor.Eval(env); err != nil {
			return out, fmt.Errorf("cursor: %w", err)
		}
		if t, ok := asTime(out.cursor); ok && t.Before(now) {
			d.Time = t.UTC() // the service's time is more precise than the poll's
		}
	}
	out.delivery = d
	return out, nil
}

// finish sets the new cursor and the remaining part of the walk.
func (p *poller) finish(f *found, pr *progress) error {
	p.checkItems(f.rows)
	for _, r := range f.rows {
		f.items = append(f.items, r.delivery)
		f.data = append(f.data, r.data)
	}
	w := pr.Walk
	if !p.tagged(w) || f.more || f.lost != nil {
		f.etag, f.modified = "", ""
	}
	if f.more || f.lost != nil {
		if f.lost != nil {
			pr.Walk = nil
		}
		return p.leave(f, pr)
	}
	reached := w.reached()
	switch {
	case p.poll.PerItem && !p.poll.Compare && !w.confirmed():
		pr.Walk, f.more, f.again = w.confirm(), true, true
		return p.leave(f, pr)
	case p.poll.PerItem && !p.poll.Compare && w.loses():
		f.warning = fmt.Sprintf("items disappeared from the list during each of %d reads, and an item that moved to a page already read may be "+
			"missed: the next poll reads from the same cursor again; use pages by a token, or by a link without a number, to avoid this",
			w.Tries+1)
		if !w.First {
			pr.Walk, f.etag, f.modified = nil, "", ""
			return p.leave(f, pr)
		}
	case p.poll.Cursor != nil && !p.poll.PerItem:
		v, err := p.poll.Cursor.Eval(&expr.Env{Names: expr.Names{"response": f.lastResponse, "cursor": w.Base}, Now: p.now()})
		if err != nil {
			return fmt.Errorf("cursor: %w", err)
		}
		if v != nil {
			reached = v
		}
	}
	pr.Walk = nil
	var err error
	if f.cursor, err = encodeCursor(reached); err != nil {
		return err
	}
	return p.leave(f, pr)
}

// tagged reports whether the first page changes whenever there is something new: then its ETag
// identifies the list. Items added after a full page do not change it.
func (p *poller) tagged(w *walk) bool {
	return w.Falls > 0 && !w.Rises || !p.poll.Pages.Any() && (p.poll.Overlap == 0 || !p.poll.AsksFrom())
}

// leave records where the next poll continues.
func (p *poller) leave(f *found, pr *progress) (err error) {
	f.rest, err = p.seal(pr)
	return err
}
