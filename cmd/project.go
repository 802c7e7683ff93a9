package cmd

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
)

// catalog gathers what workflows may name from those who offer it.
func catalog() (workflows.Catalog, error) {
	presets, err := triggers.Presets()
	if err != nil {
		return workflows.Catalog{}, fmt.Errorf("reading the provider presets: %w", err)
	}
	specs, err := actions.Catalog()
	if err != nil {
		return workflows.Catalog{}, fmt.Errorf("reading the actions: %w", err)
	}
	return workflows.Catalog{Actions: specs, Presets: presets, CheckCron: triggers.CheckCron}, nil
}

// loaded is a project with its secrets.
type loaded struct {
	project  *workflows.Project
	secrets  *workflows.Secrets
	mistakes workflows.Mistakes
}

// load reads the project in dir; what is wrong with it comes back as mistakes.
func load(dir string) (*loaded, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, usageError("%s is no folder; hookloom init makes a project", dir)
	}
	c, err := catalog()
	if err != nil {
		return nil, err
	}
	secrets, err := workflows.LoadSecrets(dir)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	p, mistakes := workflows.Load(dir, c, secrets.IsSet)
	return &loaded{p, secrets, mistakes}, nil
}

// usable refuses a project with mistakes. A secret that is not set is only a
// warning to validate, but nothing can run without it.
func (l *loaded) usable() error {
	var bad workflows.Mistakes
	for _, m := range l.mistakes {
		if m.Code == "secret-not-set" {
			m.Warning = false
		}
		if !m.Warning {
			bad = append(bad, m)
		}
	}
	if len(bad) > 0 {
		return bad
	}
	return nil
}

// database gives the file of a project's history.
func database(dir, flag string, p *workflows.Project) string {
	if v := os.Getenv("HOOKLOOM_DB"); flag == "" && v != "" {
		flag = v
	}
	if flag != "" {
		return flag
	}
	if p != nil && p.Database != "" {
		if filepath.IsAbs(p.Database) {
			return p.Database
		}
		return filepath.Join(dir, p.Database)
	}
	return filepath.Join(dir, "hookloom.db")
}

// setting picks a flag over an environment variable over the file.
func setting(flag, env, file string) string {
	if flag != "" {
		return flag
	}
	if v := os.Getenv(env); v != "" {
		return v
	}
	return file
}
