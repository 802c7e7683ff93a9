package workflows

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/expr-lang/expr/types"
)

// checker holds what all files of a project know of each other.
type checker struct {
	p       *Project
	catalog *Catalog
	secrets func(name string) bool
	// stored tells that the text of an earlier version is read, which may hold what is
	// a mistake by now.
	stored bool
	// pending are secrets that a provider's handshake will bring, with their triggers.
	pending map[string]string
	// told are secrets that are not set and were reported, by file.
	told map[string]bool
	// kept are the project's fixtures, nil until they are asked for.
	kept *fixtures
}

// workflow checks everything that needs more than one key of a file.
func (c *checker) workflow(w *Workflow) {
	if !c.stored { // what began its runs is of no more concern to them
		c.starts(w)
	}
	base := c.baseScope(w)
	rule := base.in("a rule")
	rule.drop("run", "vars", "steps", "secrets", "events")
	for _, e := range w.When {
		e.check(rule, reflect.Bool)
	}
	body := base.in("a step")
	body.names["vars"] = types.Map{}
	body.names["steps"] = types.Map{}
	for _, v := range w.Vars {
		own := body.in("vars")
		own.drop("steps", "run")
		own.laterVars = laterVars(w.Vars, body)
		v.Value.check(own)
		body.addVar(v.Name, v.pos, w.src)
	}
	w.checkFlow(body)
	c.gather(w, rule)
	c.cancelOn(w, rule)
	s := stepChecker{c: c, w: w}
	s.sequence(w.Steps, body)
	handler := body.in("on_failure")
	handler.names["error"] = errorType()
	for id := range handler.steps() {
		handler.maybe[id] = true
	}
	s.sequence(w.OnFailed, handler)
	w.checkFinally(&s, body)
	out := body.in("output")
	w.Output.check(out)
	w.warnOfReplacing()
	c.secretList(w)
	w.SecretNames()
}

func laterVars(all []Var, sc *scope) map[string]int {
	set, _ := sc.names["vars"].(types.Map)
	out := map[string]int{}
	for _, v := range all {
		if set[v.Name] == nil {
			out[v.Name] = v.pos.Line
		}
	}
	return out
}

// baseScope is what every expression of a workflow may see.
func (c *checker) baseScope(w *Workflow) *scope {
	inputs := types.Map{}
	for _, in := range w.Inputs {
		inputs[in.Name] = inputType(in.Type)
	}
	sc := &scope{names: types.Map{"event": eventType(types.Any), "inputs": inputs, "run": runType()}, hiddenSteps: map[string]string{}, maybe: map[string]bool{}, lenient: c.stored, known: c.knownData(w)}
	if w.Gather != nil && w.Gather.Kind == Batch {
		sc.names["events"] = types.Array(eventType(types.Any))
	}
	if data := c.sampleOf(w); data != nil {
		sc.sampled = types.Map{}
		for k, v := range sc.names {
			sc.sampled[k] = v
		}
		sc.sampled["event"] = eventType(data)
	}
	return sc
}

// sampleOf types event.data when every trigger of the workflow has a sample.
func (c *checker) sampleOf(w *Workflow) types.Type {
	if len(w.Starts) != 1 || w.Starts[0].Kind != "trigger" {
		return nil
	}
	t := c.p.Triggers[w.Starts[0].Trigger]
	if t == nil || t.Webhook == nil || t.Webhook.Sample == "" {
		return nil
	}
	v, err := c.p.readJSON(t.Webhook.Sample)
	if err != nil {
		return nil
	}
	return sampleType(v)
}

// in copies a scope for another place.
func (sc *scope) in(where string) *scope {
	out := &scope{where: where, names: types.Map{}, hiddenSteps: map[string]string{}, maybe: map[string]bool{}, lenient: sc.lenient, known: sc.known, hint: sc.hint}
	for k, v := range sc.names {
		out.names[k] = v
	}
	for _, k := range []string{"steps", "vars"} {
		if m, ok := sc.names[k].(types.Map); ok {
			out.names[k] = copyMap(m)
		}
	}
	for k, v := range sc.hiddenSteps {
		out.hiddenSteps[k] = v
	}
	for k, v := range sc.maybe {
		out.maybe[k] = v
	}
	if sc.sampled != nil {
		out.sampled = copyMap(sc.sampled)
	}
	out.sync()
	return out
}

