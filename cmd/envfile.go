package cmd

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/hookloom/hookloom/engine/atomicfile"
	"github.com/hookloom/hookloom/workflows"
)

// envFile appends secrets from providers' handshakes to a project's .env.
type envFile struct {
	mu  sync.Mutex
	dir string
}

// add writes a secret, unless it exists: only the first is trusted.
func (e *envFile) add(name, value string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	path := filepath.Join(e.dir, workflows.EnvFileName)
	old, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("reading .env: %w", err)
	}
	values, err := workflows.ReadEnv(old)
	if err != nil {
		return err
	}
	if values[name] != "" {
		return nil
	}
	text, err := workflows.AddEnv(old, name, value)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(path, text, 0o600); err != nil {
		return fmt.Errorf("writing .env: %w", err)
	}
	return nil
}
