package console

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/backtest"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

//go:embed pages/*.html static/*
var files embed.FS

// templates parses the pages when the console is first used: their trees take almost a megabyte, which
// servers and commands without the console need not have.
var templates = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{"pretty": pretty, "body": bodyText, "part": part,
		"when": func(any) template.HTML { return "" }, "ago": func(any) template.HTML { return "" }, // see zone.go
		"success": success, "ms": millis, "proof": engine.Proof.Words, "list": strings.Join, "row": rowOf, "target": targetPage, "took": took,
		"took1": took1, "iso": iso, "bytes": Bytes,
		"reqtext": SentRequestText, "restext": SentResponseText,
		"percent": percent, "seconds": seconds, "clip": clip, "facts": facts, "count": count, "json": jsonText, "escape": url.QueryEscape,
		"line": lineOf, "kind": kindWords, "lacking": backtest.Limits.Lacking, "depth": func(n int) int { return min(n, 9) },
		"at": func(step, url string) string { return strings.ReplaceAll(step, "https://YOUR-HOST/hooks/TRIGGER", url) }}).ParseFS(files,
		"pages/*.html"))
})

// jsonText formats a value of a condition.
func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return string(b)
}

func sortedNames[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// static serves the style sheet, the script and the icon. They are the same for all users, so
// browsers may cache them.
func static() http.Handler {
	dir, err := fs.Sub(files, "static")
	if err != nil {
		panic(err) // the folder is embedded
	}
	serve := http.StripPrefix("/static/", http.FileServerFS(dir))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=300")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		serve.ServeHTTP(w, r)
	})
}

func pageHeaders(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// policy allows a page its own style sheet and script and requests to its own server, and nothing
// else. The pages work without their script, using forms and links.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; " +
	"img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// flashMessages are the messages after an action, by the code in the URL: a text in a URL could come from
// anybody.
var flashMessages = map[string]string{
	"replayed": "Replayed. This is the new run.", "cancelled": "The run is being cancelled.", "answered": "Your answer is recorded.",
	"admitted": "The delivery is valid now: this is its event.",
	"enabled":  "The workflow is switched on as its file says.", "disabled": "The workflow is switched off.",
	"fired": "Started by hand: this is its event.", "resumed": "The endpoint gets webhooks again.",
	"polled": "Polled.", "many": "The replays have started, twenty per second.",
	"already":  "It was already replayed: this is that run.",
	"decided":  "It was decided again, but the current rule does not match. See the decision below.",
	"draining": "The workflow is switched on: the held events run now, in order.",
	"holding":  "The workflow is switched off: new events are held.",
	"started":  "The batch has started.", "batch": "Done.",
	"kept": "The value is stored.", "removed": "The key is deleted.",
	"awaiting": "For 15 minutes, the secret in the provider's next handshake is accepted.",
}

func (c *Console) pages(mux *http.ServeMux) {
	for path, h := range map[string]http.HandlerFunc{
		"GET /{$}": c.overviewPage, "GET /live": c.livePage, "GET /events": c.eventsPage, "GET /events/{id}": c.eventPage,
		"GET /runs": c.runsPage, "GET /runs/{id}": c.runPage, "GET /runs/{id}/replay": c.previewPage,
		"GET /deadletters": c.deadPage, "GET /quarantine": c.quarantinePage, "GET /search": c.searchPage, "GET /waiting": c.needsPage,
		"GET /destinations": c.hostsPage, "GET /destination": c.hostPage, "GET /timezone": c.setZone,
		"GET /quarantine/{id}": c.refusalPage, "GET /triggers": c.triggersPage, "GET /trigger": c.triggerPage,
		"GET /workflows": c.workflowsPage, "GET /workflow": c.workflowPage, "GET /audit": c.auditPage,
		"POST /runs/{id}/replay":   c.acting("run.replay", c.doReplay),
		"POST /runs/{id}/cancel":   c.confirmed("run.cancel", c.confirmCancel, c.doCancel),
		"POST /runs/{id}/answer":   c.acting("run.answer", c.doAnswer),
		"POST /events/{id}/replay": c.confirmed("event.replay", c.confirmReplayEvent, c.doReplayEvent), "POST /deadletters/replay": c.deadReplay,
		"POST /conflicts/{id}/admit":  c.acting("conflict.admit", c.doAdmitConflict),
		"POST /quarantine/{id}/admit": c.acting("refusal.admit", c.doAdmit),
		"POST /quarantine/admit":      c.confirmed("refusal.admit", c.confirmRecheckAll, c.doRecheckAll),
		"POST /trigger/send":          c.trySend(c.confirmed("trigger.send", c.confirmSend, c.doSend)),
		"POST /trigger/poll":          c.acting("trigger.poll", c.doPoll),
		"POST /trigger/await-secret":  c.acting("trigger.await_secret", c.doAwaitSecret),
		"POST /workflow/fire":         c.acting("workflow.fire", c.doFire), "POST /workflow/enable": c.acting("workflow.enable", c.doSwitch),
		"POST /workflow/disable":    c.confirmed("workflow.disable", c.confirmDisable, c.doSwitch),
		"POST /destinations/resume": c.acting("endpoint.resume", c.doResume), "POST /logout": c.acting("logout", c.logout),
	} {
		mux.HandleFunc(path, h)
	}
	c.againPages(mux)
	c.valuesPages(mux)
	c.whatIfPages(mux)
	c.manualPages(mux)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") {
			problem(w, http.StatusNotFound, "not found")
			return
		}
		c.errorPage(w, r, http.StatusNotFound, "Page not found.")
	})
}

