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
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

//go:embed pages/*.html static/*
var files embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{"pretty": pretty, "body": bodyText, "when": when, "ago": ago, "took": took, "took1": took1, "iso": iso, "bytes": Bytes,
	"percent": percent, "seconds": seconds, "clip": clip, "facts": facts, "count": count, "json": jsonText, "escape": url.QueryEscape,
	"at": func(step, url string) string { return strings.ReplaceAll(step, "https://YOUR-HOST/hooks/TRIGGER", url) }}).ParseFS(files, "pages/*.html"))

// jsonText writes a value of a condition.
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

// static serves the style sheet, the script and the icon. They are the same for
// everybody and may be kept by the browser.
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

// policy lets a page load its own style sheet and script, ask its own server, and
// nothing else. The pages work without their script: forms and links are enough.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// said are the words for what was just done, by the code in the URL: a text in a
// URL could be anybody's.
var said = map[string]string{
	"replayed": "Replayed. This is the new run.", "cancelled": "The run is being cancelled.", "answered": "Your answer is recorded.", "admitted": "It is genuine now: this is its event.",
	"enabled": "The workflow is left to its file again.", "disabled": "The workflow is switched off.", "fired": "Started by hand: this is its event.", "resumed": "The endpoint gets webhooks again.",
	"polled": "Polled.", "many": "Replays are under way, twenty a second.",
	"already": "It was already replayed: this is that run.", "decided": "It was decided again, but today's rule does not match. See the decision below.",
	"draining": "The workflow is switched on: the held events run now, in order.", "holding": "The workflow is switched off: new events are held.",
	"started": "The batch is under way.", "batch": "Done.",
	"kept": "The value is kept.", "removed": "The key is deleted.",
	"awaiting": "For 15 minutes, the secret in the provider's next handshake is accepted.",
}

func (c *Console) pages(mux *http.ServeMux) {
	for path, h := range map[string]http.HandlerFunc{
		"GET /{$}": c.overviewPage, "GET /live": c.livePage, "GET /events": c.eventsPage, "GET /events/{id}": c.eventPage, "GET /runs": c.runsPage, "GET /runs/{id}": c.runPage, "GET /runs/{id}/replay": c.previewPage,
		"GET /deadletters": c.deadPage, "GET /quarantine": c.quarantinePage, "GET /quarantine/{id}": c.refusalPage, "GET /triggers": c.triggersPage, "GET /trigger": c.triggerPage,
		"GET /workflows": c.workflowsPage, "GET /workflow": c.workflowPage, "GET /audit": c.auditPage,
		"POST /runs/{id}/replay": c.acting("run.replay", c.doReplay), "POST /runs/{id}/cancel": c.acting("run.cancel", c.doCancel), "POST /runs/{id}/answer": c.acting("run.answer", c.doAnswer),
		"POST /events/{id}/replay": c.acting("event.replay", c.doReplayEvent), "POST /deadletters/replay": c.deadReplay, "POST /conflicts/{id}/admit": c.acting("conflict.admit", c.doAdmitConflict), "POST /quarantine/{id}/admit": c.acting("refusal.admit", c.doAdmit),
		"POST /trigger/send": c.acting("trigger.send", c.doSend), "POST /trigger/poll": c.acting("trigger.poll", c.doPoll), "POST /trigger/await-secret": c.acting("trigger.await_secret", c.doAwaitSecret),
		"POST /workflow/fire": c.acting("workflow.fire", c.doFire), "POST /workflow/enable": c.acting("workflow.enable", c.doSwitch), "POST /workflow/disable": c.acting("workflow.disable", c.doSwitch),
		"POST /destinations/resume": c.acting("endpoint.resume", c.doResume), "POST /logout": c.acting("logout", c.logout),
	} {
		mux.HandleFunc(path, h)
	}
	c.againPages(mux)
	c.valuesPages(mux)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") {
			problem(w, http.StatusNotFound, "not found")
			return
		}
		c.sorry(w, r, http.StatusNotFound, "There is no such page.")
	})
}

