package egress

import (
	"context"
	"errors"
	"net"
	"net/http"
)

// Dial connects to an address, like a Guard's clients.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// DialOf returns the dial function for protocols other than HTTP, under the rules of the guard that
// created the client. A client that no guard created has none.
func DialOf(client *http.Client) (Dial, error) {
	if client != nil {
		if t, ok := client.Transport.(transport); ok {
			return t.guard.dial, nil
		}
	}
	return nil, errors.New("only HTTP connections are allowed here")
}
