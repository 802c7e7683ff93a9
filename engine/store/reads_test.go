package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/hookloom/hookloom/engine/testgolden"
)

// oneRead is a read of the store. The result of one that is volatile depends on the time or on the database.
type oneRead struct {
	name     string
	volatile bool
	do       func(context.Context) (any, error)
}

// reading returns a read, steady or volatile.
func reading[T any](volatile bool) func(name string, f func(context.Context) (T, error)) oneRead {
	return func(name string, f func(context.Context) (T, error)) oneRead {
		return oneRead{name, volatile, func(ctx context.Context) (any, error) { return f(ctx) }}
	}
}

func read[T any](name string, f func(context.Context) (T, error)) oneRead {
	return reading[T](false)(name, f)
}

func readVolatile[T any](name string, f func(context.Context) (T, error)) oneRead {
	return reading[T](true)(name, f)
}

// several are the results of a method with more than one.
type several []any

// readsOfStore are the reads of the engine.
func readsOfStore(s *store.Store) []oneRead {
	at, year := filledAt, filledAt.AddDate(60, 0, 0)
	byKey := func(key string) engine.EventWait { return engine.EventWait{Trigger: "pay", Key: key, From: at} }
	out := []oneRead{
		read("Event", func(ctx context.Context) (*engine.Event, error) { return s.Event(ctx, filledEvent(1)) }),
		read("Event with secret inputs", func(ctx context.Context) (*engine.Event, error) { return s.Event(ctx, laterEvent(70)) }),
		read("Event that is not there", func(ctx context.Context) (*engine.Event, error) { return s.Event(ctx, 99) }),
		read("Called", func(ctx context.Context) (engine.CallState, error) { return s.Called(ctx, filledEvent(20)) }),
		read("Called that has ended", func(ctx context.Context) (engine.CallState, error) { return s.Called(ctx, laterEvent(1)) }),
		read("Called with a secret result", func(ctx context.Context) (engine.CallState, error) { return s.Called(ctx, laterEvent(71)) }),
		read("Awaited", s.Awaited),
		read("ClaimInbox", func(ctx context.Context) (any, error) {
			events, whole, err := s.ClaimInbox(ctx, s.Owner(), 100, func(engine.EventID) bool { return false })
			return several{idsOf(events), whole}, err
		}),
		read("ClaimInbox of one", func(ctx context.Context) (any, error) {
			events, whole, err := s.ClaimInbox(ctx, s.Owner(), 1, func(engine.EventID) bool { return true })
			return several{idsOf(events), whole}, err
		}),
		read("ClaimDue", func(ctx context.Context) (any, error) {
			ids, next, err := s.ClaimDue(ctx, s.Owner(), year.AddDate(1, 0, 0), 100)
			return several{ids, next}, err
		}),
		read("ClaimDue of a few", func(ctx context.Context) (any, error) {
			ids, next, err := s.ClaimDue(ctx, s.Owner(), year.AddDate(1, 0, 0), 2)
			return several{ids, next}, err
		}),
		read("ClaimDue before anything is due", func(ctx context.Context) (any, error) {
			ids, next, err := s.ClaimDue(ctx, s.Owner(), at.AddDate(-1, 0, 0), 2)
			return several{ids, next}, err
		}),
		read("Suspects", func(ctx context.Context) (any, error) {
			few, alone, err := s.Suspects(ctx)
			return several{few, alone}, err
		}),
		read("Run", func(ctx context.Context) (*engine.Run, error) { return s.Run(ctx, laterRun(1)) }),
		read("Replaced", s.Replaced),
		read("Large", func(ctx context.Context) (any, error) { // the databases store JSON with other spaces
			sizes, err := s.Large(ctx, 0)
			return slices.Sorted(maps.Keys(sizes)), err
		}),
		read("Large of none", func(ctx context.Context) (map[engine.RunID]int64, error) { return s.Large(ctx, 1<<20) }),
		read("SizeOf an event", func(ctx context.Context) (int64, error) { return s.SizeOf(ctx, byKey("p1")) }),
		read("SizeOf a result", func(ctx context.Context) (int64, error) {
			return s.SizeOf(ctx, engine.EventWait{Key: laterEvent(5).String()})
		}),
		read("SizeOf nothing", func(ctx context.Context) (int64, error) { return s.SizeOf(ctx, byKey("none")) }),
		read("EventByKey", func(ctx context.Context) (*engine.Event, error) {
			return s.EventByKey(ctx, byKey("p1"), &engine.Run{ID: laterRun(6), Workflow: "pay"})
		}),
		read("EventByKey of none", func(ctx context.Context) (*engine.Event, error) {
			return s.EventByKey(ctx, byKey("none"), &engine.Run{ID: laterRun(6), Workflow: "pay"})
		}),
		read("EndCalls", s.EndCalls), read("Batches", func(ctx context.Context) ([]engine.Batch, error) { return s.Batches(ctx, "") }),
		read("Batches of a state", func(ctx context.Context) ([]engine.Batch, error) { return s.Batches(ctx, engine.BatchPaused) }),
		read("Batch", func(ctx context.Context) (*engine.Batch, error) { return s.Batch(ctx, engine.BatchID(laterEvent(41))) }),
		read("Batch that is not there", func(ctx context.Context) (*engine.Batch, error) { return s.Batch(ctx, 9) }),
		read("DueGatherings", func(ctx context.Context) (any, error) {
			list, next, oldest, err := s.DueGatherings(ctx, year, 9)
			return several{list, next, oldest}, err
		}),
		read("Gathered by a batch", func(ctx context.Context) (any, error) {
			ids, size, err := s.Gathered(ctx, laterRun(100))
			return several{ids, size}, err
		}),
		read("RefusedRequest that is whole", func(ctx context.Context) (any, error) {
			url, body, err := s.RefusedRequest(ctx, "ref_5")
			return several{url, string(body)}, err
		}),
		read("Gathered", func(ctx context.Context) (any, error) {
			ids, size, err := s.Gathered(ctx, filledRun(6))
			return several{ids, size}, err
		}),
		read("CancelVersions", s.CancelVersions), read("CancelledBy", s.CancelledBy), read("AllUses", s.AllUses),
		read("OpenVersions", s.OpenVersions), read("EndedSessions", s.EndedSessions), read("Switches", s.Switches), read("Parked", s.Parked),
		read("Paused", s.Paused), read("OpenAlerts", s.OpenAlerts), read("AwaitedSecrets", s.AwaitedSecrets),
		read("CapturedSecrets", s.CapturedSecrets), read("Tokens", s.Tokens), read("ProjectFiles", s.ProjectFiles),
		readVolatile("Nodes", s.Nodes), readVolatile("NodeOrders", s.NodeOrders),
		readVolatile("Rules", func(ctx context.Context) (any, error) {
			seq, list, err := s.Rules(ctx)
			return several{seq, list}, err
		}),
		read("Value", func(ctx context.Context) (engine.ValueItem, error) {
			return s.Value(ctx, engine.ValueRef{Workflow: "pay", Key: "seen:1"}, at)
		}),
		read("Value that is not there", func(ctx context.Context) (engine.ValueItem, error) {
			return s.Value(ctx, engine.ValueRef{Workflow: "pay", Key: "seen:2"}, at)
		}),
		read("Version", func(ctx context.Context) (string, error) { return s.Version(ctx, "v1") }),
		read("Version that is not there", func(ctx context.Context) (string, error) { return s.Version(ctx, "v9") }),
		read("DoneSteps", func(ctx context.Context) ([]engine.DoneStep, error) { return s.DoneSteps(ctx, laterEvent(3), "pay") }),
		read("Decided", func(ctx context.Context) (engine.DecidedState, error) { return s.Decided(ctx, laterEvent(1)) }),
		read("Decided of no event", func(ctx context.Context) (engine.DecidedState, error) { return s.Decided(ctx, 9) }),
		read("Undone of a trigger", func(ctx context.Context) ([]engine.DecidedState, error) {
			return s.Undone(ctx, []string{"pay"}, laterEvent(1), laterEvent(12), 5)
		}),
		read("Undone of several", func(ctx context.Context) ([]engine.DecidedState, error) {
			return s.Undone(ctx, []string{"pay", "crm"}, laterEvent(16), laterEvent(99), 5)
		}),
		read("CountEvents", func(ctx context.Context) (int, error) {
			return s.CountEvents(ctx, []string{"pay"}, laterEvent(1), laterEvent(12))
		}),
		read("CountEvents of several", func(ctx context.Context) (int, error) {
			return s.CountEvents(ctx, []string{"pay", "crm"}, laterEvent(1), laterEvent(20))
		}),
		read("Missed", func(ctx context.Context) (engine.Switched, error) { return s.Missed(ctx, "pay") }),
		read("HeldEvents", func(ctx context.Context) ([]engine.EventID, error) { return s.HeldEvents(ctx, "pay", 9) }),
		read("InletState", func(ctx context.Context) (engine.InletState, error) { return s.InletState(ctx, "crm", "poll") }),
		read("InletState of none", func(ctx context.Context) (engine.InletState, error) { return s.InletState(ctx, "crm", "x") }),
		read("Known", func(ctx context.Context) (map[string]bool, error) { return s.Known(ctx, "crm", []string{"c1", "c99"}) }),
		read("LastDelivery", func(ctx context.Context) (time.Time, error) { return s.LastDelivery(ctx, "pay") }),
		read("LastDelivery of none", func(ctx context.Context) (time.Time, error) { return s.LastDelivery(ctx, "none") }),
		read("LearnedGap", func(ctx context.Context) (time.Duration, error) { return s.LearnedGap(ctx, "pay") }),
		read("Backlog", func(ctx context.Context) (engine.Backlog, error) { return s.Backlog(ctx, year) }),
		read("Certificate", func(ctx context.Context) ([]byte, error) { return s.Certificate(ctx, "cert") }),
		read("Certificate that is not there", func(ctx context.Context) ([]byte, error) { return s.Certificate(ctx, "none") }),
		read("Conflict", func(ctx context.Context) (*engine.Conflict, error) { return s.Conflict(ctx, "cfl_1") }),
		read("Conflict with a wrong id", func(ctx context.Context) (*engine.Conflict, error) { return s.Conflict(ctx, "cfl_x") }),
		read("RefusedRequest", func(ctx context.Context) (any, error) {
			url, body, err := s.RefusedRequest(ctx, "ref_2")
			return several{url, string(body)}, err
		}),
	}
	for _, id := range []engine.RunID{filledRun(1), filledRun(4), filledRun(6), filledRun(30), laterRun(6), laterRun(8), laterRun(10),
		laterRun(40), laterRun(71), laterRun(72), laterRun(100), laterRun(150), laterRun(162), 9} {
		out = append(out, read("LoadRun "+id.String(), func(ctx context.Context) (any, error) {
			x, err := s.LoadRun(ctx, id)
			if err != nil {
				return nil, err
			}
			return several{x.Run, x.Event.ID, x.Records, x.Answers, x.Answered, x.Kept, x.FirstStarted, x.FirstReplays, x.Unreadable}, nil
		}))
	}
	return out
}

