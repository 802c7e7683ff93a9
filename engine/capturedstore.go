package engine

import (
	"context"
	"time"
)

// CapturedSecret is a secret that a provider sent in a handshake.
type CapturedSecret struct {
	Name, Trigger string
	// Sealed is the encrypted value.
	Sealed []byte
	At     time.Time
}

// CapturedStore stores the secrets that providers send in handshakes, for all nodes of a shared database.
// With SQLite they are in the project's folder, and its methods return errors.ErrUnsupported. Its user is
// cmd.
type CapturedStore interface {
	// AwaitSecret lets a trigger capture one secret until a time; it replaces an earlier time. It may run
	// twice. AwaitedSecrets returns the times.
	AwaitSecret(ctx context.Context, trigger string, until time.Time) error
	AwaitedSecrets(ctx context.Context) (map[string]time.Time, error)
	// CaptureSecret stores a secret durably and ends the wait of its trigger, in one transaction, and
	// publishes SignalSecrets. ok is false, and nothing has changed, if the trigger does not wait at s.At
	// or a secret of that name is stored: only the first is trusted.
	CaptureSecret(ctx context.Context, s CapturedSecret) (ok bool, err error)
	// CapturedSecrets lists the stored secrets, by name.
	CapturedSecrets(ctx context.Context) ([]CapturedSecret, error)
}

// CertificateStore stores the keys and certificates of an ACME authority, encrypted, for all nodes of a
// shared database. With SQLite they are in a folder, and its methods return errors.ErrUnsupported. Its user
// is cmd.
type CertificateStore interface {
	// Certificate returns what is stored under a name, ErrNotFound if nothing is.
	Certificate(ctx context.Context, name string) ([]byte, error)
	// SaveCertificate stores or replaces, and DropCertificate removes what is stored under a name. Both may
	// run twice.
	SaveCertificate(ctx context.Context, name string, sealed []byte) error
	DropCertificate(ctx context.Context, name string) error
	// ClaimCertificate claims a name for owner until a time. ok is false if another owner has a claim that
	// has not expired at now. DropCertificateClaim ends the claim of owner; it may run twice.
	ClaimCertificate(ctx context.Context, name, owner string, now, until time.Time) (ok bool, err error)
	DropCertificateClaim(ctx context.Context, name, owner string) error
}
