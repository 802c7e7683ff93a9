//go:build linux

package postgres

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestProcessorTimeIncludesProcessesThatEndWhileItIsRead: the files of a process and of its parent are read one after
// the other. A child that ends between the two is neither left out nor counted twice.
func TestProcessorTimeIncludesProcessesThatEndWhileItIsRead(t *testing.T) {
	for _, name := range []string{"before its file is read", "after its file is read"} {
		t.Run(name, func(t *testing.T) {
			child := exec.CommandContext(t.Context(), "sh", "-c", `while :; do :; done`)
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			for {
				if _, fields := processStat(child.Process.Pid); ticks(fields[11:13]) >= time.Second {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			ended := false
			end := func() {
				ended = true
				if err := child.Process.Kill(); err != nil {
					t.Error(err)
				}
				_ = child.Wait() // it was killed
			}
			got, err := processorTime(t.Context(), os.Getpid(), func(pid int) (string, []string) {
				if pid != child.Process.Pid || ended {
					return processStat(pid)
				}
				if name == "before its file is read" {
					end()
					return processStat(pid)
				}
				defer end()
				return processStat(pid)
			})
			if err != nil {
				t.Fatal(err)
			}
			want, err := processorTime(t.Context(), os.Getpid(), processStat)
			if err != nil {
				t.Fatal(err)
			}
			if difference := want - got; difference < 0 || difference > time.Second/2 {
				t.Errorf("%v of processor time, a moment later %v; the child that ended had a second", got, want)
			}
		})
	}
}

// TestProcessorTimeOfAServerThatHasEndedIsAnError: not zero.
func TestProcessorTimeOfAServerThatHasEndedIsAnError(t *testing.T) {
	child := exec.CommandContext(t.Context(), "true")
	if err := child.Run(); err != nil {
		t.Fatal(err)
	}
	if sum, err := processorTime(t.Context(), child.Process.Pid, processStat); err == nil {
		t.Errorf("%v and no error", sum)
	}
}
