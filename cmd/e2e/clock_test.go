//go:build unix

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// buildWithClock builds a server whose wall clock is shifted by the number of seconds in a file.
// Its monotonic clock is the machine's, as if the clock had been set.
func buildWithClock(t *testing.T) string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skipf("SKIPPED: no go command here: %v", err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	text, err := os.ReadFile(source)
	if err != nil {
		t.Skipf("SKIPPED: no sources of Go here: %v", err)
	}
	const read = "\tsec, nsec, mono := runtimeNow()\n"
	_, before, found := strings.Cut(string(text), "func Now() Time {\n"+read)
	if !found {
		t.Skip("SKIPPED: time.Now is written in another way")
	}
	head := strings.TrimSuffix(string(text), before)
	// Timers call Now where nothing may be read: a goroutine updates the shift.
	changed := head + "\tsec += clockShift\n" + before + `
var clockShift int64

func init() {
	readShift()
	go func() {
		for ; ; Sleep(10 * Millisecond) {
			readShift()
		}
	}()
}

func readShift() {
	name, _ := syscall.Getenv("HOOKLOOM_TEST_CLOCK")
	fd, err := open(name)
	if err != nil {
		return
	}
	var buf [32]byte
	n, _ := read(fd, buf[:])
	closefd(fd)
	sign, shift := int64(1), int64(0)
	for _, c := range buf[:max(n, 0)] {
		switch {
		case c == '-':
			sign = -1
		case c >= '0' && c <= '9':
			shift = shift*10 + int64(c-'0')
		}
	}
	clockShift = sign * shift
}
`
	changed = strings.Replace(changed, "import (\n", "import (\n\t\"syscall\"\n", 1)
	dir := t.TempDir()
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{source: filepath.Join(dir, "time.go")}})
	if err = errors.Join(err, os.WriteFile(filepath.Join(dir, "time.go"), []byte(changed), 0o600),
		os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600)); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "hookloom")
	if out, err := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", bin,
		"../..").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// TestClockChangeUnderARunningServer sets the clock two hours forward, which must end no active run;
// and an hour back, after which schedules, rates and sleeps continue from the new time, and doctor
// reports it.
func TestClockChangeUnderARunningServer(t *testing.T) {
	realProcess(t)
	bin := buildWithClock(t)
	release := make(chan struct{})
	came := make(chan struct{}, 100)
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			came <- struct{}{}
			<-release
		}
		_, _ = w.Write([]byte("{}"))
	}))
	defer target.Close()
	call := func(path string) string {
		return "  - {uses: http/post, retry: 0, with: {url: " + target.URL + path + ", body: x}}\n"
	}
	p := hookProject(t, map[string]string{
		"slow":  "on: hook\nwhen: event.data.key startsWith 'slow'\nsteps:\n" + call("/slow") + call("/after"),
		"naps":  "on: hook\nwhen: event.data.key startsWith 'later'\nsteps:\n  - {sleep: 3s}\n" + call("/nap"),
		"rated": "on: hook\nwhen: event.data.key startsWith 'later'\nrate: {limit: 2, per: 1s}\nsteps:\n" + call("/rated"),
		"tick":  "on: {schedule: {every: 1s}}\nsteps: [{stop: x}]\n",
	})
	p.bin = bin
	shift := filepath.Join(p.dir, "clock")
	set := func(seconds int) {
		t.Helper()
		if err := errors.Join(os.WriteFile(shift+".new", fmt.Append(nil, seconds), 0o600), os.Rename(shift+".new", shift)); err != nil {
			t.Fatal(err)
		}
	}
	set(0)
	t.Setenv("HOOKLOOM_TEST_CLOCK", shift)
	s := p.start(t)
	h := p.history(t)
	runs := func(workflow, status string) int {
		items, err := h.Runs(t.Context(), engine.Query{Workflow: workflow, Status: status, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		return len(items)
	}
	until := func(what string, within time.Duration, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(within); !done(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("not within %v: %s\n%s", within, what, s.log.String())
			}
		}
	}
	if status := p.send(t, "slow"); status != http.StatusAccepted {
		t.Fatalf("answered %d", status)
	}
	<-came
	set(7200)
	time.Sleep(1500 * time.Millisecond)
	close(release)
	until("a run at work ends well after a step forward", 10*time.Second, func() bool { return runs("slow", "succeeded") == 1 })
	const later = 8
	for i := range later {
		if _, err := p.run("send", "hook", "--id", fmt.Sprint("later", i), "--body", body(t, fmt.Sprint("later", i))); err != nil {
			t.Fatal(err)
		}
	}
	ticks := runs("tick", "succeeded")
	set(3600)
	began := time.Now()
	until("sleeps end after a step back", 15*time.Second, func() bool { return runs("naps", "succeeded") == later })
	until("runs of a rate start after a step back", 15*time.Second, func() bool { return runs("rated", "succeeded") == later })
	until("a schedule fires after a step back", 15*time.Second, func() bool { return runs("tick", "succeeded") >= ticks+4 })
	t.Logf("all went on within %v of a step back of an hour", time.Since(began).Round(time.Millisecond))
	if n := closeStarts(t, p.db, `SELECT started_at FROM runs WHERE workflow = 'rated'`, 2, 1000); n > 0 {
		t.Errorf("%d starts came too early", n)
	}
	if out, err := p.run("doctor"); !strings.Contains(out, "set back by 1h0m") {
		t.Errorf("doctor: %v\n%s", err, out)
	}
	s.stop(t)
	if !strings.Contains(s.log.String(), "the clock was set back") {
		t.Errorf("log: %s", s.log.String())
	}
}

// body writes the body of a delivery into a file.
func body(t *testing.T, key string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), key)
	if err := os.WriteFile(file, fmt.Appendf(nil, `{"type":"n","data":{"key":%q}}`, key), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
