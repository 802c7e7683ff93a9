package cmd

import (
	"context"
	"errors"
	"net/http"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/actions/auth"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/workflows"
)

// linker shows, tests and connects the connections of one process.
type linker struct {
	store   engine.TokenStore
	source  *auth.Source
	client  *http.Client
	project func() *workflows.Project
	secret  func(string) (string, bool)
}

// ConnectionItems implements console.Connections.
func (x *linker) ConnectionItems(ctx context.Context) ([]engine.ConnectionItem, error) {
	states, err := x.store.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	return actions.ConnectionItems(actions.Link(x.project(), x.secret), states), nil
}

// TestConnection implements console.Connections.
func (x *linker) TestConnection(ctx context.Context, name string) (string, error) {
	return actions.TestConnection(ctx, x.project(), x.secret, x.client, x.source, name)
}

// BeginConnect implements console.Connections.
func (x *linker) BeginConnect(ctx context.Context, name, redirect string) (engine.ConnectStart, error) {
	c, there := actions.Link(x.project(), x.secret)[name]
	switch {
	case !there:
		return engine.ConnectStart{}, engine.ErrNotFound
	case c.Broken != nil:
		return engine.ConnectStart{}, c.Broken
	}
	return x.source.Begin(ctx, c.Connection, redirect)
}

// FinishConnect implements console.Connections.
func (x *linker) FinishConnect(ctx context.Context, state, code string) (engine.ConnectEnd, error) {
	return x.source.Finish(ctx, state, code)
}

// linker returns the linker of the server.
func (s *server) linker() *linker {
	return &linker{store: s.store, source: s.tokenSource, client: s.guard.Client(), project: s.project.Load,
		secret: func(name string) (string, bool) { return s.secrets.Load().Lookup(name) }}
}

// newTokenSource creates the source of connection tokens. It reports to the engine, which is
// created later.
func (s *server) newTokenSource(redactor *redact.Redactor) *auth.Source {
	return auth.New(auth.Options{Store: s.store, Sealer: s.keys, Client: s.guard.Client(), TLSClient: s.guard.ClientTLS, Log: s.o.log,
		Learn: redactor.Learn,
		Held:  func(ctx context.Context, name, why string) { s.engine.HoldConnection(ctx, name, why) },
		Ready: func(ctx context.Context, name string) {
			n, err := s.engine.ConnectionReady(ctx, name)
			switch {
			case err != nil:
				s.o.log.Error("cannot resume the runs that wait for a connection yet", "connection", name, "error", err)
			case n > 0:
				s.o.log.Info("connection ready; its runs continue", "connection", name, "runs", n)
			}
		}})
}

// noteUses stores when connections were last used.
func (s *server) noteUses(ctx context.Context) {
	uses := s.tokenSource.Uses()
	if len(uses) == 0 {
		return
	}
	if err := s.store.UseTokens(ctx, uses); err != nil && !errors.Is(err, engine.ErrClosed) {
		s.o.log.Warn("the last use of connections was not stored", "error", err)
	}
}
