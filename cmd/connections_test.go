package cmd

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestNewConnectionsReplaceIdleOnes checks that at the limit silent, slow and idle connections are
// closed, and active ones are not.
func TestNewConnectionsReplaceIdleOnes(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	open := newConnections(l, func(int) int { return 0 })
	open.limit = 16
	entered, leave := make(chan struct{}), make(chan struct{})
	s := &http.Server{ConnState: open.changed, ConnContext: open.context, ReadHeaderTimeout: time.Minute,
		Handler: handled(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/work" {
				entered <- struct{}{}
				<-leave
			}
			fmt.Fprint(w, "ok")
		}))}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(open) }()
	dial := func(text string) net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		return c
	}
	status := func(c net.Conn) int {
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Error(err)
			return 0
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	atWork := dial("GET /work HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	for range 5 {
		dial("")
		dial("GET / HT")
		status(dial("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	}
	time.Sleep(silentFor + 100*time.Millisecond) // none of them is new any more
	for i := range 40 {
		if got := status(dial("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); got != http.StatusOK {
			t.Fatalf("connection %d: %d", i, got)
		}
	}
	close(leave)
	if got := status(atWork); got != http.StatusOK {
		t.Errorf("the one at work: %d", got)
	}
	open.mu.Lock()
	n := len(open.open)
	open.mu.Unlock()
	if n > open.limit*9/8 {
		t.Errorf("%d connections are open; the bound is %d", n, open.limit)
	}
	_ = s.Close()
	<-ended
}