func idsOf(events []*engine.Event) (out []string) {
	for _, e := range events {
		out = append(out, e.ID.String())
	}
	return out
}

// readsOfHistory are the reads of people, without the lists.
func readsOfHistory(h *store.History) []oneRead {
	at := filledAt
	out := []oneRead{
		read("RunOne", func(ctx context.Context) (engine.RunItem, error) { return h.RunOne(ctx, laterRun(1)) }),
		read("RunOne that is not there", func(ctx context.Context) (engine.RunItem, error) { return h.RunOne(ctx, 9) }),
		read("Versions", func(ctx context.Context) (int, error) {
			list, err := h.Versions(ctx, "pay")
			return len(list), err
		}),
		read("VersionText", func(ctx context.Context) (string, error) { return h.VersionText(ctx, "v1") }),
		read("VersionText that is not there", func(ctx context.Context) (string, error) { return h.VersionText(ctx, "v9") }),
		read("VersionOf", func(ctx context.Context) (any, error) {
			v, w, err := h.VersionOf(ctx, "v")
			return several{v, w}, err
		}),
		read("VersionOf none", func(ctx context.Context) (any, error) {
			v, w, err := h.VersionOf(ctx, "zz")
			return several{v, w}, err
		}),
		read("VersionOf several", func(ctx context.Context) (any, error) {
			v, w, err := h.VersionOf(ctx, "")
			return several{v, w}, err
		}),
		read("NeedsPeople", h.NeedsPeople), read("FailedHosts", h.FailedHosts), read("SecretUses of the history", h.SecretUses),
		read("InDoubt", func(ctx context.Context) (int, error) {
			return h.InDoubt(ctx, []string{filledRun(1).String(), laterRun(8).String(), laterRun(162).String(), "x"})
		}),
		read("HasHost", func(ctx context.Context) (bool, error) { return h.HasHost(ctx, "a.example") }),
		read("HasHost where nothing failed", func(ctx context.Context) (bool, error) { return h.HasHost(ctx, "https://c.example/") }),
		read("HasHost of none", func(ctx context.Context) (bool, error) { return h.HasHost(ctx, "http://c.example") }),
		read("HostTimes", func(ctx context.Context) (engine.HostTimes, error) { return h.HostTimes(ctx, "c.example") }),
		read("HasName of a workflow", func(ctx context.Context) (bool, error) { return h.HasName(ctx, "pay", "") }),
		read("HasName of a trigger", func(ctx context.Context) (bool, error) { return h.HasName(ctx, "", "crm") }),
		read("HasName of none", func(ctx context.Context) (bool, error) { return h.HasName(ctx, "crm", "none") }),
		read("Missed of the history", func(ctx context.Context) (engine.Switched, error) { return h.Missed(ctx, "pay") }),
		read("Activity by hours", func(ctx context.Context) ([]engine.Bucket, error) {
			return h.Activity(ctx, at.Truncate(time.Hour), time.Hour, 4)
		}),
		read("Activity by minutes", func(ctx context.Context) ([]engine.Bucket, error) {
			return h.Activity(ctx, at, 7*time.Minute, 3)
		}),
		read("TriggerStats", func(ctx context.Context) (engine.TriggerStats, error) { return h.TriggerStats(ctx, "pay", at) }),
		read("WorkflowStats", func(ctx context.Context) (map[string]engine.WorkflowStats, error) { return h.WorkflowStats(ctx, at) }),
		read("Sightings", func(ctx context.Context) (engine.Sightings, error) {
			return h.Sightings(ctx, "crm", at.Add(-time.Hour))
		}),
		read("Sightings of duplicates", func(ctx context.Context) (any, error) {
			x, err := h.Sightings(ctx, "hook", at.Add(-time.Hour))
			return len(x.Events), err
		}),
		read("CurrentState", func(ctx context.Context) (engine.CurrentState, error) {
			x, err := h.CurrentState(ctx)
			x.DatabaseBytes, x.WALBytes, x.HasWAL = 0, 0, false
			return x, err
		}),
		read("Values", func(ctx context.Context) ([]engine.ValueItem, error) {
			return h.Values(ctx, engine.ValueQuery{Now: at})
		}),
		read("Values of a workflow", func(ctx context.Context) (any, error) {
			list, err := h.Values(ctx, engine.ValueQuery{Now: at, Workflow: "pay", Q: "seen", Limit: 1})
			return keysOf(list), err
		}),
		read("Values after a value", func(ctx context.Context) (any, error) {
			list, err := h.Values(ctx, engine.ValueQuery{Now: at, After: engine.ValueRef{Workflow: "pay", Key: "seen:1"}})
			return keysOf(list), err
		}),
		read("Values of the project", func(ctx context.Context) (any, error) {
			list, err := h.Values(ctx, engine.ValueQuery{Now: at, Project: true})
			return keysOf(list), err
		}),
		read("Refusal", func(ctx context.Context) (any, error) {
			x, body, err := h.Refusal(ctx, "ref_2")
			return several{x, string(body)}, err
		}),
		read("Refusal that is not there", func(ctx context.Context) (any, error) {
			x, _, err := h.Refusal(ctx, "ref_99")
			return x, err
		}),
		read("Refusal with a wrong id", func(ctx context.Context) (any, error) {
			x, _, err := h.Refusal(ctx, "ref_0")
			return x, err
		}),
		read("Counts", h.Counts), read("OpenVersions of the history", h.OpenVersions), read("AwaitedTriggers", h.AwaitedTriggers),
		read("FirstReceived", h.FirstReceived), read("Schedules", h.Schedules), readVolatile("ClockStep", h.ClockStep),
		readVolatile("Check", h.Check), readVolatile("Size", h.Size), readVolatile("FeedEnd", h.FeedEnd),
		readVolatile("Feed", func(ctx context.Context) (any, error) { return h.Feed(ctx, 0, 1000) }),
		readVolatile("MissedChanges", func(ctx context.Context) (any, error) {
			list, end, err := h.MissedChanges(ctx, engine.Cursor(engine.FirstID(at.AddDate(-1, 0, 0))))
			return several{list, end}, err
		}),
		readVolatile("RunMark", func(ctx context.Context) (string, error) { return h.RunMark(ctx, laterRun(1)) }),
		read("KeySeen", func(ctx context.Context) (time.Time, error) { return h.KeySeen(ctx, "pay", "p1") }),
		read("KeySeen of none", func(ctx context.Context) (time.Time, error) { return h.KeySeen(ctx, "pay", "none") }),
		read("MadeEvent", func(ctx context.Context) (engine.EventID, error) {
			return h.MadeEvent(ctx, laterRun(1), "pay", "p1", at.Add(time.Minute))
		}),
		read("StoredEvent", func(ctx context.Context) (any, error) {
			x, err := h.StoredEvent(ctx, laterEvent(1))
			if err != nil {
				return nil, err
			}
			return several{x.Key, x.Type, string(x.Raw), x.Proof}, nil
		}),
		read("RecordedIDs", func(ctx context.Context) (ids []engine.EventID, err error) {
			err = h.RecordedIDs(ctx, engine.RecordedQuery{Trigger: "pay", After: laterEvent(2), Before: laterEvent(7)},
				func(id engine.EventID) { ids = append(ids, id) })
			return ids, err
		}),
		read("Firings", func(ctx context.Context) (out []string, err error) {
			err = h.Firings(ctx, "nightly", at, func(key string, at time.Time) { out = append(out, key+" "+at.String()) })
			return out, err
		}),
		read("EachEvent", func(ctx context.Context) (any, error) {
			var keys []string
			skipped, err := h.EachEvent(ctx, "pay", "paid", 3, func(e *engine.Event) bool { keys = append(keys, e.Key); return true })
			return several{skipped, keys}, err
		}),
		read("Unreadable", func(ctx context.Context) (any, error) {
			bad, n, err := h.Unreadable(ctx)
			return several{bad, n}, err
		}),
	}
	for i, q := range []engine.RecordedQuery{{Limit: 100}, {Trigger: "hook", Limit: 3},
		{IDs: []engine.EventID{filledEvent(1), filledEvent(5), filledEvent(6)}, Limit: 9}} {
		out = append(out, read(fmt.Sprint("RecordedPage ", i), func(ctx context.Context) (any, error) { return recorded(ctx, h, q) }))
	}
	for _, id := range []engine.EventID{filledEvent(1), filledEvent(5), filledEvent(20), filledEvent(21), filledEvent(22), laterEvent(8),
		laterEvent(5), laterEvent(13), laterEvent(19), laterEvent(20), laterEvent(70), laterEvent(79), laterEvent(101), laterEvent(163),
		laterEvent(240), laterEvent(244), laterEvent(245), 9} {
		out = append(out, read("EventDetail "+id.String(), func(ctx context.Context) (any, error) { return h.EventDetail(ctx, id) }))
	}
	for _, id := range []engine.RunID{filledRun(1), filledRun(4), filledRun(5), filledRun(6), filledRun(30), laterRun(5), laterRun(6),
		laterRun(8), laterRun(10), laterRun(40), laterRun(71), laterRun(72), laterRun(100), laterRun(110), laterRun(133), laterRun(135),
		laterRun(150), laterRun(162), 9} {
		out = append(out, read("RunDetail "+id.String(), func(ctx context.Context) (any, error) { return h.RunDetail(ctx, id) }))
	}
	return out
}

