package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/storetest"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/projecttest"
)

var errAway = errors.New("the database is away")

// scripted is a store that answers as its fields say, if they are set.
type scripted struct {
	Store
	follows bool
	batches func() ([]engine.Batch, error)
	held    []func() ([]engine.EventID, error) // of the next calls
	looked  int
	pruned  func(engine.PruneOrder) (engine.Pruned, error)
	decided error
	on      []error // of switching a workflow on
}

func (s *scripted) Lease(ctx context.Context, name string) (bool, error) {
	if s.follows {
		return false, nil
	}
	return s.Store.Lease(ctx, name)
}

func (s *scripted) Batches(ctx context.Context, state string) ([]engine.Batch, error) {
	if s.batches == nil {
		return s.Store.Batches(ctx, state)
	}
	return s.batches()
}

func (s *scripted) HeldEvents(context.Context, string, int) ([]engine.EventID, error) {
	if s.looked++; len(s.held) == 0 {
		return nil, nil
	}
	next := s.held[0]
	s.held = s.held[1:]
	return next()
}

func (s *scripted) Prune(_ context.Context, o engine.PruneOrder) (engine.Pruned, error) {
	return s.pruned(o)
}

func (s *scripted) Decided(ctx context.Context, id engine.EventID) (engine.DecidedState, error) {
	at, err := s.Store.Decided(ctx, id)
	return at, errors.Join(err, s.decided)
}

func (s *scripted) SetSwitch(ctx context.Context, x engine.Switch, on bool) error {
	if on && len(s.on) > 0 {
		err := s.on[0]
		if s.on = s.on[1:]; err != nil {
			return err
		}
	}
	return s.Store.SetSwitch(ctx, x, on)
}

