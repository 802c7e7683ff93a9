package alert

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
)

// leases is a store of several nodes that gives the leases a test sets.
type leases struct {
	engine.Store
	alone  bool
	given  map[string]bool
	asked  func(name string)
	ended  []string
	broken error
}

func (s *leases) Shared() bool { return !s.alone }

func (s *leases) Lease(_ context.Context, name string) (bool, error) {
	if s.asked != nil {
		s.asked(name)
	}
	return s.given[name], nil
}

func (s *leases) EndLease(_ context.Context, name string) error {
	s.ended = append(s.ended, name)
	return s.broken
}

// TestAnAlertOfOneNodeHasALease: who gets that of another node closes its alert, and who has the alert itself does not.
func TestAnAlertOfOneNodeHasALease(t *testing.T) {
	kind := ofNode[0]
	for _, c := range []struct {
		name               string
		kind               string
		alone, given, mine bool
		closed             bool // while the lease is asked for
		over, owned        bool
		ended              int
	}{
		{name: "another node has it", kind: kind}, {name: "its node is gone", kind: kind, given: true, over: true},
		{name: "it is this node's", kind: kind, given: true, mine: true, owned: true},
		{name: "one that all nodes find", kind: engine.AlertConnectionHeld, given: true},
		{name: "one node alone", kind: kind, alone: true, given: true},
		{name: "closed meanwhile", kind: kind, given: true, closed: true, owned: true, ended: 1},
	} {
		k := key{c.kind, "x"}
		var log strings.Builder
		s := &leases{alone: c.alone, given: map[string]bool{holdLease(k): c.given}, broken: errors.New("away")}
		m := New(Options{Store: s, Log: slog.New(slog.NewTextHandler(&log, nil))})
		m.open[k] = engine.OpenAlert{Kind: k.kind, Subject: k.subject}
		if c.mine {
			m.own[k] = true
		}
		s.asked = func(string) {
			if c.closed {
				m.mu.Lock()
				delete(m.open, k)
				m.mu.Unlock()
			}
		}
		m.closeAbandoned(t.Context())
		a, pending := m.pending[k]
		if pending != c.over || a != nil || len(s.ended) != c.ended || strings.Contains(log.String(), "was not released") != (c.ended > 0) {
			t.Errorf("%s: over %t, leases ended %q, %s", c.name, pending, s.ended, &log)
		}
		if c.owned && !m.own[k] {
			t.Errorf("%s: it is not this node's", c.name)
		}
	}
	for _, c := range []struct {
		kind  string
		alone bool
		want  bool
	}{{kind, false, true}, {kind, true, false}, {engine.AlertConnectionHeld, false, false}} {
		s := &leases{alone: c.alone, broken: errors.New("away")}
		m := New(Options{Store: s, Log: slog.New(slog.DiscardHandler)})
		err := m.endHold(t.Context(), key{c.kind, "x"})
		if (err != nil) != c.want || slices.Equal(s.ended, []string{"alert " + c.kind + " x"}) != c.want {
			t.Errorf("%+v: %v, ended %q", c, err, s.ended)
		}
	}
}
