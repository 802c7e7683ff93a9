package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/actions/auth"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/dryrun"
	"github.com/hookloom/hookloom/engine/egress"
	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/seal"
	"github.com/hookloom/hookloom/engine/secrets"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/telemetry"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
	"github.com/spf13/cobra"
)

// serveOptions are what a server needs besides its project.
type serveOptions struct {
	dir, db, addr, adminAddr string
	// node is the name of the node.
	node string
	// named reports whether the folder was given.
	named   bool
	log     *slog.Logger
	observe func(engine.Change)
	grace   time.Duration
	// sockets are those of the service manager, if it passes any.
	sockets passed
	// drainDelay is how long a node that drains goes on accepting deliveries.
	drainDelay time.Duration
}

// server is a running Hookloom: the wiring, in the order of an event's path.
type server struct {
	o      serveOptions
	store  *store.Store
	engine *machine.Engine
	// forecaster predicts what a batch replay would do.
	forecaster dryrun.Forecaster
	hooks      *triggers.Hooks
	inlets     *triggers.Inlets
	guard      *egress.Guard
	// tokenSource provides the tokens of connections.
	tokenSource *auth.Source
	// telemetry provides metrics and traces.
	telemetry *telemetry.Telemetry

	project atomic.Pointer[workflows.Project]
	// state says which of the project's files are in use; files are their contents, owned by the
	// goroutine that loads; began is the project at the start.
	state atomic.Pointer[engine.ProjectState]
	files workflows.Files
	began *workflows.Project
	// db is the database.
	db string
	// digest is that of the files in use; it is owned by the goroutine that loads them. uneven reports that
	// the nodes have had different files for a while.
	digest string
	uneven atomic.Bool
	// drained is closed when this node was asked to drain and the load balancer has had time to notice.
	drained chan struct{}

	secrets atomic.Pointer[secrets.Set]
	// keys are derived from the key file; tokens are those of the admin address.
	keys   *seal.Ring
	tokens atomic.Pointer[console.Tokens]

	certs, adminCerts *certificates
	env               *envFile
	captured          chan struct{}
	// shared are the secrets from handshakes that nodes share; nil if there is one node.
	shared          *sharedSecrets
	hooksListener   net.Listener
	consoleListener net.Listener
	// consoleBase caches consoleURL, which every run needs.
	consoleBase string
	console     *console.Console
}

// newServer opens and connects everything, and listens; it does not serve yet.
func newServer(ctx context.Context, o serveOptions, l *loaded) (_ *server, err error) {
	s := &server{o: o, env: &envFile{dir: o.dir}, captured: make(chan struct{}, 1), drained: make(chan struct{})}
	redactor, keys := &redact.Redactor{}, seal.New(o.dir)
	s.keys = keys
	defer func() {
		if err != nil {
			err = errors.Join(err, s.closeParts())
		}
	}()
	l, state, err := s.begin(ctx, l, func() error {
		if err := checkCertificateFiles(o.dir, &l.project.Server); err != nil {
			return &exitError{exitUsage, err}
		}
		return s.open(ctx, l, store.Options{Redactor: redactor, Sealer: keys, Log: o.log})
	})
	if err != nil {
		return nil, err
	}
	if err := s.shareKey(ctx); err != nil {
		return nil, err
	}
	s.began = l.project
	s.state.Store(state)
	if s.guard, err = egress.NewGuard(l.project.Egress.Allow); err != nil {
		return nil, &exitError{exitUsage, err}
	}
	admin := setting(o.adminAddr, "HOOKLOOM_ADMIN_ADDR", l.project.Server.AdminAddr)
	if s.consoleListener, err = listenOr(o.sockets.admin, admin); err != nil {
		return nil, err
	}
	if s.telemetry, err = telemetry.New(ctx, telemetry.Options{Version: version(), Log: s.store.History(), Logger: o.log,
		Project: s.project.Load, Destinations: func() []destination.State { return s.engine.Destinations() }, State: s.state.Load,
		Alerts: func() []engine.OpenAlert { return s.engine.OpenAlerts() }}); err != nil {
		return nil, &exitError{exitUsage, err}
	}
	s.tokenSource = s.newTokenSource(redactor)
	table := actions.Executors(actions.Options{Client: s.guard.Client(), Auth: s.tokenSource, Log: o.log, Redact: redactor.Text})
	s.guard.SetMayBegin(s.store.MayBegin)
	s.engine = machine.New(machine.Options{Store: s.store, Actions: table, Secrets: l.secrets.Lookup,
		Redactor: redactor, Mark: keys.Mark, Log: o.log, Observe: o.observe, Watch: s.telemetry, Grace: o.grace, RunURL: s.runURL, Disk: s.disk,
		Recent:  s.recent,
		LinkKey: func() ([]byte, error) { return keys.Key("approval links") }, Files: files.New(o.dir, l.project.FileBounds.MaxSize)})
	if err = s.tokenSource.Restore(ctx); err != nil {
		return nil, err
	}
	s.forecaster = dryrun.Forecaster{Events: s.engine, Project: s.project.Load, Actions: table,
		Secret: func(name string) (string, bool) { return s.secrets.Load().Lookup(name) }, Redact: redactor.Text}
	if s.hooks, err = triggers.NewHooks(s.engine, o.log, triggers.Deps{Fetch: fetcher(s.guard.Client()), Capture: s.capture,
		Windows: s.windows(), Permits: s.permits(), Answered: s.telemetry.Answered, Served: s.telemetry.Served()}); err != nil {
		return nil, err
	}
	s.inlets = triggers.NewInlets(s.engine, o.log)
	if err = s.prepareTLS(&l.project.Server); err != nil {
		return nil, &exitError{exitUsage, err}
	}
	if err = s.use(ctx, l); err != nil {
		return nil, err
	}
	s.keep(ctx, l)
	if s.hooksListener, err = listenOr(o.sockets.hooks, setting(o.addr, "HOOKLOOM_ADDR", l.project.Server.Addr)); err != nil {
		return nil, err
	}
	s.consoleBase = s.consoleURL()
	s.guard.SetOwn(s.hooksListener.Addr(), s.consoleListener.Addr())
	if s.console, err = s.newConsole(); err != nil {
		return nil, err
	}
	return s, s.store.Announce(s.hooksURL(), s.consoleURL())
}