func (c *Console) render(w http.ResponseWriter, r *http.Request, status int, name string, data map[string]any) {
	by := callerOf(r)
	data["By"], data["Operates"], data["CSRF"], data["Path"] = by, by.operates(), c.csrf(by), r.URL.Path
	if state := c.o.State(); state.Broken() && by.Role != "" {
		data["Broken"] = state
	}
	data["Said"], data["LoggedIn"] = said[r.URL.Query().Get("said")], by.session != ""
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		c.fail(w, err)
		return
	}
	pageHeaders(w.Header())
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the reader is gone if this fails
}

// sorry shows what is wrong as a page.
func (c *Console) sorry(w http.ResponseWriter, r *http.Request, status int, text string) {
	c.render(w, r, status, "sorry", map[string]any{"Title": http.StatusText(status), "Text": text})
}

// trouble shows an error as a page: in words when the caller can do something.
func (c *Console) trouble(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, engine.ErrNotFound):
		c.sorry(w, r, http.StatusNotFound, "It is not here: it never was, or it was pruned.")
	case errors.Is(err, engine.ErrFull), errors.Is(err, engine.ErrBusy), errors.Is(err, engine.ErrClosed):
		c.sorry(w, r, http.StatusServiceUnavailable, "Nothing can be stored now. Try again soon.")
	case errors.Is(err, engine.ErrQuery):
		c.sorry(w, r, http.StatusBadRequest, err.Error())
	case errors.Is(err, context.Canceled):
	default:
		c.o.Logger.Error("a page failed", "path", r.URL.Path, "error", err)
		c.sorry(w, r, http.StatusInternalServerError, "The page cannot be made; the server's log says why.")
	}
}

// listing is what all pages with lists share: the filters, and where the list goes
// on.
type listing struct {
	Q          engine.Query
	Since      string
	Next       string
	SearchedTo *time.Time
}

// filters reads the form's fields; what is wrong is shown as a page.
func (c *Console) filters(w http.ResponseWriter, r *http.Request) (listing, bool) {
	v := r.URL.Query()
	q, err := query(v)
	if err != nil {
		c.sorry(w, r, http.StatusBadRequest, err.Error())
		return listing{}, false
	}
	if err := c.names(r.Context(), q); err != nil {
		c.trouble(w, r, err)
		return listing{}, false
	}
	return listing{Q: q, Since: v.Get("since")}, true
}

// goesOn keeps the form's fields in the link to the next page.
func (l *listing) goesOn(r *http.Request, next string, to *time.Time) {
	if next == "" {
		return
	}
	keep := url.Values{}
	for k := range r.URL.Query() {
		if v := r.URL.Query().Get(k); v != "" && k != "said" {
			keep.Set(k, v)
		}
	}
	keep.Set("after", next)
	l.Next, l.SearchedTo = "?"+keep.Encode(), to
}

func (c *Console) overviewPage(w http.ResponseWriter, r *http.Request) {
	ranges := []struct {
		Name string
		step time.Duration
		n    int
	}{{"1h", time.Minute, 60}, {"24h", 30 * time.Minute, 48}, {"7d", 4 * time.Hour, 42}, {"30d", 12 * time.Hour, 60}}
	pick := ranges[1]
	for _, x := range ranges {
		if x.Name == r.URL.Query().Get("range") {
			pick = x
		}
	}
	now := time.Now()
	standing, err := c.stands(r.Context())
	if err != nil {
		c.trouble(w, r, err)
		return
	}
	buckets, err := c.activity.get(r.Context(), c.o.Log, now, pick.step, pick.n)
	if err != nil {
		c.trouble(w, r, err)
		return
	}
	var sum engine.Bucket
	for _, b := range buckets {
		sum.Events, sum.Runs, sum.Failed, sum.Refused, sum.Open, sum.Cancelled = sum.Events+b.Events, sum.Runs+b.Runs, sum.Failed+b.Failed, sum.Refused+b.Refused, sum.Open+b.Open, sum.Cancelled+b.Cancelled
	}
	triggers, err := c.triggers(r.Context(), now.Add(-24*time.Hour))
	if err != nil {
		c.trouble(w, r, err)
		return
	}
	flows, err := c.workflows(r.Context(), 24*time.Hour)
	if err != nil {
		c.trouble(w, r, err)
		return
	}
	data := map[string]any{"Title": "Overview", "Standing": standing, "Sum": sum, "Range": pick.Name, "Ranges": ranges, "Triggers": triggers, "Workflows": flows,
		"EventChart": bars("Events", buckets, eventSeries), "RunChart": bars("Runs", buckets, runSeries), "Destinations": c.o.Operator.Destinations(), "Paused": c.o.Operator.Paused(),
		"Alerts": firstN(c.o.Operator.OpenAlerts(), 50)}
	if c.o.Acks != nil {
		data["Acks"] = c.o.Acks()
	}
	c.render(w, r, http.StatusOK, "overview", data)
}

