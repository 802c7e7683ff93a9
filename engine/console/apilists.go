package console

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// listDestinations lists the hosts that steps call, with their state.
func (c *Console) listDestinations(w http.ResponseWriter, r *http.Request) {
	host := r.URL.Query().Get("host")
	err := c.names(r.Context(), engine.Query{Host: host})
	var items []destinationItem
	if err == nil {
		items, err = c.destinations(r.Context())
	}
	if err != nil {
		c.fail(w, err)
		return
	}
	if host != "" {
		items = slices.DeleteFunc(items, func(x destinationItem) bool { return bareHost(x.Name) != bareHost(host) })
	}
	reply(w, http.StatusOK, destinationsAnswer{items, c.o.Operator.Paused()})
}

// currentStats returns the totals of the complete history, at most a few seconds old.
func (c *Console) currentStats(ctx context.Context) (engine.CurrentState, error) {
	return c.standing.get(true, time.Now(), func() (engine.CurrentState, error) { return c.o.Log.CurrentState(ctx) })
}

// overview returns the totals of the complete history, and recent activity.
func (c *Console) overview(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	since, step, err := now.Add(-24*time.Hour), time.Hour, error(nil)
	if text := r.URL.Query().Get("since"); text != "" {
		since, err = Moment("since", text, now, c.o.Project().Zone())
	}
	if text := r.URL.Query().Get("step"); text != "" && err == nil {
		step, err = workflows.ParseDuration(text)
	}
	if err == nil && (step < time.Second || now.Sub(since)/step > 1000) {
		err = errors.New("step must be at least one second, and the period may have at most 1000 steps")
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	standing, err := c.currentStats(r.Context())
	if err != nil {
		c.fail(w, err)
		return
	}
	buckets, err := c.activity.get(r.Context(), c.o.Log, now, step, int(now.Sub(since)/step)+1)
	if err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusOK, overviewAnswer{standing, buckets, c.o.State()})
}

// listAlerts lists the active alerts.
func (c *Console) listAlerts(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, engine.Page[engine.OpenAlert]{Items: c.o.Operator.OpenAlerts()})
}

// triggerItem is one line of the list of triggers.
type triggerItem struct {
	Name     string   `json:"name"`
	Path     string   `json:"path,omitempty"`
	Provider string   `json:"provider,omitempty"`
	Methods  []string `json:"methods,omitempty"`
	// Identity describes what identifies the webhook's events.
	Identity string `json:"identity,omitempty"`
	// Secrets are listed by name, with their use and without their values.
	Secrets []engine.SecretState `json:"secrets,omitempty"`
	// Inlets are its polls, with their state.
	Inlets []engine.InletHealth `json:"inlets,omitempty"`
	engine.TriggerStats
	// Expect is how long the trigger may receive nothing, in seconds; 0 for no limit, or if it has
	// not been learned yet.
	Expect float64 `json:"expect,omitempty"`
	// Silent reports whether that time is exceeded.
	Silent bool `json:"silent,omitempty"`
}

// triggers lists the project's triggers, with their statistics since a time.
func (c *Console) triggers(ctx context.Context, since time.Time) ([]triggerItem, error) {
	items := []triggerItem{}
	uses, err := c.o.Log.SecretUses(ctx)
	if err != nil {
		return nil, err
	}
	all := c.o.Project().Triggers
	for _, name := range sortedNames(all) {
		t := all[name]
		i := triggerItem{Name: name}
		if t.Webhook != nil {
			i.Path, i.Provider, i.Methods = t.Webhook.Path, t.Webhook.Provider, t.Webhook.Methods
			i.Identity = c.o.Project().IdentityWords(t.Webhook)
			i.Secrets = engine.SecretStates(name, t.Webhook.SecretLabels(), uses, time.Now())
		}
		for _, inlet := range t.Polled() {
			st, err := c.o.Log.InletState(ctx, name, inlet)
			if err != nil {
				return nil, err
			}
			i.Inlets = append(i.Inlets, st.Health(inlet))
		}
		if i.TriggerStats, err = c.o.Log.TriggerStats(ctx, name, since); err != nil {
			return nil, err
		}
		if t.Webhook != nil {
			within := t.Webhook.Expect
			if within == workflows.Learned {
				if within, err = c.o.Log.LearnedGap(ctx, name); err != nil {
					return nil, err
				}
			}
			i.Expect = within.Seconds()
			i.Silent = within > 0 && (i.LastAt == nil || time.Since(*i.LastAt) > within)
		}
		items = append(items, i)
	}
	return items, nil
}

func (c *Console) listTriggers(w http.ResponseWriter, r *http.Request) {
	items, err := c.triggers(r.Context(), time.Now().Add(-24*time.Hour))
	if err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusOK, engine.Page[triggerItem]{Items: items})
}

// workflowItem is one line of the list of workflows.
type workflowItem struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	File        string `json:"file"`
	Version     string `json:"version"`
	Enabled     bool   `json:"enabled"`
	// SwitchedOffBy is who switched it off here, whatever its file says.
	SwitchedOffBy string `json:"switched_off_by,omitempty"`
	// Holds reports whether events are held for it; Draining reports whether it is on again and the
	// held events are being evaluated.
	Holds    bool `json:"holds,omitempty"`
	Draining bool `json:"draining,omitempty"`
	engine.WorkflowStats
}

func (c *Console) workflows(ctx context.Context, back time.Duration) ([]workflowItem, error) {
	items := []workflowItem{}
	now := time.Now()
	by, err := c.stats.get(back, now, func() (map[string]engine.WorkflowStats, error) { return c.o.Log.WorkflowStats(ctx, now.Add(-back)) })
	if err != nil {
		return nil, err
	}
	all, off := c.o.Project().Workflows, c.o.Operator.SwitchedOff()
	for _, id := range sortedNames(all) {
		f := all[id]
		x, isOff := off[id]
		i := workflowItem{ID: f.ID, Name: f.Name, Description: f.Description, File: f.File, Version: f.Version, Enabled: f.Enabled &&
			!isOff}
		if isOff {
			i.SwitchedOffBy = cmp.Or(x.By, "somebody")
			i.Holds, i.Draining = x.State == engine.SwitchHold, x.State == engine.SwitchDraining
		}
		i.WorkflowStats = by[id]
		items = append(items, i)
	}
	return items, nil
}

func (c *Console) listWorkflows(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	since := now.Add(-7 * 24 * time.Hour)
	if text := r.URL.Query().Get("since"); text != "" {
		var err error
		if since, err = Moment("since", text, now, c.o.Project().Zone()); err != nil {
			problem(w, http.StatusBadRequest, err.Error())
			return
		}
	}
	items, err := c.workflows(r.Context(), now.Sub(since))
	if err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusOK, engine.Page[workflowItem]{Items: items})
}
