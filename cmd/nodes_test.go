package cmd

import (
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/hookloom/hookloom/workflows"
)

// TestNodesWithDifferentFilesAreReported: not during an update, but when they stay different, until they
// are the same; /readyz still answers 200.
func TestNodesWithDifferentFilesAreReported(t *testing.T) {
	address := postgrestest.Shared(t).Database(t)
	node := func(name, digest string) *store.Store {
		s, err := store.Open(t.Context(), address, store.Options{Node: name})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		if err := s.DescribeNode(t.Context(), engine.NodeInfo{Version: "1", Digest: digest}); err != nil {
			t.Fatal(err)
		}
		return s
	}
	a, b := node("a", "one"), node("b", "two")
	s := &server{store: a, db: address, o: serveOptions{log: slog.New(slog.DiscardHandler)}}
	since := s.compareNodes(t.Context(), time.Time{})
	if since.IsZero() || s.uneven.Load() {
		t.Errorf("a difference that has just begun: since %s, reported %v", since, s.uneven.Load())
	}
	if s.compareNodes(t.Context(), since.Add(-unevenTime)); !s.uneven.Load() {
		t.Error("a difference of a minute is not reported")
	}
	code, out, errs := ran(t, "nodes", "--dir", projectIn(t, map[string]string{"hookloom.yaml": ""}), "--db", address)
	says(t, "nodes", code, exitOK, out+errs, "a     live", "one", "two",
		"warning: the nodes have different project files (one on a, two on b)")
	if err := b.DescribeNode(t.Context(), engine.NodeInfo{Version: "1", Digest: "one"}); err != nil {
		t.Fatal(err)
	}
	if since = s.compareNodes(t.Context(), since); !since.IsZero() || s.uneven.Load() {
		t.Error("equal files are reported as different")
	}
}

// TestDrainReportsASilentNode: a node that is stopped (kill -STOP) loses its lease, which is no orderly end.
func TestDrainReportsASilentNode(t *testing.T) {
	address := postgrestest.Shared(t).Database(t)
	s, err := store.Open(t.Context(), address, store.Options{Node: "a"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.DescribeNode(t.Context(), engine.NodeInfo{Version: "1"}); err != nil {
		t.Fatal(err)
	}
	postgrestest.Exec(t, address, `CREATE TEMP TABLE copied AS SELECT * FROM hookloom.nodes WHERE name = 'a';
		UPDATE copied SET node = 900, name = 'c', epoch = epoch + 1;
		INSERT INTO hookloom.nodes SELECT * FROM copied;
		INSERT INTO hookloom.beats (node, epoch, until)
			SELECT node, epoch, (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 900 FROM copied`)
	code, out, errs := ran(t, "drain", "c", "--dir", projectIn(t, map[string]string{"hookloom.yaml": ""}), "--db", address)
	says(t, "drain", code, exitFailure, out+errs, "c did not drain: it was silent for ")
}

// TestDigestOfFilesDependsOnNamesAndContents, and on nothing else.
func TestDigestOfFilesDependsOnNamesAndContents(t *testing.T) {
	one := digestOf(workflows.Files{"a.yaml": []byte("x"), "b.yaml": []byte("y")})
	if one != digestOf(workflows.Files{"b.yaml": []byte("y"), "a.yaml": []byte("x")}) {
		t.Error("equal files have different digests")
	}
	for _, other := range []workflows.Files{{"a.yaml": []byte("x")}, {"a.yaml": []byte("x"), "b.yaml": []byte("z")},
		{"a.yaml": []byte("xb.yaml"), "b.yaml": []byte("y")}, {"a.yaml": []byte("x"), "c.yaml": []byte("y")}} {
		if digestOf(other) == one {
			t.Errorf("%v has the digest of other files", other)
		}
	}
}

// TestDrainingNodeIsNotReady: load balancers send it no more.
func TestDrainingNodeIsNotReady(t *testing.T) {
	for path, want := range map[string]int{"/readyz": 503, "/healthz": 200} {
		w := httptest.NewRecorder()
		console.Health(w, httptest.NewRequest("GET", path, nil), func() console.Readiness { return console.Readiness{Draining: true} })
		if w.Code != want {
			t.Errorf("%s answers %d: %s", path, w.Code, w.Body)
		}
	}
}

// TestNodeNameIsValid: it stands in lists and URLs.
func TestNodeNameIsValid(t *testing.T) {
	dir := projectIn(t, map[string]string{"hookloom.yaml": "server: {node: \"a b\"}\n"})
	t.Setenv("HOOKLOOM_NODE", "")
	code, _, errs := ran(t, "serve", dir, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	says(t, "a name with a blank", code, exitUsage, errs, `"a b" is not a name of a node`)
}