func copyMap(m types.Map) types.Map {
	out := types.Map{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

// sync brings the names that grew into the sampled scope too.
func (sc *scope) sync() {
	if sc.sampled == nil {
		return
	}
	for k, v := range sc.names {
		if k != "event" {
			sc.sampled[k] = v
		}
	}
	for k := range sc.sampled {
		if _, ok := sc.names[k]; !ok {
			delete(sc.sampled, k)
		}
	}
}

func (sc *scope) drop(names ...string) {
	for _, n := range names {
		delete(sc.names, n)
	}
	sc.sync()
}

func (sc *scope) with(name string, t types.Type) *scope {
	out := sc.in(sc.where)
	out.names[name] = t
	out.sync()
	return out
}

func (sc *scope) addVar(name string, at Pos, src *source) {
	if m, ok := sc.names["vars"].(types.Map); ok {
		m[name] = types.Any
	}
}

func (sc *scope) steps() types.Map {
	m, ok := sc.names["steps"].(types.Map)
	if !ok {
		return types.Map{}
	}
	return m
}

// anySecret lets secrets.NAME be named; which names exist is checked apart.
var anySecret = types.Map{types.Extra: types.String}

// starts checks what a workflow listens to.
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
					w.src.add(s.pos, "unknown-workflow", "a workflow cannot listen to itself", "")
				} else if c.p.Workflows[id] == nil {
					w.src.add(s.pos, "unknown-workflow", fmt.Sprintf("no workflow %q", id), suggest(id, sortedStrings(c.p.Workflows)))
				}
			}
		}
	}
	if w.Trigger != nil {
		c.trigger(w.Trigger)
	}
}

// foreignStarts are words of other tools for what starts a run.
var foreignStarts = map[string]string{
	"cron": `write schedule: {cron: "0 7 * * *"}`, "interval": "write schedule: {every: 5m}", "timer": "write schedule: {every: 5m}", "http": "write webhook: {...}",
	"workflow_dispatch": "write manual", "workflow_call": "write call", "event": "write webhook: {...}, or the name of a trigger",
}

func (c *checker) startTrigger(w *Workflow, s Start) {
	if s.Trigger == AlertsTrigger {
		return
	}
	t := c.p.Triggers[s.Trigger]
	if t == nil {
		hint := suggest(s.Trigger, append(sortedStrings(c.p.Triggers), "manual", "call"))
		if other, foreign := foreignStarts[s.Trigger]; foreign {
			hint = other
		}
		if hint == "" {
			hint = "declare it under triggers: in hookloom.yaml"
		}
		w.src.add(s.pos, "unknown-trigger", fmt.Sprintf("no trigger is named %q", s.Trigger), hint)
		return
	}
	if t.Webhook != nil {
		c.eventNames(w.src, s.pos, t.Webhook, s.Events)
	}
	if t.Webhook != nil && t.Webhook.Respond != nil && t.Webhook.Respond.Sync {
		c.syncSteps(w, t.Webhook.Respond.Timeout)
	}
}

// syncSteps warns of steps that outlast the answer that a sender waits for.
func (c *checker) syncSteps(w *Workflow, limit time.Duration) {
	eachStep(w.Steps, func(s *Step) {
		long := s.Body == "wait"
		if text, ok := s.Sleep.constantText(); ok && !s.SleepUntil {
			d, err := parseDuration(text)
			long = long || err == nil && d >= limit
		}
		if long {
			w.src.warn(s.Pos, "sync-wait", fmt.Sprintf("the sender waits at most %s for its answer (respond: sync), and this step can take longer", limit), "it is answered 202 then, and the run goes on")
		}
	})
}

