// Package seal encrypts what must survive a restart and must not be readable in the database: the
// values of secret inputs, and masked parts of outputs that later steps read. The key is outside
// the database, in a file beside it or in the environment, so that a copy of the database alone
// discloses nothing. It must not know events, runs or stores.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/hookloom/hookloom/engine/atomicfile"
)

const (
	// FileName is the key file in the project's folder. EnvName is the environment variable used
	// instead, or the name of a file in $CREDENTIALS_DIRECTORY or /run/secrets.
	FileName = ".hookloom-key"
	EnvName  = "HOOKLOOM_KEY"
	keySize  = 32
	idSize   = 4
	// minText is the minimum length in bytes of a key chosen by a person.
	minText = 16
)

// ErrNoKey is wrapped if there is no key, or not the one that sealed the value.
var ErrNoKey = errors.New("the key for it is missing: restore " + FileName + ", or set " + EnvName)

// Ring holds the key of a project. It is safe for concurrent use, and reads or creates the key on
// first use.
type Ring struct {
	dir string

	mu   sync.Mutex
	keys *keys
}

// keys are derived from the stored key, one per purpose.
type keys struct {
	id   []byte
	aead cipher.AEAD
	mark []byte
	// master is the stored key, for Key.
	master []byte
}

// New returns the ring of a project's folder.
func New(dir string) *Ring { return &Ring{dir: dir} }

// Seal encrypts plain. context describes it, and must be the same to open it.
func (r *Ring) Seal(plain []byte, context string) ([]byte, error) {
	k, err := r.get(true)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, k.aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("reading random bytes: %w", err)
	}
	out := append(append([]byte{}, k.id...), nonce...)
	return k.aead.Seal(out, nonce, plain, []byte(context)), nil
}

// Open decrypts a value from Seal. It wraps ErrNoKey if the key is another one.
func (r *Ring) Open(sealed []byte, context string) ([]byte, error) {
	k, err := r.get(false)
	if err != nil {
		return nil, err
	}
	n := k.aead.NonceSize()
	if len(sealed) < idSize+n {
		return nil, errors.New("a sealed value is damaged")
	}
	if string(sealed[:idSize]) != string(k.id) {
		return nil, fmt.Errorf("a value was sealed with another key; %w", ErrNoKey)
	}
	out, err := k.aead.Open(nil, sealed[idSize:idSize+n], sealed[idSize+n:], []byte(context))
	if err != nil {
		return nil, errors.New("a sealed value is damaged")
	}
	return out, nil
}

// Mark returns eight digits that are the same for equal texts and disclose nothing without the key.
func (r *Ring) Mark(text string) (string, error) {
	k, err := r.get(true)
	if err != nil {
		return "", err
	}
	m := hmac.New(sha256.New, k.mark)
	m.Write([]byte(text))
	return hex.EncodeToString(m.Sum(nil)[:4]), nil
}

// Key derives a key of 32 bytes for a purpose, always the same one.
func (r *Ring) Key(purpose string) ([]byte, error) { return r.derived(purpose, true) }

// Existing is Key, but does not create a key if there is none: it wraps ErrNoKey.
func (r *Ring) Existing(purpose string) ([]byte, error) { return r.derived(purpose, false) }

func (r *Ring) derived(purpose string, create bool) ([]byte, error) {
	k, err := r.get(create)
	if err != nil {
		return nil, err
	}
	b, err := hkdf.Key(sha256.New, k.master, nil, "hookloom key for "+purpose, keySize)
	if err != nil {
		return nil, fmt.Errorf("deriving a key: %w", err)
	}
	return b, nil
}

// get reads the key; with create it creates one if there is none.
func (r *Ring) get(create bool) (*keys, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys != nil {
		return r.keys, nil
	}
	master, err := r.read(create)
	if err != nil {
		return nil, err
	}
	r.keys, err = derive(master)
	return r.keys, err
}

func (r *Ring) read(create bool) ([]byte, error) {
	if text := os.Getenv(EnvName); text != "" {
		return parse(text, EnvName)
	}
	for _, dir := range []string{os.Getenv("CREDENTIALS_DIRECTORY"), "/run/secrets"} { // of systemd, and of Docker and Podman
		if dir == "" {
			continue
		}
		path := filepath.Join(dir, EnvName)
		b, err := os.ReadFile(path)
		if err == nil {
			return parse(string(b), path)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("reading the key: %w", err)
		}
	}
	path := filepath.Join(r.dir, FileName)
	b, err := os.ReadFile(path)
	switch {
	case err == nil:
		return parse(string(b), path)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("reading the key: %w", err)
	case !create:
		return nil, ErrNoKey
	}
	master := make([]byte, keySize)
	if _, err := rand.Read(master); err != nil {
		return nil, fmt.Errorf("reading random bytes: %w", err)
	}
	err = write(path, base64.StdEncoding.EncodeToString(master)+"\n")
	if errors.Is(err, fs.ErrExist) {
		return r.read(false) // another process was faster
	}
	if err != nil {
		return nil, fmt.Errorf("creating the key %s (set %s instead to have none created): %w", path, EnvName, err)
	}
	return master, nil
}

// write creates the file completely or not at all, and never replaces one.
func write(path, text string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), FileName+".*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.WriteString(text) // CreateTemp sets mode 0600
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(path))
}

// parse parses a key: base64 of 32 bytes, or any text of at least 16 bytes.
func parse(text, from string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if b, err := base64.StdEncoding.DecodeString(text); err == nil && len(b) == keySize {
		return b, nil
	}
	if len(text) < minText {
		return nil, fmt.Errorf("the key in %s is too short: use at least %d characters, such as the output of `openssl rand -base64 32`",
			from, minText)
	}
	sum := sha256.Sum256([]byte(text))
	return sum[:], nil
}

func derive(master []byte) (*keys, error) {
	var parts [3][]byte
	for i, use := range []string{"hookloom seal", "hookloom mark", "hookloom key id"} {
		b, err := hkdf.Key(sha256.New, master, nil, use, keySize)
		if err != nil {
			return nil, fmt.Errorf("deriving keys: %w", err)
		}
		parts[i] = b
	}
	block, err := aes.NewCipher(parts[0])
	if err != nil {
		return nil, fmt.Errorf("the key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("the key: %w", err)
	}
	return &keys{id: parts[2][:idSize], aead: aead, mark: parts[1], master: master}, nil
}