// recorded is a page of recorded events in a short form.
func recorded(ctx context.Context, h *store.History, q engine.RecordedQuery) ([]several, error) {
	page, err := h.RecordedPage(ctx, q)
	var out []several
	for _, e := range page {
		x := several{e.Event.ID, e.Pending, e.Emitted, e.EmittedAt, e.Decisions}
		for _, r := range e.Runs {
			x = append(x, r.Run, r.Records, r.Answers, idsOf(r.More), r.Unreadable)
		}
		out = append(out, x)
	}
	return out, err
}

func keysOf(list []engine.ValueItem) (out []string) {
	for _, v := range list {
		out = append(out, v.Workflow+" "+v.Key)
	}
	return out
}

// openFilled returns a filled database, and the results of the writes that fill it.
func openFilled(t *testing.T, address string) (*store.Store, map[string]string) {
	t.Helper()
	s, err := store.Open(t.Context(), address, filledOptions())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, fillAll(t, s)
}

// worked are durations of open steps and runs, which grow while the test runs.
var worked = regexp.MustCompile(`"(waited_ms|worked_ms)":\d+`)

// shownReads is the result of each write and of each read as a line.
func shownReads(ctx context.Context, list []oneRead, results map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(results)) {
		fmt.Fprintf(&b, "%s: %s\n", name, results[name])
	}
	for _, r := range list {
		v, err := r.do(ctx)
		text, jerr := json.Marshal(v)
		switch {
		case err != nil:
			text = []byte("error: " + err.Error())
		case r.volatile:
			text = []byte("...")
		case jerr != nil:
			text = []byte(jerr.Error())
		}
		fmt.Fprintf(&b, "%s: %s\n", r.name, worked.ReplaceAll(text, []byte(`"$1":0`)))
	}
	return b.String()
}

