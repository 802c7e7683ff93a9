package postgrestest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// TestCommitSurvivesKillMinusNine: the rig's servers are durable, and come back on the same address.
func TestCommitSurvivesKillMinusNine(t *testing.T) {
	t.Parallel()
	s := postgrestest.Start(t, postgrestest.Options{})
	db := s.Database(t)
	for _, setting := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		if got := postgrestest.Value(t, db, "SELECT current_setting('"+setting+"')"); got != "on" {
			t.Errorf("%s is %s", setting, got)
		}
	}
	postgrestest.Exec(t, db, "CREATE TABLE a (n int)", "INSERT INTO a VALUES (7)")
	s.Kill(t)
	s.Up(t)
	if got := postgrestest.Value(t, db, "SELECT n FROM a"); got != "7" {
		t.Errorf("%s after kill -9", got)
	}
	s.Stop(t)
	s.Up(t)
	if got := postgrestest.Value(t, db, "SELECT n FROM a"); got != "7" {
		t.Errorf("%s after a restart", got)
	}
}

// TestPromotedStandbyHasAllConfirmedCommits: the tools of failover tests work.
func TestPromotedStandbyHasAllConfirmedCommits(t *testing.T) {
	t.Parallel()
	s := postgrestest.Start(t, postgrestest.Options{})
	standby := s.Standby(t, "s1")
	s.Exec(t, "ALTER SYSTEM SET synchronous_standby_names = 's1'", "SELECT pg_reload_conf()")
	s.UntilSync(t, "s1")
	s.Exec(t, "CREATE TABLE a (n int)", "INSERT INTO a VALUES (7)")
	s.Kill(t)
	standby.Promote(t)
	if got := postgrestest.Value(t, standby.URL(), "SELECT n FROM a"); got != "7" {
		t.Errorf("%s after the promotion", got)
	}
	standby.Exec(t, "INSERT INTO a VALUES (8)")
}

// TestAServerEndsWithItsProcess: also one that is killed leaves no server and no files.
func TestAServerEndsWithItsProcess(t *testing.T) {
	if file := os.Getenv("HOOKLOOM_TEST_FOLDER"); file != "" {
		s := postgrestest.Start(t, postgrestest.Options{})
		if err := os.WriteFile(file, []byte(s.Data()), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // until it is killed
	}
	t.Parallel()
	postgrestest.Shared(t) // skips where there is no PostgreSQL
	file := filepath.Join(t.TempDir(), "folder")
	c := exec.Command(os.Args[0], "-test.run", "^TestAServerEndsWithItsProcess$")
	c.Env = append(os.Environ(), "HOOKLOOM_TEST_FOLDER="+file)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	data := ""
	for deadline := time.Now().Add(time.Minute); data == "" && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		text, _ := os.ReadFile(file) // not there yet
		data = string(text)
	}
	_ = c.Process.Kill()
	_ = c.Wait() // it was killed
	if data == "" {
		t.Fatal("the process started no server")
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		_, err := os.Stat(filepath.Dir(data))
		if os.IsNotExist(err) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is still there", data)
		}
	}
	if out, err := exec.Command("ps", "axo", "args").Output(); err == nil && strings.Contains(string(out), data) {
		t.Error("the server is still there")
	}
}
