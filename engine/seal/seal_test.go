package seal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestOnlyTheKeyOpensSealedValues(t *testing.T) {
	dir := t.TempDir()
	plain := []byte("4111222233334444")
	sealed, err := New(dir).Seal(plain, "inputs")
	if err != nil || bytes.Contains(sealed, plain) {
		t.Fatalf("%q, %v", sealed, err)
	}
	info, err := os.Stat(filepath.Join(dir, FileName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if got, err := New(dir).Open(sealed, "inputs"); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("after a restart: %q, %v", got, err)
	}
	if _, err := New(dir).Open(sealed, "outputs"); err == nil {
		t.Error("it opens as something else")
	}
	if _, err := New(t.TempDir()).Open(sealed, "inputs"); !errors.Is(err, ErrNoKey) {
		t.Errorf("without the file: %v", err)
	}
	other := New(t.TempDir())
	if _, err := other.Seal(plain, "inputs"); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Open(sealed, "inputs"); !errors.Is(err, ErrNoKey) {
		t.Errorf("with another key: %v", err)
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := New(dir).Open(sealed, "inputs"); err == nil || errors.Is(err, ErrNoKey) {
		t.Errorf("a flipped bit: %v", err)
	}
}

func TestKeyOfTheEnvironmentIsUsedWithoutAFile(t *testing.T) {
	t.Setenv(EnvName, "a long text that somebody chose")
	dir := t.TempDir()
	sealed, err := New(dir).Seal([]byte("x"), "c")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, FileName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file was made: %v", err)
	}
	if got, err := New(t.TempDir()).Open(sealed, "c"); err != nil || string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
	t.Setenv(EnvName, "short")
	if _, err := New(dir).Seal([]byte("x"), "c"); err == nil {
		t.Error("a short key is taken")
	}
}

func TestEqualTextsHaveEqualMarks(t *testing.T) {
	a, b := New(t.TempDir()), New(t.TempDir())
	x, err := a.Mark("4111")
	if err != nil || len(x) != 8 {
		t.Fatal(x, err)
	}
	if y, _ := a.Mark("4111"); y != x {
		t.Error("equal texts differ")
	}
	if y, _ := a.Mark("4112"); y == x {
		t.Error("other texts are equal")
	}
	if y, _ := b.Mark("4111"); y == x {
		t.Error("it does not depend on the key")
	}
}

// TestKeyMayBeASystemdCredential uses a systemd credential as in examples/deploy/hookloom.service:
// nothing is written to the project, and the same key opens what the project's file sealed.
func TestKeyMayBeASystemdCredential(t *testing.T) {
	made, dir, credentials := t.TempDir(), t.TempDir(), t.TempDir()
	sealed, err := New(made).Seal([]byte("x"), "a value")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(made, FileName), filepath.Join(credentials, EnvName)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", credentials)
	if plain, err := New(dir).Open(sealed, "a value"); err != nil || string(plain) != "x" {
		t.Errorf("%q %v", plain, err)
	}
	if _, err := os.Stat(filepath.Join(dir, FileName)); err == nil {
		t.Error("a second key was made")
	}
}