// open opens the database, as the node that the settings name.
func (s *server) open(ctx context.Context, l *loaded, o store.Options) (err error) {
	p := l.project
	if o.Node, err = nodeName(setting(s.o.node, "HOOKLOOM_NODE", p.Server.Node)); err != nil {
		return err
	}
	s.db = database(s.o.dir, s.o.db, p)
	if s.store, err = store.Open(ctx, s.db, o); err != nil {
		return err
	}
	if s.store.Shared() {
		s.shared = &sharedSecrets{store: s.store, keys: s.keys, log: s.o.log, changed: s.captured}
	}
	if err := s.shared.use(ctx, l.secrets); err != nil {
		return err
	}
	s.shared.inUse()
	return nil
}

func (s *server) closeParts() error {
	var err error
	if s.hooks != nil {
		s.hooks.Close()
	}
	for _, l := range []net.Listener{s.hooksListener, s.consoleListener} {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
	}
	if s.store != nil {
		err = errors.Join(err, s.store.Close())
	}
	return err
}

func listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", addr, err)
	}
	return l, nil
}

func isLoopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}

// use switches to a checked project; before that nothing has changed.
func (s *server) use(ctx context.Context, l *loaded) error {
	reachable, err := s.hooks.Prepare(l.project, l.secrets.Lookup)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if err := s.certs.read(s.o.dir, l.project.Server.TLS); err != nil {
		return &exitError{exitUsage, err}
	}
	if err := s.adminCerts.read(s.o.dir, l.project.Server.AdminTLS); err != nil {
		return &exitError{exitUsage, err}
	}
	tokens, err := s.tokensOf(l)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if err := s.guard.Set(l.project.Egress.Allow); err != nil {
		return &exitError{exitUsage, err}
	}
	s.engine.UseSecrets(l.secrets.Lookup)
	if err := s.engine.Use(ctx, l.project); err != nil {
		return err
	}
	ask := actions.Ask(l.project.Connections, l.secrets.Lookup, s.guard.Client(), s.tokenSource)
	if err := s.inlets.Use(l.project, ask, l.secrets.Lookup); err != nil {
		return err
	}
	reachable()
	s.tokens.Store(&tokens)
	s.project.Store(l.project)
	s.telemetry.Use(l.project)
	s.secrets.Store(l.secrets)
	return s.tokenSource.Recheck(ctx, actions.Tokens(actions.Link(l.project, l.secrets.Lookup)))
}

