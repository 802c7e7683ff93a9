package console

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// timeRange is an interval up to now that the overview shows.
type timeRange struct {
	Name string
	step time.Duration
	n    int
}

func (t timeRange) length() time.Duration { return t.step * time.Duration(t.n) }

var ranges = []timeRange{{"1h", time.Minute, 60}, {"24h", 30 * time.Minute, 48}, {"7d", 4 * time.Hour, 42}, {"30d", 12 * time.Hour, 60}}

func (c *Console) overviewPage(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	v.Del("said")
	if err := onlyKnown(v, []string{"range"}); err != nil {
		c.errorPage(w, r, http.StatusBadRequest, strings.TrimPrefix(err.Error(), engine.ErrQuery.Error()+": "))
		return
	}
	name := cmp.Or(v.Get("range"), "24h")
	i := slices.IndexFunc(ranges, func(x timeRange) bool { return x.Name == name })
	if i < 0 {
		c.errorPage(w, r, http.StatusBadRequest, fmt.Sprintf("Unknown range %q; use 1h, 24h, 7d or 30d.", name))
		return
	}
	pick, now := ranges[i], time.Now()
	data := map[string]any{"Title": "Overview", "Range": pick.Name, "Ranges": ranges, "Paused": c.o.Operator.Paused(),
		"Alerts": firstN(c.o.Operator.OpenAlerts(), 50)}
	if err := c.overviewData(r, pick, now, data); err != nil {
		c.showError(w, r, err)
		return
	}
	if c.o.Acks != nil {
		data["Acks"] = c.o.Acks()
	}
	c.render(w, r, http.StatusOK, "overview", data)
}

// destinationsShown is the number of hosts that the overview shows, those with problems first.
const destinationsShown = 10

// overviewData collects the data of the overview, problems first.
func (c *Console) overviewData(r *http.Request, pick timeRange, now time.Time, data map[string]any) error {
	ctx, zone := r.Context(), c.zoneOf(r).At
	standing, err := c.currentStats(ctx)
	if err != nil {
		return err
	}
	buckets, err := c.activity.get(ctx, c.o.Log, now, pick.step, pick.n)
	if err != nil {
		return err
	}
	var sum engine.Bucket
	for _, b := range buckets {
		sum.Events, sum.Runs, sum.Failed, sum.Refused, sum.Open, sum.Cancelled = sum.Events+b.Events, sum.Runs+b.Runs,
			sum.Failed+b.Failed, sum.Refused+b.Refused, sum.Open+b.Open, sum.Cancelled+b.Cancelled
	}
	triggers, err := c.triggers(ctx, now.Add(-pick.length()))
	if err != nil {
		return err
	}
	slices.SortStableFunc(triggers, func(a, b triggerItem) int {
		trouble := func(t triggerItem) int {
			n := t.Refused
			for _, i := range t.Inlets {
				n += 1000 * min(i.Failures, 1)
			}
			if t.Silent {
				n += 1000
			}
			return n
		}
		return trouble(b) - trouble(a)
	})
	flows, err := c.workflows(ctx, pick.length())
	if err != nil {
		return err
	}
	slices.SortStableFunc(flows, func(a, b workflowItem) int { return b.Failed - a.Failed })
	hosts, err := c.destinations(ctx)
	if err != nil {
		return err
	}
	data["Standing"], data["Sum"], data["Triggers"], data["Workflows"], data["Hosts"], data["HostsTotal"] = standing, sum, triggers,
		flows, firstN(hosts, destinationsShown), len(hosts)
	if err := c.severalNodes(ctx, data); err != nil {
		return err
	}
	data["EventChart"], data["RunChart"] = bars("Events", "/events", buckets, pick.step, eventSeries, zone),
		bars("Runs", "/runs", buckets, pick.step, runSeries, zone)
	return nil
}

// question is a step of a run that waits for a person.
type question struct {
	Path, Text string
	Review     bool
	// By are the people who may answer; empty for anybody. Until is the deadline.
	By    []string
	Until *time.Time
}

// questions returns a run's open questions to people.
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
		if q, ok := questionOf(newest[path]); ok {
			out = append(out, q)
		} else if newest[path].Status == "unknown" && d.WaitsFor == "review" {
			s := newest[path]
			text := "The attempt was sent and its response was lost. Did it take effect?"
			if s.Destination != "" {
				text = "The attempt was sent to " + s.Destination + " and its response was lost. Did it take effect?"
			}
			out = append(out, question{Path: path, Text: text, Review: true})
		}
	}
	return out
}

func (c *Console) runPage(w http.ResponseWriter, r *http.Request) {
	d, ok := c.runOf(w, r, r.PathValue("id"))
	if !ok {
		return
	}
	flow, zone := c.flowOf(r.Context(), d), c.zoneOf(r).At
	c.sent(r.Context(), d, flow)
	title := "Run of " + d.Workflow
	if flow != nil && flow.Name != "" && flow.Name != d.Workflow {
		title = flow.Name
	}
	if d.EventKey != "" && d.EventItem.Inlet != workflows.InletManual {
		title += " · " + clip(d.EventKey, 60)
	}
	cut := cutterOf(r)
	data := map[string]any{"Title": title, "D": d, "Cut": cut, "Timeline": timeline(d),
		"Graph":     graph(flow, append([]engine.StepItem{}, d.Steps...)),
		"Questions": questions(d), "GoesOn": d.GoesOn(zone),
		"Attempts": attemptList(d, r.URL.Query().Get("all") != "", cut), "Ended": engine.RunStatus(d.Status).Ended(),
		"DeadLetter": (d.Status == "failed" || d.Status == "timed_out") && len(d.ReplayedAs) == 0}
	if with := r.URL.Query().Get("with"); with != "" {
		other, ok := c.runOf(w, r, strings.TrimSpace(with))
		if !ok {
			return
		}
		data["With"], data["Diff"] = other.ID, compareTexts(other.ID, runText(other), d.ID, runText(d))
	}
	same, err := c.o.Log.RunPage(r.Context(), engine.Query{Workflow: d.Workflow, Limit: 20})
	if err != nil {
		c.showError(w, r, err)
		return
	}
	data["Others"] = same.Items
	c.render(w, r, http.StatusOK, "run", data)
}

// questionOf returns the approval that a step waits for.
func questionOf(s engine.StepItem) (question, bool) {
	var what struct {
		Approval string
		By       []string
		Until    *time.Time
	}
	if s.Status != "waiting" || json.Unmarshal(s.Output, &what) != nil || what.Approval == "" {
		return question{}, false
	}
	return question{Path: s.Path, Text: what.Approval, By: what.By, Until: what.Until}, true
}
