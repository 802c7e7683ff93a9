package cmd

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
	return workflows.Catalog{Actions: specs, Presets: presets, CheckCron: triggers.CheckCron, ExplainCron: triggers.ExplainCron}, nil
}

// loaded is a project with its secrets.
type loaded struct {
	project  *workflows.Project
	secrets  *workflows.Secrets
	mistakes workflows.Mistakes
	// files are the texts that the project was made of.
	files workflows.Files
	// db is the database that a flag names; empty for the project's own.
	db string
}

// load reads the project in dir; what is wrong with it comes back as mistakes.
func load(dir string) (*loaded, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		if err == nil {
			return nil, usageError("%s is a file, and a project is a folder", dir)
		}
		return nil, usageError("%s: no such folder; hookloom init makes a project", dir)
	}
	c, err := catalog()
	if err != nil {
		return nil, err
	}
	secrets, err := workflows.LoadSecrets(dir)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	files, unreadable := workflows.ReadFiles(dir)
	p, mistakes := workflows.LoadFiles(dir, files, c, secrets.IsSet)
	mistakes = unreadable.With(mistakes)
	if len(serious(mistakes)) == 0 {
		mistakes = mistakes.With(triggers.Check(p, secrets.Lookup))
	}
	if p != nil {
		mistakes = mistakes.With(p.Warnings(secrets))
	}
	shownIn.Store(p.Zone())
	return &loaded{project: p, secrets: secrets, mistakes: mistakes, files: files}, nil
}

// usable refuses a project with mistakes. A secret that is not set is only a
// warning to validate, but nothing can run without it.
func (l *loaded) usable() error {
	if bad := serious(l.mistakes); len(bad) > 0 {
		return bad
	}
	return nil
}

// usableTriggers refuses a project whose triggers cannot be used. A mistake in the
// file of a workflow is none of theirs: the server goes on without that file too.
func (l *loaded) usableTriggers() error {
	bad := slices.DeleteFunc(serious(l.mistakes), func(m workflows.Mistake) bool {
		return strings.HasPrefix(filepath.ToSlash(m.File), "workflows/")
	})
	if len(bad) > 0 {
		return bad
	}
	return nil
}

// serious are the mistakes with which a project does not run, as errors.
func serious(ms workflows.Mistakes) workflows.Mistakes {
	var out workflows.Mistakes
	for _, m := range ms {
		if m.Code == workflows.SecretNotSet {
			m.Warning = false
		}
		if !m.Warning {
			out = append(out, m)
		}
	}
	return out
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
