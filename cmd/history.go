package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
	"github.com/spf13/cobra"
)

// listFlags are the filters that all lists share.
type listFlags struct {
	place
	since, until string
	q            engine.Query
	// hosts reports whether the command has --host.
	hosts bool
}

func (f *listFlags) add(c *cobra.Command) {
	f.addPlace(c)
	f.addFilters(c)
	c.Flags().IntVar(&f.q.Limit, "limit", 50, "maximum number of items")
	c.Flags().StringVar(&f.q.After, "after", "", "continue after this id, the last one of the previous list")
}

// addFilters adds the filters that all lists and tail have.
func (f *listFlags) addFilters(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.q.Trigger, "trigger", "", "only of this trigger")
	fl.StringVar(&f.q.Workflow, "workflow", "", "only of this workflow")
	fl.StringVar(&f.q.Status, "status", "", "only with one of these statuses or outcomes, separated by commas")
	fl.StringVar(&f.q.Type, "type", "", "only of this event type")
	fl.StringVar(&f.since, "since", "", "only since 2h, 7d, \"2026-01-31 10:00\" (project's timezone) or 2026-01-31T10:00:00Z")
	fl.StringVar(&f.until, "until", "", "only before then, in the forms of --since")
	fl.StringVar(&f.q.Grep, "grep", "", "only with this text")
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
	path, err := f.database()
	if err != nil {
		return nil, err
	}
	return store.OpenHistory(path)
}

// database returns the project's database, and prepares the query.
func (f *listFlags) database() (string, error) {
	path := database(f.dir, f.db, nil)
	if err := workflows.CheckEnvironment(f.dir, chosenEnvironment()); err != nil {
		return "", usageError("%v", err)
	}
	if l, err := load(f.dir); err == nil && f.db == "" {
		path = database(f.dir, "", l.project)
	}
	if err := console.Window(&f.q, f.since, f.until, time.Now(), zone()); err != nil {
		return "", usageError("%v", err)
	}
	return path, nil
}

// reading opens the history, calls read with it, and closes it.
func (f *listFlags) reading(read func(*store.History) error) error {
	h, err := f.history()
	if err != nil {
		return err
	}
	return errors.Join(read(h), h.Close())
}

func (a *app) eventsCmd() *cobra.Command {
	var f listFlags
	c := &cobra.Command{Use: "events", Short: "List events", Args: cobra.NoArgs,
		Example: "  hookloom events --trigger stripe --since 1d\n  hookloom events --status rule_failed\n  hookloom events --status unreadable",
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
					t.row(i.ID, clock(i.ReceivedAt), i.Trigger, i.Type, short(i.Key, 40), outcomeOf(&i), fmt.Sprint(i.Runs), fmt.Sprint(i.Duplicates),
						strings.Join(i.Marks(), ", "))
				}
				return printList(a, t, p)
			})
		}}
	f.add(c)
	c.Flags().Lookup("status").Usage = "only with this outcome, or unreadable, invalid, by-content, repeated-body, conflicting or test"
	return c
}

// outcomeOf marks an event whose body cannot be decoded.
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

func (a *app) eventCmd() *cobra.Command {
	var f listFlags
	c := &cobra.Command{Use: "event ID", Short: "Show one event in full, with each decision", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := engine.ParseEventID(args[0])
			if err != nil {
				return otherID(err, "evt_", args[0], fmt.Sprintf("hookloom events --grep %s finds the event with this id of the sender", args[0]))
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
	a.printf("  trigger   %s by %s\n  key       %s\n  received  %s\n  happened  %s\n", d.Trigger, d.Inlet, printable(d.Key),
		clock(d.ReceivedAt), clock(d.Time))
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
		a.printf("\nDelivered again %s by %s, %s later%s\n", clock(s.At), s.Inlet, secondsText(s.Delay), same)
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
		for _, k := range slices.Sorted(maps.Keys(c.Values)) {
			v, err := json.Marshal(c.Values[k])
			if err == nil {
				a.printf("             %s = %s\n", k, printable(string(v)))
			}
		}
	}
}

// indented formats JSON for reading; it contains no unescaped control characters.
func indented(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Indent(&b, raw, "  ", "  ") != nil {
		return "  " + printable(string(raw))
	}
	return "  " + b.String()
}

// proofText describes what authenticated the person who answered.
func proofText(proof string) string {
	if proof == "" {
		return " (not proved)"
	}
	return " (proved by " + proof + ")"
}
