//go:build unix

package e2e

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// activated starts the project's server like systemd: sh sets its process id, and the sockets are
// descriptors 3 and 4.
func (p *project) activated(t *testing.T, sockets ...*os.File) *process {
	t.Helper()
	argv := append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh"}, p.argv()...)
	x := &process{cmd: exec.Command(argv[0], argv[1:]...), exited: make(chan struct{})}
	x.cmd.Stderr = &x.log
	x.cmd.ExtraFiles = sockets
	x.cmd.Env = append(os.Environ(), "LISTEN_FDS=2", "LISTEN_FDNAMES=admin:hooks")
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		x.err = x.cmd.Wait()
		close(x.exited)
	}()
	t.Cleanup(func() {
		_ = x.cmd.Process.Kill() // it has ended already if the test succeeded
		<-x.exited
	})
	return x
}

// TestARestartUnderSocketActivationRefusesNoConnection checks that a client that connects while no
// server runs waits for the next one, which responds.
func TestARestartUnderSocketActivationRefusesNoConnection(t *testing.T) {
	realProcess(t)
	p := newProject(t, map[string]string{"hookloom.yaml": "triggers: {hook: {webhook: {auth: none, key: query.id}}}\n"})
	var sockets []*os.File
	var addrs []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		sockets, addrs = append(sockets, f), append(addrs, l.Addr().String())
	}
	send := func(id string) int {
		c := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := c.Post("http://"+addrs[1]+"/hooks/hook?id="+id, "application/json", bytes.NewReader([]byte("{}")))
		if err != nil {
			t.Errorf("delivery %s: %v", id, err)
			return 0
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	first := p.activated(t, sockets...)
	if got := send("1"); got != http.StatusAccepted {
		t.Fatalf("the first server answered %d; it logged\n%s", got, first.log.String())
	}
	if err := first.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-first.exited
	meanwhile := make(chan int)
	go func() { meanwhile <- send("2") }()
	select {
	case got := <-meanwhile:
		t.Fatalf("without a server a delivery was answered %d", got)
	case <-time.After(300 * time.Millisecond):
	}
	second := p.activated(t, sockets...)
	if got := <-meanwhile; got != http.StatusAccepted {
		t.Errorf("the delivery that waited was answered %d; the server logged\n%s", got, second.log.String())
	}
	resp, err := http.Get("http://" + addrs[0] + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the admin socket answers %d to /readyz", resp.StatusCode)
	}
}
