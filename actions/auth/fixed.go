package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// fixedKind reports whether a connection has a credential that cannot be renewed, and a rule for
// responses that mean that it has expired.
func fixedKind(c Connection) bool {
	a := c.Auth
	return c.Expired != nil && a != nil && (a.Bearer != nil || a.BasicUser != nil || a.HeaderName != "" || a.QueryName != "")
}

// fixedParts returns the texts of a fixed credential.
func (f *filler) fixedParts(a *workflows.Auth) []string {
	out := []string{a.HeaderName, a.QueryName, f.text("bearer", a.Bearer), f.text("user", a.BasicUser),
		f.text("the header", a.HeaderValue), f.text("the query parameter", a.QueryValue)}
	if a.BasicPassword == nil {
		return out
	}
	if s, literal := a.BasicPassword.IsConstant(); literal && s == "" {
		return out // some services need only a user name
	}
	return append(out, f.text("password", a.BasicPassword))
}

// expire holds a connection whose fixed credential has expired, according to the service: only a
// person can replace it.
func (s *Source) expire(ctx context.Context, c Connection, status int) error {
	why := fmt.Sprintf("connection %s: the service says that its credential has expired (it answered %d): set a new one and reload, "+
		"or run hookloom connect %s to try it again", c.Name, status, c.Name)
	if s.fixed != "" {
		return misconfigured(c.Name, "the service says that its credential has expired")
	}
	config, err := s.config(c)
	if err != nil {
		return err
	}
	held := &engine.HeldError{Connection: c.Name, Why: why}
	s.o.Held(ctx, c.Name, why)
	return errors.Join(held, s.change(ctx, c.Name, func(t *engine.TokenState) bool {
		if t.Held != "" && t.Config == config {
			return false
		}
		now := time.Now()
		t.Held, t.HeldAt, t.Config, t.LastError, t.ErrorAt = why, now, config, why, now
		s.o.Log.Warn("a connection needs a new credential", "connection", c.Name, "why", why)
		return true
	}))
}

// release releases a connection whose fixed credential was held, and reports whether it was.
func (s *Source) release(ctx context.Context, name string) (was bool, err error) {
	err = s.change(ctx, name, func(t *engine.TokenState) bool {
		was = t.Held != ""
		t.Held, t.HeldAt, t.LastError, t.ErrorAt = "", time.Time{}, "", time.Time{}
		return was
	})
	if was && err == nil {
		s.o.Ready(ctx, name)
	}
	return was, err
}

// change updates the stored state of a connection while holding its claim. do reports whether it
// changed anything.
func (s *Source) change(ctx context.Context, name string, do func(*engine.TokenState) bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimTime)
	defer cancel()
	for {
		now := time.Now()
		t, ok, err := s.o.Store.ClaimToken(ctx, name, s.owner, now, now.Add(claimTime))
		switch {
		case err != nil:
			return fmt.Errorf("what is kept of connection %s: %w", name, err)
		case ok && do(&t):
			t.Connection = name
			return s.o.Store.SaveToken(ctx, s.owner, t)
		case ok:
			return s.o.Store.DropClaim(ctx, name, s.owner)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("what is kept of connection %s: another process is still changing it", name)
		case <-time.After(claimLook):
		}
	}
}
