package workflows

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/spelling"
)

// starts checks the on key of a workflow.
func (c *checker) starts(w *Workflow) {
	for _, s := range w.Starts {
		switch s.Kind {
		case "trigger":
			c.startTrigger(w, s)
		case "workflow_run":
			for _, id := range s.Workflows {
				if id == AnyWorkflow {
					continue
				}
				if id == w.ID {
					w.src.add(s.pos, "unknown-workflow", "a workflow cannot be started by its own runs", "")
				} else if c.p.Workflows[id] == nil {
					w.src.add(s.pos, "unknown-workflow", fmt.Sprintf("no workflow %q", id),
						spelling.Suggest(id, slices.Sorted(maps.Keys(c.p.Workflows))))
				}
			}
		}
	}
	if w.Trigger != nil {
		c.trigger(w.Trigger)
	}
}

// foreignStarts maps the names that other tools use for triggers.
var foreignStarts = map[string]string{
	"cron": `write schedule: {cron: "0 7 * * *"}`, "interval": "write schedule: {every: 5m}",
	"timer": "write schedule: {every: 5m}", "http": "write webhook: {...}",
	"respond":           "respond: belongs in the trigger: write webhook: {..., respond: sync}",
	"workflow_dispatch": "write manual", "workflow_call": "write call", "event": "write webhook: {...}, or the name of a trigger",
	"push": githubEvent("push"), "pull_request": githubEvent("pull_request"), "issues": githubEvent("issues"),
	"issue_comment": githubEvent("issue_comment"), "release": githubEvent("release"),
}

// githubEvent says how to receive an event that starts GitHub's own workflows.
func githubEvent(name string) string {
	return fmt.Sprintf(`write on: {webhook: {provider: github, secret: "${{ secrets.GITHUB_SECRET }}", events: [%s]}}`, name)
}

// githubEvents are the words of on: that start GitHub's own workflows.
var githubEvents = []string{"push", "pull_request", "issues", "issue_comment", "release"}

// githubStart says how the project's own trigger of GitHub receives an event that starts GitHub's own workflows, beside
// the other entries of on:; "" if it has no such trigger.
func (c *checker) githubStart(w *Workflow, event string) string {
	if !slices.Contains(githubEvents, event) {
		return ""
	}
	own := ""
	for _, name := range slices.Sorted(maps.Keys(c.p.Triggers)) {
		if t := c.p.Triggers[name]; t.Webhook != nil && t.Webhook.Provider == "github" {
			own = cmp.Or(own, name)
		}
	}
	if own == "" {
		return ""
	}
	events, there, others := []string{}, false, w.Trigger != nil
	for _, s := range w.Starts {
		if s.Trigger == own && len(s.Events) == 0 {
			return "remove it: " + own + " receives all events of GitHub"
		} else if s.Trigger == own {
			events, there = append(events, s.Events...), true
		} else if slices.Contains(githubEvents, s.Trigger) {
			name := s.Trigger
			if name != "push" {
				name += ".*"
			}
			events = append(events, name)
		} else {
			others = true
		}
	}
	slices.Sort(events)
	entry := fmt.Sprintf("%s: {events: [%s]}", own, strings.Join(slices.Compact(events), ", "))
	switch {
	case there:
		return "remove " + event + ", and write " + entry
	case others:
		return "write " + entry + " in place of " + event
	}
	return "write on: {" + entry + "}"
}

func (c *checker) startTrigger(w *Workflow, s Start) {
	if s.Trigger == AlertsTrigger {
		return
	}
	if s.form != nil {
		c.startForm(w, s)
		return
	}
	t := c.p.Triggers[s.Trigger]
	if t == nil && s.Trigger == "" {
		w.src.add(s.pos, "unknown-trigger", "on: is empty",
			"write what starts a run, such as on: manual, and indent the lines of on: by two spaces")
		return
	}
	if t == nil {
		w.src.add(s.pos, "unknown-trigger", fmt.Sprintf("no trigger is named %q", s.Trigger),
			cmp.Or(c.githubStart(w, s.Trigger), c.unknownStart(s.Trigger)))
		return
	}
	if t.Webhook != nil {
		c.eventNames(w.src, s.eventPos, t.Webhook, s.Events)
		c.batchTypes(w.src, s.pos, t.Webhook, s.Events)
	}
	if t.Webhook != nil && t.Webhook.Respond != nil && t.Webhook.Respond.Sync {
		c.syncSteps(w, t.Webhook.Respond.Timeout)
	}
}

