package store

import (
	"database/sql/driver"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
)

// What a switched-off workflow missed, and rules that failed, are found without
// reading the decisions that were made.
func TestMissedAndFailedDecisionsAreFoundByIndexes(t *testing.T) {
	db := explained(t)
	one, _ := ofTriggers([]string{"t"}, 0, 1)
	for query, index := range map[string]string{
		failedRules + ` AND d.event_id < ? ORDER BY d.event_id DESC LIMIT 50`: "decisions_failed",
		countFailed: "decisions_failed",
		countMissed: "decisions_missed",
		heldEvents:  "decisions_missed",
		`SELECT ` + decidedColumns + one + ` ORDER BY e.id LIMIT ?`: "events_by_trigger",
	} {
		plan := explain(t, db, "detail", "EXPLAIN QUERY PLAN "+query)
		if !strings.Contains(plan, index) || strings.Contains(plan, "TEMP B-TREE FOR ORDER BY") || strings.Contains(plan, "SCAN e") {
			t.Errorf("%s\nwants %s:\n%s", query, index, plan)
		}
	}
}

// The table of decisions was made before the outcomes disabled and held.
func TestDecisionsAcceptNewOutcomesAndNoOthers(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir()+"/h.db", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for outcome, good := range map[engine.Outcome]bool{engine.Disabled: true, engine.Held: true, "odd": false} {
		err := s.w.do(t.Context(), true, func(t *tx) error {
			return t.exec(insertDecision, []driver.Value{int64(1), string(outcome), "v", string(outcome), "", "[]", nil, int64(1)}...)
		})
		if (err == nil) != good {
			t.Errorf("%s: %v", outcome, err)
		}
	}
}

// TestIdempotencyKeysOfCommandsAreBounded: the same key tells whether its order is the same, and
// one that failed is given back.
func TestIdempotencyKeysOfCommandsAreBounded(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir()+"/h.db", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := fromMillis(1_790_000_000_000)
	begin := func(key, digest string) engine.Order {
		o, err := s.BeginOrder(t.Context(), key, []byte(digest), now)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	if o := begin("k", "a"); o.Known {
		t.Errorf("a new key: %+v", o)
	}
	if err := s.EndOrder(t.Context(), "k", engine.Order{Status: 202, Answer: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if o := begin("k", "a"); !o.Known || !o.Same || o.Status != 202 || string(o.Answer) != "x" {
		t.Errorf("the same order: %+v", o)
	}
	if o := begin("k", "b"); !o.Known || o.Same {
		t.Errorf("another order: %+v", o)
	}
	begin("failed", "a")
	if err := s.EndOrder(t.Context(), "failed", engine.Order{}); err != nil {
		t.Fatal(err)
	}
	if o := begin("failed", "b"); o.Known {
		t.Errorf("a key that was given back: %+v", o)
	}
	now = now.Add(engine.OrderTime + 1e9)
	if o := begin("k", "b"); o.Known {
		t.Errorf("a key whose time is over: %+v", o)
	}
}