func (c *Console) livePage(w http.ResponseWriter, r *http.Request) {
	c.render(w, r, http.StatusOK, "live", map[string]any{"Title": "Live", "Q": engine.Query{Trigger: r.URL.Query().Get("trigger"), Workflow: r.URL.Query().Get("workflow")},
		"Triggers": sortedNames(c.o.Project().Triggers), "Workflows": sortedNames(c.o.Project().Workflows)})
}

func (c *Console) runsPage(w http.ResponseWriter, r *http.Request) {
	l, ok := c.filters(w, r)
	if !ok {
		return
	}
	p, err := c.o.Log.RunPage(r.Context(), l.Q)
	if err != nil {
		c.trouble(w, r, err)
		return
	}
	l.goesOn(r, p.Next, p.SearchedTo)
	c.render(w, r, http.StatusOK, "runs", map[string]any{"Title": "Runs", "Items": p.Items, "L": l, "Statuses": engine.RunStatuses,
		"Workflows": sortedNames(c.o.Project().Workflows), "Triggers": sortedNames(c.o.Project().Triggers)})
}

// question is a step of a run that waits for a person.
type question struct {
	Path, Text string
	Review     bool
	// By are those who may answer; empty for anybody.
	By []string
}

// questions finds what a run asks of people.
func questions(d *engine.RunDetail) []question {
	var out []question
	if d.Status != string(engine.Waiting) {
		return nil
	}
	newest := map[string]engine.StepItem{}
	for _, s := range d.Steps {
		newest[s.Path] = s
	}
	for _, path := range sortedNames(newest) {
		s := newest[path]
		var what struct {
			Approval string
			By       []string
		}
		if s.Status == "waiting" && json.Unmarshal(s.Output, &what) == nil && what.Approval != "" {
			out = append(out, question{Path: path, Text: what.Approval, By: what.By})
		}
		if s.Status == "unknown" && d.DueAt != nil && time.Until(*d.DueAt) > 50*365*24*time.Hour {
			out = append(out, question{Path: path, Text: "The attempt was sent and its answer was lost. Did it happen?", Review: true})
		}
	}
	return out
}

func (c *Console) runPage(w http.ResponseWriter, r *http.Request) {
	d, ok := c.runOf(w, r, r.PathValue("id"))
	if !ok {
		return
	}
	flow := c.flowOf(r.Context(), d)
	data := map[string]any{"Title": "Run of " + d.Workflow, "D": d, "Timeline": timeline(d), "Graph": graph(flow, append([]engine.StepItem{}, d.Steps...)), "Questions": questions(d),
		"Ended": engine.RunStatus(d.Status).Ended(), "DeadLetter": (d.Status == "failed" || d.Status == "timed_out") && len(d.ReplayedAs) == 0}
	if with := r.URL.Query().Get("with"); with != "" {
		other, ok := c.runOf(w, r, strings.TrimSpace(with))
		if !ok {
			return
		}
		data["With"], data["Diff"] = other.ID, compareTexts(other.ID, runText(other), d.ID, runText(d))
	}
	same, err := c.o.Log.RunPage(r.Context(), engine.Query{Workflow: d.Workflow, Limit: 20})
	if err != nil {
		c.trouble(w, r, err)
		return
	}
	data["Others"] = same.Items
	c.render(w, r, http.StatusOK, "run", data)
}

// previewPage shows what a replay would do again.
func (c *Console) previewPage(w http.ResponseWriter, r *http.Request) {
	d, ok := c.runOf(w, r, r.PathValue("id"))
	if !ok {
		return
	}
	o := replayOrder{From: r.URL.Query().Get("from"), Version: r.URL.Query().Get("version")}
	if err := o.check(); err != nil {
		c.sorry(w, r, http.StatusBadRequest, err.Error())
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
		case o.From == "failed" && s.Status == "succeeded" && !strings.HasPrefix(path, "on_failure/"):
			kept = append(kept, s)
		case strings.Contains(s.Action, "/"): // log, set and groups leave nothing outside
			again = append(again, s)
		}
	}
	data["Kept"], data["Again"], data["InDoubt"] = kept, again, d.InDoubt()
	c.render(w, r, http.StatusOK, "preview", data)
}

