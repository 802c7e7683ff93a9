package cmd

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/hookloom/hookloom/workflows"
)

// envFile appends secrets that providers hand over to a project's .env.
type envFile struct {
	mu  sync.Mutex
	dir string
}

// add writes one secret, unless it is there: only the first is believed.
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
	// Written beside and renamed, so that a crash leaves the old file whole.
	temp := path + ".new"
	if err := os.WriteFile(temp, text, 0o600); err != nil {
		return fmt.Errorf("writing .env: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("writing .env: %w", err)
	}
	return nil
}
