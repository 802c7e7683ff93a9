package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// servers creates the servers of both addresses, with their listeners and connection limits.
func (s *server) servers() (hooks *http.Server, open *connections, admin *http.Server, adminOpen *connections) {
	share := descriptors()
	s.guard.SetMaxConnections(share.outbound)
	open = newConnections(s.hooksListener, s.hooks.EndSlow)
	open.bound(share.hooks, share.tight)
	hooks = httpServer(handled(s.withHealth(s.hooks)))
	hooks.ConnState, hooks.ConnContext = open.changed, open.context
	hooks.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 100}
	if s.certs != nil {
		hooks.TLSConfig = s.certs.config
	}
	adminOpen = newConnections(s.consoleListener, func(int) int { return 0 })
	adminOpen.bound(share.admin, share.tight)
	admin = httpServer(handled(s.console))
	admin.ConnState, admin.ConnContext = adminOpen.changed, adminOpen.context
	if s.adminCerts != nil {
		admin.TLSConfig = s.adminCerts.config
	}
	admin.WriteTimeout = 0 // the live stream stays open
	if share.tight {
		s.o.log.Warn("the limit of open files (ulimit -n) is low: connections are not kept", "hooks", share.hooks, "outbound", share.outbound)
		hooks.SetKeepAlivesEnabled(false)
		admin.SetKeepAlivesEnabled(false)
	}
	return hooks, open, admin, adminOpen
}

func ignoreDeadline(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // what is still open is closed with the process
	}
	return err
}

func serveHTTP(h *http.Server, l net.Listener) error {
	serve := func() error { return h.Serve(l) }
	if h.TLSConfig != nil {
		serve = func() error { return h.ServeTLS(l, "", "") }
	}
	if err := serve(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving %s: %w", l.Addr(), err)
	}
	return nil
}

// httpServer limits what a slow or hostile client can hold.
func httpServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 60 * time.Second,
		IdleTimeout:    60 * time.Second,
		MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
}