func (c *Console) render(w http.ResponseWriter, r *http.Request, status int, name string, data map[string]any) {
	by := callerOf(r)
	data["By"], data["Operates"], data["CSRF"], data["Path"] = by, by.operates(), c.csrf(by), r.URL.Path
	if state := c.o.State(); state.Broken() && by.Role != "" {
		data["Broken"] = state
	}
	data["Said"], data["LoggedIn"] = flashMessages[r.URL.Query().Get("said")], by.session != ""
	zone := c.zoneOf(r)
	data["Zone"] = zone
	if by.Role != "" {
		// The page does not depend on this number: on failure the menu shows none.
		data["Needs"], _ = c.needs.get(true, time.Now(), func() (int, error) { return c.o.Log.NeedsPeople(r.Context()) })
	}
	t, err := byZone.get(zone.At)
	if err != nil {
		c.fail(w, err)
		return
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, name, data); err != nil {
		c.fail(w, err)
		return
	}
	pageHeaders(w.Header())
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // on failure the client has disconnected
}

// errorPage shows an error page.
func (c *Console) errorPage(w http.ResponseWriter, r *http.Request, status int, text string) {
	c.render(w, r, status, "sorry", map[string]any{"Title": http.StatusText(status), "Text": text})
}

// showError shows an error as a page, with an explanation if the caller can do something about it.
func (c *Console) showError(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, engine.ErrNotFound):
		c.errorPage(w, r, http.StatusNotFound, "Not found: it never existed, or it was pruned.")
	case errors.Is(err, engine.ErrFull), errors.Is(err, engine.ErrBusy), errors.Is(err, engine.ErrClosed):
		c.errorPage(w, r, http.StatusServiceUnavailable, "Nothing can be stored at the moment. Try again soon.")
	case errors.Is(err, engine.ErrQuery):
		c.errorPage(w, r, http.StatusBadRequest, err.Error())
	case errors.Is(err, context.Canceled):
	default:
		c.o.Logger.Error("a page could not be rendered", "path", r.URL.Path, "error", err)
		c.errorPage(w, r, http.StatusInternalServerError, "The page could not be rendered; the server's log has the reason.")
	}
}

func (c *Console) livePage(w http.ResponseWriter, r *http.Request) {
	c.render(w, r, http.StatusOK, "live", map[string]any{"Title": "Live",
		"Q":        engine.Query{Trigger: r.URL.Query().Get("trigger"), Workflow: r.URL.Query().Get("workflow")},
		"Triggers": sortedNames(c.o.Project().Triggers), "Workflows": sortedNames(c.o.Project().Workflows)})
}

// previewPage shows what a replay would repeat.
func (c *Console) previewPage(w http.ResponseWriter, r *http.Request) {
	d, ok := c.runOf(w, r, r.PathValue("id"))
	if !ok {
		return
	}
	o := replayOrder{From: r.URL.Query().Get("from"), Version: r.URL.Query().Get("version")}
	if err := o.check(); err != nil {
		c.errorPage(w, r, http.StatusBadRequest, err.Error())
		return
	}
	data := map[string]any{"Title": "Replay this run?", "D": d, "Order": o, "Current": ""}
	if flow := c.o.Project().Workflows[d.Workflow]; flow != nil {
		data["Current"] = flow.Version
		if text, err := c.o.Log.VersionText(r.Context(), d.Version); err == nil && o.Version == "current" {
			data["Diff"] = compareTexts(d.Version, text, flow.Version, string(flow.Text))
		}
	}
	newest := map[string]engine.StepItem{}
	for _, s := range d.Steps {
		newest[s.Path] = s
	}
	var kept, again []engine.StepItem
	for _, path := range sortedNames(newest) {
		switch s := newest[path]; {
		case o.From == "failed" && s.Status == "succeeded" && !strings.HasPrefix(path, "on_failure/") &&
			!strings.HasPrefix(path, plan.FinallyPath+"/"):
			kept = append(kept, s)
		case strings.Contains(s.Action, "/"): // log, set and groups have no external effects
			again = append(again, s)
		}
	}
	data["Kept"], data["Again"], data["InDoubt"] = kept, again, d.InDoubt()
	c.render(w, r, http.StatusOK, "preview", data)
}

