package cmd

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// TestServiceManagerIsNotifiedOfStartWatchdogAndStop uses a socket like systemd's.
func TestServiceManagerIsNotifiedOfStartWatchdogAndStop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", "")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	calls := 0
	go func() {
		ended <- notifyWhileReady(ctx, func() error {
			if calls++; calls == 1 {
				return errors.New("not now")
			}
			return nil
		})
	}()
	read := func() string {
		b := make([]byte, 64)
		if err := l.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := l.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	if got := read(); got != "READY=1" {
		t.Errorf("first %q", got)
	}
	if got := read(); got != "WATCHDOG=1" {
		t.Errorf("then %q", got)
	}
	stop()
	got := read()
	for got == "WATCHDOG=1" {
		got = read()
	}
	if got != "STOPPING=1" {
		t.Errorf("at last %q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if calls < 2 {
		t.Error("a process that is not ready was reported as alive")
	}
}
