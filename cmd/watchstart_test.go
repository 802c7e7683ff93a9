package cmd

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestFileChangeDuringStartIsLoaded: with --watch, a file that changes after the project was read and before
// the server is ready is loaded too.
func TestFileChangeDuringStartIsLoaded(t *testing.T) {
	t.Parallel()
	dir := projectIn(t, map[string]string{"hookloom.yaml": "",
		"workflows/one.yaml": "on: manual\nsteps: [{stop: x}]\n"})
	watcher, err := newWatcher(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	l, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newServer(t.Context(), serveOptions{dir: dir, addr: "127.0.0.1:0", adminAddr: "127.0.0.1:0", grace: time.Second,
		log: slog.New(slog.DiscardHandler)}, l)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "workflows", "two.yaml"), []byte("on: manual\nsteps: [{stop: x}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- s.run(ctx) }()
	go func() { ended <- s.reloads(ctx, nil, watcher) }()
	for begun := time.Now(); len(s.project.Load().Workflows) != 2; time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 10*time.Second {
			t.Error("the change was not seen")
			break
		}
	}
	cancel()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
