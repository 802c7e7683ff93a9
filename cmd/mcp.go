package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/workflows"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/spf13/cobra"
)

type mcpOptions struct {
	place
	write, workflows bool
}

// mcpCmd serves the Model Context Protocol on standard input and output.
func (a *app) mcpCmd() *cobra.Command {
	var o mcpOptions
	c := &cobra.Command{Use: "mcp", Short: "Serve the Model Context Protocol to an agent or editor", Args: cobra.NoArgs,
		Long: `Serves the Model Context Protocol on standard input and output, for agents and editors.
Its tools read: runs, events, refused deliveries, why a workflow did not run for an event,
shapes of events, backtests, the manual. They return what the corresponding commands print,
with the same masking. --allow-write adds replay, cancel, approve and fire, and
--workflow-tools the workflows with on: {mcp: {...}}. Tools that act go through the running
server; its audit log has the name of the agent.

A running server also serves the protocol itself, at /mcp of its admin address, for callers
with a token. server.view_token allows reading. With an operator token, an agent can also
call the workflows with on: {mcp: {...}} and, with server: {mcp: {allow_write: true}},
replay, cancel, approve and fire.`,
		Example: "  hookloom mcp --dir shop\n  hookloom mcp --dir shop --workflow-tools\n  hookloom mcp --dir shop --allow-write",
		RunE: func(c *cobra.Command, _ []string) error {
			t := &agentTools{db: o.db, dir: o.dir, write: o.write}
			if o.workflows {
				l, err := o.load()
				if err != nil {
					return err
				}
				t.workflows = l.project.Workflows
			}
			err := t.newServer().Run(c.Context(), &mcp.IOTransport{Reader: io.NopCloser(c.InOrStdin()), Writer: keptOpen{a.out}})
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		}}
	o.flags(c.Flags())
	c.Flags().BoolVar(&o.write, "allow-write", false, "also offer tools that act: replay, cancel, approve, fire")
	c.Flags().BoolVar(&o.workflows, "workflow-tools", false, "also offer the workflows with on: {mcp: {...}}")
	return c
}

// keptOpen is a writer that stays open when the session ends.
type keptOpen struct{ io.Writer }

// Close implements io.Closer.
func (keptOpen) Close() error { return nil }

// agentTools creates tools from commands.
type agentTools struct {
	server *mcp.Server
	// dir and db are those of the project; empty for the commands' defaults.
	dir, db string
	// write includes the tools that change something.
	write bool
	// workflows are offered as tools if they have on: mcp.
	workflows map[string]*workflows.Workflow
	// api handles calls within the server's process; nil if they go over the network.
	api func(http.Header) http.Handler
	// slots limits how many calls run at once, and waits how many wait for runs; nil for no limit.
	slots, waits chan struct{}
}

func (t *agentTools) newServer() *mcp.Server {
	if dir, err := filepath.Abs(t.dir); err == nil {
		t.dir = dir // so that no command uses another project folder
	}
	t.server = mcp.NewServer(&mcp.Implementation{Name: "hookloom", Version: version()}, &mcp.ServerOptions{
		Instructions: "Hookloom receives webhooks and runs YAML workflows. Call why_not_run if an event did not start a run, " +
			"get_run for what a run did, get_docs for the language. Check YAML with validate_yaml and backtest_yaml before you propose it."})
	t.reading()
	t.aboutFiles()
	if t.write {
		t.acting()
	}
	t.workflowTools()
	return t.server
}

// mcpSession is how long an agent's session may be idle, mcpSessions the maximum number of sessions
// per role, mcpCalls the maximum number of concurrent tool calls of all agents, and mcpWaits the
// maximum number of calls waiting for a workflow's run. A call keeps waiting after its caller has
// disconnected.
const (
	mcpSession  = 15 * time.Minute
	mcpSessions = 100
	mcpCalls    = 4
	mcpWaits    = 32
)

// mcpHandler serves the protocol at the admin address. The role of the caller that opens a session
// determines its tools; each call that changes something is checked again.
func (s *server) mcpHandler() http.Handler {
	slots, waits := make(chan struct{}, mcpCalls), make(chan struct{}, mcpWaits)
	a := &agentServers{log: s.o.log, project: s.project.Load, tools: func(p *workflows.Project, operates bool) *agentTools {
		t := &agentTools{dir: s.o.dir, db: s.o.db, slots: slots, waits: waits,
			api: func(h http.Header) http.Handler { return s.console.OnBehalf(h) }}
		if operates {
			t.workflows, t.write = p.Workflows, p.Server.MCPWrite
		}
		return t
	}}
	return a.handler()
}

// agentServers are the protocol servers, one per role. Their sessions share the tools, which take
// about a megabyte.
type agentServers struct {
	log     *slog.Logger
	project func() *workflows.Project
	tools   func(p *workflows.Project, operates bool) *agentTools

	mu sync.Mutex
	// of is the project of the servers in made, by whether their callers are operators.
	of   *workflows.Project
	made map[bool]*mcp.Server
}

// server returns the server for the caller of a request. After a reload, new sessions get a new
// one.
func (a *agentServers) server(r *http.Request) *mcp.Server {
	operates := console.RoleOf(r.Context()) == console.Operate
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.project(); a.of != p || a.made == nil {
		a.of, a.made = p, map[bool]*mcp.Server{}
	}
	if a.made[operates] == nil {
		a.made[operates] = a.tools(a.of, operates).newServer()
	}
	return a.made[operates]
}

func (a *agentServers) handler() http.Handler {
	h := mcp.NewStreamableHTTPHandler(a.server, &mcp.StreamableHTTPOptions{JSONResponse: true, SessionTimeout: mcpSession, Logger: a.log})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Mcp-Session-Id") == "" {
			open := 0
			for range a.server(r).Sessions() {
				open++
			}
			if open >= mcpSessions {
				w.Header().Set("Retry-After", "60")
				http.Error(w, fmt.Sprintf("%d sessions are open: end one with DELETE, or wait until one has been idle for %v", open, mcpSession),
					http.StatusServiceUnavailable)
				return
			}
		}
		h.ServeHTTP(w, r)
	})
}

// call runs a tool for the calling agent.
func (t *agentTools) call(ctx context.Context, slots chan struct{}, req *mcp.CallToolRequest,
	do func(context.Context) (string, error)) (*mcp.CallToolResult, error) {
	if slots != nil {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	x := &agent{name: agentName(req)}
	if t.api != nil {
		var h http.Header
		if req.Extra != nil {
			h = req.Extra.Header
		}
		x.authorization, x.api = h.Get("Authorization"), t.api(h)
	}
	text, err := do(withAgent(ctx, x))
	if err != nil {
		return nil, err
	}
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil
}

// agentName is the name that the client gives, such as claude-code/2.1.
func agentName(req *mcp.CallToolRequest) string {
	if p := req.Session.InitializeParams(); p != nil && p.ClientInfo != nil && p.ClientInfo.Name != "" {
		name := p.ClientInfo.Name
		if p.ClientInfo.Version != "" {
			name += "/" + p.ClientInfo.Version
		}
		return name
	}
	return "agent"
}
