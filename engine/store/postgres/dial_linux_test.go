package postgres

import (
	"net"
	"syscall"
	"testing"
)

// TestLostConnectionIsDetectedInSeconds, and not after the 15 minutes and more of the system's defaults: what
// was sent is confirmed in time, and a connection that waits is probed.
func TestLostConnectionIsDetectedInSeconds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing is written
	a, err := Parse("postgres://hookloom@" + l.Addr().String() + "/hookloom")
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Config().DialFunc(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // nothing is written
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		t.Fatalf("%T", c)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	option := func(level, name int) (n int) {
		if cerr := raw.Control(func(fd uintptr) { n, err = syscall.GetsockoptInt(int(fd), level, name) }); cerr != nil || err != nil {
			t.Fatal(cerr, err)
		}
		return n
	}
	if n := option(syscall.IPPROTO_TCP, userTimeout); n != 6000 {
		t.Errorf("TCP_USER_TIMEOUT is %d ms", n)
	}
	on, idle := option(syscall.SOL_SOCKET, syscall.SO_KEEPALIVE), option(syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE)
	every, count := option(syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL), option(syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT)
	if on == 0 || idle+every*count > 6 {
		t.Errorf("keepalive %d: after %d s, every %d s, %d times", on, idle, every, count)
	}
}
