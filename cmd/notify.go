package cmd

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"time"
)

// notifySystemd sends a state to the service manager, such as READY=1, by the protocol of
// sd_notify(3). Without a service manager it does nothing.
func notifySystemd(state string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"}) // a leading @ is the abstract namespace
	if err != nil {
		return err
	}
	_, err = c.Write([]byte(state))
	return errors.Join(err, c.Close())
}

// watchdogEvery returns how often to notify the service manager: half of WATCHDOG_USEC, as
// sd_watchdog_enabled(3) recommends; zero if it does not expect it.
func watchdogEvery() time.Duration {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || usec <= 0 {
		return 0
	}
	return time.Duration(usec) * time.Microsecond / 2
}

// notifyWhileReady tells the service manager that the server is ready, and again within
// each watchdog period while ready returns no error, until ctx ends.
func notifyWhileReady(ctx context.Context, ready func() error) error {
	if err := notifySystemd("READY=1"); err != nil {
		return err
	}
	every := watchdogEvery()
	if every == 0 {
		<-ctx.Done()
		return notifySystemd("STOPPING=1")
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return notifySystemd("STOPPING=1")
		case <-ticker.C:
			if ready() != nil {
				continue // the manager restarts a process that does not notify it
			}
			if err := notifySystemd("WATCHDOG=1"); err != nil {
				return err
			}
		}
	}
}
