// Package console serves the admin address: the pages on which people inspect and act on what
// happened, the API under /api/v1, health and metrics. It treats payloads as hostile: they are
// shown as text only, under a strict content security policy.
//
// It knows the types of package engine and two contracts, Log and Operator. It must not know SQL, triggers
// or actions.
package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"golang.org/x/time/rate"
)

// Log is what the console reads. The store's History implements it. Lists are paginated, at a cost
// that does not grow with the history.
type Log = engine.History

// Operator is what the console may do. The engine implements it.
type Operator interface {
	Fire(ctx context.Context, workflow string, inputs map[string]any, who, why string) (engine.Receipt, error)
	ReplayRun(ctx context.Context, of engine.RunID, o engine.ReplayOrder) (engine.Replayed, error)
	DecideAgain(ctx context.Context, id engine.EventID, workflow string, again bool, by string) (engine.Again, error)
	Undecided(ctx context.Context, id engine.EventID) ([]string, error)
	Forecast(ctx context.Context, s engine.Selection) (*engine.Forecast, error)
	StartBatch(ctx context.Context, s engine.Selection, rate int, by string) (*engine.Batch, error)
	ChangeBatch(ctx context.Context, id engine.BatchID, to string) (*engine.Batch, error)
	Batches(ctx context.Context) ([]engine.Batch, error)
	Batch(ctx context.Context, id engine.BatchID) (*engine.Batch, error)
	BeginOrder(ctx context.Context, key string, digest []byte) (engine.Order, error)
	EndOrder(ctx context.Context, key string, o engine.Order) error
	Cancel(ctx context.Context, id engine.RunID) error
	Answer(ctx context.Context, id engine.RunID, response engine.Response) (plan.Question, error)
	Link(ctx context.Context, id engine.RunID, path, by string) (token string, q plan.Question, err error)
	Destinations() []destination.State
	OpenAlerts() []engine.OpenAlert
	Paused() []engine.Pause
	Unpause(ctx context.Context, endpoint string) (int, error)
	Prune(ctx context.Context, h workflows.History) (engine.Pruned, error)
	Switch(ctx context.Context, o engine.SwitchOrder) (engine.Switched, error)
	SwitchedOff() map[string]engine.Switch
	Audit(ctx context.Context, a engine.AuditEntry) error
	AdmitConflict(ctx context.Context, id, who string) (engine.Receipt, error)
	SetValue(ctx context.Context, c engine.ValueChange) (engine.ValueItem, error)
	DeleteValue(ctx context.Context, c engine.ValueChange) error
}

// Options configure a Console.
type Options struct {
	Log      Log
	Operator Operator
	// Signals tells live readers when to read; without it they read every streamPause.
	Signals engine.Signals
	Project func() *workflows.Project
	// Tokens returns the current tokens; both may be empty on loopback only.
	Tokens func() Tokens
	// SessionKey signs sessions, nil for a key that lasts as long as the process; Sessions records
	// ended sessions, nil to forget them.
	SessionKey func() ([]byte, error)
	Sessions   SessionLog
	// Address returns a caller's address, also behind a trusted proxy; nil for the connection's.
	Address func(*http.Request) netip.Addr
	// Loopback reports whether only this machine can reach the address; TLS reports whether it uses
	// HTTPS.
	Loopback, TLS bool
	Ready         func() Readiness
	// State returns which of the project's files are in use; nil for all.
	State  func() *engine.ProjectState
	Logger *slog.Logger
	// HooksURL is the URL of the hooks address, without a trailing slash.
	HooksURL string
	// Admit verifies a refused delivery again and stores it if it is valid now.
	Admit func(ctx context.Context, id string) (engine.Receipt, error)
	// AwaitSecret makes a trigger accept the secret in its provider's next handshake, until the
	// returned time.
	AwaitSecret func(trigger string) (time.Time, error)
	// Poll polls a trigger now and returns the result.
	Poll func(ctx context.Context, trigger string) (any, error)
	// Send sends a signed sample delivery of a trigger's provider to it and returns the response.
	Send func(ctx context.Context, trigger, kind string) (status int, answer string, err error)
	// Judge verifies such a sample without storing it. result is accepted, handshake or refused.
	Judge func(ctx context.Context, trigger, kind string) (result, reason string, deliveries []*engine.Delivery, err error)
	// MCP handles agents' requests at MCPPath; nil for none. It receives only requests with a
	// token.
	MCP http.Handler
	// Sent sets the requests and responses of a run's attempts; nil omits them. versions returns a version of its
	// workflow, nil if it cannot be read.
	Sent func(ctx context.Context, d *engine.RunDetail, versions func(version string) *workflows.Workflow)
	// Evaluate evaluates an expression, or a text with ${{ }}, for a recorded event (its id, or
	// last), or for data, which is JSON. Its error says what is wrong with them.
	Evaluate func(ctx context.Context, text, event, data string) (*expr.Evaluation, error)
	// Backtest compares an edited workflow with what ran. At the deadline of its context it returns
	// what it has found so far.
	Backtest func(ctx context.Context, o BacktestOrder) (*BacktestResult, error)
	// Nodes lists and drains the nodes of the database.
	Nodes Nodes
	// Connections shows and connects connections; nil for none.
	Connections Connections
	// Metrics serves /metrics; nil for none. Acks returns the response times of deliveries since
	// the start in seconds; nil if they are not measured.
	Metrics http.Handler
	Acks    func() *engine.Delays
}

// Tokens are the accepted tokens: Operate permits changes, View reading. Named are personal tokens
// by name, which permit changes too: they identify the caller.
type Tokens struct {
	Operate, View string
	Named         map[string]string
}

