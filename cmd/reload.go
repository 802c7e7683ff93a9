package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
)

// errNothingRuns is the error for a project of which no part can be used.
var errNothingRuns = errors.New("no workflow can run: fix the mistakes above")

// choose replaces a project with mistakes by one in which each broken file has its content in good,
// the previously used files. The state lists the broken files. The error contains the mistakes if
// nothing can run: the server's settings are broken, or no workflow is left.
func (l *loaded) choose(dir string, good workflows.Files) (*loaded, *engine.ProjectState, error) {
	now := time.Now().UTC()
	c, err := catalog()
	if err != nil {
		return nil, nil, err
	}
	c.ExplainSecret = l.secrets.Explain
	check := func(p *workflows.Project) workflows.Mistakes { return triggers.Check(p, l.secrets.Lookup) }
	x := workflows.LoadKeeping(dir, l.files.Environment(), c, l.secrets.IsSet, check, good)
	state := &engine.ProjectState{LoadedAt: now, Kept: x.Kept, Left: x.Left}
	bad := errorsOf(x.Mistakes)
	if len(bad) > 0 {
		state.FailedAt, state.Mistakes = &now, bad.Error()
	}
	switch {
	case x.Project == nil:
		return nil, state, bad
	case len(bad) > 0 && len(x.Project.Workflows) == 0:
		return nil, state, fmt.Errorf("%w\n%w", bad, errNothingRuns)
	}
	return &loaded{project: x.Project, secrets: l.secrets, mistakes: x.Mistakes, files: x.Files}, state, nil
}

// begin determines what a server starts with if the project has mistakes. It opens the database,
// which joins the nodes and may change the tables, only if there may be something to run.
func (s *server) begin(ctx context.Context, l *loaded, open func() error) (*loaded, *engine.ProjectState, error) {
	if l.usable() == nil {
		state := &engine.ProjectState{LoadedAt: time.Now().UTC()}
		return l, state, open()
	}
	if l.project.SettingsBroken() {
		return nil, nil, l.usable()
	}
	if good, err := filesBefore(ctx, database(s.o.dir, s.o.db, l.project)); err == nil {
		if _, _, err := l.choose(s.o.dir, good); err != nil {
			return nil, nil, err
		}
	}
	if err := open(); err != nil {
		return nil, nil, err
	}
	good, err := s.store.ProjectFiles(ctx)
	if err != nil {
		return nil, nil, err
	}
	return l.choose(s.o.dir, good)
}

// filesBefore reads the files that earlier starts have left in a database, without changing it; none if
// there is no database, or no tables. It returns an error if they cannot be read, as with the tables of an
// older version.
func filesBefore(ctx context.Context, path string) (workflows.Files, error) {
	if hasDatabase(path) != nil {
		return nil, nil
	}
	h, err := store.OpenHistory(path)
	if err != nil {
		return nil, err
	}
	good, err := h.ProjectFiles(ctx)
	if failed := new(postgres.Error); errors.As(err, &failed) && failed.NoTables {
		good, err = nil, nil
	}
	return good, errors.Join(err, h.Close())
}

// inForce returns a project as a server would use it for a trigger: a file with mistakes has its
// last used content, or is left out. warn is called for these. Only the secrets of the trigger must be
// set.
func (l *loaded) inForce(ctx context.Context, dir, trigger string, warn func(format string, args ...any)) (*loaded, error) {
	bad := l.usableFor(l.project.SecretsOf(trigger))
	if bad == nil {
		return l, nil // a server continues without broken workflow files
	}
	if l.project.SettingsBroken() {
		return nil, bad
	}
	good, err := filesBefore(ctx, database(dir, "", l.project))
	if err != nil {
		good = nil // a database of an older version has no such table
	}
	chosen, state, err := l.choose(dir, good)
	if err != nil {
		return nil, bad
	}
	warn("%s has errors, so its previous version stays in effect; hookloom validate shows them\n",
		strings.Join(append(state.Kept, state.Left...), ", "))
	return chosen, nil
}

