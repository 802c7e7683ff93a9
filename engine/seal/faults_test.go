package seal

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKeyThatCannotBeReadIsNeverReplaced checks each use of a key whose file, or folder, is not what it must be.
func TestKeyThatCannotBeReadIsNeverReplaced(t *testing.T) {
	folder := t.TempDir() // the key is a folder, which cannot be read as a file
	if err := os.Mkdir(filepath.Join(folder, FileName), 0o700); err != nil {
		t.Fatal(err)
	}
	credentials := t.TempDir()
	if err := os.Mkdir(filepath.Join(credentials, EnvName), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ dir, credentials, want string }{
		"a folder":          {folder, "", "reading the key: "},
		"a credential":      {t.TempDir(), credentials, "reading the key: "},
		"no project folder": {filepath.Join(t.TempDir(), "none"), "", "creating the key "},
	} {
		t.Setenv("CREDENTIALS_DIRECTORY", c.credentials)
		r := New(c.dir)
		_, err1 := r.Seal([]byte("x"), "c")
		_, err2 := r.Mark("x")
		_, err3 := r.Key("p")
		for i, err := range []error{err1, err2, err3} {
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || errors.Is(err, ErrNoKey) {
				t.Errorf("%s, use %d: %v, want %s", name, i, err, c.want)
			}
		}
		_, err4 := r.Open([]byte("x"), "c")
		_, err5 := r.Existing("p")
		for i, err := range []error{err4, err5} {
			if err == nil || errors.Is(err, ErrNoKey) != strings.HasPrefix(c.want, "creating") {
				t.Errorf("%s, reading use %d: %v", name, i, err)
			}
		}
	}
}

// TestDerivedKeysNeverChange checks that a build after this one opens, marks and signs with the same keys, and
// that no part of a sealed value opens.
func TestDerivedKeysNeverChange(t *testing.T) {
	t.Setenv(EnvName, base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef")))
	r := New(t.TempDir())
	sealed, err := r.Seal([]byte("plain"), "context")
	if err != nil {
		t.Fatal(err)
	}
	if len(sealed) != 4+12+5+16 {
		t.Errorf("a sealed text of 5 bytes has %d", len(sealed))
	}
	mark, err := r.Mark("text")
	if err != nil {
		t.Fatal(err)
	}
	key, err := r.Key("links")
	if err != nil {
		t.Fatal(err)
	}
	existing, err := r.Existing("links")
	if err != nil || string(existing) != string(key) {
		t.Errorf("%x, %v", existing, err)
	}
	if got := hex.EncodeToString(sealed[:4]) + " " + mark + " " + hex.EncodeToString(key); got != "97032f31 17066384 "+
		"4f1981246ed302bfe4d3bd59379d6a5a033cc13f9b7b33b31044c531d8b6b6bf" {
		t.Error(got)
	}
	if plain, err := r.Open(sealed, "context"); err != nil || string(plain) != "plain" {
		t.Errorf("%q, %v", plain, err)
	}
	for n := range sealed {
		if plain, err := r.Open(sealed[:n], "context"); err == nil || n >= 16 && errors.Is(err, ErrNoKey) {
			t.Errorf("%d bytes of it: %q, %v", n, plain, err)
		}
	}
}

// TestKeyIsBase64OrAChosenText checks which texts are keys.
func TestKeyIsBase64OrAChosenText(t *testing.T) {
	for text, ok := range map[string]bool{"": false, "fifteen letters": false, "sixteen letters!": true, "  fifteen letters  ": false,
		"  sixteen letters!\n": true, base64.StdEncoding.EncodeToString(make([]byte, 31)): true} {
		key, err := parse(text, "X")
		if (err == nil) != ok || ok && len(key) != keySize {
			t.Errorf("%q: %x, %v", text, key, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "the key in X is too short: use at least 16 characters") {
			t.Errorf("%q: %v", text, err)
		}
	}
	raw := []byte("0123456789abcdef0123456789abcdef")
	if key, err := parse(base64.StdEncoding.EncodeToString(raw)+"\n", "X"); err != nil || string(key) != string(raw) {
		t.Errorf("%q, %v", key, err)
	}
}
