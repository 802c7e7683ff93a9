package cmd

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/triggers"
	"github.com/spf13/cobra"
)

// listFlags are the filters that all lists share.
type listFlags struct {
	place
	since, until string
	q            engine.Query
	// hosts tells that --host is a filter here.
	hosts bool
}

func (f *listFlags) add(c *cobra.Command) {
	fl := c.Flags()
	f.addPlace(c)
	fl.StringVar(&f.q.Trigger, "trigger", "", "only of this trigger")
	fl.StringVar(&f.q.Workflow, "workflow", "", "only of this workflow")
	fl.StringVar(&f.q.Status, "status", "", "only with one of these statuses or outcomes, separated by commas")
	fl.StringVar(&f.q.Type, "type", "", "only of this event type")
	fl.StringVar(&f.since, "since", "", "only since 2h, 7d, \"2026-01-31 10:00\" (project's timezone) or 2026-01-31T10:00:00Z")
	fl.StringVar(&f.until, "until", "", "only before then, in the forms of --since")
	fl.StringVar(&f.q.Grep, "grep", "", "only with this text")
	fl.IntVar(&f.q.Limit, "limit", 50, "at most so many")
	fl.StringVar(&f.q.After, "after", "", "continue after this id (the last one of the previous list)")
}

// addHost and addReason add filters that not all lists have.
func (f *listFlags) addHost(c *cobra.Command, what string) {
	f.hosts = true
	c.Flags().StringVar(&f.q.Host, "host", "", what)
}

func (f *listFlags) addReason(c *cobra.Command, what string) {
	c.Flags().StringVar(&f.q.Reason, "reason", "", what)
}

func (f *listFlags) addPlace(c *cobra.Command) { f.flags(c.Flags()) }

// history opens the project's database for reading, beside a running server.
func (f *listFlags) history() (*store.History, error) {
	path := database(f.dir, f.db, nil)
	if l, err := load(f.dir); err == nil && f.db == "" {
		path = database(f.dir, "", l.project)
	}
	if err := console.Window(&f.q, f.since, f.until, time.Now(), zone()); err != nil {
		return nil, usageError("%v", err)
	}
	return store.OpenHistory(path)
}

// reading opens the history, hands it on, and closes it.
func (f *listFlags) reading(read func(*store.History) error) error {
	h, err := f.history()
	if err != nil {
		return err
	}
	return errors.Join(read(h), h.Close())
}

func (a *app) eventsCmd() *cobra.Command {
	var f listFlags
	c := &cobra.Command{Use: "events", Short: "List events", Args: cobra.NoArgs, Example: "  hookloom events --trigger stripe --since 1d\n  hookloom events --status rule_failed\n  hookloom events --status unreadable",
		RunE: func(c *cobra.Command, _ []string) error {
			return f.reading(func(h *store.History) error {
				p, err := listed(c.Context(), h, &f, h.Events, h.CountEvents, func(i engine.EventItem) string { return i.ID })
				if err != nil {
					return err
				}
				if a.json() {
					return a.printJSON(p)
				}
				items := p.Items
				t := newTable("EVENT", "RECEIVED", "TRIGGER", "TYPE", "KEY", "OUTCOME", "RUNS", "DUPLICATES", "")
				for _, i := range items {
					t.row(i.ID, clock(i.ReceivedAt), i.Trigger, i.Type, short(i.Key, 40), outcomeOf(&i), fmt.Sprint(i.Runs), fmt.Sprint(i.Duplicates), strings.Join(i.Marks(), ", "))
				}
				return printList(a, t, p)
			})
		}}
	f.add(c)
	c.Flags().Lookup("status").Usage = "only with this outcome, or unreadable, by-content, repeated-body or conflicting"
	return c
}

// outcomeOf marks an event whose body cannot be read.
func outcomeOf(i *engine.EventItem) string {
	if i.Unreadable() {
		return i.Shown() + " (unreadable)"
	}
	return i.Shown()
}