// noteSecrets stores how often secrets were used, at intervals until ctx ends, and once more after.
func (s *server) noteSecrets(ctx context.Context) {
	ticker := time.NewTicker(5 * time.Second)
	defer ticker.Stop()
	for going := true; going; {
		select {
		case <-ctx.Done():
			going = false
		case <-ticker.C:
		}
		s.noteUses(context.WithoutCancel(ctx))
		uses := s.hooks.SecretUses()
		if len(uses) == 0 {
			continue
		}
		if err := s.store.UseSecrets(context.WithoutCancel(ctx), uses); err != nil && !errors.Is(err, engine.ErrClosed) {
			s.o.log.Warn("the use of secrets was not stored", "error", err)
		}
	}
}

// runURL returns the public URL of a run's page.
func (s *server) runURL(id engine.RunID) string {
	base := s.consoleBase
	if p := s.project.Load(); p != nil && p.Server.AdminURL != "" {
		base = p.Server.AdminURL
	}
	return base + "/runs/" + id.String()
}

// recent visits the newest stored events of a trigger.
func (s *server) recent(ctx context.Context, trigger string, limit int, visit func(*engine.Event) bool) error {
	_, err := s.store.History().EachEvent(ctx, trigger, "", limit, visit)
	return err
}

// disk returns the free and total bytes of the disk of the database, or of the project if the
// database is on a server.
func (s *server) disk() (free, total int64, err error) {
	return store.DiskSpace(diskOf(s.db, s.o.dir))
}

// hooksURL and consoleURL return the server's URLs.
func (s *server) hooksURL() string {
	if s.certs != nil {
		return "https://" + localAddr(s.hooksListener.Addr())
	}
	return "http://" + localAddr(s.hooksListener.Addr())
}

func localAddr(a net.Addr) string {
	t, ok := a.(*net.TCPAddr)
	if ok && t.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", t.Port)
	}
	return a.String()
}

// run serves until ctx ends. The shutdown follows the path of an event: first no new deliveries,
// then no new work, then open attempts end, then the store closes.
func (s *server) run(ctx context.Context) error {
	hooks, open, admin, adminOpen := s.servers()
	ended := make(chan error, 3)
	engineCtx, stopEngine := context.WithCancel(context.WithoutCancel(ctx))
	defer stopEngine()
	go func() { ended <- s.engine.Run(engineCtx) }()
	go func() { ended <- serveHTTP(hooks, open) }()
	go func() { ended <- serveHTTP(admin, adminOpen) }()
	inletCtx, stopInlets := context.WithCancel(context.WithoutCancel(ctx))
	inletsEnded := make(chan struct{})
	go func() { defer close(inletsEnded); s.inlets.Run(inletCtx) }()
	nodesCtx, stopNodes := context.WithCancel(context.WithoutCancel(ctx))
	nodesEnded := make(chan struct{})
	go func() { defer close(nodesEnded); s.followNodes(nodesCtx) }()
	noteCtx, stopNoting := context.WithCancel(context.WithoutCancel(ctx))
	noted := make(chan struct{})
	go func() { defer close(noted); s.noteSecrets(noteCtx) }()
	notifyCtx, stopNotifying := context.WithCancel(ctx)
	notified := make(chan struct{})
	go func() {
		defer close(notified)
		if err := notifyWhileReady(notifyCtx, s.store.Err); err != nil {
			s.o.log.Warn("the service manager could not be notified", "error", err)
		}
	}()
	waiting := 3
	var err error
	select {
	case <-ctx.Done():
		s.o.log.Info("stopping: no new deliveries; running steps may finish", "grace", s.o.grace)
	case <-s.drained:
		s.o.log.Info("drained: no new deliveries; running steps may finish", "grace", s.o.grace)
	case err = <-ended:
		waiting--
	case <-s.store.Failed():
		err = s.store.Err()
	}
	stopNodes()
	<-nodesEnded
	stopNotifying()
	<-notified
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = errors.Join(err, ignoreDeadline(hooks.Shutdown(stopCtx)))
	stopInlets()
	<-inletsEnded
	stopEngine()
	for ; waiting > 1; waiting-- {
		err = errors.Join(err, <-ended)
	}
	s.hooks.Close()
	s.tokenSource.Close() // late responses of token endpoints are stored
	stopNoting()
	<-noted
	s.console.Close()
	err = errors.Join(err, ignoreDeadline(admin.Shutdown(stopCtx)))
	if terr := s.telemetry.Close(stopCtx); terr != nil {
		s.o.log.Warn("the last traces were not sent", "error", terr)
	}
	if cerr := s.store.Close(); cerr != nil {
		err = errors.Join(err, fmt.Errorf("closing the database: %w", cerr))
	}
	if s.store.Err() != nil {
		return &exitError{exitIO, err}
	}
	return err
}