// overStore is a Control over a store, with workflow w, and what it has logged.
func overStore(t *testing.T, s *scripted, kept *files.Store) (*Control, *strings.Builder) {
	t.Helper()
	s.Store = storetest.New(t).Store
	p := projecttest.Load(t, map[string]string{"hookloom.yaml": "triggers: {hook: {webhook: {auth: none}}}\nhistory: {keep: 48h}\n",
		"workflows/w.yaml": "on: hook\nsteps: [{stop: x}]\n"}, workflows.Catalog{})
	written := &strings.Builder{}
	log := slog.New(slog.NewTextHandler(written, nil))
	reg := registry.New(registry.Options{Store: s.Store.(registry.Store), Redactor: &redact.Redactor{}, Log: log, RunURL: engine.RunID.String})
	if err := reg.Use(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return New(Options{Store: s, Registry: reg, Redactor: &redact.Redactor{}, Log: log, Files: kept}), written
}

// TestARoundOfBatchesNamesTheNextOne: the earliest turn of a batch, or none; a node without the lease forgets the turns.
func TestARoundOfBatchesNamesTheNextOne(t *testing.T) {
	soon, later := time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	a, b := engine.BatchID(1).String(), engine.BatchID(2).String()
	both := []engine.Batch{{ID: a, Rate: 1}, {ID: b, Rate: 1}}
	for name, c := range map[string]struct {
		follows bool
		list    []engine.Batch
		err     error
		at      time.Time
		left    int
	}{
		"the first is earlier":  {list: both, at: soon, left: 2},
		"the second is earlier": {list: []engine.Batch{both[1], both[0]}, at: soon, left: 2},
		"one":                   {list: both[1:], at: later, left: 2},
		"none":                  {},
		"no lease":              {follows: true, list: both},
		"no list":               {err: errAway, left: 2},
		"no id": {list: []engine.Batch{{ID: "none", Rate: 1}, both[1]}, err: errors.New(`"none" is not an ID`),
			at: later, left: 2},
	} {
		list, err := c.list, c.err
		if name != "no list" {
			err = nil
		}
		s := &scripted{follows: c.follows, batches: func() ([]engine.Batch, error) { return list, err }}
		ctl, _ := overStore(t, s, nil)
		next := map[string]time.Time{a: soon, b: later}
		at, got := ctl.batchRound(t.Context(), next)
		if !at.Equal(c.at) || len(next) != c.left || (got == nil) != (c.err == nil) ||
			c.err != nil && !strings.Contains(got.Error(), c.err.Error()) {
			t.Errorf("%s: next at %v, want %v; %d turns, %v", name, at, c.at, len(next), got)
		}
	}
	s := &scripted{follows: true}
	ctl, _ := overStore(t, s, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ctl.batchRound(ctx, map[string]time.Time{}); !errors.Is(err, context.Canceled) {
		t.Errorf("after its end: %v", err)
	}
}

// TestAWorkflowIsOnOnceAllItsEventsAreDecided: also those that were held while the first ones were decided.
func TestAWorkflowIsOnOnceAllItsEventsAreDecided(t *testing.T) {
	none := func() ([]engine.EventID, error) { return nil, nil }
	fails := func() ([]engine.EventID, error) { return nil, errAway }
	for name, c := range map[string]struct {
		held     []func() ([]engine.EventID, error)
		on       []error
		done     bool
		err      error
		looked   int
		off      bool
		switched bool
	}{
		"none":                       {held: []func() ([]engine.EventID, error){none, none}, done: true, looked: 2},
		"the first look fails":       {held: []func() ([]engine.EventID, error){fails}, err: errAway, looked: 1, off: true},
		"the second look fails":      {held: []func() ([]engine.EventID, error){none, fails}, err: errAway, looked: 2, off: true},
		"another node has held some": {on: []error{engine.ErrStale}, looked: 2, off: true},
		"it cannot be stored":        {on: []error{errAway}, err: errAway, looked: 2, off: true},
		"it is on already":           {done: true, looked: 2, switched: true},
	} {
		s := &scripted{held: c.held, on: c.on}
		ctl, _ := overStore(t, s, nil)
		x := engine.Switch{Workflow: "w", State: engine.SwitchDraining, At: time.Now()}
		if err := s.Store.SetSwitch(t.Context(), x, c.switched); err != nil {
			t.Fatal(err)
		}
		if err := ctl.o.Registry.Use(t.Context(), ctl.o.Registry.Snapshot().Project); err != nil {
			t.Fatal(err)
		}
		done, err := ctl.drainHeld(t.Context(), x)
		if done != c.done || !errors.Is(err, c.err) || s.looked != c.looked || (len(ctl.o.Registry.SwitchedOff()) == 1) != c.off {
			t.Errorf("%s: done %t, %v, looked %d times; off: %v", name, done, err, s.looked, ctl.o.Registry.SwitchedOff())
		}
	}
}

// TestFilesGoOnceTheHistoryIsPruned: those of runs that are gone, and none if it could not be pruned. What went is logged.
func TestFilesGoOnceTheHistoryIsPruned(t *testing.T) {
	for name, c := range map[string]struct {
		n    engine.Pruned
		err  error
		left bool
		log  string
	}{
		"pruned": {n: engine.Pruned{Runs: 1, Events: 2, Bodies: 3, Keys: 4, Refusals: 5, Values: 6, Bytes: 7},
			log: "runs=1 events=2 bodies=3 keys=4 refusals=5 values=6 files=1 file_bytes=3 " +
				"bytes_given_back=7"},
		"only files":    {log: "runs=0 events=0 bodies=0 keys=0 refusals=0 values=0 files=1 file_bytes=3 bytes_given_back=0"},
		"not pruned":    {err: errAway, left: true},
		"partly pruned": {n: engine.Pruned{Runs: 1}, err: errAway, left: true, log: "runs=1 events=0"},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "files", engine.RunID(7).String(), "f")
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte("abc"), 0o600)); err != nil {
			t.Fatal(err)
		}
		var order engine.PruneOrder
		s := &scripted{pruned: func(o engine.PruneOrder) (engine.Pruned, error) { order = o; return c.n, c.err }}
		ctl, log := overStore(t, s, files.New(dir, 1<<20))
		n, err := ctl.pruneHere(t.Context())
		_, gone := os.Stat(file)
		if !errors.Is(err, c.err) || (gone == nil) != c.left || n.Runs != c.n.Runs || !strings.Contains(log.String(), c.log) {
			t.Errorf("%s: %+v %v, the file: %v; %s", name, n, err, gone, log)
		}
		if (log.Len() > 0) != (c.log != "") {
			t.Errorf("%s: logged %s", name, log)
		}
		if age := time.Since(order.Before); age < 48*time.Hour || age > 49*time.Hour {
			t.Errorf("%s: older than %v", name, age)
		}
	}
}

// TestWhatIsDecidedAboutAnEventMustBeKnown before a workflow is named that had no run for it.
func TestWhatIsDecidedAboutAnEventMustBeKnown(t *testing.T) {
	s := &scripted{}
	ctl, _ := overStore(t, s, nil)
	now := time.Now().UTC()
	if _, _, err := s.Store.(*store.Store).AcceptDecided(t.Context(), 7, &engine.Delivery{Trigger: "hook", Inlet: "webhook", Key: "k",
		Type: "t", Time: now, ReceivedAt: now, Dedupe: time.Hour}, engine.Match{Event: 7, At: now}); err != nil {
		t.Fatal(err)
	}
	if names, err := ctl.Undecided(t.Context(), 7); err != nil || fmt.Sprint(names) != "[w]" {
		t.Errorf("%v %v", names, err)
	}
	s.decided = errAway
	if names, err := ctl.Undecided(t.Context(), 7); !errors.Is(err, errAway) || names != nil ||
		!strings.HasPrefix(err.Error(), "event evt_0000000000000007: ") {
		t.Errorf("%v %v", names, err)
	}
}
