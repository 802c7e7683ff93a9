package secrets_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/seal"
	"github.com/hookloom/hookloom/engine/secrets"
	"github.com/hookloom/hookloom/workflows"
)

// write creates a file below a folder.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// project reads the sources from a hookloom.yaml.
func project(t *testing.T, dir, yaml string, before *secrets.Set) *secrets.Set {
	t.Helper()
	sources, ok := workflows.ReadSecretSources(workflows.Files{workflows.ProjectFile: []byte(yaml)})
	if !ok {
		_, mistakes := workflows.LoadFiles(dir, workflows.Files{workflows.ProjectFile: []byte(yaml)}, workflows.Catalog{}, nil)
		t.Fatalf("the file has mistakes: %v", mistakes)
	}
	s, err := secrets.Load(secrets.Options{Dir: dir, Sources: sources, Before: before})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestFirstSourceWithASecretIsUsed removes one source after the other.
func TestFirstSourceWithASecretIsUsed(t *testing.T) {
	dir, credentials := t.TempDir(), t.TempDir()
	v := newVault(t)
	v.put("secret/data/shop", map[string]any{"KEY": "from vault"})
	yaml := `secrets:
  names: {KEY: {file: own.txt}}
  command: [cat, all.json]
  vault: {address: "` + v.URL + `", path: shop}
`
	withoutOwn := strings.Replace(yaml, "  names: {KEY: {file: own.txt}}\n", "", 1)
	withoutCommand := strings.Replace(withoutOwn, "  command: [cat, all.json]\n", "", 1)
	t.Setenv("KEY", "from the environment")
	t.Setenv("KEY_FILE", write(t, t.TempDir(), "named", "from KEY_FILE\n"))
	t.Setenv("CREDENTIALS_DIRECTORY", credentials)
	t.Setenv("VAULT_TOKEN", "root")
	write(t, credentials, "KEY", "from credentials\r\n")
	write(t, dir, ".env", "KEY=from .env\nKEY_FILE=named.txt\n")
	write(t, dir, "named.txt", "from the file of .env")
	write(t, dir, "own.txt", "from its own source")
	write(t, dir, "all.json", `{"KEY": "from the command"}`)
	if err := secrets.WriteFile(dir, []byte("KEY='from secrets.age'\n"), nil); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		value, source, yaml string
		then                func()
	}{
		{"from the environment", "the environment", yaml, func() { os.Unsetenv("KEY") }},
		{"from KEY_FILE", "KEY_FILE in the environment", yaml, func() { os.Unsetenv("KEY_FILE") }},
		{"from .env", ".env", yaml, func() { write(t, dir, ".env", "KEY=\nKEY_FILE=named.txt\n") }},
		{"from the file of .env", "KEY_FILE in .env", yaml, func() { write(t, dir, ".env", "OTHER=1\n") }},
		{"from credentials", "$CREDENTIALS_DIRECTORY", yaml, func() { os.Remove(filepath.Join(credentials, "KEY")) }},
		{"from its own source", "secrets.names.KEY", yaml, func() {}},
		{"from secrets.age", "secrets.age", withoutOwn, func() { os.Remove(filepath.Join(dir, "secrets.age")) }},
		{"from the command", "secrets.command", withoutOwn, func() {}},
		{"from vault", "secrets.vault", withoutCommand, func() {}},
		{"", "", "", func() {}},
	} {
		s := project(t, dir, step.yaml, nil)
		f := s.Find(t.Context(), "KEY")
		if f.Value != step.value || f.Source != step.source {
			t.Errorf("%q from %q, wanted %q: %v", f.Value, f.Source, step.value, f.Failure)
		}
		if v, ok := s.Lookup("KEY"); v != step.value || ok != (step.value != "") {
			t.Errorf("Lookup gives %q", v)
		}
		step.then()
	}
	problem, hint := project(t, dir, withoutOwn, nil).Explain("NOWHERE")
	if problem != "secret NOWHERE is not set" || !strings.HasSuffix(hint,
		"looked in the environment, NOWHERE_FILE in the environment, .env, $CREDENTIALS_DIRECTORY, /run/secrets, "+
			"secrets.command, secrets.vault") {
		t.Errorf("%s: %s", problem, hint)
	}
}