// runOf loads a run, or shows why it cannot be loaded.
func (c *Console) runOf(w http.ResponseWriter, r *http.Request, text string) (*engine.RunDetail, bool) {
	id, err := engine.ParseRunID(text)
	if err != nil {
		c.errorPage(w, r, http.StatusBadRequest, err.Error())
		return nil, false
	}
	d, err := c.o.Log.RunDetail(r.Context(), id)
	if err != nil {
		c.showError(w, r, err)
		return nil, false
	}
	return d, true
}

// flowOf returns the version of the workflow to which a run is pinned; nil if it can no longer be
// read.
func (c *Console) flowOf(ctx context.Context, d *engine.RunDetail) *workflows.Workflow {
	return c.versionOf(ctx, d.Workflow, d.Version)
}

// versionOf returns a version of a workflow; nil if it can no longer be read.
func (c *Console) versionOf(ctx context.Context, id, version string) *workflows.Workflow {
	p := c.o.Project()
	if w := p.Workflows[id]; w != nil && w.Version == version {
		return w
	}
	text, err := c.o.Log.VersionText(ctx, version)
	if err != nil {
		return nil
	}
	return c.compiled(p, id, text)
}

func (c *Console) compiled(p *workflows.Project, id, text string) *workflows.Workflow {
	w, mistakes := p.Compile(id, []byte(text), workflows.Pins{})
	if mistakes.Errors() > 0 {
		return nil
	}
	return w
}

func (c *Console) eventPage(w http.ResponseWriter, r *http.Request) {
	id, ok := named(c, w, r, engine.ParseEventID)
	if !ok {
		return
	}
	d, err := c.o.Log.EventDetail(r.Context(), id)
	if err != nil {
		c.showError(w, r, err)
		return
	}
	ran, filtered := splitDecisions(d.Decisions)
	c.render(w, r, http.StatusOK, "event", map[string]any{"Title": cmp.Or(d.Type, d.Trigger), "D": d, "Cut": cutterOf(r), "Ran": ran,
		"Filtered":  filtered,
		"Workflows": listening(c.o.Project(), d.Trigger)})
}

// splitDecisions sorts an event's decisions: matched, failed, then the rest; filtered ones are
// returned separately.
func splitDecisions(list []engine.DecisionItem) (ran, filtered []engine.DecisionItem) {
	rank := map[string]int{"matched": 0, "rule_failed": 1}
	for _, d := range list {
		if d.Outcome == string(engine.Filtered) {
			filtered = append(filtered, d)
		} else {
			ran = append(ran, d)
		}
	}
	slices.SortStableFunc(ran, func(a, b engine.DecisionItem) int {
		ra, ok := rank[a.Outcome]
		if !ok {
			ra = 2
		}
		rb, ok := rank[b.Outcome]
		if !ok {
			rb = 2
		}
		return ra - rb
	})
	return ran, filtered
}

// listening returns the workflows that now listen to a trigger.
func listening(p *workflows.Project, trigger string) []string {
	return slices.DeleteFunc(sortedNames(p.Workflows), func(name string) bool {
		return !slices.ContainsFunc(p.Workflows[name].Starts, func(s workflows.Start) bool { return s.Trigger == trigger })
	})
}

func (c *Console) refusalPage(w http.ResponseWriter, r *http.Request) {
	id, ok := named(c, w, r, refusalID)
	if !ok {
		return
	}
	d, _, err := c.o.Log.Refusal(r.Context(), id)
	if err != nil {
		c.showError(w, r, err)
		return
	}
	c.render(w, r, http.StatusOK, "refusal", map[string]any{"Title": "Refused: " + d.Reason, "D": d})
}

func (c *Console) triggersPage(w http.ResponseWriter, r *http.Request) {
	items, err := c.triggers(r.Context(), time.Now().Add(-24*time.Hour))
	if err != nil {
		c.showError(w, r, err)
		return
	}
	c.render(w, r, http.StatusOK, "triggers", map[string]any{"Title": "Triggers", "Items": items, "HooksURL": c.hooksURL()})
}

// hooksURL returns the URL at which senders reach the triggers.
func (c *Console) hooksURL() string {
	return strings.TrimRight(cmp.Or(c.o.Project().Server.PublicURL, c.o.HooksURL), "/")
}

func (c *Console) triggerPage(w http.ResponseWriter, r *http.Request) {
	c.showTrigger(w, r, http.StatusOK, c.savedForm(r))
}

