package engine

import (
	"context"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
)

// TokenState is what is kept of a connection: its token, encrypted, and how it stands.
type TokenState struct {
	Connection string
	// Sealed is the encrypted token; nil for none. Version grows with each that is stored.
	Sealed  []byte
	Version int64
	// Account is whom the token is of, as far as the service says.
	Account string
	Scopes  []string
	// Config tells apart the settings that the token was fetched with.
	Config string
	// ExpiresAt is zero when the service does not say; ObtainedAt is zero without a token.
	ExpiresAt, ObtainedAt time.Time
	UsedAt                time.Time
	LastError             string
	ErrorAt               time.Time
	// Held says why only a person can help, since HeldAt; empty while the connection works.
	Held   string
	HeldAt time.Time
}

// TokenStore keeps the tokens of connections. A change is made under a claim, which one
// process at a time has, so that a refresh token is used once.
type TokenStore interface {
	// Tokens lists what is kept, by name of the connection.
	Tokens(ctx context.Context) ([]TokenState, error)
	// ClaimToken gives owner the claim of a connection until then, and what is kept of it. ok
	// is false, and nothing has changed, while another owner has a claim that is not over at now.
	ClaimToken(ctx context.Context, name, owner string, now, until time.Time) (t TokenState, ok bool, err error)
	// SaveToken stores t, durably, and ends the claim. Version is set by the store. It returns
	// ErrStale when another owner has the claim; then nothing has changed.
	SaveToken(ctx context.Context, owner string, t TokenState) error
	// DropClaim ends a claim without a change. It may run twice.
	DropClaim(ctx context.Context, name, owner string) error
	// UseTokens notes when connections were used last. It may run twice.
	UseTokens(ctx context.Context, uses map[string]time.Time) error
}

// ConnectionItem is a connection as people see it.
type ConnectionItem struct {
	Name string `json:"name"`
	// Connector is the connector that it is of, Kind how its requests are proved.
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
	ConnectDevice    = "device"    // a person opens URL and types UserCode in
	ConnectPending   = "pending"   // the person has not answered yet
	ConnectDone      = "connected"
)

// ConnectStart is what a person has to do to connect a connection.
type ConnectStart struct {
	Status string `json:"status"`
	URL    string `json:"url,omitempty"`
	// State names the connect in the call that ends it; Redirect is where the service sends
	// the browser.
	State    string   `json:"state,omitempty"`
	Redirect string   `json:"redirect,omitempty"`
	UserCode string   `json:"user_code,omitempty"`
	Interval int      `json:"interval,omitempty"`
	Account  string   `json:"account,omitempty"`
	Scopes   []string `json:"scopes,omitempty"`
}

// ConnectEnd is what became of a connect.
type ConnectEnd struct {
	Status     string   `json:"status"`
	Connection string   `json:"connection"`
	Account    string   `json:"account,omitempty"`
	Scopes     []string `json:"scopes,omitempty"`
	// Refreshes tells that the service gave a refresh token; without one a person has to
	// connect again when the token ends.
	Refreshes bool `json:"refreshes,omitempty"`
	// Slower tells that the service wants to be asked less often.
	Slower bool `json:"slower,omitempty"`
}

// HeldError is the error of an attempt whose connection only a person can mend. The
// attempt was not made: it waits on record until the connection is ready again.
type HeldError struct {
	Connection string
	// Why is what is wrong, and what to do.
	Why string
}

// Error implements error.
func (e *HeldError) Error() string { return e.Why }

// CodeToken is the error code of an attempt that had no token to be made with: nothing
// was sent to its destination.
const CodeToken = plan.TokenCode

// Connected is an Action that tells which connection an attempt would use.
type Connected interface {
	// Connection gives its name; empty for none.
	Connection(in Input) string
}

// HeldDestination is what a waiting attempt has in place of its destination.
func HeldDestination(connection string) string { return "connection " + connection }