// TestASourceThatCannotBeReadEndsTheSearch checks it, because a later source may have another
// value.
func TestASourceThatCannotBeReadEndsTheSearch(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, ".env", "KEY=of-another-day\n")
	write(t, dir, "empty", "\n")
	write(t, dir, "large", strings.Repeat("x", 64<<10+1))
	write(t, dir, "zero", "a\x00b")
	for path, problem := range map[string]string{"gone": "no such file", "empty": "is empty", "large": "larger than 64KiB",
		"zero": "zero byte", ".": "it is not a file"} {
		t.Setenv("KEY_FILE", path)
		f := project(t, dir, "", nil).Find(t.Context(), "KEY")
		if f.Value != "" || f.Failure == nil || !strings.Contains(f.Failure.Problem, problem) || f.Failure.Advice == "" {
			t.Errorf("%s: %q, %v", path, f.Value, f.Failure)
		}
	}
}

// TestAFailingSourceKeepsItsLastValues checks that they are kept until it can be read again, and
// only those.
func TestAFailingSourceKeepsItsLastValues(t *testing.T) {
	dir := t.TempDir()
	v := newVault(t)
	v.put("secret/data/shop", map[string]any{"VAULTED": "v1"})
	t.Setenv("VAULT_TOKEN", "root")
	t.Setenv("MOUNTED_FILE", write(t, dir, "mounted", "m1"))
	write(t, dir, "all.env", "PRINTED=p1\n")
	if err := secrets.WriteFile(dir, []byte("SEALED=s1\n"), nil); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, seal.FileName))
	if err != nil {
		t.Fatal(err)
	}
	yaml := "secrets: {command: [cat, all.env], vault: {address: \"" + v.URL + "\", path: shop}}\n"
	names := []string{"VAULTED", "MOUNTED", "PRINTED", "SEALED"}
	s := project(t, dir, yaml, nil)
	s.Ask(t.Context(), names)
	if f := s.Failures(); len(f) > 0 {
		t.Fatal(f)
	}
	v.status.Store(503)
	os.Remove(filepath.Join(dir, "mounted"))
	os.Remove(filepath.Join(dir, "all.env"))
	write(t, dir, seal.FileName, "another key of the project\n")
	for range 2 { // several reloads
		s = project(t, dir, yaml, s)
		for name, want := range map[string]string{"VAULTED": "v1", "MOUNTED": "m1", "PRINTED": "p1", "SEALED": "s1"} {
			if got, _ := s.Lookup(name); got != want {
				t.Errorf("%s is %q", name, got)
			}
		}
		var sources []string
		for _, f := range s.Failures() {
			if !f.Kept || f.Advice == "" {
				t.Errorf("%+v", f)
			}
			sources = append(sources, f.Source)
		}
		if got := strings.Join(sources, " "); got != "MOUNTED_FILE secrets.age secrets.command secrets.vault" {
			t.Errorf("failing are %s", got)
		}
		if problem, _ := s.Explain("NEW"); !strings.HasPrefix(problem, "secret NEW is not set: secrets.age: it was encrypted with another key") {
			t.Error(problem)
		}
	}
	v.status.Store(0)
	v.put("secret/data/shop", map[string]any{"VAULTED": "v2"})
	write(t, dir, "mounted", "m2")
	write(t, dir, "all.env", "PRINTED=p2\n")
	write(t, dir, seal.FileName, string(key))
	s = project(t, dir, yaml, s)
	for name, want := range map[string]string{"VAULTED": "v2", "MOUNTED": "m2", "PRINTED": "p2", "SEALED": "s1"} {
		if got, _ := s.Lookup(name); got != want {
			t.Errorf("%s is %q after all is well", name, got)
		}
	}
	if f := s.Failures(); len(f) > 0 {
		t.Error(f)
	}
}

// TestListingSecretsRunsNoProgram checks that lists and other commands do not wait for one.
func TestListingSecretsRunsNoProgram(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, ".env", "HERE=abcdefgh\n")
	s := project(t, dir, "secrets: {command: [touch, was-run]}\n", nil)
	if v, ok := s.Known("HERE"); v != "abcdefgh" || !ok || !s.MayBeSet("HERE") {
		t.Error("HERE is not known")
	}
	if _, ok := s.Known("ELSEWHERE"); ok || !s.MayBeSet("ELSEWHERE") {
		t.Error("ELSEWHERE may be set, and is not known")
	}
	if _, err := os.Stat(filepath.Join(dir, "was-run")); err == nil {
		t.Error("the program was run")
	}
}

// TestASecretWhoseFileCannotBeReadIsNotSet: later sources are not asked for it, so none of them may have it.
func TestASecretWhoseFileCannotBeReadIsNotSet(t *testing.T) {
	dir := t.TempDir()
	s := project(t, dir, "secrets: {command: [echo, OTHER=1], names: {KEY: {file: missing}}}\n", nil)
	if s.MayBeSet("KEY") || !s.MayBeSet("OTHER") {
		t.Errorf("KEY may be set: %t; OTHER may be set: %t", s.MayBeSet("KEY"), s.MayBeSet("OTHER"))
	}
}