// runOf loads a run, or shows why it cannot.
func (c *Console) runOf(w http.ResponseWriter, r *http.Request, text string) (*engine.RunDetail, bool) {
	id, err := engine.ParseRunID(text)
	if err != nil {
		c.sorry(w, r, http.StatusBadRequest, err.Error())
		return nil, false
	}
	d, err := c.o.Log.RunDetail(r.Context(), id)
	if err != nil {
		c.trouble(w, r, err)
		return nil, false
	}
	return d, true
}

// flowOf is the version of the workflow that a run is pinned to; nil when it can no
// longer be read.
func (c *Console) flowOf(ctx context.Context, d *engine.RunDetail) *workflows.Workflow {
	p := c.o.Project()
	if w := p.Workflows[d.Workflow]; w != nil && w.Version == d.Version {
		return w
	}
	text, err := c.o.Log.VersionText(ctx, d.Version)
	if err != nil {
		return nil
	}
	return c.compiled(p, d.Workflow, text)
}

func (c *Console) compiled(p *workflows.Project, id, text string) *workflows.Workflow {
	w, mistakes := p.Compile(id, []byte(text), workflows.Pins{})
	if mistakes.Errors() > 0 {
		return nil
	}
	return w
}

func (c *Console) eventsPage(w http.ResponseWriter, r *http.Request) {
	l, ok := c.filters(w, r)
	if !ok {
		return
	}
	p, err := c.o.Log.EventPage(r.Context(), l.Q)
	if err != nil {
		c.trouble(w, r, err)
		return
	}
	l.goesOn(r, p.Next, p.SearchedTo)
	c.render(w, r, http.StatusOK, "events", map[string]any{"Title": "Events", "Items": p.Items, "L": l,
		"Statuses": append(slices.Clone(engine.Outcomes), "pending", "ended_wait", engine.Unreadable, "by-content", "repeated-body", "conflicting"), "Triggers": sortedNames(c.o.Project().Triggers), "Workflows": sortedNames(c.o.Project().Workflows)})
}

func (c *Console) eventPage(w http.ResponseWriter, r *http.Request) {
	id, ok := named(c, w, r, engine.ParseEventID)
	if !ok {
		return
	}
	d, err := c.o.Log.EventDetail(r.Context(), id)
	if err != nil {
		c.trouble(w, r, err)
		return
	}
	c.render(w, r, http.StatusOK, "event", map[string]any{"Title": cmp.Or(d.Type, d.Trigger), "D": d, "Workflows": listening(c.o.Project(), d.Trigger)})
}

// listening are the workflows that listen to a trigger today.
func listening(p *workflows.Project, trigger string) []string {
	return slices.DeleteFunc(sortedNames(p.Workflows), func(name string) bool {
		return !slices.ContainsFunc(p.Workflows[name].Starts, func(s workflows.Start) bool { return s.Trigger == trigger })
	})
}

func (c *Console) quarantinePage(w http.ResponseWriter, r *http.Request) {
	l, ok := c.filters(w, r)
	if !ok {
		return
	}
	p, err := c.refusals(r.Context(), l.Q)
	if err != nil {
		c.trouble(w, r, err)
		return
	}
	l.goesOn(r, p.Next, nil)
	c.render(w, r, http.StatusOK, "quarantine", map[string]any{"Title": "Refused deliveries", "Items": p.Items, "L": l, "Triggers": sortedNames(c.o.Project().Triggers)})
}

func (c *Console) refusalPage(w http.ResponseWriter, r *http.Request) {
	id, ok := named(c, w, r, refusalID)
	if !ok {
		return
	}
	d, _, err := c.o.Log.Refusal(r.Context(), id)
	if err != nil {
		c.trouble(w, r, err)
		return
	}
	c.render(w, r, http.StatusOK, "refusal", map[string]any{"Title": "Refused: " + d.Reason, "D": d})
}

