package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// This file parses the filters of lists. An unknown filter, or an impossible value, is an error: a
// monitor with a typing mistake must not read "none".

// The filters of each list, by their names in the query.
var (
	eventFilters = []string{"limit", "after", "status", "workflow", "trigger", "type", "since", "until", "q"}
	runFilters   = []string{"limit", "after", "status", "workflow", "trigger", "type", "since", "until", "q", "event", "host",
		"waits_for"}
	deadFilters    = []string{"limit", "after", "status", "workflow", "trigger", "type", "since", "until", "q", "host", "reason"}
	groupFilters   = deadFilters[2:]
	refusalFilters = []string{"limit", "after", "status", "reason", "trigger", "since", "until", "q"}
	refusalGroups  = refusalFilters[2:]
	auditFilters   = []string{"limit", "after", "since", "until", "q", "who", "action"}
)

// several are the filters that accept multiple values, separated by commas.
var several = []string{"status", "reason", "waits_for", "action"}

// onlyKnown returns an error for unknown query parameters.
func onlyKnown(v url.Values, known []string) error {
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if !slices.Contains(known, name) {
			if len(known) == 0 {
				return fmt.Errorf("%w: unknown parameter %q; this call has none", engine.ErrQuery, name)
			}
			return fmt.Errorf("%w: unknown parameter %q; use %s", engine.ErrQuery, name, strings.Join(known, ", "))
		}
		if len(v[name]) > 1 && !slices.Contains(several, name) {
			return fmt.Errorf("%w: %s is given %d times", engine.ErrQuery, name, len(v[name]))
		}
	}
	return nil
}

// strict refuses requests with unknown query parameters.
func (c *Console) strict(known []string, do http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := onlyKnown(r.URL.Query(), known); err != nil {
			c.fail(w, err)
			return
		}
		do(w, r)
	}
}

// query parses the filters of a list. Times without a zone are in zone.
func query(v url.Values, zone *time.Location) (engine.Query, error) {
	list := func(name string) string {
		return strings.Join(slices.DeleteFunc(slices.Clone(v[name]), func(s string) bool { return s == "" }), ",")
	}
	q := engine.Query{Trigger: v.Get("trigger"), Workflow: v.Get("workflow"), Type: v.Get("type"), Grep: v.Get("q"),
		After: v.Get("after"), Event: v.Get("event"), Host: v.Get("host"),
		Who: v.Get("who"), Status: list("status"), Reason: list("reason"), WaitsFor: list("waits_for"), Action: list("action")}
	if s := v.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 1000 {
			return q, errors.New("limit must be a number from 1 to 1000")
		}
		q.Limit = n
	}
	err := Window(&q, v.Get("since"), v.Get("until"), time.Now(), zone)
	return q, err
}

// Window parses since and until into a query; empty texts set no limit. It also checks the text to search for.
func Window(q *engine.Query, since, until string, now time.Time, zone *time.Location) (err error) {
	if strings.ContainsRune(q.Grep, 0) || !utf8.ValidString(q.Grep) {
		// The databases differ in what they find for such a text.
		return errors.New("the text to search for has a NUL or is not UTF-8: search for a part of it")
	}
	if since != "" {
		if q.Since, err = Moment("since", since, now, zone); err != nil {
			return err
		}
	}
	if until != "" {
		if q.Until, err = Moment("until", until, now, zone); err != nil {
			return err
		}
	}
	if since != "" && until != "" && !q.Until.After(q.Since) {
		return fmt.Errorf("until %q is not after since %q: the range is empty", until, since)
	}
	return nil
}

