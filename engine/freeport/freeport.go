// Package freeport finds addresses for the servers that tests start in processes of their own. It
// knows nothing of Hookloom.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// The ports are below those that Linux assigns to outgoing connections (32768 and up), so no client
// takes one in the meantime.
const (
	lowest    = 12_000
	blocks    = 400
	blockSize = 50
)

// A process takes ports in blocks, and listens on the first port of each until it ends. So two
// processes that run tests at the same time never get the same port, not even while a server that
// was given one is restarted.
var (
	mu    sync.Mutex
	guard []net.Listener // guarded by mu; kept so that they are not collected, which would close them
	next  int            // guarded by mu: the port that is tried next
)

// Address returns a loopback address on which a server can listen, and listen again after a restart.
// No other call of Address, in any process, returns it while this process runs.
func Address() (string, error) {
	mu.Lock()
	defer mu.Unlock()
	var last error
	for range 2 * blocks {
		if len(guard) == 0 || (next-lowest)%blockSize == 0 {
			l, err := listen(lowest + blockSize*rand.IntN(blocks))
			if err != nil {
				last = err
				continue
			}
			guard = append(guard, l)
			next = l.Addr().(*net.TCPAddr).Port + 1
		}
		l, err := listen(next)
		next++
		if err != nil { // a program of another kind listens there
			last = err
			continue
		}
		return l.Addr().String(), l.Close()
	}
	return "", fmt.Errorf("looking for a free port: %w", last)
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
}
