//go:build unix

package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// TestTheDemoOfSeveralNodesKeepsItsPromises: it starts PostgreSQL and two nodes, kills one, loses nothing,
// and leaves nothing behind. Without PostgreSQL it says how to install it.
func TestTheDemoOfSeveralNodesKeepsItsPromises(t *testing.T) {
	t.Parallel()
	realProcess(t)
	bin := buildBinary(t)
	postgrestest.Shared(t) // skips where there is no PostgreSQL
	tmp := t.TempDir()
	c := exec.CommandContext(t.Context(), bin, "demo", "--cluster")
	c.Env = append(os.Environ(), "TMPDIR="+tmp)
	out, err := c.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"kill -9 of node-1", "acknowledged   300\n", "lost           0\n", "runs ended     300, 300 succeeded\n",
		"takeover       "} {
		if !strings.Contains(string(out), line) {
			t.Errorf("it does not print %q", line)
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
}
