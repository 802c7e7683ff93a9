package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/actions/auth"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/egress"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/seal"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/spelling"
	"github.com/spf13/cobra"
)

// connectTime is how long a person may take to authorize the connection.
const connectTime = 15 * time.Minute

func (a *app) connectCmd() *cobra.Command {
	var at place
	c := &cobra.Command{Use: "connect NAME", Short: "Connect a connection: sign in to its service, or fetch its token",
		Args: cobra.ExactArgs(1),
		Long: `Gets the token of a connection with auth: oauth2 or jwt_bearer and stores it,
encrypted, in the project's database. Runs that wait for the connection continue.

grant: authorization_code prints an address to open in a browser, and waits for the
response on a port of this machine, or at the console's ` + console.CallbackPath + `
when server.admin_url is set: that address must be registered with the service as
redirect URI. grant: device_code prints a code to enter on another device. The others
need no person: their token is fetched at once.

The command uses the running server; without one, it opens the database.`,
		Example: "  hookloom connect crm",
		RunE: func(c *cobra.Command, args []string) error {
			l, err := at.load()
			if err != nil {
				return err
			}
			if err := l.known(args[0]); err != nil {
				return err
			}
			return a.withLinks(c.Context(), l, func(links console.Connections) error { return a.connect(c.Context(), l, links, args[0]) })
		}}
	at.flags(c.Flags())
	return c
}

// known returns an error if the connection does not exist, or cannot be used: a file has mistakes, or
// a secret of the connection is not set.
func (l *loaded) known(name string) error {
	if err := l.usableFor(nil); err != nil {
		return err
	}
	if err := l.namesConnection(name); err != nil {
		return err
	}
	return l.usableFor(l.project.Connections[name].SecretNames())
}

// namesConnection returns an error if hookloom.yaml does not have the connection.
func (l *loaded) namesConnection(name string) error {
	if l.project.Connections[name] != nil {
		return nil
	}
	var names []string
	for n := range l.project.Connections {
		names = append(names, n)
	}
	if near := spelling.Nearest(name, names); near != "" {
		return usageError("no connection is named %q in hookloom.yaml; did you mean %q?", name, near)
	}
	return usageError("no connection is named %q in hookloom.yaml; hookloom connections lists them", name)
}

// withLinks works on the connections where their tokens are stored: in the running server, or in
// the database.
func (a *app) withLinks(ctx context.Context, l *loaded, do func(console.Connections) error) (err error) {
	if l.server() != nil || os.Getenv("HOOKLOOM_ADMIN_ADDR") != "" {
		return do(remoteLinks{l})
	}
	guard, err := egress.NewGuard(l.project.Egress.Allow)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	redactor, keys := &redact.Redactor{}, seal.New(l.project.Dir)
	db, err := store.Open(ctx, l.database(), store.Options{Redactor: redactor, Sealer: keys, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, n := range l.project.SecretNames() {
		if v, ok := l.secrets.Lookup(n); ok {
			redactor.Learn(v)
		}
	}
	source := auth.New(auth.Options{Store: db, Sealer: keys, Client: guard.Client(), TLSClient: guard.ClientTLS,
		Log: slog.New(slog.DiscardHandler), Learn: redactor.Learn,
		// A server that starts later finds the waiting runs due at once.
		Ready: func(ctx context.Context, name string) {
			if _, rerr := db.ResumeHeld(ctx, engine.HeldDestination(name), time.Now()); rerr != nil {
				a.warnf("runs that wait for connection %s cannot be resumed yet: %v\n", name, rerr)
			}
		}})
	defer source.Close()
	return do(&linker{store: db, source: source, client: guard.Client(), project: func() *workflows.Project { return l.project },
		secret: l.secrets.Lookup})
}

// remoteLinks are the connections of a running server.
type remoteLinks struct{ l *loaded }

func (x remoteLinks) call(ctx context.Context, method, path string, body, into any) error {
	return adminCall(ctx, x.l, method, "/api/v1/connections"+path, body, into)
}

// ConnectionItems implements console.Connections.
func (x remoteLinks) ConnectionItems(ctx context.Context) ([]engine.ConnectionItem, error) {
	var out engine.Page[engine.ConnectionItem]
	err := x.call(ctx, "GET", "", nil, &out)
	return out.Items, err
}

// TestConnection implements console.Connections.
func (x remoteLinks) TestConnection(ctx context.Context, name string) (string, error) {
	var out struct {
		Detail string `json:"detail"`
	}
	err := x.call(ctx, "POST", "/"+url.PathEscape(name)+"/test", nil, &out)
	return out.Detail, err
}

// BeginConnect implements console.Connections.
func (x remoteLinks) BeginConnect(ctx context.Context, name, redirect string) (out engine.ConnectStart, err error) {
	err = x.call(ctx, "POST", "/"+url.PathEscape(name)+"/connect", map[string]string{"redirect": redirect}, &out)
	return out, err
}

// FinishConnect implements console.Connections.
func (x remoteLinks) FinishConnect(ctx context.Context, state, code string) (out engine.ConnectEnd, err error) {
	err = x.call(ctx, "POST", "/connect/finish", map[string]string{"state": state, "code": code}, &out)
	return out, err
}

// connect guides a person through what the connection's grant needs.
func (a *app) connect(ctx context.Context, l *loaded, links console.Connections, name string) error {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	_, remote := links.(remoteLinks)
	listener, redirect, err := listenForCode(l, name, remote)
	if err != nil {
		return err
	}
	if listener != nil {
		defer listener.Close()
	}
	start, err := links.BeginConnect(ctx, name, redirect)
	if err != nil {
		return err
	}
	var end engine.ConnectEnd
	switch start.Status {
	case engine.ConnectDone, engine.ConnectRetried:
		end = engine.ConnectEnd{Status: start.Status, Connection: name, Account: start.Account, Scopes: start.Scopes, Refreshes: true}
	case engine.ConnectDevice:
		a.warnf("Open %s and enter the code %s\n", start.URL, start.UserCode)
		end, err = pollDevice(ctx, links, start)
	default:
		a.warnf("Open this address in a browser, and sign in:\n  %s\n", start.URL)
		if listener == nil {
			a.warnf("The service then sends the browser to %s, where the server receives the answer.\n", start.Redirect)
			end, err = awaitConnected(ctx, links, name)
		} else {
			end, err = awaitCode(ctx, listener, links, start)
		}
	}
	if err != nil {
		return err
	}
	return a.printConnected(end)
}

func (a *app) printConnected(end engine.ConnectEnd) error {
	if a.json() {
		return a.printJSON(end)
	}
	if end.Status == engine.ConnectRetried {
		a.printf("%s is retried with its current credential\n", end.Connection)
		return nil
	}
	a.printf("%s is connected%s\n", end.Connection, ofAccount(printable(end.Account), end.Scopes))
	if !end.Refreshes {
		a.warnf("the service returned no refresh token: connect again when the token expires " +
			"(many services need a scope such as offline_access, or " +
			"authorize_params: {access_type: offline})\n")
	}
	return nil
}

func ofAccount(account string, scopes []string) string {
	out := ""
	if account != "" {
		out = " as " + account
	}
	if len(scopes) > 0 {
		out += ", for " + strings.Join(scopes, " ")
	}
	return out
}

// listenForCode opens the port to which the service redirects the browser, if the grant needs one
// on this machine. It returns nil without an error if a server receives the redirect.
func listenForCode(l *loaded, name string, remote bool) (net.Listener, string, error) {
	c := actions.Link(l.project, l.secrets.Lookup)[name]
	if c.Auth == nil || c.Auth.OAuth2 == nil || c.Auth.OAuth2.Grant != workflows.GrantAuthorizationCode {
		return nil, "", nil
	}
	redirect, err := auth.Redirect(c.Connection)
	if err != nil {
		return nil, "", err
	}
	if redirect == "" && remote && l.project.Server.AdminURL != "" {
		return nil, "", nil
	}
	u, err := url.Parse(cmp.Or(redirect, "http://127.0.0.1:0/callback"))
	if err != nil || u.Hostname() == "" {
		return nil, "", usageError("connection %s: redirect is not a URL", name)
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		if !remote {
			return nil, "",
				fmt.Errorf("the service sends the browser to %s: start hookloom serve, whose console receives the answer there", redirect)
		}
		return nil, "", nil
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "80")))
	if err != nil {
		return nil, "", fmt.Errorf("waiting for the service's response at %s: %w", u.Host, err)
	}
	if redirect == "" {
		redirect = "http://" + listener.Addr().String() + "/callback"
	}
	return listener, redirect, nil
}

