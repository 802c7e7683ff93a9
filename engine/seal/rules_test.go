package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestFormatOfSealedValuesIsStable checks that values sealed by an earlier version with this key
// can be opened, and that marks and derived keys are unchanged.
func TestFormatOfSealedValuesIsStable(t *testing.T) {
	t.Setenv(EnvName, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)))
	r := New(t.TempDir())
	k, err := r.get(false)
	if err != nil {
		t.Fatal(err)
	}
	const old = "ecd21d0e28af0492e776160f9e35ef5aa03c5d4ee12dfc3f2d93546cbdd96a8baaa4928c"
	b, err := hex.DecodeString(old)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := r.Open(b, "inputs"); err != nil || string(plain) != "4111" {
		t.Errorf("an old value: %q, %v", plain, err)
	}
	if mark, err := r.Mark("4111"); err != nil || mark != "1fb50589" {
		t.Errorf("an old mark: %s, %v", mark, err)
	}
	const oldKey = "62cf20e67777430c875358c2d2e5e6a55a58c021abcfda99ca4ba5704ca8a236"
	if key, err := r.Key("links"); err != nil || hex.EncodeToString(key) != oldKey {
		t.Errorf("an old key: %x, %v", key, err)
	}
	if len(k.id) != 4 {
		t.Errorf("the key's id has %d bytes", len(k.id))
	}
	sealed, err := r.Seal([]byte("x"), "c")
	if err != nil || len(sealed) != 4+12+1+16 { // id, nonce and tag of AES-GCM
		t.Errorf("%d bytes, %v", len(sealed), err)
	}
	again, err := r.Seal([]byte("x"), "c")
	if err != nil || bytes.Equal(again, sealed) {
		t.Errorf("a value is sealed twice in the same way, %v", err)
	}
	purpose, err := r.Key("links")
	if err != nil || len(purpose) != 32 {
		t.Fatalf("%d bytes, %v", len(purpose), err)
	}
	if same, err := New(t.TempDir()).Key("links"); err != nil || !bytes.Equal(same, purpose) {
		t.Errorf("the key of a purpose changes, %v", err)
	}
	if other, err := r.Key("sessions"); err != nil || bytes.Equal(other, purpose) {
		t.Errorf("two purposes have the same key, %v", err)
	}
	parts := [][]byte{purpose, k.mark, k.master, k.id}
	for i, a := range parts {
		for _, b := range parts[i+1:] {
			if bytes.HasPrefix(a, b) {
				t.Error("two uses share a key")
			}
		}
	}
}

// TestADamagedValueIsAnErrorAndNoPanic tries every prefix and damaged byte.
func TestADamagedValueIsAnErrorAndNoPanic(t *testing.T) {
	r := New(t.TempDir())
	sealed, err := r.Seal(nil, "c")
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := r.Open(sealed, "c"); err != nil || len(plain) != 0 {
		t.Errorf("an empty value: %q, %v", plain, err)
	}
	for n := range sealed {
		if _, err := r.Open(sealed[:n], "c"); err == nil || errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
}

// TestKeyIsReadInEachUsualForm accepts surrounding white space, base64 of 32 bytes, or a text of
// at least 16 bytes, and nothing shorter.
func TestKeyIsReadInEachUsualForm(t *testing.T) {
	whole := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{9}, 32))
	for name, c := range map[string]struct {
		text  string
		taken bool
	}{
		"base64": {whole, true}, "with a line feed": {"  " + whole + "\n", true}, "16 letters": {strings.Repeat("a", 16), true},
		"15 letters": {strings.Repeat("a", 15), false}, "15 and blanks": {strings.Repeat("a", 15) + "   ", false}, "nothing": {" ", false},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, FileName), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := New(dir).get(true)
		if (err == nil) != c.taken {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(c.text, whole) && (err != nil || !bytes.Equal(k.master, bytes.Repeat([]byte{9}, 32))) {
			t.Errorf("%s: the key is not the 32 bytes that were written", name)
		}
		if err == nil && !strings.Contains(c.text, whole) && len(k.master) != 32 {
			t.Errorf("%s: a key of %d bytes", name, len(k.master))
		}
	}
	// Base64 of 24 bytes has 32 characters: it is a text, not a short key.
	short := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 24))
	if b, err := parse(short, "x"); err != nil || len(b) != 32 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// TestWithoutAKeyNothingIsSealedOrOpened checks that an unreadable key file is never replaced:
// values sealed with it would be lost.
func TestWithoutAKeyNothingIsSealedOrOpened(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, FileName), 0o700); err != nil {
		t.Fatal(err)
	}
	missing := New(filepath.Join(dir, "no such folder"))
	for name, r := range map[string]*Ring{"a folder in its place": New(dir), "a folder that is not there": missing} {
		if _, err := r.Seal([]byte("x"), "c"); err == nil {
			t.Errorf("%s: sealed", name)
		}
		if mark, err := r.Mark("x"); err == nil || mark != "" {
			t.Errorf("%s: marked", name)
		}
		if k, err := r.Key("x"); err == nil || k != nil {
			t.Errorf("%s: a key", name)
		}
	}
	_, err := missing.Seal([]byte("x"), "c")
	if err == nil || !strings.Contains(err.Error(), EnvName) {
		t.Errorf("the message does not name %s: %v", EnvName, err)
	}
	if _, err := New(t.TempDir()).Open([]byte("x"), "c"); !errors.Is(err, ErrNoKey) {
		t.Errorf("without a file: %v", err)
	}
}

// TestAKeyThatAnotherProcessMadeIsUsed also checks that no other file is left.
func TestAKeyThatAnotherProcessMadeIsUsed(t *testing.T) {
	dir := t.TempDir()
	first := New(dir)
	sealed, err := first.Seal([]byte("x"), "c")
	if err != nil {
		t.Fatal(err)
	}
	if err := write(filepath.Join(dir, FileName), "another key, of this process\n"); !errors.Is(err, os.ErrExist) {
		t.Errorf("a key is overwritten: %v", err)
	}
	if got, err := New(dir).Open(sealed, "c"); err != nil || string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
}

// TestConcurrentProcessesCreateOneKey checks that each can open what any of them sealed.
func TestConcurrentProcessesCreateOneKey(t *testing.T) {
	for range 20 {
		dir := t.TempDir()
		var wait sync.WaitGroup
		var sealed [8][]byte
		for i := range sealed {
			wait.Go(func() {
				r := New(dir)
				if _, err := r.Key("links"); err != nil {
					t.Errorf("process %d: %v", i, err)
				}
				var err error
				if sealed[i], err = r.Seal([]byte("x"), "c"); err != nil {
					t.Errorf("process %d: %v", i, err)
				}
			})
		}
		wait.Wait()
		for i, b := range sealed {
			if got, err := New(dir).Open(b, "c"); err != nil || string(got) != "x" {
				t.Errorf("what process %d sealed: %q, %v", i, got, err)
			}
		}
	}
}
