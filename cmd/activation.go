package cmd

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// firstPassed is the first file descriptor that a service manager passes (sd_listen_fds(3)).
const firstPassed = 3

// passed are the sockets that the service manager keeps open for this process, so that no
// connection is refused during a restart.
type passed struct{ hooks, admin net.Listener }

// passedSockets returns the sockets of socket activation (sd_listen_fds(3)): FileDescriptorName= of
// the socket unit distinguishes hooks and admin; without names the first one is hooks. It removes
// the variables from the environment, so that child processes do not use them.
func passedSockets() (p passed, err error) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	if pid != strconv.Itoa(os.Getpid()) || count == "" {
		return passed{}, nil
	}
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		if err := os.Unsetenv(name); err != nil {
			return passed{}, err
		}
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > 2 {
		return passed{}, fmt.Errorf("the service manager passes %s sockets (LISTEN_FDS); hookloom serve takes one for hooks and one for admin",
			count)
	}
	named := strings.Split(names, ":")
	for i := range n {
		name := ""
		if i < len(named) {
			name = named[i]
		}
		if err := p.take(i, name); err != nil {
			return passed{}, err
		}
	}
	return p, nil
}

func (p *passed) take(i int, name string) error {
	f := os.NewFile(uintptr(firstPassed+i), name)
	l, err := net.FileListener(f)
	if err != nil {
		return fmt.Errorf("socket %d of the service manager (%s) does not listen: %w", i, name, err)
	}
	if err := f.Close(); err != nil { // the listener has a copy
		return err
	}
	to := &p.admin
	if name == "hooks" || name != "admin" && i == 0 {
		to = &p.hooks
	}
	if *to != nil {
		return fmt.Errorf("two sockets of the service manager are for the same address: name them by FileDescriptorName=hooks and " +
			"FileDescriptorName=admin")
	}
	*to = l
	return nil
}

// listenOr returns a passed socket, or a new one at the address.
func listenOr(l net.Listener, addr string) (net.Listener, error) {
	if l != nil {
		return l, nil
	}
	return listen(addr)
}
