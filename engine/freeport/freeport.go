// Package freeport finds addresses for the servers that tests start in processes of their own. It
// knows nothing of Hookloom.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Address returns a loopback address on which a server can listen, and listen again after a restart.
// Its port is below those that Linux assigns to outgoing connections (32768 and up), so no client
// takes it in the meantime.
func Address() (string, error) {
	var last error
	for range 200 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 12_000+rand.IntN(20_000)))
		if err != nil {
			last = err
			continue
		}
		return l.Addr().String(), l.Close()
	}
	return "", fmt.Errorf("looking for a free port: %w", last)
}