func short(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

func (a *app) runsCmd() *cobra.Command {
	var f listFlags
	c := &cobra.Command{Use: "runs", Short: "List runs", Args: cobra.NoArgs, Example: "  hookloom runs --workflow fulfil_order --since 2h\n  hookloom runs --status queued,waiting\n  hookloom runs --waits-for approval,review\n  hookloom runs --host api.example.com --since \"2026-01-31 14:00\" --until \"2026-01-31 14:20\"",
		RunE: func(c *cobra.Command, _ []string) error {
			return f.reading(func(h *store.History) error {
				p, err := listed(c.Context(), h, &f, h.Runs, h.CountRuns, func(i engine.RunItem) string { return i.ID })
				if err != nil {
					return err
				}
				if a.json() {
					return a.printJSON(p)
				}
				t := newTable("RUN", "STARTED", "WORKFLOW", "EVENT KEY", "STATUS", "WORKED", "WAITED", "WAITS FOR", "ERROR")
				for _, i := range p.Items {
					t.row(i.ID, clockPointer(i.StartedAt), i.Workflow, short(i.EventKey, 30), i.Status, workedText(i), millisText(i.WaitedMS), waitsText(i), short(i.Trouble(), 80))
				}
				return printList(a, t, p)
			})
		}}
	f.add(c)
	f.addHost(c, "only with an attempt to this host")
	c.Flags().StringVar(&f.q.WaitsFor, "waits-for", "", "only those that wait for one of these, separated by commas: "+strings.Join(engine.WaitKinds, ", "))
	return c
}

func (a *app) quarantineCmd() *cobra.Command {
	var f listFlags
	c := &cobra.Command{Use: "quarantine [ID]", Short: "List refused deliveries and why, or show one", Args: cobra.MaximumNArgs(1),
		Long: `Refused deliveries are kept, bounded in number and size, and never run. Each
comes with a diagnosis: what would have made it genuine, found by trying. Once
the cause is fixed, hookloom replay ID verifies it again, as of the time it arrived,
and stores it if it is genuine. Calls of unknown paths under /hooks/ are listed too,
with the nearest trigger.`,
		Example: "  hookloom quarantine --trigger stripe --since 1h\n  hookloom quarantine ref_12\n  hookloom replay ref_12",
		RunE: func(c *cobra.Command, args []string) error {
			return f.reading(func(h *store.History) error {
				if len(args) == 1 {
					return a.oneRefusal(c.Context(), h, args[0])
				}
				p, err := listed(c.Context(), h, &f, h.Quarantine, h.CountRefusals, func(i engine.RefusalItem) string { return i.ID })
				if err != nil {
					return err
				}
				if a.json() {
					return a.printJSON(p)
				}
				items := p.Items
				t := newTable("ID", "AT", "TRIGGER", "REASON", "DIAGNOSIS", "FROM", "BYTES")
				for _, i := range items {
					why := i.Diagnosis
					if why == "" {
						why = i.Detail
					}
					if i.Event != "" {
						why = "admitted as " + i.Event
					}
					t.row(i.ID, clock(i.At), i.Trigger, i.Reason, short(why, 100), i.Remote, fmt.Sprint(i.Size))
				}
				return printList(a, t, p)
			})
		}}
	f.add(c)
	f.addReason(c, "only for one of these reasons, separated by commas, such as \"signature does not match\"")
	c.Flags().Lookup("status").Usage = "the same as --reason"
	for _, none := range []string{"workflow", "type"} {
		c.Flags().Lookup(none).Hidden = true
	}
	return c
}

// oneRefusal shows a refused delivery whole.
func (a *app) oneRefusal(ctx context.Context, h *store.History, id string) error {
	x, _, err := h.Refusal(ctx, id)
	if errors.Is(err, engine.ErrNotFound) {
		return fmt.Errorf("no refused delivery %s in this database", id)
	}
	if err != nil {
		return usageError("%v", err)
	}
	if a.json() {
		return a.printJSON(x)
	}
	a.printf("%s  %s  %s\n", x.ID, x.Trigger, printable(x.Reason))
	a.printf("  at         %s from %s\n  request    %s %s\n", clock(x.At), x.Remote, printable(x.Method), printable(cmp.Or(x.URL, x.Path)))
	if x.Detail != "" {
		a.printf("  detail     %s\n", printable(x.Detail))
	}
	if x.Diagnosis != "" {
		a.printf("  diagnosis  %s\n", printable(x.Diagnosis))
	}
	if x.Event != "" {
		a.printf("  admitted   as %s\n", x.Event)
	}
	a.printf("\nHeaders\n")
	for _, k := range sortedKeys(x.Headers) {
		a.printf("  %s: %s\n", printable(k), printable(x.Headers[k]))
	}
	a.printf("\nBody (%d of %d bytes kept)\n%s\n", x.Kept, x.Size, indented(json.RawMessage(x.Body)))
	return nil
}

// triggersCmd lists triggers with the use of their secrets.
func (a *app) triggersCmd() *cobra.Command {
	var f listFlags
	var await string
	c := &cobra.Command{Use: "triggers", Short: "List triggers, their URLs, and when each secret was used last", Args: cobra.NoArgs,
		Long: `Lists the project's triggers. While a secret is rotated, write both under secret:
and watch here when the old one is quiet: it then says that it is safe to drop.
Uses are noted every few seconds; a crash loses at most those.

--await-secret is for providers that hand over their secret in a handshake (Asana,
Notion): the running server accepts it only in the next 15 minutes, and only once.`,
		Example: "  hookloom triggers\n  hookloom triggers --await-secret asana\n  hookloom triggers --output json",
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := f.load()
			if err != nil {
				return err
			}
			if await != "" {
				return a.awaitSecret(c.Context(), l, await)
			}
			var uses []engine.SecretUse
			inlets := map[string][]engine.InletHealth{}
			if h, err := f.history(); err == nil {
				uses, err = h.SecretUses(c.Context())
				for name, t := range l.project.Triggers {
					for _, inlet := range t.Polled() {
						st, serr := h.InletState(c.Context(), name, inlet)
						inlets[name] = append(inlets[name], st.Health(inlet))
						err = errors.Join(err, serr)
					}
				}
				if err = errors.Join(err, h.Close()); err != nil {
					return err
				}
			}
			return a.printTriggers(l, uses, inlets)
		}}
	c.Flags().StringVar(&await, "await-secret", "", "accept the secret from the next handshake of this trigger's provider")
	f.addPlace(c)
	return c
}