const canary = "canary-of-the-command"

// TestCommandsAreBoundedAndRevealNoValues checks that every program ends, and that no message
// contains its output.
func TestCommandsAreBoundedAndRevealNoValues(t *testing.T) {
	dir := t.TempDir()
	script := func(text string) string {
		return write(t, dir, "p"+time.Now().Format("150405.000000000"), "#!/bin/sh\n"+text)
	}
	one := func(text string) string {
		return "secrets: {timeout: 1s, names: {KEY: {command: [" + script(text) + "]}}}\n"
	}
	all := func(text string) string { return "secrets: {timeout: 1s, command: [" + script(text) + "]}\n" }
	for name, x := range map[string]struct{ yaml, want string }{
		"one value":               {one("printf 'a b\\n'"), "a b"},
		"several lines":           {one("printf -- 'a\\nb\\n'"), "a\nb"},
		"in the project's folder": {one("pwd"), dir},
		"without our own secrets": {one("echo \"x$HOOKLOOM_TOKEN\""), "x"},
		"no input":                {one("cat; echo end"), "end"},
		"NAME=value lines":        {all("echo OTHER=1; echo KEY=abc"), "abc"},
		"JSON":                    {all(`echo '{"KEY": 12345678901234567890, "deep": {"x": 1}}'`), "12345678901234567890"},
		"for each name":           {"secrets: {command: [echo, \"the {name} of op\"]}\n", "the KEY of op"},
		"without the name":        {all("echo OTHER=1"), "secret KEY is not set"},
		"fails":                   {one("echo " + canary + " >&2; echo " + canary + "; exit 3"), "failed: exit status 3"},
		"nothing":                 {one(":"), "printed nothing"},
		"a zero byte":             {one("printf '" + canary + "\\000x'"), "printed a zero byte"},
		"too much":                {one("yes " + canary), "printed more than 64KiB"},
		"too slow":                {one("sleep 60 & sleep 60"), "did not end within 1s"},
		"not there":               {"secrets: {names: {KEY: {command: [no-such-program-here]}}}\n", "is not in the PATH"},
		"one value for all":       {all("echo " + canary), "printed neither NAME=value lines nor a JSON object"},
		"nothing for all":         {all("echo '# a comment'"), "printed neither NAME=value lines nor a JSON object"},
		"broken JSON":             {all("echo '{" + canary + "'"), "a JSON object that cannot be read"},
		"a dollar":                {all("echo 'KEY=pa$WORD" + canary + "'"), "holds a $"},
		"a variable":              {all("echo 'KEY=pa$WORD-" + canary + "'"), "holds a $"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HOOKLOOM_TOKEN", canary)
			began := time.Now()
			s := project(t, dir, x.yaml, nil)
			f := s.Find(t.Context(), "KEY")
			problem, hint := "", ""
			if f.Value == "" {
				problem, hint = s.Explain("KEY")
			}
			if f.Value != x.want && !strings.Contains(problem, x.want) {
				t.Errorf("%q: %s", f.Value, problem)
			}
			if strings.Contains(problem+hint, canary) {
				t.Errorf("the message tells the value: %s: %s", problem, hint)
			}
			if f.Value == "" && hint == "" {
				t.Error("there is no advice")
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// TestProjectKeyOpensItsEncryptedFile checks that the same key gives the same age identity, and that
// another key and a damaged file have different errors.
func TestProjectKeyOpensItsEncryptedFile(t *testing.T) {
	dir := t.TempDir()
	keys := seal.New(dir)
	if _, err := secrets.Decrypt(keys, []byte("age-encryption.org/v1\n")); err == nil {
		t.Error("opened without a key")
	}
	if _, err := os.Stat(filepath.Join(dir, seal.FileName)); err == nil {
		t.Error("reading has made a key")
	}
	file, err := secrets.Encrypt(keys, []byte("KEY=v\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(file), "age-encryption.org/v1\n-> X25519 ") || strings.Contains(string(file), "KEY") {
		t.Errorf("no file of age: %.60q", file)
	}
	if text, err := secrets.Decrypt(seal.New(dir), file); err != nil || string(text) != "KEY=v\n" {
		t.Errorf("%q, %v", text, err)
	}
	file[len(file)-1] ^= 1
	if _, err := secrets.Decrypt(keys, file); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged file: %v", err)
	}
	t.Setenv(seal.EnvName, "another key of sixteen bytes and more")
	if _, err := secrets.Decrypt(seal.New(dir), file); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("another key: %v", err)
	}
}
