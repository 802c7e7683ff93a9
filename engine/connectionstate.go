package engine

import (
	"context"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
)

// TokenState is the stored state of a connection: its encrypted token, and its status.
type TokenState struct {
	Connection string
	// Sealed is the encrypted token; nil for none. Version increases with each stored token.
	Sealed  []byte
	Version int64
	// Account is the account that the token belongs to, if the service reports it.
	Account string
	Scopes  []string
	// Config identifies the settings that the token was fetched with.
	Config string
	// ExpiresAt is zero if the service does not report it; ObtainedAt is zero without a token.
	ExpiresAt, ObtainedAt time.Time
	UsedAt                time.Time
	LastError             string
	ErrorAt               time.Time
	// Held is why a person is needed, since HeldAt; empty while the connection works.
	Held   string
	HeldAt time.Time
}

// TokenStore stores the tokens of connections. Changes are made under a claim, which only one
// process holds at a time, so that a refresh token is used once.
type TokenStore interface {
	// Tokens lists the stored states, by name of the connection.
	Tokens(ctx context.Context) ([]TokenState, error)
	// ClaimToken claims a connection for owner until the time until, and returns its stored state.
	// ok is false, and nothing has changed, if another owner has a claim that has not expired at
	// now.
	ClaimToken(ctx context.Context, name, owner string, now, until time.Time) (t TokenState, ok bool, err error)
	// SaveToken stores t, durably, and ends the claim. Version is set by the store. It returns
	// ErrStale if another owner has the claim; nothing has changed then.
	SaveToken(ctx context.Context, owner string, t TokenState) error
	// DropClaim ends a claim without a change. It may run twice.
	DropClaim(ctx context.Context, name, owner string) error
	// UseTokens records when connections were last used. It may run twice.
	UseTokens(ctx context.Context, uses map[string]time.Time) error
}

// ConnectionItem is a connection as shown to people.
type ConnectionItem struct {
	Name string `json:"name"`
	// Connector is the connection's connector, Kind how its requests are authenticated.
	Connector string   `json:"connector"`
	Kind      string   `json:"kind"`
	Grant     string   `json:"grant,omitempty"`
	Account   string   `json:"account,omitempty"`
	Scopes    []string `json:"scopes,omitempty"`
	// Status is ready, or needs_person, not_connected or broken, with the reason in Why.
	Status      string     `json:"status"`
	Why         string     `json:"why,omitempty"`
	ObtainedAt  *time.Time `json:"obtained_at"`
	ExpiresAt   *time.Time `json:"expires_at"`
	LastUsedAt  *time.Time `json:"last_used_at"`
	LastError   string     `json:"last_error,omitempty"`
	LastErrorAt *time.Time `json:"last_error_at"`
}

// The states of a connect.
const (
	ConnectAuthorize = "authorize" // a person opens URL, and comes back with a code
	ConnectDevice    = "device"    // a person opens URL and types in UserCode
	ConnectPending   = "pending"   // the person has not answered yet
	ConnectDone      = "connected"
	ConnectRetried   = "retried" // a fixed credential that was held: its steps try it again
)

// ConnectStart is what a person must do to connect a connection.
type ConnectStart struct {
	Status string `json:"status"`
	URL    string `json:"url,omitempty"`
	// State identifies the connect in the call that ends it; Redirect is where the service sends
	// the browser.
	State    string   `json:"state,omitempty"`
	Redirect string   `json:"redirect,omitempty"`
	UserCode string   `json:"user_code,omitempty"`
	Interval int      `json:"interval,omitempty"`
	Account  string   `json:"account,omitempty"`
	Scopes   []string `json:"scopes,omitempty"`
}

// ConnectEnd is the outcome of a connect.
type ConnectEnd struct {
	Status     string   `json:"status"`
	Connection string   `json:"connection"`
	Account    string   `json:"account,omitempty"`
	Scopes     []string `json:"scopes,omitempty"`
	// Refreshes reports that the service issued a refresh token; without one, a person must connect
	// again when the token expires.
	Refreshes bool `json:"refreshes,omitempty"`
	// Slower reports that the service asks to be polled less often.
	Slower bool `json:"slower,omitempty"`
}

// HeldError is the error of an attempt whose connection needs a person. The attempt was not made:
// it is recorded as waiting until the connection is ready again.
type HeldError struct {
	Connection string
	// Why is the cause, and what to do.
	Why string
}

// Error implements error.
func (e *HeldError) Error() string { return e.Why }

// CodeToken is the error code of an attempt for which no token was available: nothing was sent to
// its destination.
const CodeToken = plan.TokenCode

// Connected is an Action that can name the connection of an attempt.
type Connected interface {
	// Connection returns the connection's name; empty for none.
	Connection(in Input) string
}

// HeldDestination is recorded as the destination of an attempt that waits for a connection.
func HeldDestination(connection string) string { return "connection " + connection }
