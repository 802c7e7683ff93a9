package console

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
)

//go:embed pages/*.html static/*
var files embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{"pretty": pretty, "when": when, "took": took}).ParseFS(files, "pages/*.html"))

func sortedNames[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// pretty indents JSON for reading; it stays text, whatever a payload holds.
func pretty(raw json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return string(raw)
	}
	return b.String()
}

func when(v any) string {
	switch t := v.(type) {
	case time.Time:
		return t.Format("2006-01-02 15:04:05.000")
	case *time.Time:
		if t != nil {
			return t.Format("2006-01-02 15:04:05.000")
		}
	}
	return ""
}

func took(from time.Time, to *time.Time) string {
	if to == nil {
		return ""
	}
	return to.Sub(from).Round(time.Millisecond).String()
}

func pageHeaders(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// policy lets a page load its own style sheet and nothing else.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func (c *Console) pages(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/runs", http.StatusSeeOther) })
	mux.HandleFunc("GET /runs", c.runsPage)
	mux.HandleFunc("GET /runs/{id}", c.runPage)
	mux.HandleFunc("GET /events", c.eventsPage)
	mux.HandleFunc("GET /events/{id}", c.eventPage)
	mux.HandleFunc("GET /quarantine", c.quarantinePage)
	mux.Handle("GET /static/", http.FileServerFS(files))
}

func (c *Console) render(w http.ResponseWriter, name string, data map[string]any) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		c.fail(w, err)
		return
	}
	pageHeaders(w.Header())
	_, _ = w.Write(b.Bytes()) // the reader is gone if this fails
}

// filters keeps the form's fields in the links of the page.
func filters(v url.Values) (engine.Query, url.Values, error) {
	q, err := query(v)
	keep := url.Values{}
	for k := range v {
		if k != "after" && v.Get(k) != "" {
			keep.Set(k, v.Get(k))
		}
	}
	return q, keep, err
}

func next[T any](items []T, keep url.Values, id func(T) string) string {
	if len(items) < 50 {
		return ""
	}
	keep.Set("after", id(items[len(items)-1]))
	return "?" + keep.Encode()
}

func (c *Console) runsPage(w http.ResponseWriter, r *http.Request) {
	q, keep, err := filters(r.URL.Query())
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	items, err := c.o.Log.Runs(r.Context(), q)
	if err != nil {
		c.fail(w, err)
		return
	}
	c.render(w, "runs", map[string]any{"Title": "Runs", "Items": items, "Next": next(items, keep, runID), "Q": q,
		"Statuses": []string{"queued", "running", "waiting", "succeeded", "failed", "cancelled", "timed_out"}, "Workflows": sortedNames(c.o.Project().Workflows)})
}

func (c *Console) runPage(w http.ResponseWriter, r *http.Request) {
	id, err := engine.ParseRunID(r.PathValue("id"))
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	d, err := c.o.Log.RunDetail(r.Context(), id)
	if err != nil {
		c.fail(w, err)
		return
	}
	c.render(w, "run", map[string]any{"Title": "Run " + d.ID, "D": d})
}

func (c *Console) eventsPage(w http.ResponseWriter, r *http.Request) {
	q, keep, err := filters(r.URL.Query())
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	items, err := c.o.Log.Events(r.Context(), q)
	if err != nil {
		c.fail(w, err)
		return
	}
	c.render(w, "events", map[string]any{"Title": "Events", "Items": items, "Next": next(items, keep, eventID), "Q": q,
		"Statuses": []string{"matched", "filtered", "skipped", "rule_failed"}, "Triggers": sortedNames(c.o.Project().Triggers)})
}

func (c *Console) eventPage(w http.ResponseWriter, r *http.Request) {
	id, err := engine.ParseEventID(r.PathValue("id"))
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	d, err := c.o.Log.EventDetail(r.Context(), id)
	if err != nil {
		c.fail(w, err)
		return
	}
	c.render(w, "event", map[string]any{"Title": "Event " + d.ID, "D": d})
}

func (c *Console) quarantinePage(w http.ResponseWriter, r *http.Request) {
	q, keep, err := filters(r.URL.Query())
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	items, err := c.o.Log.Quarantine(r.Context(), q)
	if err != nil {
		c.fail(w, err)
		return
	}
	c.render(w, "quarantine", map[string]any{"Title": "Refused deliveries", "Items": items, "Next": next(items, keep, refusalID), "Q": q})
}
