package secrets

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/seal"
	"github.com/hookloom/hookloom/workflows"
)

// loaded returns the secrets of a folder with the sources of a hookloom.yaml.
func loaded(t *testing.T, dir, yaml string) *Set {
	t.Helper()
	sources, ok := workflows.ReadSecretSources(workflows.Files{workflows.ProjectFile: []byte(yaml)})
	if !ok {
		t.Fatalf("mistakes in %s", yaml)
	}
	s, err := Load(Options{Dir: dir, Sources: sources})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestEnvFileIsReadWithinItsLimits checks the file's size, its mistakes, its permissions and the values that it expands.
func TestEnvFileIsReadWithinItsLimits(t *testing.T) {
	dir := t.TempDir()
	env := filepath.Join(dir, ".env")
	if s := loaded(t, dir, ""); s.mode != 0 {
		t.Error("a file that is not there has permissions")
	} else if _, ok := s.EnvFileMode(); ok {
		t.Error("a file that is not there exists")
	}
	line := "KEY=x\n#"
	put(t, env, line+strings.Repeat("y", maxEnvFile-len(line)))
	s := loaded(t, dir, "")
	if mode, ok := s.EnvFileMode(); !ok || mode != 0o600 || !s.IsSet("KEY") || s.IsSet("OTHER") {
		t.Errorf("%o %t %t", mode, ok, s.IsSet("KEY"))
	}
	put(t, env, line+strings.Repeat("y", maxEnvFile-len(line)+1))
	if _, err := Load(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "reading secrets: .env: it is larger than 1MiB") {
		t.Error(err)
	}
	put(t, env, "KEY='x\n")
	if _, err := Load(Options{Dir: dir}); err == nil {
		t.Error("a mistake in .env is not told")
	}
	put(t, env, "A=x\nB=$A\nC='$A'\n")
	s = loaded(t, dir, "")
	if s.Expanded("A") || !s.Expanded("B") || s.Expanded("C") {
		t.Error("what is expanded is not told")
	}
	t.Setenv("B", "y")
	if s.Expanded("B") {
		t.Error("a value of the environment is expanded")
	}
	os.Unsetenv("B")
	t.Setenv("B_FILE", "y")
	if s.Expanded("B") {
		t.Error("a value of a file is expanded")
	}
}

// TestCapturedSecretsAreKeptApart checks that a set has its own copy, and where they stand among the sources.
func TestCapturedSecretsAreKeptApart(t *testing.T) {
	s := loaded(t, t.TempDir(), "secrets: {names: {KEY: {env: KEY_OF_ENV}}}\n")
	t.Setenv("KEY_OF_ENV", "of the environment")
	if v, _ := s.Lookup("KEY"); v != "of the environment" || s.Sources().Names["KEY"].Env != "KEY_OF_ENV" {
		t.Error(v)
	}
	values := map[string]string{"KEY": "captured"}
	s.UseCaptured(values)
	values["KEY"] = "changed"
	s.Captured()["KEY"] = "changed"
	if f := s.Find(t.Context(), "KEY"); f.Value != "captured" || f.Source != "the database" {
		t.Errorf("%+v", f)
	}
}

// TestSecretFileIsReadAndWrittenWithinItsLimits checks the reasons for which secrets.age is not read or written.
func TestSecretFileIsReadAndWrittenWithinItsLimits(t *testing.T) {
	dir := t.TempDir()
	age := filepath.Join(dir, workflows.SecretFileName)
	if text, file, err := ReadFile(dir); text != nil || file != nil || err != nil {
		t.Errorf("%q %q %v", text, file, err)
	}
	if names := loaded(t, dir, "").FileNames(); names != nil {
		t.Errorf("names without a file: %q", names)
	}
	if err := WriteFile(dir, []byte("KEY='x"), nil); err == nil {
		t.Error("a text with a mistake is written")
	}
	line := "KEY=x\nB=y\n#"
	most := line + strings.Repeat("z", maxEnvFile/2-len(line))
	if err := WriteFile(dir, []byte(most+"z"), nil); err == nil || !strings.Contains(err.Error(), "would be larger than 512KiB") {
		t.Errorf("%v", err)
	}
	if err := WriteFile(dir, []byte(most), nil); err != nil {
		t.Fatal(err)
	}
	names := loaded(t, dir, "").FileNames()
	if slices.Sort(names); !slices.Equal(names, []string{"B", "KEY"}) {
		t.Errorf("%q", names)
	}
	text, file, err := ReadFile(dir)
	if err != nil || string(text) != most {
		t.Fatalf("%d bytes %v", len(text), err)
	}
	if err := WriteFile(dir, []byte("KEY=y\n"), append(file, 'x')); !errors.Is(err, ErrChanged) {
		t.Errorf("of another version: %v", err)
	}
	if err := WriteFile(filepath.Join(dir, "none"), []byte("KEY=y\n"), nil); err == nil || errors.Is(err, ErrChanged) {
		t.Errorf("into a folder that is not there: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 2 { // the key and the file
		t.Errorf("a write that failed leaves %q", left)
	}
	if now, err := os.ReadFile(age); err != nil || string(now) != string(file) {
		t.Error("a write that failed has changed the file")
	}
	for _, c := range []struct{ file, problem, advice string }{
		{"age-encryption.org/v1\n", "it is damaged, or not a file of age", "restore the file"},
		{string(file[:len(file)-1]), "it is damaged", "restore the file"}, {strings.Repeat("x", maxEnvFile+1),
			"it cannot be read: it is larger", "make it readable"},
	} {
		put(t, age, c.file)
		if _, _, err := ReadFile(dir); err == nil || !strings.HasPrefix(err.Error(), "secrets.age: ") {
			t.Error(err)
		}
		f := loaded(t, dir, "").Find(t.Context(), "KEY").Failure
		if f == nil || !strings.Contains(f.Problem, c.problem) || !strings.Contains(f.Advice, c.advice) {
			t.Errorf("%+v", f)
		}
	}
	for n, whole := range map[int]bool{maxEnvFile: true, maxEnvFile + 1: false} {
		file, err := Encrypt(seal.New(dir), []byte(strings.Repeat("#", n)))
		if err != nil {
			t.Fatal(err)
		}
		if text, err := Decrypt(seal.New(dir), file); (err == nil) != whole || whole && len(text) != n {
			t.Errorf("%d bytes: %d, %v", n, len(text), err)
		}
	}
	if file, err = Encrypt(seal.New(dir), []byte("KEY='x\n")); err != nil {
		t.Fatal(err)
	}
	put(t, age, string(file))
	if f := loaded(t, dir, "").Find(t.Context(), "KEY").Failure; f == nil || f.Problem != "its text cannot be read" {
		t.Errorf("%+v", f)
	}
	if file, err = Encrypt(seal.New(t.TempDir()), []byte("KEY=x\n")); err != nil {
		t.Fatal(err)
	}
	put(t, age, string(file))
	if f := loaded(t, dir, "").Find(t.Context(), "KEY").Failure; f == nil || !strings.Contains(f.Problem, "encrypted with another key") ||
		!strings.Contains(f.Advice, "use the key that encrypted the file") {
		t.Errorf("%+v", f)
	}
}

// TestVaultLoginAndAnswerAreChecked checks the failures of the login, of the address and of the answer.
func TestVaultLoginAndAnswerAreChecked(t *testing.T) {
	var seen []string
	v := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = append(seen, r.URL.Path+" "+string(body)+" "+r.Header.Get("X-Vault-Namespace")+" "+r.Header.Get("X-Vault-Request"))
		answer := map[string]any{"data": map[string]any{"data": map[string]any{"B": "b", "A": "a"}}}
		switch r.URL.Path {
		case "/v1/auth/approle/login":
			answer = map[string]any{"auth": map[string]any{}}
		case "/v1/auth/given/login":
			answer = map[string]any{"auth": map[string]any{"client_token": "t"}}
		case "/v1/secret/data/busy":
			w.WriteHeader(http.StatusTooManyRequests)
			answer = map[string]any{"errors": []string{"one", "two  " + strings.Repeat("x", 300)}}
		case "/v1/secret/data/strange":
			w.WriteHeader(http.StatusTeapot)
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(v.Close)
	t.Setenv("VAULT_NAMESPACE", "of-env")
	t.Setenv("ROLE", "role")
	for _, c := range []struct{ vault, names, problem, advice string }{
		{`path: shop, token: "${{ secrets.ROLE }}"`, "", "", ""},
		{`path: shop`, "", "the login needs secret VAULT_TOKEN, which is not set", "token_file, approle or kubernetes"},
		{`path: shop`, ", VAULT_TOKEN: {vault: {path: a}}", "the login needs secret VAULT_TOKEN, which is in Vault itself", "outside of Vault"},
		{`path: shop, token_file: gone`, "", "gone cannot be read", "secrets.vault.token_file"},
		{`path: shop, approle: {role_id: "${{ secrets.ROLE }}"}`, "", "the login returned no token", "check role_id"},
		{`path: shop, approle: {role_id: "${{ secrets.GONE }}"}`, "", "the login needs secret GONE", "hookloom secrets set GONE"},
		{`path: shop, approle: {role_id: "${{ secrets.ROLE }}", secret_id: "${{ secrets.GONE }}"}`,
			"", "the login needs secret GONE", "set GONE"},
		{`path: shop, approle: {role_id: "${{ secrets.ROLE }}", mount: /given/}`, "", "", ""},
		{`path: shop, token: "${{ secrets.ROLE }}"`,
			", KEY: {vault: {path: shop, field: none}}", "secret/shop has no field none", "it has A, B; field: names another"},
		{`path: busy, token: "${{ secrets.ROLE }}"`, "", "status 429: one; two xxx", "limits requests"},
		{`path: strange, token: "${{ secrets.ROLE }}"`, "", "status 418", "audit log"},
	} {
		seen = nil
		s := loaded(t, t.TempDir(), "secrets: {vault: {address: '"+v.URL+"/', "+c.vault+"}, names: {OTHER: {env: X}"+c.names+"}}\n")
		name := "A"
		if strings.Contains(c.names, "KEY") {
			name = "KEY"
		}
		f := s.Find(t.Context(), name)
		if c.problem == "" && f.Value != "a" || c.problem != "" && (f.Failure == nil || !strings.Contains(f.Failure.Problem, c.problem) ||
			!strings.Contains(f.Failure.Advice, c.advice) || len(f.Failure.Problem) > 400) {
			t.Errorf("%s: %q %+v", c.vault, f.Value, f.Failure)
		}
		for _, line := range seen {
			if !strings.HasSuffix(line, " of-env true") || strings.Contains(line, "/login") != strings.Contains(line, `{"role_id":"role"}`) {
				t.Errorf("%s: %s", c.vault, line)
			}
		}
	}
	for _, address := range []string{"", "ftp://vault.example", "http://", "vault.example", "://", "http://[::1"} {
		s := &Set{o: Options{Sources: workflows.SecretSources{Vault: &workflows.Vault{Address: address}}}}
		if _, _, f := s.vaultClient(); f == nil || f.Problem != "the address of the server is not known" {
			t.Errorf("%q: %+v", address, f)
		}
	}
	nobody := loaded(t, t.TempDir(),
		`secrets: {vault: {address: "http://127.0.0.1:1", path: shop, approle: {role_id: "${{ secrets.ROLE }}"}}}`)
	if f := nobody.Find(t.Context(), "A").Failure; f == nil || !strings.HasPrefix(f.Problem, "http://127.0.0.1:1 does not answer") {
		t.Errorf("a login at a server that does not answer: %+v", f)
	}
	t.Setenv("VAULT_ADDR", "https://vault.example/")
	s := &Set{o: Options{Dir: t.TempDir(), Sources: workflows.SecretSources{Vault: &workflows.Vault{}}}}
	if _, base, f := s.vaultClient(); f != nil || base != "https://vault.example" {
		t.Errorf("%s %+v", base, f)
	}
	t.Setenv("VAULT_CACERT", "gone.pem")
	if _, _, f := s.vaultClient(); f == nil || f.Problem != "gone.pem holds no certificates in PEM" {
		t.Errorf("%+v", f)
	}
}

// TestFilesWithOneSecretAreReadWithinTheirLimit checks the boundary, and that a folder counts as none.
func TestFilesWithOneSecretAreReadWithinTheirLimit(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	put(t, filepath.Join(dir, "LARGE"), strings.Repeat("x", maxFile))
	put(t, filepath.Join(dir, "LARGER"), strings.Repeat("x", maxFile+1))
	if err := os.Mkdir(filepath.Join(dir, "FOLDER"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := loaded(t, t.TempDir(), "")
	if f := s.Find(t.Context(), "LARGE"); len(f.Value) != maxFile {
		t.Errorf("%+v", f.Failure)
	}
	if f := s.Find(t.Context(), "LARGER"); f.Failure == nil || !strings.Contains(f.Failure.Problem, "larger than 64KiB") {
		t.Errorf("%+v", f)
	}
	t.Setenv("GONE_FILE", "gone")
	if f := s.Find(t.Context(), "GONE"); f.Failure == nil ||
		!strings.HasSuffix(f.Failure.Problem, "/gone cannot be read: no such file or directory") {
		t.Errorf("%+v", f)
	}
	if f := s.Find(t.Context(), "FOLDER"); f.Value != "" || f.Failure != nil || len(f.Asked) != 5 {
		t.Errorf("%+v", f)
	}
	if f := s.Find(t.Context(), "a/b"); len(f.Asked) != 3 {
		t.Errorf("%+v", f)
	}
}