func (t Tokens) none() bool { return t.Operate == "" && t.View == "" && len(t.Named) == 0 }

// twice returns the names of two equal tokens; empty if all differ.
func (t Tokens) twice() (a, b string) {
	seen := map[string]string{}
	if t.Operate != "" {
		seen[t.Operate] = "server.token"
	}
	if t.View != "" {
		seen[t.View] = "server.view_token"
	}
	for _, name := range slices.Sorted(maps.Keys(t.Named)) {
		if other := seen[t.Named[name]]; other != "" {
			return other, "server.tokens." + name
		}
		seen[t.Named[name]] = "server.tokens." + name
	}
	return "", ""
}

// Console is the handler of the admin address.
type Console struct {
	o       Options
	handler http.Handler
	// open handles requests of callers without a role.
	open http.Handler
	// routes handles requests of callers with a role.
	routes   http.Handler
	sessions *sessions
	guesses  guesses
	streams  atomic.Int32
	// backtesting is set while a backtest is running.
	backtesting atomic.Bool
	activity    activity
	forms       forms
	stats       ttlCache[time.Duration, map[string]engine.WorkflowStats]
	standing    ttlCache[bool, engine.CurrentState]
	dead        ttlCache[bool, []engine.DeadGroup]
	needs       ttlCache[bool, int]
	// denied limits the number of refused attempts in the audit log: they must not evict other
	// entries.
	denied *rate.Limiter
	// done ends the live streams when the server stops.
	done  chan struct{}
	close sync.Once
}

// New returns a new Console. An address that others can reach needs a token, and a connection that
// cannot be read in transit.
func New(o Options) (*Console, error) {
	if o.Tokens == nil {
		o.Tokens = func() Tokens { return Tokens{} }
	}
	if err := Reachable(o.Loopback, o.TLS, len(o.Project().Server.TrustedProxies) > 0, o.Tokens()); err != nil {
		return nil, err
	}
	if o.State == nil {
		o.State = func() *engine.ProjectState { return nil }
	}
	logins, err := newSessions(o)
	if err != nil {
		return nil, err
	}
	c := &Console{o: o, done: make(chan struct{}), sessions: logins, denied: rate.NewLimiter(rate.Every(10*time.Second), 20)}
	mux := http.NewServeMux()
	c.serve(mux)
	c.pages(mux)
	if o.Metrics != nil {
		mux.Handle("GET /metrics", o.Metrics)
	}
	open := http.NewServeMux()
	for _, m := range []*http.ServeMux{mux, open} {
		if o.Connections != nil {
			m.HandleFunc("GET "+CallbackPath, c.callback)
		}
		m.HandleFunc("GET /login", c.loginPage)
		m.HandleFunc("POST /login", c.login)
		m.Handle("GET /static/", static())
	}
	c.open, c.routes = open, mux
	c.agentPages(mux)
	// Requests from other sites' pages may not change anything, with or without a token.
	origins := http.NewCrossOriginProtection()
	origins.SetDenyHandler(http.HandlerFunc(foreignOrigin))
	guarded := origins.Handler(c.guard(routed(mux)))
	c.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/healthz", "/readyz":
			Health(w, r, o.Ready)
		default:
			guarded.ServeHTTP(w, r)
		}
	})
	return c, nil
}

// tokens returns the current tokens.
func (c *Console) tokens() Tokens { return c.o.Tokens() }

// Reachable returns an error if the admin address must not be served with these tokens.
func Reachable(loopback, https, proxied bool, t Tokens) error {
	same, other := t.twice()
	switch {
	case t.Operate != "" && t.Operate == t.View:
		return errors.New("server.token and server.view_token are the same, so viewers could act: use two different tokens")
	case same != "":
		return fmt.Errorf("%s and %s are the same, so neither identifies a caller: use different tokens", same, other)
	case loopback:
		return nil
	case t.Operate == "" && len(t.Named) == 0:
		return errors.New("an admin address other than loopback needs a token: set HOOKLOOM_TOKEN, or server.token in hookloom.yaml")
	case !https && !proxied:
		return errors.New("an admin address other than loopback needs https, because the token could be read in transit: " +
			"write server: {admin_tls: {cert: ..., key: ...}}, or name the proxy in front of it in server.trusted_proxies")
	}
	return nil
}

// Close ends the live streams, which would keep connections open.
func (c *Console) Close() { c.close.Do(func() { close(c.done) }) }

// ServeHTTP implements http.Handler.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

func problem(w http.ResponseWriter, status int, text string) {
	reply(w, status, map[string]string{"error": text})
}

func reply(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error":"the response cannot be encoded"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // on failure the client has disconnected
}

// fail responds with an error: a mistake of the caller is explained, other errors are 500.
func (c *Console) fail(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, engine.ErrNotFound):
		problem(w, http.StatusNotFound, err.Error())
	case errors.Is(err, engine.ErrQuery):
		problem(w, http.StatusBadRequest, err.Error())
	case errors.Is(err, engine.ErrStale):
		problem(w, http.StatusConflict, err.Error())
	case errors.Is(err, engine.ErrFull):
		w.Header().Set("Retry-After", "10")
		problem(w, http.StatusServiceUnavailable, "the disk is full: free some space, or run hookloom prune")
	case errors.Is(err, engine.ErrBusy), errors.Is(err, engine.ErrClosed):
		w.Header().Set("Retry-After", "1")
		problem(w, http.StatusServiceUnavailable, "cannot store now, try again")
	default:
		c.o.Logger.Error("admin call failed", "error", err)
		problem(w, http.StatusInternalServerError, "internal error; see the server's log")
	}
}
