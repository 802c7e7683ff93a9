package triggers

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// Deps is what triggers need of the process around them.
type Deps struct {
	// Secret looks a secret up.
	Secret func(name string) (string, bool)
	// Fetch sends a request through the egress guard and gives a bounded body; nil
	// where there is no network.
	Fetch Fetch
	// From is the address that a captured request came from, where Judge shall know it.
	From netip.Addr
	// Capture keeps a secret that a provider handed over; nil to keep none.
	Capture func(trigger, secret, value string) error
	// awaited tells whether an operator waits for a trigger's secret, and taken that
	// it has come; nil where no server waits.
	awaited, taken func(trigger string, at time.Time) bool
	// Answered is told how a delivery was answered, and in what time; nil for nobody.
	// The outcome is accepted, duplicate, filtered, handshake, refused, limited or
	// unavailable; the trigger is empty for unknown paths.
	Answered func(trigger, outcome string, took time.Duration)
}

// setSecrets gives the secrets that are set: an expression that names another one
// fails.
func setSecrets(p *workflows.Project, secret func(string) (string, bool)) *workflows.Env {
	values := map[string]any{}
	for _, n := range p.SecretNames() {
		if v, ok := secret(n); ok {
			values[n] = v
		}
	}
	return &workflows.Env{Names: workflows.Names{"secrets": values}}
}

// secretEnv gives all secrets, "" for one that is not set: a trigger may go on
// without an old one, and says itself when it cannot.
func secretEnv(p *workflows.Project, secret func(string) (string, bool)) *workflows.Env {
	values := map[string]any{}
	for _, n := range p.SecretNames() {
		if v, ok := secret(n); ok {
			values[n] = v
		} else {
			values[n] = ""
		}
	}
	return &workflows.Env{Names: workflows.Names{"secrets": values}}
}

func texts(v *workflows.Value, env *workflows.Env) (map[string]string, error) {
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

// Fetch sends a request through the egress guard and gives a bounded body.
type Fetch = func(ctx context.Context, r *http.Request) ([]byte, error)
