package cmd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine/secrets"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
)

// catalog collects what workflows may use.
func catalog() (workflows.Catalog, error) {
	presets, err := triggers.Presets()
	if err != nil {
		return workflows.Catalog{}, fmt.Errorf("reading the provider presets: %w", err)
	}
	return workflows.Catalog{Actions: actions.Catalog(), Presets: presets,
		CheckCron: triggers.CheckCron, ExplainCron: triggers.ExplainCron}, nil
}

// loaded is a project with its secrets.
type loaded struct {
	project  *workflows.Project
	secrets  *secrets.Set
	mistakes workflows.Mistakes
	// files are the contents from which the project was built.
	files workflows.Files
	// db is the database that a flag names; empty for the project's own.
	db string
}

// load reads the project in dir; its mistakes are returned with it. Secret sources that start a
// program or call a server are used only for secrets that are looked up: a list of runs needs none.
func load(dir string) (*loaded, error) {
	return loadSecrets(dir, nil, nil, func(s *secrets.Set, _ workflows.Files, _ workflows.Catalog) (isSet, lookup) {
		return s.MayBeSet, s.Known
	})
}

// loadAsked is load that reads all secrets of the project from every source. before are the
// previous secrets, which are used if a source fails; nil for none.
func loadAsked(ctx context.Context, dir string, before *secrets.Set) (*loaded, error) {
	return loadRecorded(ctx, dir, before, nil)
}

// recordedData returns the data of events that a trigger received.
type recordedData func(trigger string, types []string) []any

// loadRecorded is loadAsked that also checks expressions against recorded events; recorded may be
// nil.
func loadRecorded(ctx context.Context, dir string, before *secrets.Set, recorded recordedData) (*loaded, error) {
	return loadSecrets(dir, before, recorded, func(s *secrets.Set, files workflows.Files, c workflows.Catalog) (isSet, lookup) {
		if s.Slow() {
			p, _ := workflows.LoadFiles(dir, files, c, nil)
			s.Ask(ctx, p.SecretNames())
		}
		return s.IsSet, s.Lookup
	})
}

type (
	isSet  func(name string) bool
	lookup func(name string) (string, bool)
)

// loadSecrets implements load; ask determines how the checks look up secrets.
func loadSecrets(dir string, before *secrets.Set, recorded recordedData,
	ask func(*secrets.Set, workflows.Files, workflows.Catalog) (isSet, lookup)) (*loaded, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		if err == nil {
			return nil, usageError("%s is a file, but a project is a folder", dir)
		}
		return nil, usageError("%s: no such folder; hookloom init makes a project", dir)
	}
	c, err := catalog()
	if err != nil {
		return nil, err
	}
	c.Recorded = recorded
	environment := chosenEnvironment()
	if err := workflows.CheckEnvironment(dir, environment); err != nil {
		return nil, usageError("%v", err)
	}
	files, unreadable := workflows.ReadFiles(dir, environment)
	sources, ok := workflows.ReadSecretSources(files)
	if !ok && before != nil {
		sources = before.Sources() // use the previous sources until the file is corrected
	}
	set, err := secrets.Load(secrets.Options{Dir: dir, Sources: sources, Before: before})
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	c.ExplainSecret = set.Explain
	isSet, lookup := ask(set, files, c)
	p, mistakes := workflows.LoadFiles(dir, files, c, isSet)
	mistakes = unreadable.With(mistakes)
	if len(errorsOf(mistakes)) == 0 {
		mistakes = mistakes.With(triggers.Check(p, lookup))
	}
	if p != nil {
		mistakes = mistakes.With(p.Warnings(lookup, set.Expanded))
	}
	if p != nil && p.Server.DB != nil {
		p.Database = addressOf(p.Server.DB, lookup)
	}
	shownIn.Store(p.Zone())
	return &loaded{project: p, secrets: set, mistakes: mistakes, files: files}, nil
}

// usable returns an error for a project with mistakes. A secret that is not set is only a warning
// of validate, but nothing can run without it.
func (l *loaded) usable() error {
	if bad := errorsOf(l.mistakes); len(bad) > 0 {
		return bad
	}
	return nil
}

// usableFor returns an error for a project whose triggers and connections cannot be used for work that
// needs some secrets; others may be missing. A mistake in a workflow file does not matter: the server
// also continues without that file.
func (l *loaded) usableFor(needs []string) error {
	bad := slices.DeleteFunc(errorsOf(l.mistakes), func(m workflows.Mistake) bool {
		return strings.HasPrefix(filepath.ToSlash(m.File), "workflows/") ||
			m.Code == workflows.SecretNotSet && !slices.Contains(needs, m.Secret)
	})
	if len(bad) > 0 {
		return bad
	}
	return nil
}

// errorsOf returns the mistakes that prevent a project from running, as errors.
func errorsOf(ms workflows.Mistakes) workflows.Mistakes {
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

// setting returns the flag, or else the environment variable, or else the value in the file.
func setting(flag, env, file string) string {
	if flag != "" {
		return flag
	}
	if v := os.Getenv(env); v != "" {
		return v
	}
	return file
}
