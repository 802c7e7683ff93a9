package postgres

import (
	"context"
	"net"
	"syscall"
	"time"
)

// deadTime is after how long a connection counts as lost whose server's machine answers nothing, as after
// a failover from a machine that is gone. A server that only is slow still confirms what it receives.
const deadTime = 6 * time.Second

// dial opens a connection that is noticed to be lost, also while it only waits.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: deadTime / 2, Interval: deadTime / 6, Count: 3},
		Control: func(network, _ string, c syscall.RawConn) error {
			if network == "unix" {
				return nil
			}
			return c.Control(limitUnanswered)
		},
	}
	return d.DialContext(ctx, network, address)
}