func (c *Console) auditPage(w http.ResponseWriter, r *http.Request) {
	l, ok := c.filters(w, r)
	if !ok {
		return
	}
	p, err := c.o.Log.AuditPage(r.Context(), l.Q)
	if err != nil {
		c.trouble(w, r, err)
		return
	}
	l.goesOn(r, p.Next, nil)
	c.render(w, r, http.StatusOK, "audit", map[string]any{"Title": "Audit log", "Items": p.Items, "L": l})
}

func (c *Console) triggersPage(w http.ResponseWriter, r *http.Request) {
	items, err := c.triggers(r.Context(), time.Now().Add(-24*time.Hour))
	if err != nil {
		c.trouble(w, r, err)
		return
	}
	c.render(w, r, http.StatusOK, "triggers", map[string]any{"Title": "Triggers", "Items": items, "HooksURL": c.hooksURL()})
}

// hooksURL is where senders reach the triggers.
func (c *Console) hooksURL() string {
	return strings.TrimRight(cmp.Or(c.o.Project().Server.PublicURL, c.o.HooksURL), "/")
}

func (c *Console) triggerPage(w http.ResponseWriter, r *http.Request) {
	c.showTrigger(w, r, http.StatusOK, c.kept(r))
}

func (c *Console) showTrigger(w http.ResponseWriter, r *http.Request, status int, data map[string]any) {
	name := cmp.Or(r.URL.Query().Get("name"), r.PostForm.Get("name"))
	t := c.o.Project().Triggers[name]
	if t == nil {
		c.sorry(w, r, http.StatusNotFound, "The project has no such trigger.")
		return
	}
	items, err := c.triggers(r.Context(), time.Now().Add(-24*time.Hour))
	if err != nil {
		c.trouble(w, r, err)
		return
	}
	i := slices.IndexFunc(items, func(i triggerItem) bool { return i.Name == name })
	recent, err := c.o.Log.EventPage(r.Context(), engine.Query{Trigger: name, Limit: 10})
	if err != nil {
		c.trouble(w, r, err)
		return
	}
	data["Title"], data["T"], data["Trigger"], data["Recent"], data["HooksURL"] = name, items[i], t, recent.Items, c.hooksURL()
	if t.Webhook != nil && t.Webhook.Provider != "" {
		data["Preset"] = c.o.Project().Preset(t.Webhook)
	}
	refused, err := c.refusals(r.Context(), engine.Query{Trigger: name, Limit: 5})
	if err != nil {
		c.trouble(w, r, err)
		return
	}
	data["Refused"] = refused.Items
	if len(t.Polled()) > 0 {
		now := time.Now()
		since := now.Add(-7 * 24 * time.Hour)
		seen, err := c.o.Log.Sightings(r.Context(), name, since)
		if err != nil {
			c.trouble(w, r, err)
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
		c.trouble(w, r, err)
		return
	}
	c.render(w, r, http.StatusOK, "workflows", map[string]any{"Title": "Workflows", "Items": items})
}

func (c *Console) workflowPage(w http.ResponseWriter, r *http.Request) {
	id, version, from := r.URL.Query().Get("id"), r.URL.Query().Get("version"), r.URL.Query().Get("from")
	versions, err := c.o.Log.Versions(r.Context(), id)
	flow := c.o.Project().Workflows[id]
	if err == nil && flow == nil && len(versions) == 0 {
		err = engine.ErrNotFound
	}
	if err != nil {
		c.trouble(w, r, err)
		return
	}
	data := map[string]any{"Title": id, "ID": id, "Versions": versions, "Flow": flow, "Shown": version, "Once": nonce()}
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
		c.trouble(w, r, err)
		return
	}
	items, err := c.workflows(r.Context(), 7*24*time.Hour)
	if err != nil {
		c.trouble(w, r, err)
		return
	}
	if i := slices.IndexFunc(items, func(i workflowItem) bool { return i.ID == id }); i >= 0 {
		data["Stats"] = items[i]
	}
	if data["Missed"], err = c.o.Log.Missed(r.Context(), id); err != nil {
		c.trouble(w, r, err)
		return
	}
	data["Text"] = highlight(text)
	c.render(w, r, http.StatusOK, "workflow", data)
}

// firstN gives at most n of a list.
func firstN[T any](list []T, n int) []T { return list[:min(len(list), n)] }