// eventNames warns of types that the provider is not known to send.
func (c *checker) eventNames(src *source, at Pos, wh *Webhook, events []string) {
	p := presetOf(c.catalog.Presets, wh.Provider)
	if p == nil || len(p.Events) == 0 {
		return
	}
	for _, e := range events {
		if !contains(p.Events, e) && !strings.HasSuffix(e, "*") {
			if s := DidYouMean(e, p.Events); s != "" {
				src.warn(at, "unknown-event", fmt.Sprintf("%s has no event %q", wh.Provider, e), fmt.Sprintf("did you mean %q?", s))
			} else if s := suffixMatch(e, p.Events); s != "" {
				src.warn(at, "unknown-event", fmt.Sprintf("%s has no event %q", wh.Provider, e), fmt.Sprintf("did you mean %q?", s))
			}
		}
	}
}

// suffixMatch finds payment_intent.succeeded for payment_succeeded: the event
// that shares the most words.
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
		sc := &scope{where: "a schedule", names: types.Map{"time": types.TypeOf(zeroTime)}, hiddenSteps: map[string]string{}, maybe: map[string]bool{}}
		if s.Data != nil {
			s.Data.check(sc, reflect.Invalid)
		}
		c.cron(t, s.Cron, s.cronPos)
		for _, o := range t.Schedules[:i] {
			if o.ID == s.ID {
				t.src.add(s.cronPos, "duplicate-id", fmt.Sprintf("two schedules of trigger %s have the id %q", t.Name, s.ID), "give each an id")
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
		t.src.add(w.keyPos, "split-key", "with split, a key that does not read item makes one event of all elements", "write key: item.id, or drop key: for the element's hash")
	}
}

// anyReads tells whether one of the expressions reads a name.
func anyReads(list []*Expr, name string) bool {
	for _, e := range list {
		if e.reads(name) {
			return true
		}
	}
	return false
}

