package secrets

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/seal"
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

// TestSlowSourcesAreRecognized: a program or a server, for one secret or for all.
func TestSlowSourcesAreRecognized(t *testing.T) {
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

func TestVaultErrorHasTheAdviceForItsStatus(t *testing.T) {
	for status, want := range map[int]string{299: "audit log", 300: "redirects", 399: "redirects", 400: "audit log", 429: "limits",
		503: "sealed"} {
		f := refused(status, []byte(`{"errors":["bad s3cret-token"]}`), []string{"", "s3cret-token"})
		if !strings.Contains(f.Advice, want) || strings.Contains(f.Problem, "s3cret") || !strings.Contains(f.Problem, "bad ***") {
			t.Errorf("%d: %+v", status, f)
		}
	}
}

// TestTheEncryptedFileNeedsItsKey: without it, or if it cannot be read, there is an error and no
// empty text, which would be written over it.
func TestTheEncryptedFileNeedsItsKey(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	if err := WriteFile(dir, []byte("A=1\n"), nil); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(dir, workflows.SecretFileName))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(other, workflows.SecretFileName)
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if text, _, err := ReadFile(other); !errors.Is(err, seal.ErrNoKey) {
		t.Errorf("without the key: %q %v", text, err)
	}
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadFile(other); err == nil || !strings.Contains(err.Error(), "it is not a file") {
		t.Errorf("a folder in its place: %v", err)
	}
}

// TestNothingIsEncryptedWithoutAKey: where none can be made, there is an error.
func TestNothingIsEncryptedWithoutAKey(t *testing.T) {
	if out, err := Encrypt(seal.New(filepath.Join(t.TempDir(), "missing", "folder")), []byte("A=1\n")); err == nil {
		t.Errorf("%d bytes", len(out))
	}
}

// TestTheEncryptedFileHasALimit that leaves room for its encryption: what is written can be read.
func TestTheEncryptedFileHasALimit(t *testing.T) {
	text := []byte("A=" + strings.Repeat("x", maxEnvFile/2-2))
	dir := t.TempDir()
	if err := WriteFile(dir, text, nil); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if got, _, err := ReadFile(dir); err != nil || len(got) != len(text) {
		t.Errorf("%d bytes are read: %v", len(got), err)
	}
	if err := WriteFile(t.TempDir(), append(text, 'x'), nil); err == nil || !strings.Contains(err.Error(), "would be larger") {
		t.Errorf("above the limit: %v", err)
	}
}

// TestNextSetKeepsValuesButNoFailures of sources, nor the token of a login.
func TestNextSetKeepsValuesButNoFailures(t *testing.T) {
	closed := make(chan struct{})
	close(closed)
	values := func(v string) map[string]string { return map[string]string{"K": v} }
	s := &Set{last: map[string]map[string]string{"failing": values("before"), "fresh": values("before"), "asked by nobody": values("before")},
		answers: map[string]*answer{
			"fresh":             {done: closed, values: values("now")},
			"failing":           {done: closed, values: values("wrong"), failure: &Failure{}},
			"new, failing":      {done: closed, failure: &Failure{}},
			loginKey:            {done: closed, values: values("token")},
			loginKey + " 2":     {done: closed, values: values("token")},
			"still being asked": {done: make(chan struct{}), values: values("half")},
		}}
	got := s.good()
	if len(got) != 3 || got["fresh"]["K"] != "now" || got["failing"]["K"] != "before" || got["asked by nobody"]["K"] != "before" {
		t.Errorf("%v", got)
	}
	if s.last["fresh"]["K"] != "before" {
		t.Error("the set in use has changed")
	}
}

// TestNameCannotLeaveAFolderOfSecrets: a name is a file there only without separators.
func TestNameCannotLeaveAFolderOfSecrets(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "credentials")
	if err := errors.Join(os.Mkdir(folder, 0o700), os.WriteFile(filepath.Join(dir, "KEY"), []byte("outside"), 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", folder)
	s, err := Load(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../KEY", "..\\KEY", ".", ""} {
		if f := s.Find(t.Context(), name); f.Value != "" || strings.Contains(strings.Join(f.Asked, " "), "CREDENTIALS") {
			t.Errorf("%q is looked for: %+v", name, f)
		}
	}
	if mode, ok := s.EnvFileMode(); ok || mode != 0 {
		t.Errorf("the mode of a .env that is not there: %v", mode)
	}
}
