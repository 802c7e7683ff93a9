package cmd

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/seal"
	"github.com/hookloom/hookloom/engine/secrets"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/triggers"
)

const (
	// sealedCapture is the prefix of the context under which secrets from handshakes are encrypted.
	sealedCapture = "secret from a handshake: "
	// captureLook is how often a node looks for what others have captured, if no signal comes, and windowLook
	// how often it looks which triggers wait, while handshakes arrive.
	captureLook, windowLook = time.Second, 500 * time.Millisecond
	// captureTime limits a write, and windowTime a look at which triggers wait: handshakes wait for it.
	captureTime, windowTime = 10 * time.Second, time.Second
	// captureRetry is when the project is loaded again if it could not be loaded with a captured secret.
	captureRetry = 10 * time.Second
)

// sharedSecrets are the secrets from providers' handshakes in the database of several nodes. The methods of
// nil, for one node, do nothing.
type sharedSecrets struct {
	store *store.Store
	keys  *seal.Ring
	log   *slog.Logger
	// changed is sent to when the project is to be loaded again.
	changed chan struct{}

	mu sync.Mutex
	// used are the secrets in use, with the time at which each was captured; loading are those of a project that
	// is being loaded.
	used, loading map[string]time.Time
	// awaited are the open windows, as of looked; unknown reports that the database could not be asked then.
	awaited map[string]time.Time
	unknown bool
	looked  time.Time
	// looking is closed when the look that is under way ends; nil if none is.
	looking chan struct{}
}

// capture stores a secret from a provider's handshake, and reloads the project with it.
func (s *server) capture(trigger, secret, value string) error {
	if s.shared != nil {
		return s.shared.capture(trigger, secret, value)
	}
	if err := s.env.add(secret, value); err != nil {
		return err
	}
	s.o.log.Info("a secret from a provider was stored", "trigger", trigger, "secret", secret, "file", filepath.Join(s.o.dir, ".env"))
	select {
	case s.captured <- struct{}{}:
	default: // a reload is pending already
	}
	return nil
}

// windows returns the windows that the nodes share; nil if there is one node.
func (s *server) windows() triggers.Windows {
	if s.shared == nil {
		return nil
	}
	return s.shared
}

// use gives a set the stored secrets.
func (x *sharedSecrets) use(ctx context.Context, set *secrets.Set) error {
	if x == nil {
		return nil
	}
	list, err := x.store.CapturedSecrets(ctx)
	if err != nil {
		return fmt.Errorf("reading the secrets from handshakes: %w", err)
	}
	values := openCaptured(list, x.keys, func(name string, err error) {
		x.log.Error("a secret from a handshake cannot be read", "secret", name, "error", err)
	})
	set.UseCaptured(values)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.loading = timesOf(list)
	return nil
}

// inUse records that the project with the secrets of the last use is in effect.
func (x *sharedSecrets) inUse() {
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.used = x.loading
}

// openCaptured decrypts secrets; unreadable is called for each that cannot be.
func openCaptured(list []engine.CapturedSecret, keys *seal.Ring, unreadable func(name string, err error)) map[string]string {
	values := map[string]string{}
	for _, s := range list {
		plain, err := keys.Open(s.Sealed, sealedCapture+s.Name)
		if err != nil {
			unreadable(s.Name, err)
			continue
		}
		values[s.Name] = string(plain)
	}
	return values
}

func timesOf(list []engine.CapturedSecret) map[string]time.Time {
	out := map[string]time.Time{}
	for _, s := range list {
		out[s.Name] = s.At
	}
	return out
}

// capture stores a secret for all nodes: the first one that came while its trigger waited. When it returns
// without an error, the secret is durable, and the provider may be answered.
func (x *sharedSecrets) capture(trigger, name, value string) error {
	sealed, err := x.keys.Seal([]byte(value), sealedCapture+name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), captureTime)
	defer cancel()
	ok, err := x.store.CaptureSecret(ctx, engine.CapturedSecret{Name: name, Trigger: trigger, Sealed: sealed, At: time.Now()})
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("the secret of trigger %s was set a moment ago, or is no longer awaited", trigger)
	}
	x.log.Info("a secret from a provider was stored in the database", "trigger", trigger, "secret", name)
	x.reload()
	return nil
}