func (a *app) printTriggers(l *loaded, uses []engine.SecretUse, inlets map[string][]engine.InletHealth) error {
	type item struct {
		Name     string               `json:"name"`
		URL      string               `json:"url,omitempty"`
		Provider string               `json:"provider,omitempty"`
		Identity string               `json:"identity,omitempty"`
		Secrets  []engine.SecretState `json:"secrets"`
		Inlets   []engine.InletHealth `json:"inlets,omitempty"`
		Timings  []triggers.Timing    `json:"timings,omitempty"`
	}
	p, now := l.project, time.Now()
	base := strings.TrimRight(p.Server.PublicURL, "/")
	if base == "" {
		base = l.hooksURL()
	}
	items := []item{}
	t := newTable("TRIGGER", "URL", "PROVIDER", "SECRET", "USED", "LAST", "", "EVENTS IDENTIFIED")
	for _, name := range sortedKeys(p.Triggers) {
		w := p.Triggers[name].Webhook
		i := item{Name: name, Secrets: []engine.SecretState{}, Inlets: inlets[name], Timings: triggers.Timings(p, p.Triggers[name], now, shownTimes)}
		if w != nil {
			i.Identity = p.IdentityWords(w)
			i.URL, i.Provider, i.Secrets = base+w.Path, w.Provider, engine.SecretStates(name, w.SecretLabels(), uses, time.Now())
		}
		items = append(items, i)
		if len(i.Secrets) == 0 {
			t.row(name, i.URL, i.Provider, "", "", "", "", i.Identity)
		}
		for n, s := range i.Secrets {
			if n > 0 {
				name, i.URL, i.Provider, i.Identity = "", "", "", ""
			}
			t.row(name, i.URL, i.Provider, s.Secret, fmt.Sprint(s.Count), clockPointer(s.LastAt), s.Advice, i.Identity)
		}
	}
	if a.json() {
		return a.printJSON(map[string]any{"items": items})
	}
	if err := errors.Join(t.print(a.out), a.printTimings(now, p)); err != nil || len(inlets) == 0 {
		return err
	}
	a.printf("\n")
	t = newTable("TRIGGER", "ASKS", "LAST", "ANSWERED", "FAILURES", "ERROR")
	for _, name := range sortedKeys(inlets) {
		for _, h := range inlets[name] {
			t.row(name, h.Inlet, clockPointer(h.AskedAt), clockPointer(h.OKAt), fmt.Sprint(h.Failures), short(h.Error, 80))
		}
	}
	return t.print(a.out)
}

