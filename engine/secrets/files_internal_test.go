package secrets

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows"
)

// TestTheEncryptedFileIsForItsOwnerOnly, and is written once for each text that was read.
func TestTheEncryptedFileIsForItsOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	if err := WriteFile(dir, []byte("A=1\n"), nil); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, workflows.SecretFileName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info.Mode(), err)
	}
	text, file, err := ReadFile(dir)
	if err != nil || string(text) != "A=1\n" {
		t.Fatalf("%q %v", text, err)
	}
	if err := WriteFile(dir, []byte("A=2\n"), nil); !errors.Is(err, ErrChanged) {
		t.Errorf("over a file that was not read: %v", err)
	}
	if err := WriteFile(dir, []byte("A=2\n"), file); err != nil {
		t.Errorf("over the file that was read: %v", err)
	}
	if err := WriteFile(dir, []byte("A=3\n"), file); !errors.Is(err, ErrChanged) {
		t.Errorf("over a file that has changed: %v", err)
	}
	if err := WriteFile(dir, []byte("no name\n"), nil); err == nil {
		t.Error("a text that cannot be read again is written")
	}
}

// TestAFileIsReadUpToItsLimit, and no pipe or folder is read.
func TestAFileIsReadUpToItsLimit(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	for most, want := range map[int64]string{6: "", 5: "", 4: "it is larger than 4"} {
		b, _, err := readBounded(path, most)
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) || err == nil && string(b) != "12345" {
			t.Errorf("at most %d: %q %v", most, b, err)
		}
	}
	if _, _, err := readBounded(dir, 5); err == nil {
		t.Error("a folder is read")
	}
}

// TestASourceThatTakesTimeIsKnownAsSuch: a program or a server, for one secret or for all.
func TestASourceThatTakesTimeIsKnownAsSuch(t *testing.T) {
	command, vault := []string{"print"}, &workflows.Vault{}
	for name, c := range map[string]struct {
		sources workflows.SecretSources
		want    bool
	}{
		"none":             {workflows.SecretSources{}, false},
		"a file":           {workflows.SecretSources{Names: map[string]*workflows.SecretSource{"A": {File: "a"}}}, false},
		"a command":        {workflows.SecretSources{Command: command}, true},
		"Vault":            {workflows.SecretSources{Vault: vault}, true},
		"a command of one": {workflows.SecretSources{Names: map[string]*workflows.SecretSource{"A": {Command: command}}}, true},
		"Vault for one":    {workflows.SecretSources{Names: map[string]*workflows.SecretSource{"A": {Vault: &workflows.VaultField{}}}}, true},
	} {
		if got := (&Set{o: Options{Sources: c.sources}}).Slow(); got != c.want {
			t.Errorf("%s: slow is %t", name, got)
		}
	}
}

// TestAnAnswerOfVaultHasTheAdviceOfItsStatus.
func TestAnAnswerOfVaultHasTheAdviceOfItsStatus(t *testing.T) {
	for status, want := range map[int]string{299: "audit log", 300: "redirects", 399: "redirects", 400: "audit log", 429: "limits",
		503: "sealed"} {
		f := refused(status, []byte(`{"errors":["bad s3cret-token"]}`), []string{"", "s3cret-token"})
		if !strings.Contains(f.Advice, want) || strings.Contains(f.Problem, "s3cret") || !strings.Contains(f.Problem, "bad ***") {
			t.Errorf("%d: %+v", status, f)
		}
	}
}
