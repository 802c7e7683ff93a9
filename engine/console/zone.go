package console

import (
	"fmt"
	"html"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"sync"
	"time"
)

// This file formats times. A page shows all times in one time zone, which it names: the project's,
// UTC, or the browser's.

// zoneCookie stores the choice: utc, project, or the name of a time zone.
const zoneCookie = "hookloom_zone"

var zoneName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+/-]{0,60}$`)

// shownZone is the time zone of a page.
type shownZone struct {
	// Choice is utc, project or browser.
	Choice string
	At     *time.Location
	// Project is the project's time zone.
	Project *time.Location
	// Here is the page's URL, to return to after a change.
	Here string
}

// Name returns the name of the time zone with its current offset.
func (z shownZone) Name() string { return zoneText(z.At, time.Now()) }

// ProjectName returns the name of the project's time zone.
func (z shownZone) ProjectName() string { return zoneText(z.Project, time.Now()) }

// Differs reports whether the project's timezone is not UTC.
func (z shownZone) Differs() bool { return z.Project != time.UTC && z.Project.String() != "UTC" }

func zoneText(at *time.Location, now time.Time) string {
	if at.String() == "UTC" {
		return "UTC"
	}
	return at.String() + " (UTC" + now.In(at).Format("-07:00") + ")"
}

// zoneOf returns the time zone in which a user wants to see times.
func (c *Console) zoneOf(r *http.Request) shownZone {
	project := c.o.Project().Zone()
	z := shownZone{Choice: "project", At: project, Project: project, Here: r.URL.RequestURI()}
	if r.Method != http.MethodGet {
		z.Here = "/"
	}
	k, err := r.Cookie(zoneCookie)
	if err != nil {
		return z
	}
	switch name, _ := url.QueryUnescape(k.Value); {
	case name == "utc":
		z.Choice, z.At = "utc", time.UTC
	case name == "project", !zoneName.MatchString(name):
	default:
		if at, err := time.LoadLocation(name); err == nil {
			z.Choice, z.At = "browser", at
		}
	}
	return z
}

// setZone stores the user's time zone, and redirects back.
func (c *Console) setZone(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("zone")
	if _, err := time.LoadLocation(name); name != "utc" && name != "project" && (err != nil || !zoneName.MatchString(name)) {
		c.errorPage(w, r, http.StatusBadRequest, fmt.Sprintf("unknown timezone %q; use utc, project or a name such as Europe/Berlin", name))
		return
	}
	http.SetCookie(w, &http.Cookie{Name: zoneCookie, Value: url.QueryEscape(name), Path: "/", MaxAge: 365 * 24 * 3600, HttpOnly: true,
		Secure: secured(r), SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, backTo(r.URL.Query().Get("to")), http.StatusSeeOther)
}

// zoned caches the templates for each time zone in use.
type zoned struct {
	mu sync.Mutex
	by map[string]*template.Template
}

// byZone is shared by all consoles of the process.
var byZone zoned

// maxZones is the maximum number of cached time zones: a cookie may name any.
const maxZones = 16

func (z *zoned) get(at *time.Location) (*template.Template, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if t := z.by[at.String()]; t != nil {
		return t, nil
	}
	t, err := templates().Clone()
	if err != nil {
		return nil, err
	}
	t.Funcs(template.FuncMap{"when": func(v any) template.HTML { return when(v, at) },
		"ago": func(v any) template.HTML { return ago(v, at) }})
	if z.by == nil || len(z.by) >= maxZones {
		z.by = map[string]*template.Template{}
	}
	z.by[at.String()] = t
	return t, nil
}

// momentOf converts a template value to a time.
func momentOf(v any) (time.Time, bool) {
	switch t := v.(type) {
	case time.Time:
		return t, !t.IsZero()
	case *time.Time:
		if t != nil {
			return *t, true
		}
	}
	return time.Time{}, false
}

// timeElement returns a time for people and programs (WHATWG HTML, 4.5.14).
func timeElement(t time.Time, text, title string) template.HTML {
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, t.UTC().Format(time.RFC3339Nano),
		html.EscapeString(title), html.EscapeString(text)))
}

// when shows a time in the page's time zone, with its offset and age in the title.
func when(v any, at *time.Location) template.HTML {
	t, ok := momentOf(v)
	if !ok {
		return ""
	}
	return timeElement(t, t.In(at).Format("2006-01-02 15:04:05.000"), t.In(at).Format("Mon 15:04:05 -07:00")+", "+agoText(t))
}

// ago shows roughly how long ago a time was, with the time in the title.
func ago(v any, at *time.Location) template.HTML {
	t, ok := momentOf(v)
	if !ok {
		return "never"
	}
	return timeElement(t, agoText(t), t.In(at).Format("2006-01-02 15:04:05 -07:00"))
}

func agoText(t time.Time) string {
	if d := time.Since(t); d >= 0 {
		return shortTime(d) + " ago"
	}
	return "in " + shortTime(-time.Since(t))
}
