package triggers

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/permit"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// Deps are the functions of the surrounding process that triggers use.
type Deps struct {
	// Secret looks a secret up.
	Secret func(name string) (string, bool)
	// Fetch sends a request through the egress guard and returns a bounded body; nil without a
	// network.
	Fetch Fetch
	// From is the address that a captured request came from, for Verify; not valid if unknown.
	From netip.Addr
	// Capture stores a secret that a provider sent in a handshake; nil if it cannot be stored.
	Capture func(trigger, secret, value string) error
	// Permits divides the rates of triggers between the nodes of a shared database; nil if there is one
	// node.
	Permits Permits
	// Windows says which triggers wait for a secret. A server that is given nil keeps them in memory;
	// without a server nil means that all triggers wait.
	Windows Windows
	// Answered is called after each answer with its outcome and duration; nil for none. The
	// outcome is accepted, duplicate, filtered, handshake, refused, limited or unavailable.
	// The trigger is empty for unknown paths.
	Answered func(trigger, outcome string, took time.Duration)
	// Served is called after each response to a request whose events were stored, for traces; nil
	// for none.
	Served func(engine.ServedRequest)
}

// setSecrets returns an environment of the secrets that are set. Expressions that name
// another one fail.
func setSecrets(p *workflows.Project, secret func(string) (string, bool)) *expr.Env {
	values := map[string]any{}
	for _, n := range p.SecretNames() {
		if v, ok := secret(n); ok {
			values[n] = v
		}
	}
	return &expr.Env{Names: expr.Names{"secrets": values}}
}

// secretEnv returns an environment of all secrets, with "" for those that are not set: a
// trigger may work without an old secret, and reports an error itself if it cannot.
func secretEnv(p *workflows.Project, secret func(string) (string, bool)) *expr.Env {
	values := map[string]any{}
	for _, n := range p.SecretNames() {
		if v, ok := secret(n); ok {
			values[n] = v
		} else {
			values[n] = ""
		}
	}
	return &expr.Env{Names: expr.Names{"secrets": values}}
}

func texts(v *workflows.Value, env *expr.Env) (map[string]string, error) {
	x, err := v.Render(env, workflows.FillPlain)
	if err != nil {
		return nil, err
	}
	m, _ := x.(map[string]any)
	out := map[string]string{}
	for k, e := range m {
		if out[k], err = value.Text(e); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Permits gives this node a part of limits that hold for all nodes together.
type Permits = func(ctx context.Context, asks []permit.Ask) ([]permit.Grant, error)

// Fetch sends a request through the egress guard and returns a body of limited size.
type Fetch = func(ctx context.Context, r *http.Request) ([]byte, error)