func (a *app) serveCmd() *cobra.Command {
	o := serveOptions{}
	var watch bool
	var level, format string
	c := &cobra.Command{Use: "serve [DIR]", Short: "Run a project", Args: cobra.MaximumNArgs(1),
		Long: `Serves the project in DIR (the current folder by default): hooks on --addr,
console, API and metrics on --admin-addr. SIGTERM stops it after running steps have
ended; SIGHUP, or --watch on every change, reloads the project. For a file with
mistakes the last good version stays in effect, also after a restart; everything else
is loaded.`,
		Example: "  hookloom serve\n  hookloom serve shop --addr :9000 --watch",
		RunE: func(c *cobra.Command, args []string) error {
			o.dir = "."
			if len(args) == 1 {
				o.dir, o.named = args[0], true
			}
			var lv slog.Level
			if err := lv.UnmarshalText([]byte(level)); err != nil {
				return usageError("--log-level is debug, info, warn or error")
			}
			var err error
			if o.log, err = newLog(a.err, setting(format, "HOOKLOOM_LOG_FORMAT", ""), lv); err != nil {
				return err
			}
			if o.sockets, err = passedSockets(); err != nil {
				return usageError("%v", err)
			}
			return a.serve(c.Context(), o, watch)
		}}
	c.Flags().StringVar(&o.addr, "addr", "", "hooks address (default :8080)")
	c.Flags().StringVar(&o.adminAddr, "admin-addr", "", "console, API and metrics (default 127.0.0.1:8081; addresses other than loopback "+
		"need a token and https)")
	c.Flags().StringVar(&o.db, "db", "", "database: a file (default DIR/hookloom.db) or postgres://...")
	c.Flags().StringVar(&o.node, "node", "", "the name of this node among those of the database (default the host's name)")
	durationVar(c.Flags(), &o.drainDelay, "drain-delay", drainDelay, "how long a node that drains goes on accepting deliveries, while "+
		"/readyz answers 503, until load balancers have noticed")
	durationVar(c.Flags(), &o.grace, "grace", 20*time.Second, "how long running steps may take to finish at shutdown")
	c.Flags().BoolVar(&watch, "watch", false, "reload the project when a file changes")
	c.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	c.Flags().StringVar(&format, "log-format", "", "text or json, one record a line (default text on a terminal, else json)")
	return c
}

// tuneMemory uses more memory for less garbage collection: most of the heap is short-lived bodies.
// At saturation on two cores some 13 MiB are in use after a collection, so the heap grows to 65.
// With a GOGC of 225 the server takes 25 MiB less and 4 % more processor time for a run; with 800 it
// takes 30 MiB more, and the time is the same within the error. See docs/benchmarks.md. GOGC and
// GOMEMLIMIT take precedence.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(325)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(160 << 20)
	}
}

func (a *app) serve(ctx context.Context, o serveOptions, watch bool) error {
	// Handle SIGHUP from here to the end, since by default it ends a process: it may arrive while a
	// large database is opened, or while open steps end.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	tuneMemory()
	var watcher *fsnotify.Watcher
	if watch {
		var err error
		if watcher, err = newWatcher(o.dir); err != nil {
			return err
		}
		defer watcher.Close()
	}
	l, err := loadAsked(ctx, o.dir, nil)
	if err != nil {
		return err
	}
	if err := o.nothingHere(l); err != nil {
		return err
	}
	s, err := newServerWhenRoom(ctx, o, l)
	if err != nil {
		if ctx.Err() != nil {
			return nil // stopped while waiting for space
		}
		return err
	}
	debug.FreeOSMemory() // parsing the built-in connectors leaves some 30 MB behind
	l.warn(o.log)
	if state := s.state.Load(); state.Broken() {
		o.log.Error("broken files keep their last good version", "kept", state.Kept, "left_out", state.Left)
		s.notifyState(ctx, state)
	} else {
		s.engine.AlertOver(engine.AlertReloadFailed, "") // corrected while no server ran
	}
	s.notifySecrets(ctx)
	if env := s.project.Load().Environment; env != "" {
		o.log.Info("environment", "name", env)
	}
	o.log.Info("hooks", "url", s.hooksURL())
	o.log.Info("console", "url", s.consoleURL())
	running := s.project.Load().Triggers
	for _, name := range slices.Sorted(maps.Keys(running)) {
		if w := running[name].Webhook; w != nil {
			o.log.Info("trigger", "name", name, "post", s.hooksURL()+w.Path)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reloads := make(chan error, 1)
	go func() { reloads <- s.reloads(ctx, hup, watcher) }()
	err = s.run(ctx)
	cancel()
	return errors.Join(err, <-reloads)
}