// storable returns the files in use that may be stored in the database: not those that contain a
// secret in clear text.
func (l *loaded) storable() workflows.Files {
	out := maps.Clone(l.files)
	if l.project.HoldsSecret() {
		maps.DeleteFunc(out, func(name string, _ []byte) bool { return workflows.IsSettings(name) })
	}
	return out
}

// reload loads the project's current files. A broken file keeps its last good version; if the
// project cannot be loaded, nothing changes.
func (s *server) reload(ctx context.Context) {
	before := s.state.Load()
	state, err := s.tryReload(ctx)
	if err != nil {
		now := time.Now().UTC()
		state = &engine.ProjectState{LoadedAt: before.LoadedAt, FailedAt: &now, Mistakes: strings.TrimSpace(err.Error()), Restart: before.Restart}
	}
	s.state.Store(state)
	p := s.project.Load()
	switch {
	case err != nil:
		s.o.log.Error("reload failed; the previous version stays in effect", "mistakes", state.Mistakes)
	case state.Broken():
		s.o.log.Error("reloaded; broken files keep their last good version", "kept", state.Kept, "left_out", state.Left, "mistakes",
			state.Mistakes)
	default:
		s.o.log.Info("reloaded", "workflows", len(p.Workflows), "triggers", len(p.Triggers))
	}
	if len(state.Restart) > 0 {
		s.o.log.Warn("these settings take effect after a restart", "settings", state.Restart)
	}
	s.notifyState(ctx, state)
	if err == nil {
		s.notifySecrets(ctx)
	}
}

// tryReload loads the files and makes the project current. On an error nothing changes.
func (s *server) tryReload(ctx context.Context) (*engine.ProjectState, error) {
	l, err := loadAsked(ctx, s.o.dir, s.secrets.Load())
	if err != nil {
		return nil, err
	}
	if err := s.shared.use(ctx, l.secrets); err != nil {
		return nil, err
	}
	chosen, state, err := l.choose(s.o.dir, s.files)
	if err != nil {
		return nil, err
	}
	state.Restart = s.restartNeeded(chosen.project)
	if err := s.use(ctx, chosen); err != nil {
		return nil, err
	}
	s.shared.inUse()
	s.keep(ctx, chosen)
	return state, nil
}

// keep records the files in use, in memory and for the next start.
func (s *server) keep(ctx context.Context, l *loaded) {
	s.files = l.files
	if err := s.store.SaveProjectFiles(ctx, l.storable()); err != nil {
		s.o.log.Warn("the project's files were not saved for the next start", "error", err)
	}
	s.describe(ctx, digestOf(l.files))
}

// restartNeeded lists the changed settings that take effect only after a restart.
func (s *server) restartNeeded(p *workflows.Project) []string {
	var out []string
	began, now := s.began.Server, p.Server
	if s.o.addr == "" && os.Getenv("HOOKLOOM_ADDR") == "" && began.Addr != now.Addr {
		out = append(out, "server.addr")
	}
	if s.o.adminAddr == "" && os.Getenv("HOOKLOOM_ADMIN_ADDR") == "" && began.AdminAddr != now.AdminAddr {
		out = append(out, "server.admin_addr")
	}
	if (began.TLS == nil) != (now.TLS == nil) {
		out = append(out, "server.tls")
	}
	if (began.AdminTLS == nil) != (now.AdminTLS == nil) {
		out = append(out, "server.admin_tls")
	}
	if s.o.node == "" && os.Getenv("HOOKLOOM_NODE") == "" && began.Node != now.Node {
		out = append(out, "server.node")
	}
	if s.o.db == "" && os.Getenv("HOOKLOOM_DB") == "" && s.began.Database != p.Database {
		out = append(out, "database")
	}
	return out
}

// notifyState reports a project with broken files by alert, in addition to the log.
func (s *server) notifyState(ctx context.Context, state *engine.ProjectState) {
	result := "ok"
	if state.Broken() {
		result = "failed"
		first, _, _ := strings.Cut(state.Mistakes, "\n")
		s.engine.Alert(ctx, engine.Alert{Kind: engine.AlertReloadFailed, Message: "not all project files are in effect: " + first,
			Data: map[string]any{"mistakes": state.Mistakes, "kept": anyList(state.Kept), "left_out": anyList(state.Left)}})
	}
	if !state.Broken() {
		s.engine.AlertOver(engine.AlertReloadFailed, "")
	}
	s.telemetry.Reloaded(result)
}

