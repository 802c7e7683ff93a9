package console

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// listing is what all pages with lists share: the filters, the number of items, and the links to
// other pages.
type listing struct {
	Q            engine.Query
	Since, Until string
	// Problem says what is wrong with the filters; the form is kept.
	Problem string
	// Next links to the older page, First to the newest.
	Next, First string
	SearchedTo  *time.Time
	// End is the position of the feed before the list was read: what came later is new. Empty if it
	// could not be read.
	End       string
	Total     *int
	TotalMore bool
	// Filtered reports whether filters are set, to distinguish an empty result from an empty list.
	Filtered bool
	// Query are the filters as in the URL, without the page.
	Query string
}

// Has reports whether a filter with several values contains one.
func (l listing) Has(list, value string) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(s string) bool { return strings.TrimSpace(s) == value })
}

// With returns the query of the page's URL with one more parameter.
func (l listing) With(name, value string) template.URL {
	return template.URL(strings.TrimPrefix(l.Query+"&"+name+"="+url.QueryEscape(value), "&")) // both are encoded
}

// filters parses the form's fields.
func (c *Console) filters(r *http.Request, known []string) listing {
	v := r.URL.Query()
	v.Del("said")
	q, err := query(v, c.zoneOf(r).At)
	if err == nil {
		err = onlyKnown(v, known)
	}
	if err == nil {
		err = c.names(r.Context(), q)
	}
	l := listing{Q: q, Since: v.Get("since"), Until: v.Get("until")}
	keep := url.Values{}
	for k, list := range v {
		if list = slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == "" }); len(list) > 0 && k != "after" {
			keep[k] = list
			l.Filtered = l.Filtered || k != "limit"
		}
	}
	l.Query = keep.Encode()
	if q.After != "" {
		l.First = "?" + l.Query
	}
	l.problem(err)
	return l
}

// problem records what is wrong with the filters.
func (l *listing) problem(err error) {
	if err != nil {
		l.Problem = strings.TrimPrefix(err.Error(), engine.ErrQuery.Error()+": ")
	}
}

