package cmd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/dryrun"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// adminToken returns HOOKLOOM_TOKEN, or server.token of the project.
func adminToken(l *loaded) (string, error) {
	return tokenOf(l, "HOOKLOOM_TOKEN", "server.token", l.project.Server.Token)
}

// viewToken returns HOOKLOOM_VIEW_TOKEN, or server.view_token of the project.
func viewToken(l *loaded) (string, error) {
	return tokenOf(l, "HOOKLOOM_VIEW_TOKEN", "server.view_token", l.project.Server.ViewToken)
}

// tokenOf reads a token. A token that is configured and empty is an error: to continue without it
// would disable authentication.
func tokenOf(l *loaded, env, key string, written *workflows.Value) (string, error) {
	from, t := env, ""
	if env != "" {
		t = os.Getenv(env)
	}
	if t == "" {
		if written == nil {
			return "", nil
		}
		values := map[string]any{}
		for _, n := range written.SecretNames() {
			if v, ok := l.secrets.Lookup(n); ok {
				values[n] = v
			}
		}
		v, err := written.Render(&expr.Env{Names: expr.Names{"secrets": values}}, workflows.FillPlain)
		if err != nil {
			return "", fmt.Errorf("%s: %w", key, err)
		}
		if t, err = value.Text(v); err != nil {
			return "", fmt.Errorf("%s: %w", key, err)
		}
		if t == "" {
			return "", fmt.Errorf("%s is set in hookloom.yaml, but its secret is not: set the secret, or remove %s", key, key)
		}
		from = key
	}
	if why := workflows.WeakSecret(t); why != "" {
		return "", fmt.Errorf("%s %s: it is easy to guess; use a random one, such as %s", from, why, workflows.GenerateSecret())
	}
	return t, nil
}

// tokensOf reads both tokens of a project and returns an error if the address must not be served
// with them.
func (s *server) tokensOf(l *loaded) (t console.Tokens, err error) {
	if t.Operate, err = adminToken(l); err != nil {
		return t, err
	}
	if t.View, err = viewToken(l); err != nil {
		return t, err
	}
	for name, value := range l.project.Server.Tokens {
		token, err := tokenOf(l, "", "server.tokens."+name, value)
		if err != nil {
			return t, err
		}
		if t.Named == nil {
			t.Named = map[string]string{}
		}
		t.Named[name] = token
	}
	https := l.project.Server.AdminTLS != nil
	return t, console.Reachable(isLoopback(s.consoleListener.Addr()), https, len(l.project.Server.TrustedProxies) > 0, t)
}

// operator implements console.Operator: it passes orders to the engine, and predicts batches.
type operator struct {
	*machine.Engine
	*dryrun.Forecaster
}

// newConsole returns the handler of the admin address.
func (s *server) newConsole() (*console.Console, error) {
	return console.New(console.Options{Log: s.store.History(), Signals: s.store,
		Operator: operator{s.engine, &s.forecaster}, Project: s.project.Load,
		Tokens:     func() console.Tokens { return *s.tokens.Load() },
		SessionKey: func() ([]byte, error) { return s.keys.Key("console sessions") }, Sessions: s.store,
		Address: func(r *http.Request) netip.Addr { return triggers.Sender(r, s.project.Load().Server.TrustedProxies) }, HooksURL: s.hooksURL(),
		Loopback: isLoopback(s.consoleListener.Addr()), TLS: s.adminCerts != nil, Ready: s.ready, State: s.state.Load, Logger: s.o.log,
		Sent: func(ctx context.Context, d *engine.RunDetail, versions func(string) *workflows.Workflow) {
			actions.Sent(ctx, d, versions, s.project.Load())
		},
		Admit: s.admit, Evaluate: s.evaluate, Backtest: s.backtest,
		Poll: s.poll, AwaitSecret: s.hooks.AwaitSecret, Send: s.sample, Judge: s.checkSample,
		Metrics: s.telemetry.Handler(), Acks: s.telemetry.Acks,
		Connections: s.linker(), Nodes: s.store, MCP: s.mcpHandler()})
}

// consoleURL returns the URL of the console on this machine.
func (s *server) consoleURL() string {
	if s.adminCerts != nil {
		return "https://" + localAddr(s.consoleListener.Addr())
	}
	return "http://" + localAddr(s.consoleListener.Addr())
}

// adminClient returns a client for the admin address of a project on this machine, and the scheme.
// It accepts the certificate that the project names, whatever host name is used.
func adminClient(dir string, t *workflows.TLS) (client *http.Client, scheme string, err error) {
	if t == nil {
		return &http.Client{}, "http", nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.ACME != nil {
		if len(t.ACME.Hosts) > 0 {
			config.ServerName = t.ACME.Hosts[0]
		}
		return &http.Client{Transport: &http.Transport{TLSClientConfig: config}}, "https", nil
	}
	text, err := os.ReadFile(inside(dir, t.Cert))
	if err != nil {
		return nil, "", fmt.Errorf("the certificate of the server: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, "", errors.New("the certificate of the server: there is no certificate in it")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, "", fmt.Errorf("the certificate of the server: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	config.RootCAs.AppendCertsFromPEM(text)
	config.RootCAs.AddCert(leaf)
	switch {
	case len(leaf.DNSNames) > 0:
		config.ServerName = leaf.DNSNames[0]
	case len(leaf.IPAddresses) > 0:
		config.ServerName = leaf.IPAddresses[0].String()
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config}}, "https", nil
}