func (a *app) eventCmd() *cobra.Command {
	var f listFlags
	c := &cobra.Command{Use: "event ID", Short: "Show one event in full, with each decision", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := engine.ParseEventID(args[0])
			if err != nil {
				return usageError("%v", err)
			}
			return f.reading(func(h *store.History) error {
				d, err := h.EventDetail(c.Context(), id)
				if errors.Is(err, engine.ErrNotFound) {
					return fmt.Errorf("no event %s in this database", id)
				}
				if err != nil {
					return err
				}
				if a.json() {
					return a.printJSON(d)
				}
				return a.printEvent(d)
			})
		}}
	f.addPlace(c)
	return c
}

func (a *app) printEvent(d *engine.EventDetail) error {
	a.printf("%s  %s  %s\n", d.ID, printable(d.Type), d.Shown())
	a.printf("  trigger   %s by %s\n  key       %s\n  received  %s\n  happened  %s\n", d.Trigger, d.Inlet, printable(d.Key), clock(d.ReceivedAt), clock(d.Time))
	if d.Flag != "" {
		a.printf("  note      %s\n", printable(d.Flag))
	}
	a.printf("  genuine   %s\n", printable(d.Proof.Words(d.Inlet)))
	a.printIdentity(&d.EventItem)
	a.printf("\nDecisions\n")
	for _, x := range d.Decisions {
		a.printDecision(x)
	}
	if x := d.EmittedBy; x != nil {
		a.printf("  emitted by step %s of %s (%s)\n", printable(x.Step), x.Run, x.Workflow)
	}
	for _, x := range d.EndedWaits {
		if x.Step == "" {
			a.printf("  ended %s (%s): cancel_on\n", x.Run, x.Workflow)
			continue
		}
		a.printf("  ended a wait: step %s of %s (%s)\n", printable(x.Step), x.Run, x.Workflow)
	}
	if len(d.Earlier) > 0 {
		a.printf("\nEarlier decisions\n")
	}
	for _, x := range d.Earlier {
		a.printf("  %s\n", clock(x.At))
		a.printDecision(x)
	}
	for _, s := range d.Sightings {
		same := ""
		switch {
		case s.Differences != nil:
			same = ", with other data: " + printable(compacted(s.Differences))
		case !s.SameBody:
			same = ", with another body"
		}
		a.printf("\nSeen again %s by %s, %s later%s\n", clock(s.At), s.Inlet, secondsText(s.Delay), same)
	}
	a.printConflicts(d.Conflicting)
	a.printf("\nBody\n%s\n", indented(d.Body))
	return nil
}

