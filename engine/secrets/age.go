package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"filippo.io/age"
	"github.com/hookloom/hookloom/engine/seal"
	"github.com/hookloom/hookloom/workflows"
)

// agePurpose is the derivation context of the identity of secrets.age.
const agePurpose = "secrets.age"

// identity returns the X25519 identity of secrets.age: HKDF-SHA-256 of the project's key. The same
// key gives the same identity, so nothing else needs to be stored.
func identity(keys *seal.Ring, create bool) (*age.X25519Identity, error) {
	derive := keys.Existing
	if create {
		derive = keys.Key
	}
	b, err := derive(agePurpose)
	if err != nil {
		return nil, err
	}
	return age.ParseX25519Identity(bech32("AGE-SECRET-KEY-", b))
}

// EncryptTo encrypts what is written, for the project's key only, until it is closed. It creates a
// key if there is none.
func EncryptTo(keys *seal.Ring, w io.Writer) (io.WriteCloser, error) {
	id, err := identity(keys, true)
	if err != nil {
		return nil, err
	}
	return age.Encrypt(w, id.Recipient())
}

// DecryptFrom decrypts what EncryptTo wrote.
func DecryptFrom(keys *seal.Ring, r io.Reader) (io.Reader, error) {
	id, err := identity(keys, false)
	if err != nil {
		return nil, err
	}
	out, err := age.Decrypt(r, id)
	var no *age.NoIdentityMatchError
	if errors.As(err, &no) {
		return nil, fmt.Errorf("it was encrypted with another key; %w", seal.ErrNoKey)
	}
	return out, err
}

// Decrypt decrypts an age file from Encrypt.
func Decrypt(keys *seal.Ring, file []byte) ([]byte, error) {
	r, err := DecryptFrom(keys, bytes.NewReader(file))
	if errors.Is(err, seal.ErrNoKey) {
		return nil, err
	}
	if err == nil {
		var text []byte
		if text, err = io.ReadAll(io.LimitReader(r, maxEnvFile+1)); err == nil && len(text) <= maxEnvFile {
			return text, nil
		}
	}
	return nil, errors.New("it is damaged, or not a file of age")
}

// Encrypt encrypts a text to an age file for the project's key only. It creates a key if there is
// none.
func Encrypt(keys *seal.Ring, text []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := EncryptTo(keys, &out)
	if err == nil {
		_, err = w.Write(text)
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("encrypting: %w", err)
	}
	return out.Bytes(), nil
}

// readAge reads secrets.age, which has the format of .env.
func (s *Set) readAge() (map[string]string, *Failure) {
	fail := func(problem, advice string) (map[string]string, *Failure) {
		return nil, &Failure{Source: workflows.SecretFileName, Problem: problem, Advice: advice}
	}
	file, _, err := readBounded(filepath.Join(s.o.Dir, workflows.SecretFileName), maxEnvFile)
	if err != nil {
		return fail("it cannot be read: "+err.Error(), "make it readable by the server's user")
	}
	text, err := Decrypt(s.keys, file)
	switch {
	case errors.Is(err, seal.ErrNoKey):
		return fail(err.Error(), "use the key that encrypted the file; a check without the key, such as in CI, may set "+
			"the secrets in the environment instead")
	case err != nil:
		return fail(err.Error(), "restore the file, from version control or a backup")
	}
	values, err := workflows.ReadEnv(text)
	if err != nil {
		return fail("its text cannot be read", "hookloom secrets edit shows the line")
	}
	return values, nil
}
