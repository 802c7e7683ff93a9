package triggers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// Ask sends a request with the keys of http/request's with: and gives its output:
// status, headers, body, url. Its error is a *plan.Error.
type Ask = func(ctx context.Context, with map[string]any) (map[string]any, error)

// Inbox is what polls and schedules need of the engine. *engine.Engine fits.
type Inbox interface {
	Poll(ctx context.Context, b *engine.PollBatch) (fresh int, err error)
	InletState(ctx context.Context, trigger, inlet string) (engine.InletState, error)
	Known(ctx context.Context, trigger string, keys []string) (map[string]bool, error)
	LastDelivery(ctx context.Context, trigger string) (time.Time, error)
	Rhythm(ctx context.Context, trigger string) (time.Duration, error)
	Alert(ctx context.Context, a engine.Alert)
	Fired(ctx context.Context, trigger, inlet string, planned time.Time, d *engine.Delivery) error
}

// Bounds of polls.
const (
	// maxPause is the longest pause after failures.
	maxPause = time.Hour
	// alertAfter is how many intervals may pass without an answer before that is an
	// alert.
	alertAfter = 3
	// maxFirstPause spreads the first polls after a start.
	maxFirstPause = 10 * time.Second
	// onItsWay is how old an item must be to be missed by its webhook.
	onItsWay = time.Minute
	// maxPolled bounds the items that one poll looks at: its pages are in memory.
	maxPolled = 50_000
)

// poller asks for what is new, for one trigger.
type poller struct {
	trigger *workflows.Trigger
	poll    *workflows.Poll
	// inlet names its state: poll, or reconcile.
	inlet string
	ask   Ask
	in    Inbox
	env   *workflows.Env // secrets
	log   *slog.Logger
	table *timetable
	now   func() time.Time
	// one lets one poll be under way at a time.
	one sync.Mutex
}