func (a *app) printDecision(d engine.DecisionItem) {
	a.printf("  %-12s %s (version %s)", d.Outcome, d.Workflow, d.Version)
	if d.Run != "" {
		a.printf("  %s", d.Run)
	}
	if d.Reason != "" {
		a.printf("  %s", printable(d.Reason))
	}
	a.printf("\n")
	var conditions []engine.Condition
	if json.Unmarshal(d.Conditions, &conditions) != nil {
		return
	}
	for _, c := range conditions {
		result := "error"
		if c.Result != nil {
			result = fmt.Sprint(*c.Result)
		}
		a.printf("      %-5s  %s\n", result, printable(c.Expr))
		if c.Error != "" {
			a.printf("             %s\n", printable(c.Error))
		}
		for _, k := range sortedKeys(c.Values) {
			v, err := json.Marshal(c.Values[k])
			if err == nil {
				a.printf("             %s = %s\n", k, printable(string(v)))
			}
		}
	}
}

// indented shows JSON for reading; control characters are escaped in it already.
func indented(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Indent(&b, raw, "  ", "  ") != nil {
		return "  " + printable(string(raw))
	}
	return "  " + b.String()
}

func (a *app) runCmd() *cobra.Command {
	var f listFlags
	c := &cobra.Command{Use: "run ID", Short: "Show one run in full: each step, attempt, input and output", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := engine.ParseRunID(args[0])
			if err != nil {
				return usageError("%v", err)
			}
			return f.reading(func(h *store.History) error {
				d, err := h.RunDetail(c.Context(), id)
				if errors.Is(err, engine.ErrNotFound) {
					return fmt.Errorf("no run %s in this database", id)
				}
				if err != nil {
					return err
				}
				if a.json() {
					return a.printJSON(d)
				}
				return a.printRun(d)
			})
		}}
	f.addPlace(c)
	return c
}

func (a *app) printRun(d *engine.RunDetail) error {
	a.printf("%s  %s  %s\n", d.ID, d.Workflow, d.Status)
	a.printf("  event     %s  %s from %s\n  version   %s\n  started   %s\n  finished  %s\n", d.Event, printable(d.EventItem.Type), d.EventItem.Trigger, d.Version, clockPointer(d.StartedAt), clockPointer(d.FinishedAt))
	a.printf("  took      %s at work, %s waiting\n", millisText(d.WorkedMS), millisText(d.WaitedMS))
	if d.WaitsFor != "" {
		a.printf("  waits for %s\n", waitsText(d.RunItem))
	}
	if d.DueAt != nil {
		a.printf("  goes on   %s\n", printable(d.GoesOn(zone())))
	}
	if d.CalledBy != "" {
		a.printf("  called by %s\n", d.CalledBy)
	}
	for _, x := range d.Calls {
		a.printf("  calls     %s of %s at step %s\n", cmp.Or(x.Run, x.Event), x.Workflow, printable(x.Step))
	}
	if len(d.Events) > 0 {
		a.printf("  events    %d more: %s%s\n", d.EventCount, strings.Join(d.Events[:min(len(d.Events), 5)], ", "), strings.Repeat(", ...", min(1, d.EventCount/6)))
	}
	if d.Repeats != "" {
		a.printf("  replays   %s\n", d.Repeats)
		if len(d.KeptKeys) > 0 {
			a.printf("  same key  %s: the call was in doubt\n", printable(strings.Join(d.KeptKeys, ", ")))
		}
	}
	for _, x := range d.Emitted {
		a.printf("  emitted   %s into %s by step %s\n", x.Event, x.Trigger, printable(x.Step))
	}
	if len(d.ReplayedAs) > 0 {
		a.printf("  replayed  as %s\n", strings.Join(d.ReplayedAs, ", "))
	}
	if d.Text != "" {
		a.printf("  stopped   %s\n", printable(d.Text))
	}
	if d.Error != "" {
		a.printf("  error     %s\n", printable(d.Error))
	}
	if d.Warnings > 0 {
		a.printf("  warning   %s\n", printable(d.Warning))
	}
	if d.Decision != nil {
		a.printf("\nDecision\n")
		a.printDecision(*d.Decision)
	}
	a.printf("\nSteps\n")
	for _, s := range d.Steps {
		took := attemptText(s)
		a.printf("  %-9s  %s  %s  attempt %d  %s  %s\n", s.Status, printable(s.Path), s.Action, s.Attempt, clock(s.StartedAt), took)
		for _, part := range []struct {
			name string
			raw  json.RawMessage
		}{{"input", s.Input}, {"output", s.Output}, {"error", s.Error}} {
			if string(part.raw) != "null" {
				a.printf("    %-6s  %s\n", part.name, printable(compacted(part.raw)))
			}
		}
		for _, w := range s.Warnings {
			a.printf("    %-6s  %s\n", "warning", printable(w))
		}
	}
	for _, x := range d.EndedBy {
		a.printf("  event      %s  ended by %s, %s with key %s, received %s\n", printable(x.Step), x.Event, printable(x.Trigger), printable(x.Key), clock(x.ReceivedAt))
	}
	for _, w := range d.Answers {
		a.printf("  %-9s  %s  attempt %d  by %s  %s  %s\n", w.Verdict, printable(w.Path), w.Attempt, printable(cmp.Or(w.By, "?"))+proofText(w.Proof), clock(w.At), printable(w.Comment))
	}
	a.printf("\nOutput\n%s\n", indented(d.Output))
	return nil
}