// Moment parses a time: RFC 3339 and similar formats, or a duration before now such as 2h or 7d.
// Text without a zone is in zone.
func Moment(name, s string, now time.Time, zone *time.Location) (time.Time, error) {
	if d, err := workflows.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	if t, err := expr.ParseTime(s, zone); err == nil {
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%s %q: write 2h, 7d, 2026-01-31 10:00 or 2026-01-31T10:00:00Z", name, s)
}

// Since parses a time in UTC; see Moment.
func Since(s string, now time.Time) (time.Time, error) { return Moment("since", s, now, time.UTC) }

// names returns an error for filters by workflows, triggers and hosts that never existed.
func (c *Console) names(ctx context.Context, q engine.Query) error {
	p := c.o.Project()
	for kind, name := range map[string]string{"workflow": q.Workflow, "trigger": q.Trigger} {
		if name == "" || kind == "workflow" && p.Workflows[name] != nil || kind == "trigger" &&
			(p.Triggers[name] != nil || p.Workflows[name] != nil) {
			continue
		}
		list, workflow, trigger := sortedNames(p.Workflows), name, ""
		if kind == "trigger" {
			list, workflow, trigger = sortedNames(p.Triggers), "", name
		}
		known, err := c.o.Log.HasName(ctx, workflow, trigger)
		if err != nil {
			return err
		}
		if !known {
			return fmt.Errorf("%w: there is no %s %q, in the project or in the history; there are %s", engine.ErrQuery, kind, name,
				some(list))
		}
	}
	if q.Action != "" {
		for _, a := range strings.Split(q.Action, ",") {
			if known := c.actions(); !slices.Contains(known, strings.TrimSpace(a)) {
				return fmt.Errorf("%w: unknown action %q; use one of %s", engine.ErrQuery, a, strings.Join(known, ", "))
			}
		}
	}
	return CheckHost(ctx, q.Host, p, c.o.Operator.Destinations, c.o.Log)
}

// actions returns the action names in the audit log.
func (c *Console) actions() []string {
	list := []string{"login", "logout", "endpoint.resume", "refused"}
	for _, r := range c.api() {
		if r.action != "" {
			list = append(list, r.action)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// HostLog provides the hosts of the history.
type HostLog interface {
	HasHost(ctx context.Context, host string) (bool, error)
	FailedHosts(ctx context.Context) ([]string, error)
}

// some formats the first names of a list.
func some(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	const most = 30
	if len(list) > most {
		return strings.Join(list[:most], ", ") + fmt.Sprintf(" and %d more", len(list)-most)
	}
	return strings.Join(list, ", ")
}

// listQuery reads the filters of a list of the API. It responds itself if they are wrong.
func (c *Console) listQuery(w http.ResponseWriter, r *http.Request) (q engine.Query, ok bool) {
	q, err := query(r.URL.Query(), c.o.Project().Zone())
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return q, false
	}
	if err := c.names(r.Context(), q); err != nil {
		c.fail(w, err)
		return q, false
	}
	return q, true
}

// list serves a list of the API, one page at a time.
func list[T any](c *Console, w http.ResponseWriter, r *http.Request, get func(context.Context, engine.Query) (engine.Page[T], error),
	count func(context.Context, engine.Query, *engine.Page[T]) error) {
	q, ok := c.listQuery(w, r)
	if !ok {
		return
	}
	p, err := get(r.Context(), q)
	if err == nil {
		err = count(r.Context(), q, &p)
	}
	if err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusOK, p)
}

func (c *Console) listEvents(w http.ResponseWriter, r *http.Request) {
	list(c, w, r, c.o.Log.EventPage, c.o.Log.CountEvents)
}

func (c *Console) listRuns(w http.ResponseWriter, r *http.Request) {
	list(c, w, r, c.o.Log.RunPage, c.o.Log.CountRuns)
}

func (c *Console) listQuarantine(w http.ResponseWriter, r *http.Request) {
	list(c, w, r, c.refusals, c.o.Log.CountRefusals)
}

func (c *Console) listAudit(w http.ResponseWriter, r *http.Request) {
	list(c, w, r, c.o.Log.AuditPage, c.o.Log.CountAudit)
}

func (c *Console) listDead(w http.ResponseWriter, r *http.Request) {
	list(c, w, r, c.o.Log.DeadLetters, c.o.Log.CountDead)
}

// refusals returns a page of refused deliveries.
func (c *Console) refusals(ctx context.Context, q engine.Query) (engine.Page[engine.RefusalItem], error) {
	limit := cmp.Or(q.Limit, 50)
	q.Limit = limit + 1
	items, err := c.o.Log.Quarantine(ctx, q)
	p := engine.Page[engine.RefusalItem]{Items: items}
	if len(items) > limit {
		p.Items = items[:limit]
		p.Next = p.Items[limit-1].ID
	}
	return p, err
}