// awaitCode waits for the browser to bring the code.
func awaitCode(ctx context.Context, listener net.Listener, links console.Connections, start engine.ConnectStart) (
	engine.ConnectEnd, error) {
	type result struct {
		end engine.ConnectEnd
		err error
	}
	done := make(chan result, 1)
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		state, code, err := auth.CodeOf(r)
		if state != start.State { // a browser requests /favicon.ico too
			http.NotFound(w, r)
			return
		}
		var end engine.ConnectEnd
		if err == nil {
			end, err = links.FinishConnect(ctx, state, code)
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if err != nil {
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprintln(w, "Not connected; see the terminal for the reason.")
		} else {
			fmt.Fprintln(w, "Connected. This page can be closed.")
		}
		select {
		case done <- result{end, err}:
		default: // a duplicate response
		}
	})}
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(listener) }()
	defer func() { _ = srv.Shutdown(context.WithoutCancel(ctx)); <-served }()
	select {
	case r := <-done:
		return r.end, r.err
	case <-ctx.Done():
		return engine.ConnectEnd{}, errors.New("the sign-in was not completed within 15 minutes")
	}
}

// pollDevice polls until the person has entered the code (RFC 8628, 3.5).
func pollDevice(ctx context.Context, links console.Connections, start engine.ConnectStart) (engine.ConnectEnd, error) {
	every := time.Duration(start.Interval) * time.Second
	for {
		select {
		case <-ctx.Done():
			return engine.ConnectEnd{}, errors.New("the code was not entered within 15 minutes")
		case <-time.After(every):
		}
		end, err := links.FinishConnect(ctx, start.State, "")
		if err != nil || end.Status != engine.ConnectPending {
			return end, err
		}
		if end.Slower {
			every += 5 * time.Second
		}
	}
}

// awaitConnected waits until the server has the connection's token.
func awaitConnected(ctx context.Context, links console.Connections, name string) (engine.ConnectEnd, error) {
	began := time.Now()
	for {
		items, err := links.ConnectionItems(ctx)
		if err != nil {
			return engine.ConnectEnd{}, err
		}
		for _, x := range items {
			if x.Name == name && x.ObtainedAt != nil && !x.ObtainedAt.Before(began) && x.Status == "ready" {
				return engine.ConnectEnd{Status: engine.ConnectDone, Connection: name, Account: x.Account, Scopes: x.Scopes, Refreshes: true}, nil
			}
		}
		select {
		case <-ctx.Done():
			return engine.ConnectEnd{}, errors.New("the sign-in was not completed within 15 minutes")
		case <-time.After(time.Second):
		}
	}
}
