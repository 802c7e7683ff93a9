//go:build unix

package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/hookloom/hookloom/engine/testsize"
)

// migrationFiles is where the migrations of PostgreSQL are in the repository.
const migrationFiles = "engine/store/migrations/postgres/"

// usableFrom is the first line of a migration after which programs of an earlier schema go on.
var usableFrom = regexp.MustCompile(`^-- Programs of schema (\d+) and later can use the database after this migration\.`)

// migration is one file of the repository's newest commit.
type migration struct {
	file string
	// schema is the version that it makes, needs the lowest one whose programs go on.
	schema, needs int
}

// git runs a command in this repository; the test is skipped where there is none, or not enough of it.
func git(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("git", append([]string{"-C", "../.."}, args...)...).Output()
	if err != nil {
		t.Skipf("SKIPPED: git %s: %v", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

// migrations lists those of the newest commit.
func migrations(t *testing.T) (list []migration) {
	t.Helper()
	files := strings.Fields(git(t, "ls-tree", "--name-only", "HEAD", migrationFiles))
	slices.Sort(files)
	for i, file := range files {
		m := migration{file: file, schema: i + 1, needs: i + 1}
		if line := usableFrom.FindStringSubmatch(git(t, "show", "HEAD:"+file)); line != nil {
			if _, err := fmt.Sscan(line[1], &m.needs); err != nil {
				t.Fatal(err)
			}
		}
		list = append(list, m)
	}
	return list
}

// buildBefore builds the program of the commit before the one that added a migration.
func buildBefore(t *testing.T, m migration) string {
	t.Helper()
	added := git(t, "log", "--diff-filter=A", "--format=%H", "-n", "1", "--", m.file)
	if added == "" || git(t, "rev-parse", "--is-shallow-repository") == "true" {
		t.Skipf("SKIPPED: this clone has no history of %s", m.file)
	}
	dir := t.TempDir()
	unpack := exec.Command("sh", "-c", `git -C ../.. archive "$1^" | tar -x -C "$2"`, "sh", added, dir)
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "hookloom.old"), ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("the program before %s: commit %s^", filepath.Base(m.file), added[:8])
	return build.Args[3]
}

// become restarts a node with another program: in order, or after kill -9.
func (x *nodeOfSet) become(t *testing.T, bin string, kill bool) {
	t.Helper()
	x.mu.Lock()
	x.bin = bin
	x.mu.Unlock()
	p := x.process()
	if kill {
		p.kill()
		return
	}
	p.signal(t, syscall.SIGTERM)
	p.end(t, 40*time.Second)
}

// TestTheProgramBeforeWorksBesideThisOne upgrades two nodes one after another under load, from the newest
// program of the schema before, with runs that wait, call and queue. It goes back and forth as often as
// HOOKLOOM_UPGRADES says, every second time by kill -9, so that nodes of either program take over from the other.
// It is not run without: the earlier program must be built.
func TestTheProgramBeforeWorksBesideThisOne(t *testing.T) {
	realProcess(t)
	rounds := testsize.Of(t, "HOOKLOOM_UPGRADES", 0)
	if rounds == 0 {
		t.Skip("SKIPPED: it builds an earlier program; HOOKLOOM_UPGRADES=1 runs it, and so does the proof")
	}
	list := migrations(t)
	last := list[len(list)-1]
	if last.needs == last.schema {
		t.Skipf("SKIPPED: no earlier program can use the database after %s: all nodes are stopped for this upgrade", last.file)
	}
	old, out := buildBefore(t, last), newLedger(t)
	c := newNodeSetOf(t, old, 2, orderFlows(out.url))
	schema := func() string { return postgrestest.Value(t, c.db, `SELECT max(number) FROM hookloom.migrations`) }
	if have := schema(); have != fmt.Sprint(last.schema-1) {
		t.Fatalf("the earlier program has made schema %s, not %d", have, last.schema-1)
	}
	acked := newAcknowledged()
	stop := c.customers(t, acked, 8)
	time.Sleep(2 * time.Second)
	bins := []string{buildBinary(t), old}
	for i := range 2*rounds - 1 { // the last one is an upgrade
		for _, x := range c.nodes {
			x.become(t, bins[i%2], i%2 == 1)
			c.awaitAll(t)
			time.Sleep(3 * time.Second)
		}
	}
	if have := schema(); have != fmt.Sprint(last.schema) {
		t.Errorf("after the upgrade the database has schema %s", have)
	}
	orders := stop()
	c.settle(t, 2*time.Minute)
	replayed := c.replayTooOftenKilled(t)
	if replayed > 0 {
		c.settle(t, time.Minute)
	}
	report(t, c.verify(t, acked, out))
	t.Logf("%d upgrades of two nodes, %d orders, %d replayed", rounds, orders, replayed)
	if orders == 0 {
		t.Error("nothing was ordered")
	}
	if t.Failed() {
		t.Log(c.logs())
	}
}

// TestAProgramThatIsTooOldIsRefused starts the program before the newest migration that removes what earlier
// ones need.
func TestAProgramThatIsTooOldIsRefused(t *testing.T) {
	realProcess(t)
	if testsize.Of(t, "HOOKLOOM_UPGRADES", 0) == 0 {
		t.Skip("SKIPPED: it builds an earlier program; HOOKLOOM_UPGRADES=1 runs it, and so does the proof")
	}
	list := migrations(t)
	i := len(list) - 1
	for ; i > 0 && list[i].needs < list[i].schema; i-- {
	}
	old := buildBefore(t, list[i])
	p := newProjectAt(t, postgrestest.Shared(t).Database(t))
	p.start(t)
	s := launch(t, old, "serve", p.dir, "--db", p.db, "--addr", freeAddr(t), "--admin-addr", freeAddr(t))
	if status := s.end(t, 30*time.Second); status != 1 || !strings.Contains(s.log.String(), "made by a newer hookloom") {
		t.Errorf("exit status %d\n%s", status, s.log.String())
	}
	if status := p.send(t, "k"); status != 202 {
		t.Errorf("the server of this program answers %d", status)
	}
}

// newProjectAt is a project with a database on a server.
func newProjectAt(t *testing.T, db string) *project {
	t.Helper()
	p := hookProject(t, map[string]string{"w": "on: hook\nsteps: [{stop: x}]\n"})
	p.db = db
	return p
}
