package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// nextVersion returns the migrations of this program and one more.
func nextVersion(t *testing.T, text string) fs.FS {
	t.Helper()
	files := fstest.MapFS{}
	names, err := fs.Glob(store.Migrations(), "migrations/postgres/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := fs.ReadFile(store.Migrations(), name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: b}
	}
	files["migrations/postgres/9999_next.sql"] = &fstest.MapFile{Data: []byte(text)}
	return files
}

// TestNodesOfTwoVersionsWorkSideBySide: under load, a node of the next version migrates the database, which
// adds a column; nodes of this version write on, and new ones can join, until a migration removes what
// they need.
func TestNodesOfTwoVersionsWorkSideBySide(t *testing.T) {
	address := postgrestest.Shared(t).Database(t)
	old := node(t, address, "old")
	n := len(store.PostgresVersions(t))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var acked atomic.Int64
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := old.Accept(ctx, engine.EventID(nodeID(old)), delivery("shop", fmt.Sprint("k", i))); err != nil {
				t.Errorf("the node of this version, beside the next one: %v", err)
				return
			}
			acked.Add(1)
		}
	})
	t.Cleanup(sync.OnceFunc(func() { close(stop); wg.Wait() }))
	added := fmt.Sprintf("-- Programs of schema %d and later can use the database after this migration.\n", n) +
		"ALTER TABLE hookloom.events ADD COLUMN next_version TEXT;\n"
	next := open(t, address, store.Options{Verb: "serve", Node: "next", Migrations: nextVersion(t, added)})
	if _, err := next.Accept(ctx, engine.EventID(nodeID(next)), delivery("shop", "of the next version")); err != nil {
		t.Fatal(err)
	}
	before := acked.Load()
	until(t, "the node of this version writes on", func() bool { return acked.Load() > before+20 })
	node(t, address, "old again")

	removed := nextVersion(t, added)
	removed.(fstest.MapFS)["migrations/postgres/9999_remove.sql"] = &fstest.MapFile{Data: []byte("DROP TABLE hookloom.ended_sessions;\n")}
	open(t, address, store.Options{Verb: "serve", Node: "later", Migrations: removed})
	if _, err := store.Open(ctx, address, store.Options{Verb: "serve", Node: "too old"}); err == nil ||
		!strings.Contains(err.Error(), "made by a newer hookloom") || errors.Is(err, engine.ErrBusy) {
		t.Errorf("a node of this version after a migration that removes what it needs: %v", err)
	}
}