func (c *Console) showTrigger(w http.ResponseWriter, r *http.Request, status int, data map[string]any) {
	name := cmp.Or(r.URL.Query().Get("name"), r.PostForm.Get("name"))
	t := c.o.Project().Triggers[name]
	if t == nil {
		c.errorPage(w, r, http.StatusNotFound, "The project has no such trigger.")
		return
	}
	items, err := c.triggers(r.Context(), time.Now().Add(-24*time.Hour))
	if err != nil {
		c.showError(w, r, err)
		return
	}
	i := slices.IndexFunc(items, func(i triggerItem) bool { return i.Name == name })
	recent, err := c.o.Log.EventPage(r.Context(), engine.Query{Trigger: name, Limit: 10})
	if err != nil {
		c.showError(w, r, err)
		return
	}
	data["Title"], data["T"], data["Trigger"], data["Recent"], data["HooksURL"] = name, items[i], t, recent.Items, c.hooksURL()
	if t.Webhook != nil && t.Webhook.Provider != "" {
		data["Preset"] = c.o.Project().Preset(t.Webhook)
	}
	refused, err := c.refusals(r.Context(), engine.Query{Trigger: name, Limit: 5})
	if err != nil {
		c.showError(w, r, err)
		return
	}
	data["Refused"] = refused.Items
	if len(t.Polled()) > 0 {
		now := time.Now()
		since := now.Add(-7 * 24 * time.Hour)
		seen, err := c.o.Log.Sightings(r.Context(), name, since)
		if err != nil {
			c.showError(w, r, err)
			return
		}
		cmp := engine.Compare(name, since.UTC(), now, seen)
		data["Compare"], data["Intervals"] = cmp, intervals(cmp)
	}
	c.render(w, r, status, "trigger", data)
}

func (c *Console) workflowsPage(w http.ResponseWriter, r *http.Request) {
	items, err := c.workflows(r.Context(), 7*24*time.Hour)
	if err != nil {
		c.showError(w, r, err)
		return
	}
	c.render(w, r, http.StatusOK, "workflows", map[string]any{"Title": "Workflows", "Items": items})
}

func (c *Console) workflowPage(w http.ResponseWriter, r *http.Request) {
	c.showWorkflow(w, r, http.StatusOK, map[string]any{"ID": r.URL.Query().Get("id")})
}

// showWorkflow shows a workflow by its ID, and its form with the entered values.
func (c *Console) showWorkflow(w http.ResponseWriter, r *http.Request, status int, data map[string]any) {
	id, _ := data["ID"].(string)
	version, from := r.URL.Query().Get("version"), r.URL.Query().Get("from")
	versions, err := c.o.Log.Versions(r.Context(), id)
	flow := c.o.Project().Workflows[id]
	if err == nil && flow == nil && len(versions) == 0 {
		err = engine.ErrNotFound
	}
	if err != nil {
		c.showError(w, r, err)
		return
	}
	data["Title"], data["Versions"], data["Flow"], data["Shown"], data["Once"] = id, versions, flow, version, nonce()
	if flow != nil {
		typed, _ := data["Typed"].(url.Values)
		data["Inputs"], data["Why"] = inputFields(flow, typed), typed.Get("why")
	}
	text := ""
	switch {
	case version != "":
		if text, err = c.o.Log.VersionText(r.Context(), version); err == nil {
			data["Graph"] = graph(c.compiled(c.o.Project(), id, text), nil)
		}
	case flow != nil:
		text, data["Shown"], data["Graph"] = string(flow.Text), flow.Version, graph(flow, nil)
	case len(versions) > 0:
		text, err = c.o.Log.VersionText(r.Context(), versions[0].Version)
		data["Shown"] = versions[0].Version
	}
	if err == nil && from != "" {
		var before string
		if before, err = c.o.Log.VersionText(r.Context(), from); err == nil {
			data["From"], data["Diff"] = from, compareTexts(from, before, cmp.Or(version, "current"), text)
		}
	}
	if err != nil {
		c.showError(w, r, err)
		return
	}
	items, err := c.workflows(r.Context(), 7*24*time.Hour)
	if err != nil {
		c.showError(w, r, err)
		return
	}
	if i := slices.IndexFunc(items, func(i workflowItem) bool { return i.ID == id }); i >= 0 {
		data["Stats"] = items[i]
	}
	if data["Missed"], err = c.o.Log.Missed(r.Context(), id); err != nil {
		c.showError(w, r, err)
		return
	}
	data["Text"] = highlight(text)
	c.render(w, r, status, "workflow", data)
}

// firstN returns the first n elements of a list, or fewer.
func firstN[T any](list []T, n int) []T { return list[:min(len(list), n)] }