// status returns the HTTP status of the page.
func (l *listing) status() int {
	if l.Problem != "" {
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// shown reads a page of a list and counts it. ok is false if it responded with an error.
func shown[T any](c *Console, w http.ResponseWriter, r *http.Request, l *listing,
	get func(context.Context, engine.Query) (engine.Page[T], error),
	count func(context.Context, engine.Query, *engine.Page[T]) error) (items []T, ok bool) {
	if l.Problem != "" {
		return nil, true
	}
	if at, err := c.o.Log.FeedEnd(r.Context()); err == nil { // the page does not depend on it
		l.End = at.String()
	}
	p, err := get(r.Context(), l.Q)
	if err == nil {
		err = count(r.Context(), l.Q, &p)
	}
	if errors.Is(err, engine.ErrQuery) {
		l.problem(err)
		return nil, true
	}
	if err != nil {
		c.showError(w, r, err)
		return nil, false
	}
	l.Total, l.TotalMore, l.SearchedTo = p.Total, p.TotalMore, p.SearchedTo
	if p.Next != "" {
		l.Next = "?" + strings.TrimPrefix(l.Query+"&after="+url.QueryEscape(p.Next), "&")
	}
	return p.Items, true
}

func (c *Console) runsPage(w http.ResponseWriter, r *http.Request) {
	l := c.filters(r, runFilters)
	items, ok := shown(c, w, r, &l, c.o.Log.RunPage, c.o.Log.CountRuns)
	if !ok {
		return
	}
	c.render(w, r, l.status(), "runs", map[string]any{"Title": "Runs", "Items": items, "L": l, "Statuses": engine.RunStatuses,
		"WaitKinds": engine.WaitKinds, "Names": c.flowNames(),
		"Workflows": sortedNames(c.o.Project().Workflows), "Triggers": sortedNames(c.o.Project().Triggers)})
}

// flowNames returns the names of the workflows in their files.
func (c *Console) flowNames() map[string]string {
	out := map[string]string{}
	for id, w := range c.o.Project().Workflows {
		out[id] = w.Name
	}
	return out
}

// eventStatuses are the filters of the page of events.
var eventStatuses = append(slices.Clone(engine.Outcomes), "pending", "ended_wait", engine.Unreadable, engine.Invalid,
	"by-content", "repeated-body",
	"conflicting", "test")

func (c *Console) eventsPage(w http.ResponseWriter, r *http.Request) {
	l := c.filters(r, eventFilters)
	items, ok := shown(c, w, r, &l, c.o.Log.EventPage, c.o.Log.CountEvents)
	if !ok {
		return
	}
	c.render(w, r, l.status(), "events", map[string]any{"Title": "Events", "Items": items, "L": l, "Statuses": eventStatuses,
		"Triggers": sortedNames(c.o.Project().Triggers), "Workflows": sortedNames(c.o.Project().Workflows)})
}

func (c *Console) quarantinePage(w http.ResponseWriter, r *http.Request) {
	l := c.filters(r, refusalFilters)
	items, ok := shown(c, w, r, &l, c.refusals, c.o.Log.CountRefusals)
	if !ok {
		return
	}
	var groups []engine.RefusalGroup
	if l.Problem == "" && l.Q.After == "" {
		var err error
		if groups, err = c.o.Log.RefusalGroups(r.Context(), l.Q); err != nil {
			c.showError(w, r, err)
			return
		}
	}
	c.render(w, r, l.status(), "quarantine", map[string]any{"Title": "Refused deliveries", "Items": items, "L": l, "Groups": groups,
		"Reasons": engine.RefusalReasons, "Triggers": sortedNames(c.o.Project().Triggers)})
}

func (c *Console) auditPage(w http.ResponseWriter, r *http.Request) {
	l := c.filters(r, auditFilters)
	items, ok := shown(c, w, r, &l, c.o.Log.AuditPage, c.o.Log.CountAudit)
	if !ok {
		return
	}
	c.render(w, r, l.status(), "audit", map[string]any{"Title": "Audit log", "Items": items, "L": l, "Actions": c.actions()})
}

// deadPage shows all dead letters by cause, and those of one cause individually.
func (c *Console) deadPage(w http.ResponseWriter, r *http.Request) {
	known := append([]string{"group"}, deadFilters...)
	l := c.filters(r, known)
	group := r.URL.Query().Get("group")
	data := map[string]any{"Title": "Dead letters", "Group": group, "Workflows": sortedNames(c.o.Project().Workflows),
		"Names": c.flowNames(), "Statuses": []string{"failed", "timed_out", "rule_failed"}}
	var groups []engine.DeadGroup
	var err error
	if l.Problem == "" {
		groups, err = c.o.Log.DeadGroups(r.Context(), l.Q)
	}
	if errors.Is(err, engine.ErrQuery) {
		l.problem(err)
		err = nil
	}
	var items []engine.DeadLetter
	left := 0
	if group != "" {
		groups = slices.DeleteFunc(groups, func(g engine.DeadGroup) bool { return g.ID != group })
	}
	if err == nil && len(groups) == 1 {
		items, left, err = c.chosen(r.Context(), l.Q, groups[0].ID, deadShown)
	}
	if err != nil {
		c.showError(w, r, err)
		return
	}
	total, circuits := 0, map[string]string{}
	for _, g := range groups {
		total += g.Count
	}
	for _, d := range c.o.Operator.Destinations() {
		if circuits[d.Host] == "" || d.Down() {
			circuits[d.Host] = d.Circuit
		}
	}
	data["L"], data["Groups"], data["Count"], data["Items"], data["Left"], data["Circuits"] = l, groups, total, items, left, circuits
	c.render(w, r, l.status(), "deadletters", data)
}

// searchPage searches everything recorded for a text or an id.
func (c *Console) searchPage(w http.ResponseWriter, r *http.Request) {
	text := strings.TrimSpace(r.URL.Query().Get("q"))
	if to := c.pageOfID(r.Context(), text); to != "" {
		http.Redirect(w, r, to, http.StatusSeeOther)
		return
	}
	data := map[string]any{"Title": "Search", "Text": text, "Names": c.flowNames()}
	if text != "" {
		q := engine.Query{Grep: text, Limit: 20}
		events, err := c.o.Log.EventPage(r.Context(), q)
		runs, rerr := c.o.Log.RunPage(r.Context(), q)
		refused, qerr := c.refusals(r.Context(), q)
		if err = errors.Join(err, rerr, qerr); err != nil {
			c.showError(w, r, err)
			return
		}
		data["Events"], data["Runs"], data["Refused"] = events, runs, refused
	}
	c.render(w, r, http.StatusOK, "search", data)
}

// pageOfID returns the page for an id, if the id exists.
func (c *Console) pageOfID(ctx context.Context, text string) string {
	if id, err := engine.ParseRunID(text); err == nil {
		if _, err := c.o.Log.RunOne(ctx, id); err == nil {
			return "/runs/" + text
		}
	}
	if id, err := engine.ParseEventID(text); err == nil {
		if _, err := c.o.Log.EventDetail(ctx, id); err == nil {
			return "/events/" + text
		}
	}
	if _, err := refusalID(text); err == nil {
		if _, _, err := c.o.Log.Refusal(ctx, text); err == nil {
			return "/quarantine/" + text
		}
	}
	return ""
}

// needed is a run that waits for a person, with its question.
type needed struct {
	engine.RunItem
	Questions []question
}

// needsPage lists what waits for a person, oldest first.
func (c *Console) needsPage(w http.ResponseWriter, r *http.Request) {
	l := c.filters(r, []string{"after", "limit", "workflow"})
	l.Q.WaitsFor, l.Q.Ascending = "approval,review", true
	items, ok := shown(c, w, r, &l, c.o.Log.RunPage, c.o.Log.CountRuns)
	if !ok {
		return
	}
	list := make([]needed, 0, len(items))
	for _, i := range items {
		n := needed{RunItem: i}
		id, err := engine.ParseRunID(i.ID)
		if err == nil {
			var d *engine.RunDetail
			if d, err = c.o.Log.RunDetail(r.Context(), id); err == nil {
				n.Questions = questions(d)
			}
		}
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			c.showError(w, r, err)
			return
		}
		list = append(list, n)
	}
	c.render(w, r, l.status(), "needs", map[string]any{"Title": "Waiting for a person", "Items": list, "L": l, "Names": c.flowNames()})
}

// hostsPage lists the hosts that steps call; hostPage shows one of them.
func (c *Console) hostsPage(w http.ResponseWriter, r *http.Request) {
	items, err := c.destinations(r.Context())
	if err != nil {
		c.showError(w, r, err)
		return
	}
	c.render(w, r, http.StatusOK, "hosts", map[string]any{"Title": "Destinations", "Items": firstN(items, 500), "Total": len(items),
		"Paused": c.o.Operator.Paused()})
}

func (c *Console) hostPage(w http.ResponseWriter, r *http.Request) {
	host := r.URL.Query().Get("name")
	err := c.names(r.Context(), engine.Query{Host: host})
	if err == nil && host == "" {
		err = engine.ErrNotFound
	}
	var items []destinationItem
	if err == nil {
		items, err = c.destinations(r.Context())
	}
	if err != nil {
		c.showError(w, r, err)
		return
	}
	items = slices.DeleteFunc(items, func(x destinationItem) bool { return bareHost(x.Name) != bareHost(host) })
	groups, err := c.o.Log.DeadGroups(r.Context(), engine.Query{Host: host})
	waiting, werr := c.o.Log.RunPage(r.Context(), engine.Query{WaitsFor: "destination", Host: host, Limit: 20})
	times, terr := c.o.Log.HostTimes(r.Context(), host)
	if err = errors.Join(err, werr, terr); err != nil {
		c.showError(w, r, err)
		return
	}
	c.render(w, r, http.StatusOK, "host", map[string]any{"Title": host, "Host": host, "States": items, "Groups": groups,
		"Waiting": waiting.Items, "Times": times, "Names": c.flowNames(),
		"Circuits": map[string]string{}, "L": listing{Query: "host=" + url.QueryEscape(host), Filtered: true}})
}

// row is a run with the name of its workflow.
type row struct {
	Run  engine.RunItem
	Name string
}

func rowOf(r engine.RunItem, names map[string]string) row {
	if n := names[r.Workflow]; n != "" {
		return row{r, n}
	}
	return row{r, r.Workflow}
}

// targetPage returns the page for the target of an audit log entry; empty if there is none.
func targetPage(a engine.AuditEntry) string {
	id, _, _ := strings.Cut(a.Target, " ")
	switch kind, _, _ := strings.Cut(a.Action, "."); {
	case strings.HasPrefix(id, "run_"):
		return "/runs/" + url.PathEscape(id)
	case strings.HasPrefix(id, "evt_"):
		return "/events/" + url.PathEscape(id)
	case strings.HasPrefix(id, "ref_"):
		return "/quarantine/" + url.PathEscape(id)
	case a.Target == "":
		return ""
	case kind == "batch":
		return "/batches/" + url.PathEscape(a.Target)
	case kind == "trigger":
		return "/trigger?name=" + url.QueryEscape(a.Target)
	case kind == "workflow":
		return "/workflow?id=" + url.QueryEscape(a.Target)
	}
	return ""
}