func (c *checker) cron(t *Trigger, text string, at Pos) {
	if text != "" && c.catalog.CheckCron != nil {
		if err := c.catalog.CheckCron(text); err != nil {
			t.src.add(at, "bad-cron", err.Error(), "minute hour day month weekday, such as 0 7 * * 1-5")
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
		t.src.add(p.pos, "needs-key", "compare needs another inlet with a key: there is nothing to compare with", "add webhook: to this trigger, or drop compare:")
	}
}

// listed completes a listing from its preset and checks it.
func (c *checker) listed(t *Trigger, p *Poll) {
	c.pollRequest(t, p.Request)
	c.ownLookBack(t, p)
	pollExprs(p)
	preset := presetOf(c.catalog.Presets, p.Provider)
	if preset != nil {
		if l, w := preset.List, t.Webhook; l != nil && p.Request == nil && len(p.Key) == 0 && w != nil && w.Provider == p.Provider && len(w.Key) == 0 {
			w.Key = l.WebhookKey // one identity, whichever way an event comes
		}
		p.UseListing(preset.List)
	}
	switch {
	case p.Request == nil && p.Provider != "":
		t.src.add(p.pos, "no-list", fmt.Sprintf("the preset %s does not say how to list what it sent", p.Provider), "write request:, items: and key:")
	case p.Request == nil:
		t.src.add(p.pos, "missing-key", "it needs request:", "where to ask")
	case len(p.Key) == 0 && p.Cursor == nil:
		t.src.add(p.pos, "poll-without-key", "without key: every poll would start runs for everything", "key: item.id")
	}
	if name := p.limited(); name != "" && p.Cursor == nil && !p.Pages.Any() {
		t.src.warn(p.pos, "old-items", fmt.Sprintf("%s cuts the list, and without cursor: an old item that moves up into it is taken for new", name), "cursor: item.created_at, or pages: so that the first poll remembers all")
	}
	if name, ok := p.Request.Field("connection").constantText(); ok && c.p.Connections[name] == nil {
		hint := suggest(name, sortedStrings(c.p.Connections))
		if hint == "" {
			hint = fmt.Sprintf("connections: {%s: {connector: http, auth: {bearer: \"${{ secrets.%s_API_KEY }}\"}}}", name, strings.ToUpper(name))
		}
		t.src.add(p.pos, "unknown-connection", fmt.Sprintf("no connection is named %q", name), hint)
	}
}

// ownLookBack warns of a request that asks for what is later than the last time it saw:
// an item that is written late with that time, or an earlier one, would be missed.
func (c *checker) ownLookBack(t *Trigger, p *Poll) {
	if c.stored || p.Request == nil || p.Provider != "" || p.OverlapWritten || p.Cursor == nil || !p.AsksFrom() || !NamesTime(p.Cursor.Text) {
		return
	}
	t.src.warn(p.cursorPos, "no-overlap", "the request asks from this time on: an item that shows up late with the same time or an earlier one is missed",
		"add overlap: 1m to look back (key: tells what is known), or overlap: 0s where nothing comes late")
}

// sharedKey warns when two inlets of a trigger have no key in common: the same
// event would be two.
func (c *checker) sharedKey(t *Trigger) {
	if t.Webhook != nil && t.Poll != nil && len(t.Webhook.Key) == 0 && presetOf(c.catalog.Presets, t.Webhook.Provider) == nil {
		t.src.warn(t.Webhook.pos, "no-shared-key", fmt.Sprintf("the webhook of trigger %s has no key:, so that what the poll finds too is another event", t.Name), "write the same key: into both inlets")
	}
}

// pollExprs checks what a poll reads of its answers.
func pollExprs(p *Poll) {
	request := &scope{where: "a poll's request", names: types.Map{"cursor": types.Any, "secrets": anySecret}, hiddenSteps: map[string]string{}, maybe: map[string]bool{}}
	p.Request.check(request)
	response := types.Map{"response": types.Map{"status": types.Int, "headers": anyMap, "body": types.Any, "url": types.String}, "cursor": types.Any}
	one := &scope{where: "a poll's detail", names: types.Map{"item": types.Any, "secrets": anySecret}, hiddenSteps: map[string]string{}, maybe: map[string]bool{}}
	p.Detail.check(one)
	whole := &scope{where: "a poll", names: response, hint: answerHint}
	each := whole.in("a poll's item").with("item", types.Any).with("items", types.Any)
	for _, e := range []*Expr{p.Items, p.Pages.Next, p.Pages.Token} {
		if e != nil {
			e.check(whole, reflect.Invalid)
		}
	}
	if p.Pages.Until != nil {
		p.Pages.Until.check(whole.with("items", types.Any), reflect.Bool)
	}
	each.hint = itemHint
	data := each
	if p.Detail != nil {
		data = each.with("detail", types.Map{"status": types.Int, "headers": anyMap, "body": types.Any})
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

// variant finds a preset's scheme by name; "" is the first.
// webhookNames are what a webhook inlet's own keys may read.
func webhookNames() types.Map {
	return types.Map{"body": types.Any, "headers": anyMap, "query": anyMap, "raw": types.String, "method": types.String, "url": types.String, "path": types.String,
		"claims": types.Any}
}

func (c *checker) triggerExprs(w *Webhook) {
	sc := &scope{where: "a trigger", names: webhookNames(), hiddenSteps: map[string]string{}, maybe: map[string]bool{}}
	if w.Split != nil {
		w.Split.check(sc, reflect.Invalid)
		sc.names["item"] = types.Any
	}
	for _, e := range w.Key {
		e.check(sc, reflect.Invalid)
	}
	for _, e := range []*Expr{w.Data, w.EventType} {
		if e != nil {
			e.check(sc, reflect.Invalid)
		}
	}
	secret := &scope{where: "a trigger's secret", names: types.Map{"secrets": anySecret}}
	for _, v := range append(append([]*Value{w.Params}, w.Secrets...), w.Auth.values()...) {
		v.check(secret)
	}
	if w.Respond != nil {
		out := &scope{where: "respond", names: types.Map{"event": eventType(types.Any), "output": types.Any, "run": runType()}}
		w.Respond.Body.check(out)
		w.Respond.Headers.check(out)
	}
}

// secretList checks secrets: and the secrets that are not set anywhere.
func (c *checker) secretList(w *Workflow) {
	w.eachExpr(func(e *Expr) {
		for _, name := range e.secretNames() {
			at := strings.Index(e.Text, "secrets."+name) + len("secrets.")
			from := len([]rune(e.Text[:at]))
			if w.secrets != nil && !contains(w.secrets, name) {
				e.report("secret-not-listed", false, from, from+len(name), fmt.Sprintf("secret %s is not in this file's list", name), "add it to secrets:")
			}
			c.secretSet(e, name, from)
		}
	})
}

func (c *checker) secretSet(e *Expr, name string, from int) {
	if c.secrets != nil && !c.secrets(name) && c.pending[name] != "" {
		e.report("secret-pending", true, from, from+len(name), fmt.Sprintf("secret %s is not set yet", name), fmt.Sprintf("run hookloom serve, then hookloom triggers --await-secret %s, and have the provider send its handshake within 15 minutes", c.pending[name]))
		return
	}
	if c.secrets != nil && !c.secrets(name) && !c.told[e.place.src.name+" "+name] {
		if c.told == nil {
			c.told = map[string]bool{}
		}
		c.told[e.place.src.name+" "+name] = true // once for each file
		e.report(SecretNotSet, true, from, from+len(name), fmt.Sprintf("secret %s is not set", name), "set it in the environment, in .env or in /run/secrets")
	}
}

// tokens warns of tokens of the admin address that have no value: the server does not
// start without them.
func (c *checker) tokens() {
	for key, v := range map[string]*Value{"token": c.p.Server.Token, "view_token": c.p.Server.ViewToken} {
		v.exprs(func(e *Expr) {
			for _, name := range e.secretNames() {
				if c.secrets != nil && !c.secrets(name) {
					from := max(0, strings.Index(e.Text, name))
					e.report("token-not-set", true, from, from+len(name), fmt.Sprintf("server.%s: secret %s is not set, and the server does not start without it", key, name),
						"set it in the environment, in .env or in /run/secrets")
				}
			}
		})
	}
}

// eachExpr visits every expression of a workflow, its own trigger included.
func (w *Workflow) eachExpr(visit func(*Expr)) {
	for _, v := range w.Vars {
		v.Value.exprs(visit)
	}
	w.Output.exprs(visit)
	eachStep(w.Steps, func(s *Step) { s.exprs(visit) })
	eachStep(w.OnFailed, func(s *Step) { s.exprs(visit) })
	eachStep(w.Finally, func(s *Step) { s.exprs(visit) })
	if w.Trigger != nil {
		w.Trigger.exprs(visit)
	}
}

func (t *Trigger) exprs(visit func(*Expr)) {
	if t.Poll != nil {
		t.Poll.Request.exprs(visit)
		t.Poll.Detail.exprs(visit)
	}
	if t.Webhook == nil {
		return
	}
	if t.Webhook.Reconcile != nil {
		t.Webhook.Reconcile.Request.exprs(visit)
		t.Webhook.Reconcile.Detail.exprs(visit)
	}
	for _, v := range append(append([]*Value{t.Webhook.Params}, t.Webhook.Secrets...), t.Webhook.Auth.values()...) {
		v.exprs(visit)
	}
}

func (s *Step) exprs(visit func(*Expr)) {
	s.With.exprs(visit)
	s.Output.exprs(visit)
	s.Text.exprs(visit)
	s.Sleep.exprs(visit)
	for _, one := range s.Wait.Choices() {
		one.Approval.exprs(visit)
		one.Key.exprs(visit)
	}
	for _, v := range s.Set {
		v.Value.exprs(visit)
	}
}

func eachStep(list []*Step, visit func(*Step)) {
	for _, s := range list {
		visit(s)
		eachStep(s.Steps, visit)
		eachStep(s.Else, visit)
		eachStep(s.Default, visit)
		eachStep(s.Parallel, visit)
		eachStep(s.OnFailure, visit)
		for _, c := range s.Cases {
			eachStep(c.Steps, visit)
		}
	}
}

// EachStep visits all steps, those inside groups and handlers included.
func (w *Workflow) EachStep(visit func(*Step)) {
	eachStep(w.Steps, visit)
	eachStep(w.OnFailed, visit)
	eachStep(w.Finally, visit)
}
