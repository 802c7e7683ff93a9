package postgrestest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// ours skips a test that stops a server which is not its own.
func (s *Server) ours(t testing.TB) {
	t.Helper()
	if s.own == nil {
		t.Skipf("SKIPPED: the server that %s names is not stopped", Address)
	}
}

// Stop stops the server in a fast, orderly way: open transactions are rolled back.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.ours(t)
	if _, err := s.own.Run(context.WithoutCancel(t.Context()), "pg_ctl", "-D", s.Data(), "-m", "fast", "-w", "-t", "60", "stop"); err != nil {
		t.Fatal(err)
	}
}

// Up starts the server again, on the same port, after Stop or Kill.
func (s *Server) Up(t testing.TB) {
	t.Helper()
	s.ours(t)
	var err error
	for range 20 { // the memory of killed processes may still be attached
		if err = s.own.Up(context.WithoutCancel(t.Context())); err == nil {
			return
		}
		time.Sleep(250 * time.Millisecond)
	}
	t.Fatal(err)
}

// Restart stops the server and starts it with further settings. Those that ALTER SYSTEM made are lost.
func (s *Server) Restart(t testing.TB, settings map[string]string) {
	t.Helper()
	s.Stop(t)
	if err := s.own.Configure(settings); err != nil {
		t.Fatal(err)
	}
	s.Up(t)
}

// Kill is kill -9 of the server and of all its processes.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.ours(t)
	pids, err := s.processes()
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if err := kill(pid); err != nil {
			t.Fatal(err)
		}
	}
	for _, pid := range pids {
		for range 500 {
			if alive := running(pid) && !zombie(pid); !alive {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// Freeze stops all processes of the server as SIGSTOP does, until the returned function is called.
// Connections stay open, and nothing answers.
func (s *Server) Freeze(t testing.TB) (thaw func()) {
	t.Helper()
	s.ours(t)
	pids, err := s.processes()
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		freeze(pid)
	}
	thaw = func() {
		for _, pid := range pids {
			resume(pid)
		}
	}
	t.Cleanup(thaw)
	return thaw
}

// processes are the postmaster, first, and its children.
func (s *Server) processes() ([]int, error) {
	text, err := os.ReadFile(filepath.Join(s.Data(), "postmaster.pid"))
	if err != nil {
		return nil, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		return nil, fmt.Errorf("postmaster.pid: %w", err)
	}
	pids := []int{pid}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		fields := stat(path)
		if len(fields) > 1 && fields[1] == line {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path))) // the pattern has digits only
			pids = append(pids, child)
		}
	}
	return pids, nil
}

// stat returns the fields of a process after its name (proc_pid_stat(5)): state, parent, ...
func stat(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil // it has ended
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return strings.Fields(rest)
}

func zombie(pid int) bool {
	fields := stat(fmt.Sprintf("/proc/%d/stat", pid))
	return len(fields) > 0 && fields[0] == "Z"
}