func allReads(s *store.Store) []oneRead {
	h := s.History()
	return slices.Concat(readsOfStore(s), readsOfHistory(h), readsOfLists(h))
}

// The file testdata/reads.txt holds the result of each read of a database with rows of every kind.
func TestEveryReadReturnsWhatTheGoldenFileHolds(t *testing.T) {
	s, results := openFilled(t, filepath.Join(t.TempDir(), "x.db"))
	got := shownReads(t.Context(), allReads(s), results)
	testgolden.Compare(t, "reads.txt", got)
}

func TestPostgreSQLReadsReturnWhatTheGoldenFileHoldsAndReportFailures(t *testing.T) {
	s, results := openFilled(t, postgrestest.Shared(t).Database(t))
	compareLines(t, "reads.txt", shownReads(t.Context(), allReads(s), results))
	readsFail(t, s, &store.AwayError{Cause: errors.New("gone")}, engine.ErrBusy, readsOfStore)
}

// unsupported is what SQLite answers to what only nodes share.
var unsupported = "error: " + errors.ErrUnsupported.Error() + "\n"

// compareLines compares lines that begin with their names.
func compareLines(t *testing.T, file, got string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for line := range strings.Lines(string(b)) {
		name, rest, _ := strings.Cut(line, ": ")
		want[name] = rest
	}
	for line := range strings.Lines(got) {
		name, rest, _ := strings.Cut(line, ": ")
		if rest != want[name] && want[name] != unsupported {
			t.Errorf("%s returns\n%swant\n%s", name, rest, want[name])
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("%s is not read", name)
	}
}