// notifySecrets reports secret sources that cannot be read: their previous values are in use.
func (s *server) notifySecrets(ctx context.Context) {
	var lines []string
	for _, f := range s.secrets.Load().Failures() {
		s.o.log.Error("a source of secrets cannot be read", "source", f.Source, "problem", f.Problem, "do", f.Advice, "kept", f.Kept)
		if f.Kept {
			lines = append(lines, f.Error())
		}
	}
	if len(lines) == 0 {
		s.engine.AlertOver(engine.AlertSecretsFailing, "")
		return
	}
	s.engine.Alert(ctx, engine.Alert{Kind: engine.AlertSecretsFailing,
		Message: "secrets cannot be reloaded; their last values are used: " + strings.Join(lines, "; "),
		Data:    map[string]any{"sources": anyList(lines)}})
}

func anyList(names []string) []any {
	out := make([]any, len(names))
	for i, n := range names {
		out[i] = n
	}
	return out
}

// reloads loads the project again on SIGHUP and after changes that a watcher sees; nil sees none.
func (s *server) reloads(ctx context.Context, hup <-chan os.Signal, watcher *fsnotify.Watcher) error {
	var changes chan fsnotify.Event
	if watcher != nil {
		if err := watchFolders(watcher, s.o.dir, s.files); err != nil {
			return fmt.Errorf("watching %s: %w", s.o.dir, err)
		}
		changes = watcher.Events
	}
	// Editors write a file in several steps; wait until it is quiet.
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			s.reload(ctx)
		case <-s.captured:
			s.reload(ctx)
		case e := <-changes:
			if ext := filepath.Ext(e.Name); ext == ".yaml" || ext == ".yml" || ext == ".json" ||
				slices.Contains([]string{workflows.EnvFileName, workflows.SecretFileName, mountedVersion}, filepath.Base(e.Name)) {
				quiet.Reset(200 * time.Millisecond)
			}
		case <-quiet.C:
			s.reload(ctx)
		}
	}
}

// mountedVersion is the link that Kubernetes replaces when a mounted ConfigMap or Secret has a new
// version (kubernetes.io, "Mounted ConfigMaps are updated automatically").
const mountedVersion = "..data"

// newWatcher watches the folders of a project before its files are read, so that no later change is missed.
func newWatcher(dir string) (*fsnotify.Watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err == nil {
		if err = watchFolders(w, dir, nil); err != nil {
			err = errors.Join(err, w.Close())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("watching %s: %w", dir, err)
	}
	return w, nil
}

// watchFolders watches the folders that contain files of a project.
func watchFolders(w *fsnotify.Watcher, dir string, files workflows.Files) error {
	folders := []string{"", "workflows", "connectors", "fixtures", "schemas"}
	for name := range files {
		if folder := path.Dir(name); folder != "." && !slices.ContainsFunc(folders[1:], func(f string) bool {
			return folder == f || strings.HasPrefix(folder, f+"/")
		}) {
			folders = append(folders, folder) // for a schema
		}
	}
	for _, sub := range folders {
		root := filepath.Join(dir, sub)
		if target, err := filepath.EvalSymlinks(root); err == nil {
			root = target
		}
		err := filepath.WalkDir(root, func(p string, e os.DirEntry, err error) error {
			if err != nil || !e.IsDir() || sub == "" && p != root {
				return nil
			}
			return w.Add(p)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// warn logs what is wrong with a project that runs anyway.
func (l *loaded) warn(log *slog.Logger) {
	for _, m := range l.mistakes {
		level := slog.LevelWarn
		if len(errorsOf(workflows.Mistakes{m})) > 0 {
			level = slog.LevelError
		}
		log.Log(context.Background(), level, m.Problem, "at", fmt.Sprintf("%s:%d:%d", m.File, m.Line, m.Column), "hint", m.Hint)
	}
}
