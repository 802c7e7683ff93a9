package egress

import (
	"context"
	"errors"
	"net"
	"net/http"
)

// Dial connects to an address, as a Guard's clients do.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// DialOf returns the way out for protocols other than HTTP, under the same rules: that of
// the guard which made the client. A client that no guard made has none.
func DialOf(client *http.Client) (Dial, error) {
	if client != nil {
		if t, ok := client.Transport.(transport); ok {
			return t.guard.dial, nil
		}
	}
	return nil, errors.New("only HTTP connections are allowed here")
}
