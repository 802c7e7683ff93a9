package cmd

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
)

// maxDocument is the largest answer that triggers read, in bytes: a key set, a
// certificate, a confirmation.
const maxDocument = 256 << 10

// fetcher lets triggers fetch keys through the egress guard.
func fetcher(client *http.Client) triggers.Fetch {
	return func(ctx context.Context, r *http.Request) ([]byte, error) {
		resp, err := client.Do(r.WithContext(ctx))
		if err != nil {
			return nil, fmt.Errorf("asking %s: %w", r.URL.Host, err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument))
		if err != nil {
			return nil, fmt.Errorf("reading the answer of %s: %w", r.URL.Host, err)
		}
		if resp.StatusCode/100 != 2 {
			return nil, fmt.Errorf("%s answered %d", r.URL.Host, resp.StatusCode)
		}
		return b, nil
	}
}

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