// syncSteps warns about steps that take longer than the sender waits for a synchronous response.
func (c *checker) syncSteps(w *Workflow, limit time.Duration) {
	eachStep(w.Steps, func(s *Step) {
		long := s.Body == "wait"
		if text, ok := s.Sleep.constantText(); ok && !s.SleepUntil {
			d, err := parseDuration(text)
			long = long || err == nil && d >= limit
		}
		if long {
			w.src.warn(s.Pos, "sync-wait",
				fmt.Sprintf("the sender waits at most %s for a response (respond: sync), and this step can take longer", limit),
				"after that it gets 202, and the run continues")
		}
	})
}

// eventNames warns about event types that the provider is not known to send; at are their places.
func (c *checker) eventNames(src *source, at []Pos, wh *Webhook, events []string) {
	p := presetOf(c.catalog.Presets, wh.Provider)
	if p == nil || len(p.Events) == 0 {
		return
	}
	for i, e := range events {
		if slices.Contains(p.Events, e) || strings.HasSuffix(e, "*") {
			continue
		}
		hint := ""
		if all := kindsOfEvent(e, p.Events); all != "" {
			hint = all
		} else if s := spelling.Nearest(e, p.Events); s != "" {
			hint = fmt.Sprintf("did you mean %q?", s)
		} else if s := suffixMatch(e, p.Events); s != "" {
			hint = fmt.Sprintf("did you mean %q?", s)
		}
		if hint != "" {
			src.warn(at[i], "unknown-event", fmt.Sprintf("%s has no event %q", wh.Provider, e), hint)
		}
	}
}

// kindsOfEvent proposes all events of an object for its bare name: pull_request.* for pull_request, if the
// provider sends pull_request.opened and others.
func kindsOfEvent(e string, events []string) string {
	for _, separator := range []string{".", "/", ":"} {
		for _, x := range events {
			if strings.HasPrefix(x, e+separator) {
				return fmt.Sprintf("write %s%s* for all of them, or one such as %s", e, separator, x)
			}
		}
	}
	return ""
}

// batchTypes warns if event types are selected but a delivery may contain several events.
func (c *checker) batchTypes(src *source, at Pos, wh *Webhook, events []string) {
	p := presetOf(c.catalog.Presets, wh.Provider)
	if p == nil || p.Batch == nil || wh.Split != nil || wh.EventType != nil || len(events) == 0 {
		return
	}
	src.warn(at, "batch-type", fmt.Sprintf("a delivery of %s may hold several events, and its type is that of the first one: events: "+
		"misses the others", wh.Provider),
		fmt.Sprintf("write split: %s next to provider:; each event then has its own type, and event.data is that event", p.Batch.Text))
}

// suffixMatch returns the event that shares the most words with e, such as payment_intent.succeeded
// for payment_succeeded.
func suffixMatch(e string, events []string) string {
	words := strings.FieldsFunc(e, func(r rune) bool { return r == '.' || r == '_' || r == '/' })
	best, bestScore := "", 1
	for _, x := range events {
		score := 0
		for _, w := range words {
			if strings.Contains(x, w) {
				score++
			}
		}
		if score > bestScore {
			best, bestScore = x, score
		}
	}
	return best
}

// trigger checks one trigger's inlets.
func (c *checker) trigger(t *Trigger) {
	if t.Poll != nil {
		c.poll(t)
	}
	for i, s := range t.Schedules {
		sc := &expr.Scope{
			Where:       "a schedule",
			Names:       expr.Map{"time": expr.Time},
			HiddenSteps: map[string]string{},
			MaybeNil:    map[string]bool{},
		}
		if s.Data != nil {
			s.Data.check(sc, reflect.Invalid)
		}
		c.cron(t, s.Cron, s.cronPos)
		for _, o := range t.Schedules[:i] {
			if o.ID == s.ID {
				t.src.add(s.cronPos, "duplicate-id", fmt.Sprintf("two schedules of trigger %s have the id %q", t.Name, s.ID),
					"give each an id")
			}
		}
	}
	c.sharedKey(t)
	w := t.Webhook
	if w == nil {
		return
	}
	c.checkIdentity(t, w)
	if w.Provider != "" {
		c.checkPreset(t, w)
	}
	for _, reserved := range []string{"/api", "/approve", "/console", "/healthz", "/readyz", "/metrics"} {
		if w.Path == reserved || strings.HasPrefix(w.Path, reserved+"/") {
			t.src.add(w.pathPos, "reserved-path", fmt.Sprintf("path %s is reserved", reserved), "")
		}
	}
	c.triggerExprs(w)
	if w.Reconcile != nil {
		c.listed(t, w.Reconcile)
	}
	if w.Sample != "" {
		if _, err := c.p.readJSON(w.Sample); err != nil {
			t.src.add(w.pos, "missing-file", fmt.Sprintf("sample: %v", err), "")
		}
	}
	split := w.Split != nil
	if p := presetOf(c.catalog.Presets, w.Provider); p != nil {
		split = split || p.Split != nil
	}
	if split && len(w.Key) > 0 && !anyReads(w.Key, "item") {
		t.src.add(w.keyPos, "split-key", "with split, a key that does not read item makes one event of all elements",
			"write key: item.id, or drop key: for the element's hash")
	}
}

