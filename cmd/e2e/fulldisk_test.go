//go:build linux

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fullDisk is a project whose database is on a small disk, which requires root.
type fullDisk struct {
	*project
	disk   string
	server *process
}

func newFullDisk(t *testing.T, size int) *fullDisk {
	t.Helper()
	realProcess(t)
	onFiles(t)
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("no disk can be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	f := &fullDisk{disk: disk,
		project: newProject(t, map[string]string{"hookloom.yaml": "triggers: {hook: {webhook: {path: /h, auth: none, key: body.id}}}\n",
			"workflows/w.yaml": "on: hook\nsteps:\n  - set: {x: \"${{ event.data.id }}\"}\n"})}
	f.db = filepath.Join(disk, "x.db")
	return f
}

// begin starts a server, and returns when it answers.
func (f *fullDisk) begin(t *testing.T) {
	t.Helper()
	f.server = launch(t, f.argv()...)
	f.until(t, "/healthz", http.StatusOK)
}

// until waits for a status of a path, and returns the response.
func (f *fullDisk) until(t *testing.T, path string, status int) string {
	t.Helper()
	last := ""
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get("http://" + f.addr + path)
		if err != nil {
			last = err.Error()
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if last = string(body); err == nil && resp.StatusCode == status {
			return last
		}
	}
	t.Fatalf("%s is not %d: %s\n%s", path, status, last, f.server.log.String())
	return ""
}

func (f *fullDisk) post(t *testing.T, id string) (int, string) {
	t.Helper()
	body := fmt.Sprintf(`{"id": %q, "pad": %q}`, id, strings.Repeat("x", 20_000))
	resp, err := http.Post("http://"+f.addr+"/h", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// occupy leaves nothing free on the disk.
func (f *fullDisk) occupy(t *testing.T, name string) string {
	t.Helper()
	file, err := os.Create(filepath.Join(f.disk, name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = file.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return file.Name()
}

// fillUp sends until the disk is full, and counts the accepted deliveries.
func (f *fullDisk) fillUp(t *testing.T, prefix string) (taken int) {
	t.Helper()
	for ; taken < 10_000; taken++ {
		status, answer := f.post(t, fmt.Sprint(prefix, taken))
		if status == http.StatusServiceUnavailable {
			if !strings.Contains(answer, "the disk is full") {
				t.Errorf("answered 503 without the reason: %s", answer)
			}
			return taken
		}
		if status != http.StatusAccepted {
			t.Fatal(status, answer)
		}
	}
	t.Fatal("the disk does not get full")
	return 0
}

// TestAServerOnAFullDiskAnswersAndRecovers also kills and restarts it: every delivery that got 202
// is stored in the end, and nobody has to restart it again.
func TestAServerOnAFullDiskAnswersAndRecovers(t *testing.T) {
	f := newFullDisk(t, 12<<20)
	f.begin(t)
	taken := 0
	for range 20 {
		if status, answer := f.post(t, fmt.Sprint("first", taken)); status != http.StatusAccepted {
			t.Fatal(status, answer)
		}
		taken++
	}
	ballast := f.occupy(t, "ballast")
	taken += f.fillUp(t, "second")
	if answer := f.until(t, "/readyz", http.StatusServiceUnavailable); !strings.Contains(answer, "the disk is full") {
		t.Errorf("/readyz: %s", answer)
	}
	f.server.kill()
	more := f.occupy(t, "more")
	f.begin(t)
	if answer := f.until(t, "/readyz", http.StatusServiceUnavailable); !strings.Contains(answer, "the disk is full") {
		t.Errorf("/readyz after a start: %s", answer)
	}
	if n := f.fillUp(t, "third"); n != 0 {
		t.Errorf("%d deliveries were taken on a full disk", n)
	}
	for _, file := range []string{ballast, more} {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	f.until(t, "/readyz", http.StatusOK)
	taken += f.fillUp(t, "fourth")
	f.until(t, "/readyz", http.StatusServiceUnavailable)
	if n := f.stored(t); n != taken {
		t.Errorf("%d were taken, %d are there", taken, n)
	}
	f.pruned(t)
	f.until(t, "/readyz", http.StatusOK)
	if status, answer := f.post(t, "last"); status != http.StatusAccepted {
		t.Error(status, answer)
	}
}

// TestAStartWithNoRoomAtAllWaits is for a disk on which the database cannot even be created.
func TestAStartWithNoRoomAtAllWaits(t *testing.T) {
	f := newFullDisk(t, 4<<20)
	ballast := f.occupy(t, "ballast")
	f.begin(t)
	if answer := f.until(t, "/readyz", http.StatusServiceUnavailable); !strings.Contains(answer, "the disk is full") {
		t.Errorf("/readyz: %s", answer)
	}
	if status, answer := f.post(t, "1"); status != http.StatusServiceUnavailable || !strings.Contains(answer, "the disk is full") {
		t.Error(status, answer)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	f.until(t, "/readyz", http.StatusOK)
	if status, answer := f.post(t, "1"); status != http.StatusAccepted {
		t.Error(status, answer)
	}
	f.server.stop(t)
}

func (f *fullDisk) hookloom(t *testing.T, args ...string) string {
	t.Helper()
	out, err := f.run(args...)
	if err != nil {
		t.Fatalf("hookloom %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (f *fullDisk) stored(t *testing.T) int {
	t.Helper()
	f.hookloom(t, "check")
	var list struct{ Items []struct{ ID string } }
	if err := json.Unmarshal([]byte(f.hookloom(t, "events", "--limit", "1000", "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	return len(list.Items)
}

// pruned removes most of the history through the server, whose disk is full.
func (f *fullDisk) pruned(t *testing.T) {
	t.Helper()
	time.Sleep(1100 * time.Millisecond)
	if out := f.hookloom(t, "prune", "--keep", "1s"); !strings.Contains(out, "freed") {
		t.Error(out)
	}
}
