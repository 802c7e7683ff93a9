package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/hookloom/hookloom/workflows"
)

// A server whose disk is full when it starts cannot open its database. It waits instead of exiting:
// a service manager gives up after some starts, and senders that get no response at all stop
// sending. Until there is space, both addresses respond with 503.

const (
	// roomEvery is the interval at which free space is checked, roomTry the interval at which the
	// start is tried even if the file system reports none.
	roomEvery = 250 * time.Millisecond
	roomTry   = 10 * time.Second
)

func diskFull(err error) bool {
	return errors.Is(err, engine.ErrFull) || store.NoSpace(err)
}

// newServerWhenRoom is newServer, but waits while the disk is full.
func newServerWhenRoom(ctx context.Context, o serveOptions, l *loaded) (*server, error) {
	s, err := newServer(ctx, o, l)
	for tries := 1; err != nil && diskFull(err); tries++ {
		o.log.Error("the disk is full: deliveries are answered 503, and the start continues when there is space", "error", err)
		if err := waitForRoom(ctx, o, l, min(time.Duration(tries)*roomEvery, roomTry)); err != nil || ctx.Err() != nil {
			return nil, errors.Join(err, ctx.Err())
		}
		if l, err = loadAsked(ctx, o.dir, nil); err != nil {
			return nil, err
		}
		s, err = newServer(ctx, o, l)
	}
	return s, err
}

// waitForRoom responds with 503 until the database may be opened, or ctx ends, and for a minimum
// time: a file system may report space that it does not provide.
func waitForRoom(ctx context.Context, o serveOptions, l *loaded, least time.Duration) error {
	p := l.project
	path := database(o.dir, o.db, p)
	full := func() console.Readiness { return console.Readiness{Err: engine.ErrFull} }
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
			console.Health(w, r, full)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Retry-After", "10")
		w.WriteHeader(http.StatusServiceUnavailable)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": fullWords}) // on failure the client has disconnected
	})
	for _, a := range []struct {
		addr, key string
		tls       *workflows.TLS
	}{
		{setting(o.adminAddr, "HOOKLOOM_ADMIN_ADDR", p.Server.AdminAddr), "server.admin_tls", p.Server.AdminTLS},
		{setting(o.addr, "HOOKLOOM_ADDR", p.Server.Addr), "server.tls", p.Server.TLS},
	} {
		listener, err := listen(a.addr)
		if err != nil {
			return err
		}
		certs, err := newCertificates(o.dir, a.key, a.tls, nil)
		if err != nil {
			return errors.Join(&exitError{exitUsage, err}, listener.Close())
		}
		h := httpServer(handler)
		if certs != nil {
			h.TLSConfig = certs.config
		}
		go serveUntilClosed(h, listener)
		defer shutDown(h)
	}
	return untilRoom(ctx, path, least)
}

const fullWords = "cannot store now: the disk is full; try again later"

func serveUntilClosed(h *http.Server, l net.Listener) {
	_ = serveHTTP(h, l) // clients without a response retry
}

func shutDown(h *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if h.Shutdown(ctx) != nil {
		_ = h.Close()
	}
}

// untilRoom waits until a database at path may have space.
func untilRoom(ctx context.Context, path string, least time.Duration) error {
	ticker := time.NewTicker(roomEvery)
	defer ticker.Stop()
	for began := time.Now(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if waited := time.Since(began); waited >= least && (postgres.IsAddress(path) || store.Fits(path)) || waited > roomTry {
			return nil
		}
	}
}