// anyReads reports whether one of the expressions reads name.
func anyReads(list []*Expr, name string) bool {
	for _, e := range list {
		if e.Reads(name) {
			return true
		}
	}
	return false
}

func (c *checker) cron(t *Trigger, text string, at Pos) {
	if text != "" && c.catalog.CheckCron != nil {
		if err := c.catalog.CheckCron(text); err != nil {
			t.src.add(at, "bad-cron", err.Error(), c.cronHint(text))
			return
		}
	}
	if text != "" && c.catalog.ExplainCron != nil {
		for _, note := range c.catalog.ExplainCron(text) {
			t.src.report(at, "cron-surprise", true, note, "hookloom validate --verbose shows its next times")
		}
	}
}

// poll checks a poll inlet.
func (c *checker) poll(t *Trigger) {
	p := t.Poll
	c.listed(t, p)
	c.cron(t, p.Cron, p.cronPos)
	if p.Compare && t.Webhook == nil {
		t.src.add(p.pos, "needs-key", "compare needs another inlet with a key: there is nothing to compare with",
			"add webhook: to this trigger, or drop compare:")
	}
}

// listed adds the preset's values to a listing and checks it.
func (c *checker) listed(t *Trigger, p *Poll) {
	c.pollRequest(t, p.Request)
	c.ownLookBack(t, p)
	pollExprs(p)
	preset := presetOf(c.catalog.Presets, p.Provider)
	if preset != nil {
		if l, w := preset.List, t.Webhook; l != nil && p.Request == nil && len(p.Key) == 0 && w != nil &&
			w.Provider == p.Provider && len(w.Key) == 0 {
			w.Key = l.WebhookKey // one key, whichever inlet the event comes from
		}
		ownKey(t, p, preset)
		p.UseListing(preset.List)
	}
	switch {
	case p.Request == nil && p.Provider != "":
		t.src.add(p.pos, "no-list", fmt.Sprintf("the preset %s does not say how to list its events", p.Provider),
			"write request:, items: and key:")
	case p == t.Poll && p.Provider == "":
		// reported with the structure of the document
	case p.Request == nil:
		t.src.add(p.pos, "missing-key", "poll needs request:", `write request: {url: "https://api.example.com/orders"}`)
	case len(p.Key) == 0 && p.Cursor == nil:
		t.src.add(p.pos, "poll-without-key", "without key: every poll would start a run for every item", "key: item.id")
	}
	if name := p.limited(); name != "" && p.Cursor == nil && !p.Pages.Any() {
		t.src.warn(p.pos, "old-items",
			fmt.Sprintf("%s cuts the list, and without cursor: an old item that moves up into it counts as new", name),
			"cursor: item.created_at, or pages: so that the first poll remembers all")
	}
	if name, ok := p.Request.Field("connection").constantText(); ok && c.p.Connections[name] == nil {
		hint := spelling.Suggest(name, slices.Sorted(maps.Keys(c.p.Connections)))
		if hint == "" {
			hint = fmt.Sprintf("connections: {%s: {connector: http, auth: {bearer: \"${{ secrets.%s_API_KEY }}\"}}}", name,
				strings.ToUpper(name))
		}
		t.src.add(p.pos, "unknown-connection", fmt.Sprintf("no connection is named %q", name), hint)
	}
}

// ownKey warns about a webhook with a key of its own beside a listing with the preset's, unless both name
// the same fields: an event received by both would run twice.
func ownKey(t *Trigger, p *Poll, preset *Preset) {
	w, l := t.Webhook, preset.List
	if l == nil || p.Request != nil || len(p.Key) > 0 || w == nil || w.Provider != p.Provider || w.keyPos == (Pos{}) {
		return
	}
	own := writtenKey(w.Key)
	if own == "" || own == writtenKey(preset.Key) && len(l.WebhookKey) == 0 || own == writtenKey(l.WebhookKey) ||
		strings.ReplaceAll(own, "body.", "item.") == writtenKey(l.Key) {
		return
	}
	t.src.warn(w.keyPos, "no-shared-key",
		fmt.Sprintf("the webhook of trigger %s has key: %s, and the preset's list of %s has %s, so an event that both find counts twice",
			t.Name, own, p.Provider, writtenKey(l.Key)), "drop key:, so that the preset sets one key for both")
}

