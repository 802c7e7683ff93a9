//go:build unix

package secrets_test

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestProgramIsKilledWithItsChildren: when it takes too long, nothing of it goes on.
func TestProgramIsKilledWithItsChildren(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		f, err := os.Open(pipe) // waits for the child to open it
		if err == nil {
			defer f.Close()
			_, err = io.Copy(io.Discard, f) // ends when the child does
		}
		ended <- err
	}()
	program := write(t, dir, "program", "#!/bin/sh\nsleep 15 > pipe 2> /dev/null &\nsleep 15\n")
	s := project(t, dir, "secrets: {timeout: 1s, names: {KEY: {command: ["+program+"]}}}\n", nil)
	if f := s.Find(t.Context(), "KEY"); f.Failure == nil {
		t.Errorf("it ended by itself: %+v", f)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("what the program has started goes on")
	}
}
