package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/hookloom/hookloom/engine/atomicfile"
	"github.com/hookloom/hookloom/engine/seal"
	"github.com/hookloom/hookloom/workflows"
)

// ErrChanged means that secrets.age was changed since it was read.
var ErrChanged = errors.New(workflows.SecretFileName + " was changed by another program in the meantime: try again")

// ReadFile returns the text of secrets.age in dir, and the encrypted file for WriteFile. Both are
// empty if there is none.
func ReadFile(dir string) (text, file []byte, err error) {
	file, _, err = readBounded(filepath.Join(dir, workflows.SecretFileName), maxEnvFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", workflows.SecretFileName, err)
	}
	if text, err = Decrypt(seal.New(dir), file); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", workflows.SecretFileName, err)
	}
	return text, file, nil
}

// WriteFile encrypts a text to secrets.age of dir, unless the file has changed since it was read. A
// crash leaves the old file intact.
func WriteFile(dir string, text, before []byte) (err error) {
	if _, err := workflows.ReadEnv(text); err != nil {
		return err
	}
	if len(text) > maxEnvFile/2 {
		return fmt.Errorf("%s would be larger than %s", workflows.SecretFileName, workflows.SizeText(maxEnvFile/2))
	}
	file, err := Encrypt(seal.New(dir), text)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, workflows.SecretFileName)
	f, err := atomicfile.Create(path)
	if err != nil {
		return fmt.Errorf("writing %s: %w", workflows.SecretFileName, err)
	}
	defer func() { err = errors.Join(err, f.Abort()) }()
	if _, err = f.Write(file); err != nil {
		return fmt.Errorf("writing %s: %w", workflows.SecretFileName, err)
	}
	now, _, err := readBounded(path, maxEnvFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) || !bytes.Equal(now, before) {
		return ErrChanged
	}
	if err = f.Commit(0o600); err != nil {
		return fmt.Errorf("writing %s: %w", workflows.SecretFileName, err)
	}
	return nil
}

// FileNames lists the names in secrets.age; none if it cannot be read, which Failures reports.
func (s *Set) FileNames() []string {
	if !exists(filepath.Join(s.o.Dir, workflows.SecretFileName)) {
		return nil
	}
	values, _ := s.ask("age", s.readAge)
	var out []string
	for n := range values {
		out = append(out, n)
	}
	return out
}