// writtenKey is a key as it is written.
func writtenKey(key []*Expr) string {
	parts := make([]string, 0, len(key))
	for _, e := range key {
		parts = append(parts, e.Text)
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// ownLookBack warns about a request that asks for items later than the last time seen: it misses
// items that appear late with that time or an earlier one.
func (c *checker) ownLookBack(t *Trigger, p *Poll) {
	if c.stored || p.Request == nil || p.Provider != "" || p.OverlapWritten || p.Cursor == nil || !p.AsksFrom() ||
		!expr.NamesTime(p.Cursor.Text) {
		return
	}
	t.src.warn(p.cursorPos, "no-overlap",
		"the request asks for items after this time: an item that appears late, with this time or an earlier one, is missed",
		"add overlap: 1m to look back (key: skips known items), or overlap: 0s if items never appear late")
}

// sharedKey warns if two inlets of a trigger have different keys: an event received by both would
// run twice.
func (c *checker) sharedKey(t *Trigger) {
	if t.Webhook != nil && t.Poll != nil && len(t.Webhook.Key) == 0 && presetOf(c.catalog.Presets, t.Webhook.Provider) == nil {
		t.src.warn(t.Webhook.pos, "no-shared-key",
			fmt.Sprintf("the webhook of trigger %s has no key:, so an event that the poll also finds counts twice", t.Name),
			"set the same key: in both inlets")
	}
}

// pollExprs checks the expressions that read a poll's responses.
func pollExprs(p *Poll) {
	request := &expr.Scope{
		Where:       "a poll's request",
		Names:       expr.Map{"cursor": expr.Any, "secrets": expr.AnySecret},
		HiddenSteps: map[string]string{},
		MaybeNil:    map[string]bool{},
	}
	p.Request.check(request)
	response := expr.Map{
		"response": expr.Map{"status": expr.Int, "headers": expr.AnyMap, "body": expr.Any, "url": expr.String},
		"cursor":   expr.Any,
	}
	one := &expr.Scope{
		Where:       "a poll's detail",
		Names:       expr.Map{"item": expr.Any, "secrets": expr.AnySecret},
		HiddenSteps: map[string]string{},
		MaybeNil:    map[string]bool{},
	}
	p.Detail.check(one)
	whole := &expr.Scope{Where: "a poll", Names: response, Hint: answerHint}
	each := whole.In("a poll's item").With("item", expr.Any).With("items", expr.Any)
	for _, e := range []*Expr{p.Items, p.Pages.Next, p.Pages.Token} {
		if e != nil {
			e.check(whole, reflect.Invalid)
		}
	}
	if p.Pages.Until != nil {
		p.Pages.Until.check(whole.With("items", expr.Any), reflect.Bool)
	}
	each.Hint = itemHint
	data := each
	if p.Detail != nil {
		data = each.With("detail", expr.Map{"status": expr.Int, "headers": expr.AnyMap, "body": expr.Any})
	}
	if p.Data != nil {
		p.Data.check(data, reflect.Invalid)
	}
	for _, e := range append([]*Expr{p.Cursor, p.EventType}, p.Key...) {
		if e != nil {
			e.check(each, reflect.Invalid)
		}
	}
}

// webhookNames are the names that the expressions of a webhook inlet may use.
func webhookNames() expr.Map {
	return expr.Map{"body": expr.Any, "headers": expr.AnyMap, "query": expr.AnyMap, "raw": expr.String,
		"method": expr.String, "url": expr.String, "path": expr.String,
		"claims": expr.Any}
}

func (c *checker) triggerExprs(w *Webhook) {
	sc := &expr.Scope{Where: "a trigger", Names: webhookNames(), HiddenSteps: map[string]string{}, MaybeNil: map[string]bool{}}
	if w.Split != nil {
		w.Split.check(sc, reflect.Invalid)
		sc.Names["item"] = expr.Any
	}
	for _, e := range w.Key {
		e.check(sc, reflect.Invalid)
	}
	for _, e := range []*Expr{w.Data, w.EventType} {
		if e != nil {
			e.check(sc, reflect.Invalid)
		}
	}
	secret := &expr.Scope{Where: "a trigger's secret", Names: expr.Map{"secrets": expr.AnySecret}}
	for _, v := range append(append([]*Value{w.Params}, w.Secrets...), w.Auth.values()...) {
		v.check(secret)
	}
	if w.Respond != nil {
		out := &expr.Scope{Where: "respond", Names: expr.Map{"event": expr.EventType(expr.Any), "output": expr.Any, "run": expr.RunType()}}
		w.Respond.Body.check(out)
		w.Respond.Headers.check(out)
	}
}