// run polls until ctx ends, one poll at a time.
func (p *poller) run(ctx context.Context) {
	for {
		st, err := p.in.InletState(ctx, p.trigger.Name, p.inlet)
		wait := maxFirstPause
		if err == nil {
			wait = p.wait(st, p.now())
		} else if ctx.Err() == nil {
			p.log.Error("how far a poll has come cannot be read", "trigger", p.trigger.Name, "error", err)
		}
		if !sleep(ctx, min(wait, time.Hour)) {
			return
		}
		if wait > time.Hour {
			continue // it may be due at another moment by now: clocks are set
		}
		if _, err := p.once(ctx); err != nil && ctx.Err() == nil {
			p.log.Warn("a poll failed", "trigger", p.trigger.Name, "error", err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// wait is how long until the next poll. After a downtime there is one, soon, from
// where the last came to; failures make the pauses grow.
func (p *poller) wait(st engine.InletState, now time.Time) time.Duration {
	if st.AskedAt.IsZero() && p.table.cron != nil {
		return p.table.next(now).Sub(now)
	}
	if st.AskedAt.IsZero() {
		return spread(min(p.table.length(now), maxFirstPause))
	}
	next := p.table.next(st.AskedAt)
	if st.Failures > 0 {
		pause := p.table.length(now)
		for range min(st.Failures-1, 12) {
			pause = min(2*pause, maxPause)
		}
		next = st.AskedAt.Add(pause)
	}
	if st.RetryAt.After(next) {
		next = st.RetryAt
	}
	if until := next.Sub(now); until > 0 {
		return until
	}
	return spread(min(p.table.length(now)/10, maxFirstPause))
}

// spread gives a random part of a stretch, so that a hundred polls do not fire at
// once.
func spread(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(rand.Int64N(int64(d)))
}

// PollReport is how one poll went.
type PollReport struct {
	Requests int   `json:"requests"`
	Bytes    int64 `json:"bytes"`
	Items    int   `json:"items"`
	New      int   `json:"new"`
	// Unchanged tells that the service answered 304.
	Unchanged bool `json:"unchanged,omitempty"`
	// First tells that this poll only remembers what is there.
	First  bool            `json:"first,omitempty"`
	Cursor json.RawMessage `json:"cursor,omitempty"`
	// Found are the items, for a dry run.
	Found []PollItem `json:"found,omitempty"`
}

// PollItem is one item of a dry run.
type PollItem struct {
	Key  string `json:"key"`
	Type string `json:"type"`
	New  bool   `json:"new"`
	Data any    `json:"data"`
}

// once polls and stores what was found with how far it has come.
func (p *poller) once(ctx context.Context) (PollReport, error) {
	p.one.Lock()
	defer p.one.Unlock()
	st, err := p.in.InletState(ctx, p.trigger.Name, p.inlet)
	if err != nil {
		return PollReport{}, err
	}
	began := p.now()
	b := &engine.PollBatch{Trigger: p.trigger.Name, Inlet: p.inlet, State: st}
	found, err := p.fetch(ctx, st)
	b.Cost = engine.PollCost{Requests: found.requests, Bytes: found.bytes, Outcome: "ok", Took: p.now().Sub(began), Quota: found.quota}
	b.State.AskedAt = began
	r := PollReport{Requests: found.requests, Bytes: found.bytes, Unchanged: found.unchanged}
	if err != nil {
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		// What came before the failure is not taken: the cursor stands for all of it.
		b.Cost.Outcome, b.State.Failures, b.State.Error = "failed", st.Failures+1, err.Error()
		b.State.RetryAt = retryAt(began, err)
		p.alert(ctx, st, began, err)
		if _, serr := p.in.Poll(ctx, b); serr != nil {
			err = errors.Join(err, serr)
		}
		return r, err
	}
	if st.Failures >= alertAfter {
		p.log.Info("a poll answers again", "trigger", p.trigger.Name, "failures", st.Failures)
	}
	b.State.OKAt, b.State.Failures, b.State.Error, b.State.RetryAt = began, 0, "", time.Time{}
	if found.unchanged {
		b.Cost.Outcome = "unchanged"
	} else {
		b.Items, b.State.Cursor = found.items, found.cursor
		b.State.ETag, b.State.Modified = found.etag, found.modified
		if found.cut {
			b.State.ETag, b.State.Modified = "", "" // the rest is still to come
		}
	}
	b.Remember = p.remembers(st)
	b.Observe = p.poll.Compare && p.inlet == "poll"
	r.Items, r.First, r.Cursor = len(b.Items), b.Remember, b.State.Cursor
	r.New, err = p.in.Poll(ctx, b)
	return r, err
}

// remembers tells that a poll only notes what is there: the first one, unless the
// file says backfill.
func (p *poller) remembers(st engine.InletState) bool {
	return st.OKAt.IsZero() && !p.poll.Backfill && !p.poll.Compare
}

// alert says loudly that a poll has had no answer for several intervals.
func (p *poller) alert(ctx context.Context, st engine.InletState, now time.Time, err error) {
	since := st.OKAt
	if since.IsZero() {
		return
	}
	if silent := now.Sub(since); silent > alertAfter*p.table.length(now) {
		p.in.Alert(ctx, engine.Alert{Kind: "poll_failing", Trigger: p.trigger.Name, Message: fmt.Sprintf("the poll of trigger %s has had no answer since %s: %v", p.trigger.Name, since.UTC().Format(time.RFC3339), err),
			Data: map[string]any{"since": since.UTC().Format(time.RFC3339), "failures": st.Failures + 1}})
	}
}

// retryAt is when the service wants to be asked again, at most a day on.
func retryAt(now time.Time, err error) time.Time {
	var e *plan.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return now.Add(min(e.RetryAfter, 24*time.Hour))
	}
	return time.Time{}
}

// found is what the pages of one poll gave.
type found struct {
	items          []*engine.Delivery
	data           []any
	cursor         json.RawMessage
	etag, modified string
	requests       int
	bytes          int64
	unchanged, cut bool
	quota          string
	lastResponse   map[string]any
	rows           []row
}

// row is one item with what is computed of it.
type row struct {
	delivery *engine.Delivery
	item     any
	data     any
	cursor   any
}

// fetch asks page by page.
func (p *poller) fetch(ctx context.Context, st engine.InletState) (*found, error) {
	f := &found{}
	cursor, err := decodeCursor(st.Cursor)
	if err != nil {
		return f, err
	}
	with, err := p.request(p.poll.Request, workflows.Names{"cursor": lookBack(cursor, p.poll.Overlap)})
	if err != nil {
		return f, err
	}
	first := text(with["url"])
	seen := map[string]bool{}
	for page := range max(p.poll.MaxPages, 1) {
		if page == 0 {
			conditional(with, st)
		}
		f.requests++
		resp, err := p.ask(ctx, with)
		if err != nil {
			return f, fmt.Errorf("page %d: %w", page+1, err)
		}
		f.note(resp, page)
		if status, _ := resp["status"].(int); status == 304 && page == 0 {
			f.unchanged = true
			f.cursor = st.Cursor
			return f, nil
		}
		if err := p.take(f, resp, cursor); err != nil {
			return f, fmt.Errorf("page %d: %w", page+1, err)
		}
		next, err := p.next(resp, first, lookBack(cursor, p.poll.Overlap))
		if err != nil {
			return f, fmt.Errorf("page %d: %w", page+1, err)
		}
		if next == "" || len(f.rows) >= maxPolled {
			break
		}
		if seen[next] {
			return f, fmt.Errorf("page %d: its next page is one that was read already: %s", page+1, next)
		}
		seen[next] = true
		delete(with, "query") // the next page's URL has it
		with["url"] = next
		unconditional(with)
	}
	if err := p.bound(ctx, f, st); err != nil {
		return f, err
	}
	if err := p.details(ctx, f, st); err != nil {
		return f, err
	}
	return f, p.finish(f, cursor)
}

// note reads what an answer says about itself.
func (f *found) note(resp map[string]any, page int) {
	f.lastResponse = resp
	headers, _ := resp["headers"].(map[string]any)
	if page == 0 {
		f.etag, f.modified = text(headers["etag"]), text(headers["last-modified"])
	}
	f.quotaOf(resp)
}

// quotaOf adds up what an answer cost, and what is left.
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

func unconditional(with map[string]any) {
	if h, ok := with["headers"].(map[string]any); ok {
		delete(h, "If-None-Match")
		delete(h, "If-Modified-Since")
	}
}

// details asks for what a list does not tell of its new items. An item that is gone
// by then is taken as the list shows it.
func (p *poller) details(ctx context.Context, f *found, st engine.InletState) error {
	if p.poll.Detail == nil {
		return nil
	}
	var keys []string
	for _, r := range f.rows {
		keys = append(keys, r.delivery.Key)
	}
	known, err := p.in.Known(ctx, p.trigger.Name, keys)
	if err != nil {
		return err
	}
	for _, r := range f.rows {
		if r.delivery.Partial = true; known[r.delivery.Key] || p.remembers(st) || p.poll.Compare {
			continue // nobody reads its data
		}
		with, err := p.request(p.poll.Detail, workflows.Names{"item": r.item})
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

// complete gives an item its data from its detail.
func (p *poller) complete(r row, detail map[string]any) error {
	var data any = detail["body"]
	if p.poll.Data != nil {
		var err error
		if data, err = p.poll.Data.Eval(&workflows.Env{Names: workflows.Names{"item": r.item, "detail": detail}, Now: p.now().UTC()}); err != nil {
			return fmt.Errorf("data: %w", err)
		}
	}
	raw, err := workflows.EncodeJSON(data)
	r.delivery.Raw, r.delivery.Partial = raw, false
	return err
}

// request renders a request.
func (p *poller) request(of *workflows.Value, names workflows.Names) (map[string]any, error) {
	for k, v := range p.env.Names {
		names[k] = v
	}
	env := &workflows.Env{Names: names, Now: p.now()}
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

// take reads the items of a page.
func (p *poller) take(f *found, resp map[string]any, cursor any) error {
	names := workflows.Names{"response": resp, "cursor": cursor}
	env := &workflows.Env{Names: names, Now: p.now()}
	var list any = resp["body"]
	if p.poll.Items != nil {
		var err error
		if list, err = p.poll.Items.Eval(env); err != nil {
			return fmt.Errorf("items: %w", err)
		}
	}
	items, ok := list.([]any)
	if !ok && list != nil {
		return errors.New("items did not give a list; name the list inside the answer, such as response.body.data")
	}
	names["items"] = items
	for i, item := range items {
		r, err := p.row(names, item)
		if err != nil {
			return fmt.Errorf("item %d: %w", i, err)
		}
		f.rows = append(f.rows, r)
	}
	return nil
}

// row computes key, data, type and cursor of an item.
func (p *poller) row(names workflows.Names, item any) (row, error) {
	now := p.now().UTC()
	own := workflows.Names{"item": item}
	for k, v := range names {
		own[k] = v
	}
	env := &workflows.Env{Names: own, Now: now}
	out := row{data: item, item: item}
	var err error
	if p.poll.Data != nil && p.poll.Detail == nil {
		if out.data, err = p.poll.Data.Eval(env); err != nil {
			return out, fmt.Errorf("data: %w", err)
		}
	}
	raw, err := workflows.EncodeJSON(out.data)
	if err != nil {
		return out, err
	}
	whole, err := workflows.EncodeJSON(item)
	if err != nil {
		return out, err
	}
	d := &engine.Delivery{Trigger: p.trigger.Name, Inlet: "poll", Type: p.trigger.Name, Time: now, ReceivedAt: now, Headers: map[string]string{"content-type": "application/json"}, Query: map[string]string{},
		Raw: raw, Dedupe: p.poll.Dedupe, Recovered: p.inlet == "reconcile"}
	r := &route{key: p.poll.Key, kind: p.poll.EventType, webhook: &workflows.Webhook{}}
	r.identifyItem(d, env, whole)
	if d.Flag != "" {
		d.Flag = clip("item without a key: "+d.Flag, 300)
	}
	if p.poll.PerItem {
		if out.cursor, err = p.poll.Cursor.Eval(env); err != nil {
			return out, fmt.Errorf("cursor: %w", err)
		}
		if t, ok := asTime(out.cursor); ok && t.Before(now) {
			d.Time = t.UTC() // what the service says is nearer to the fact than the poll
		}
	}
	out.delivery = d
	return out, nil
}

// next gives the URL of the next page, empty for none. It must be on the same host:
// the request's credentials go with it.
func (p *poller) next(resp map[string]any, first string, cursor any) (string, error) {
	raw := ""
	switch {
	case p.poll.LinkHeader:
		headers, _ := resp["headers"].(map[string]any)
		raw = linkNext(text(headers["link"]))
	case p.poll.Next != nil:
		v, err := p.poll.Next.Eval(&workflows.Env{Names: workflows.Names{"response": resp, "cursor": cursor}, Now: p.now()})
		if err != nil {
			return "", fmt.Errorf("pages.next: %w", err)
		}
		raw = text(v)
	}
	if raw == "" {
		return "", nil
	}
	base, err := url.Parse(text(resp["url"]))
	if err != nil {
		return "", fmt.Errorf("pages.next: %w", err)
	}
	u, err := base.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("pages.next: %w", err)
	}
	if u.Host != base.Host || u.Scheme != base.Scheme {
		return "", fmt.Errorf("pages.next is on another host, %s: the credentials of %s are not sent there", u.Host, base.Host)
	}
	if strings.HasPrefix(first, "/") {
		return u.RequestURI(), nil // a connection's path
	}
	return u.String(), nil
}

// linkNext reads rel="next" of a Link header (RFC 8288).
func linkNext(header string) string {
	for _, part := range strings.Split(header, ",") {
		target, params, ok := strings.Cut(part, ";")
		target = strings.TrimSpace(target)
		if !ok || !strings.HasPrefix(target, "<") || !strings.HasSuffix(target, ">") {
			continue
		}
		for _, param := range strings.Split(params, ";") {
			k, v, _ := strings.Cut(strings.TrimSpace(param), "=")
			if strings.EqualFold(k, "rel") && slices.Contains(strings.Fields(strings.ToLower(strings.Trim(v, `"`))), "next") {
				return target[1 : len(target)-1]
			}
		}
	}
	return ""
}

// bound leaves items for the next poll when more are new than one may take: those
// with the lowest cursors come first, so that the cursor passes none.
func (p *poller) bound(ctx context.Context, f *found, st engine.InletState) error {
	f.rows = distinct(f.rows)
	if p.inlet == "reconcile" && !p.remembers(st) {
		// The webhook of what has just happened may still be on its way.
		f.rows = slices.DeleteFunc(f.rows, func(r row) bool { return p.now().Sub(r.delivery.Time) < onItsWay && r.cursor != nil })
	}
	if len(f.rows) <= p.poll.MaxItems || p.remembers(st) {
		return nil
	}
	if p.poll.PerItem {
		slices.SortStableFunc(f.rows, func(a, b row) int { return compareCursors(a.cursor, b.cursor) })
	}
	var keys []string
	for _, r := range f.rows {
		keys = append(keys, r.delivery.Key)
	}
	known, err := p.in.Known(ctx, p.trigger.Name, keys)
	if err != nil {
		return err
	}
	fresh := 0
	for i, r := range f.rows {
		if known[r.delivery.Key] {
			continue
		}
		if fresh++; fresh > p.poll.MaxItems {
			f.rows, f.cut = f.rows[:i], true
			return nil
		}
	}
	return nil
}

// finish finds how far the poll has come.
func (p *poller) finish(f *found, cursor any) error {
	greatest := cursor
	for _, r := range f.rows {
		f.items = append(f.items, r.delivery)
		f.data = append(f.data, r.data)
		if p.poll.PerItem && r.cursor != nil && (greatest == nil || compareCursors(r.cursor, greatest) > 0) {
			greatest = r.cursor // one that goes backwards moves nothing
		}
	}
	if p.poll.Cursor != nil && !p.poll.PerItem {
		v, err := p.poll.Cursor.Eval(&workflows.Env{Names: workflows.Names{"response": f.lastResponse, "cursor": cursor}, Now: p.now()})
		if err != nil {
			return fmt.Errorf("cursor: %w", err)
		}
		if v != nil {
			greatest = v
		}
	}
	if greatest == nil {
		return nil
	}
	if t, ok := greatest.(time.Time); ok {
		greatest = t.UTC().Format(time.RFC3339Nano)
	}
	var err error
	f.cursor, err = workflows.EncodeJSON(greatest)
	return err
}

// distinct keeps the first of the items with a key.
func distinct(rows []row) []row {
	seen := map[string]bool{}
	out := rows[:0:0]
	for _, r := range rows {
		if !seen[r.delivery.Key] {
			seen[r.delivery.Key] = true
			out = append(out, r)
		}
	}
	return out
}

func decodeCursor(raw json.RawMessage) (any, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	v, err := workflows.DecodeJSON(raw)
	if err != nil {
		return nil, fmt.Errorf("the stored cursor: %w", err)
	}
	return v, nil
}

// compareCursors orders two cursors: numbers by value, times by moment, all else as
// text.
func compareCursors(a, b any) int {
	x, xok := workflows.Number(a)
	y, yok := workflows.Number(b)
	if xok && yok {
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	s, sok := asTime(a)
	t, tok := asTime(b)
	if sok && tok {
		return s.Compare(t)
	}
	return strings.Compare(text(a), text(b))
}

// asTime reads a time, a text that is one, or seconds since 1970 in the range of
// our days.
func asTime(v any) (time.Time, bool) {
	switch x := v.(type) {
	case time.Time:
		return x, true
	case string:
		for _, layout := range cursorLayouts {
			if t, err := time.Parse(layout, x); err == nil {
				return t, true
			}
		}
	case int:
		if x > 1_000_000_000 && x < 10_000_000_000 {
			return time.Unix(int64(x), 0), true
		}
	}
	return time.Time{}, false
}

var cursorLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"}

// lookBack moves a cursor back by the overlap: lists lag behind.
func lookBack(cursor any, overlap time.Duration) any {
	if overlap == 0 {
		return cursor
	}
	switch x := cursor.(type) {
	case string:
		for _, layout := range cursorLayouts {
			if t, err := time.Parse(layout, x); err == nil {
				return t.Add(-overlap).Format(layout)
			}
		}
	case int:
		switch {
		case x > 1_000_000_000_000:
			return x - int(overlap.Milliseconds())
		case x > 1_000_000_000:
			return x - int(overlap.Seconds())
		}
	}
	return cursor
}

func text(v any) string {
	s, err := workflows.Text(v)
	if v == nil || err != nil {
		return ""
	}
	return s
}