// proofText says what proved the name of who answered.
func proofText(proof string) string {
	if proof == "" {
		return " (not proved)"
	}
	return " (proved by " + proof + ")"
}

func compacted(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return string(raw)
	}
	return short(b.String(), 2000)
}

func (a *app) tailCmd() *cobra.Command {
	var f listFlags
	c := &cobra.Command{Use: "tail", Short: "Print runs as they end, live", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.reading(func(h *store.History) error {
				if err := f.checkNames(c.Context(), h); err != nil {
					return err
				}
				return a.tail(c.Context(), h, f.q)
			})
		}}
	f.add(c)
	return c
}

// tail follows the events, and each one's runs until they have ended.
func (a *app) tail(ctx context.Context, h *store.History, q engine.Query) error {
	q.Ascending, q.Limit = true, 1000
	after := fmt.Sprintf("evt_%016x", engine.FirstID(time.Now()))
	open := map[string]string{} // run -> status printed last
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for {
		q.After = after
		events, err := h.Events(ctx, q)
		if err != nil {
			return ignoreCanceled(ctx, err)
		}
		for _, e := range events {
			if e.Outcome == "pending" {
				break // its runs do not exist yet
			}
			after = e.ID
			if err := a.tailEvent(ctx, h, e, open); err != nil {
				return ignoreCanceled(ctx, err)
			}
		}
		for id := range open {
			if err := a.tailRun(ctx, h, id, open); err != nil {
				return ignoreCanceled(ctx, err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func ignoreCanceled(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (a *app) tailEvent(ctx context.Context, h *store.History, e engine.EventItem, open map[string]string) error {
	if a.json() {
		if err := json.NewEncoder(a.out).Encode(map[string]any{"event": e}); err != nil {
			return err
		}
	} else {
		a.printf("%s  %s  %s  %s  %s\n", clock(e.ReceivedAt), e.ID, e.Trigger, printable(e.Type), e.Shown())
	}
	runs, err := h.Runs(ctx, engine.Query{Event: e.ID, Limit: 1000})
	for _, r := range runs {
		open[r.ID] = ""
	}
	return err
}

func (a *app) tailRun(ctx context.Context, h *store.History, id string, open map[string]string) error {
	run, err := engine.ParseRunID(id)
	if err != nil {
		return err
	}
	d, err := h.RunDetail(ctx, run)
	if err != nil {
		return err
	}
	if d.Status == open[id] {
		return nil
	}
	open[id] = d.Status
	if engine.RunStatus(d.Status).Ended() {
		delete(open, id)
	}
	if a.json() {
		return json.NewEncoder(a.out).Encode(map[string]any{"run": d.RunItem})
	}
	a.printf("%s  %s  %s  %s  %s\n", clock(time.Now()), d.ID, d.Workflow, d.Status, printable(d.Error))
	return nil
}
