package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/persist"
	"github.com/hookloom/hookloom/engine/plan"
)

// faulty is a real store, some methods of which return an error instead. It keeps the orders to other nodes, and gives
// the gatherings and orders that a test sets.
type faulty struct {
	engine.Store
	mu     sync.Mutex
	fails  map[string]error
	shared bool
	orders []engine.NodeOrder
	given  []engine.NodeOrder
	done   []int64
	dueNow func() ([]engine.DueGathering, time.Time, engine.EventID)
	closed engine.Closed
}

func (s *faulty) at(method string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fails[method]
}

// fail makes a method fail, and no other one.
func (s *faulty) fail(method string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = map[string]error{method: err}
}

func (s *faulty) Shared() bool { return s.shared || s.Store.Shared() }

func (s *faulty) OrderNodes(_ context.Context, o engine.NodeOrder) error {
	s.orders = append(s.orders, o)
	return s.at("OrderNodes")
}

func (s *faulty) NodeOrders(context.Context) ([]engine.NodeOrder, error) {
	return s.given, s.at("NodeOrders")
}

func (s *faulty) DoneOrder(_ context.Context, id int64) error {
	s.done = append(s.done, id)
	return s.at("DoneOrder")
}

func (s *faulty) Run(ctx context.Context, id engine.RunID) (*engine.Run, error) {
	if err := s.at("Run"); err != nil {
		return nil, err
	}
	return s.Store.Run(ctx, id)
}

func (s *faulty) Event(ctx context.Context, id engine.EventID) (*engine.Event, error) {
	if err := s.at("Event"); err != nil {
		return nil, err
	}
	return s.Store.Event(ctx, id)
}

func (s *faulty) LoadRun(ctx context.Context, id engine.RunID) (*engine.LoadedRun, error) {
	if err := s.at("LoadRun"); err != nil {
		return nil, err
	}
	return s.Store.LoadRun(ctx, id)
}

func (s *faulty) Cancel(ctx context.Context, r *engine.Run, events []*engine.Event) ([]*plan.Record, time.Time, bool, error) {
	if err := s.at("Cancel"); err != nil {
		return nil, time.Time{}, false, err
	}
	return s.Store.Cancel(ctx, r, events)
}

func (s *faulty) End(ctx context.Context, id engine.RunID, why *plan.Error, now time.Time) error {
	if err := s.at("End"); err != nil {
		return err
	}
	return s.Store.End(ctx, id, why, now)
}

func (s *faulty) Version(ctx context.Context, version string) (string, error) {
	if err := s.at("Version"); err != nil {
		return "", err
	}
	return s.Store.Version(ctx, version)
}

func (s *faulty) ClaimDue(ctx context.Context, o engine.Owner, now time.Time, limit int) ([]engine.RunID, time.Time, error) {
	if err := s.at("ClaimDue"); err != nil {
		return nil, time.Time{}, err
	}
	return s.Store.ClaimDue(ctx, o, now, limit)
}

func (s *faulty) Suspects(ctx context.Context) (few, alone []engine.RunID, err error) {
	if err := s.at("Suspects"); err != nil {
		return nil, nil, err
	}
	return s.Store.Suspects(ctx)
}

func (s *faulty) Replaced(ctx context.Context) ([]engine.RunID, error) {
	if err := s.at("Replaced"); err != nil {
		return nil, err
	}
	return s.Store.Replaced(ctx)
}

func (s *faulty) EndCalls(ctx context.Context) ([]engine.EndCall, error) {
	if err := s.at("EndCalls"); err != nil {
		return nil, err
	}
	return s.Store.EndCalls(ctx)
}

func (s *faulty) CancelVersions(ctx context.Context) ([]engine.Run, error) {
	if err := s.at("CancelVersions"); err != nil {
		return nil, err
	}
	return s.Store.CancelVersions(ctx)
}

func (s *faulty) CancelledBy(ctx context.Context) ([]engine.CancelledBy, error) {
	if err := s.at("CancelledBy"); err != nil {
		return nil, err
	}
	return s.Store.CancelledBy(ctx)
}

func (s *faulty) Large(ctx context.Context, more int64) (map[engine.RunID]int64, error) {
	if err := s.at("Large"); err != nil {
		return nil, err
	}
	return s.Store.Large(ctx, more)
}

func (s *faulty) Paused(ctx context.Context) ([]engine.Pause, error) {
	if err := s.at("Paused"); err != nil {
		return nil, err
	}
	return s.Store.Paused(ctx)
}

func (s *faulty) Unpause(ctx context.Context, key string) error {
	if err := s.at("Unpause"); err != nil {
		return err
	}
	return s.Store.Unpause(ctx, key)
}

func (s *faulty) Pause(ctx context.Context, p engine.Pause) error {
	if err := s.at("Pause"); err != nil {
		return err
	}
	return s.Store.Pause(ctx, p)
}

func (s *faulty) Park(ctx context.Context, id engine.RunID) error {
	if err := s.at("Park"); err != nil {
		return err
	}
	return s.Store.Park(ctx, id)
}

func (s *faulty) Unpark(ctx context.Context, workflows []string, now time.Time) (int, error) {
	if err := s.at("Unpark"); err != nil {
		return 0, err
	}
	return s.Store.Unpark(ctx, workflows, now)
}

func (s *faulty) Parked(ctx context.Context) ([]string, error) {
	if err := s.at("Parked"); err != nil {
		return nil, err
	}
	return s.Store.Parked(ctx)
}

func (s *faulty) ResumeRuns(ctx context.Context, names []string, now time.Time) (int, error) {
	if err := s.at("ResumeRuns"); err != nil {
		return 0, err
	}
	return s.Store.ResumeRuns(ctx, names, now)
}

func (s *faulty) ResumeHeld(ctx context.Context, name string, now time.Time) (int, error) {
	if err := s.at("ResumeHeld"); err != nil {
		return 0, err
	}
	return s.Store.ResumeHeld(ctx, name, now)
}

func (s *faulty) DueGatherings(ctx context.Context, now time.Time, n int) ([]engine.DueGathering, time.Time, engine.EventID, error) {
	if s.dueNow == nil {
		return s.Store.DueGatherings(ctx, now, n)
	}
	list, next, oldest := s.dueNow()
	return list, next, oldest, s.at("DueGatherings")
}

func (s *faulty) CloseGathering(context.Context, engine.Closing) (engine.Closed, error) {
	return s.closed, s.at("CloseGathering")
}

// broken makes the runner use a store whose methods can be made to fail, and returns what the runner logs.
func broken(rn *Runner) (*faulty, *strings.Builder) {
	var log strings.Builder
	s := &faulty{Store: rn.store.Store}
	rn.o.Log = slog.New(slog.NewTextHandler(&log, nil))
	rn.store = persist.New(s, rn.o.Log)
	rn.store.Start(rn.work)
	return s, &log
}

var (
	errRow  = errors.New("a row is damaged")
	errDisk = fmt.Errorf("the disk is broken: %w", engine.ErrDisk)
)
