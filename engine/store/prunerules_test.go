package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// TestUnusedRulesArePruned: those stay that a node has loaded, that the history has runs of, or that
// such runs may call. The others go, and the nodes hear of it; not while their projects differ.
func TestUnusedRulesArePruned(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	a, b := node(t, address, "a"), node(t, address, "b")
	for _, version := range []string{"loaded", "ran", "called", "uncalled", "edited"} {
		if err := a.ShareRules(ctx, version, "w-"+version); err != nil {
			t.Fatal(err)
		}
	}
	postgrestest.Exec(t, address,
		`INSERT INTO hookloom.versions (version, workflow, text, first_at) VALUES ('caller', 'w-caller', '', 1), ('idle', 'w-idle', '', 1)`,
		`INSERT INTO hookloom.version_uses (version, from_id, uses) VALUES ('caller', 1, '{"workflows":{"w-called":"called"}}'),
			('idle', 1, '{"workflows":{"w-uncalled":"uncalled"}}')`,
		`INSERT INTO hookloom.runs (id, event_id, workflow, version, status, created_at, finished_at) VALUES
			(1, 1, 'w-ran', 'ran', 'succeeded', 1, 1), (2, 2, 'w-caller', 'caller', 'waiting', 1, NULL)`)
	kept := func() (versions []string) {
		_, list, err := b.Rules(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range list {
			versions = append(versions, v.Version)
		}
		return versions
	}
	prune := func() {
		t.Helper()
		if _, err := a.Prune(ctx, engine.PruneOrder{Now: time.Now(), DefaultDedupe: time.Hour, Loaded: []string{"loaded"}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.DescribeNode(ctx, engine.NodeInfo{Digest: "another project"}); err != nil {
		t.Fatal(err)
	}
	before := rulesOf(t, b)
	if prune(); len(kept()) != 5 || rulesOf(t, b) != before {
		t.Errorf("while the projects differ: %v", kept())
	}
	if err := b.DescribeNode(ctx, engine.NodeInfo{}); err != nil {
		t.Fatal(err)
	}
	if prune(); !slices.Equal(kept(), []string{"called", "loaded", "ran"}) {
		t.Errorf("kept: %v", kept())
	}
	after := rulesOf(t, b)
	if after == before {
		t.Error("the nodes do not hear of it")
	}
	if prune(); rulesOf(t, b) != after {
		t.Error("the nodes are told though nothing was removed")
	}
}