func (x *sharedSecrets) reload() {
	select {
	case x.changed <- struct{}{}:
	default: // a reload is pending already
	}
}

// follow has the project loaded again when another node has captured a secret, until ctx ends, and after a
// while if it could not be loaded.
func (x *sharedSecrets) follow(ctx context.Context, retry time.Duration) {
	if x == nil {
		return
	}
	signals := x.store.Subscribe(ctx, engine.SignalSecrets)
	tick := time.NewTicker(captureLook)
	defer tick.Stop()
	var tried map[string]time.Time // the secrets with which the project was last loaded again, at asked
	var asked time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
		case <-tick.C:
		}
		list, err := x.store.CapturedSecrets(ctx)
		if err != nil {
			continue // /readyz reports a database that is away
		}
		now := timesOf(list)
		x.mu.Lock()
		used := maps.EqualFunc(now, x.used, time.Time.Equal)
		x.mu.Unlock()
		if !used && (!maps.EqualFunc(now, tried, time.Time.Equal) || time.Since(asked) >= retry) {
			tried, asked = now, time.Now()
			x.reload()
		}
	}
}

// Open implements triggers.Windows. With a key that does not open what is stored, the secret would be
// captured for nothing: a node with the right key could not read it.
func (x *sharedSecrets) Open(trigger string, until time.Time) error {
	ctx, cancel := context.WithTimeout(context.Background(), captureTime)
	defer cancel()
	list, err := x.store.CapturedSecrets(ctx)
	if err != nil {
		return err
	}
	var unreadable error
	openCaptured(list, x.keys, func(name string, err error) {
		unreadable = fmt.Errorf("no secret can be awaited: secret %s from an earlier handshake cannot be read: %w. Start the nodes with the key "+
			"it was stored with (%s or %s). If that key is lost, remove the secret with DELETE FROM captured_secrets WHERE name = '%s' in the "+
			"schema of the database, and ask for it again", name, err, seal.FileName, seal.EnvName, name)
	})
	if unreadable != nil {
		return unreadable
	}
	if err := x.store.AwaitSecret(ctx, trigger, until); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.looked = time.Time{}
	return nil
}

// Awaited implements triggers.Windows. If the database is away, the trigger may wait: storing the secret then
// fails, and the provider is asked to try again.
func (x *sharedSecrets) Awaited(trigger string, now time.Time) bool {
	x.mu.Lock()
	looking, first := x.looking, false
	if looking == nil && time.Since(x.looked) > windowLook {
		looking, first = make(chan struct{}), true
		x.looking = looking
	}
	x.mu.Unlock()
	switch {
	case first:
		x.look()
		close(looking)
	case looking != nil:
		<-looking
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.unknown || now.Before(x.awaited[trigger])
}

// look reads which triggers wait. All handshakes that arrive in the meantime wait for the same look, and not
// longer than windowTime: anyone can send them.
func (x *sharedSecrets) look() {
	ctx, cancel := context.WithTimeout(context.Background(), windowTime)
	defer cancel()
	awaited, err := x.store.AwaitedSecrets(ctx)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.unknown = err != nil; err == nil {
		x.awaited = awaited
	}
	x.looked, x.looking = time.Now(), nil
}

// Take implements triggers.Windows: the window is closed by capture, with the secret.
func (x *sharedSecrets) Take(trigger string, now time.Time) bool { return x.Awaited(trigger, now) }

// useCaptured gives the secrets of a loaded project those that the database of several nodes has, for commands
// that use them.
func (l *loaded) useCaptured(ctx context.Context, warn func(format string, args ...any)) {
	h, err := store.OpenHistory(l.database())
	if err != nil {
		return // there is no database, or the command says what is wrong with it
	}
	defer h.Close()
	list, err := h.CapturedSecrets(ctx)
	if err != nil {
		return // the database has the tables of an earlier version
	}
	l.secrets.UseCaptured(openCaptured(list, seal.New(l.project.Dir), func(name string, err error) {
		warn("secret %s from a handshake cannot be read: %v\n", name, err)
	}))
}
