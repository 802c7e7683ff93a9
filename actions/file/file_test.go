package file_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/actions/file"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

func do(t *testing.T, a engine.Action, dir string, with map[string]any) (map[string]any, string) {
	t.Helper()
	out, err := a.Do(t.Context(), engine.Input{Dir: dir, Folder: "data", With: with})
	var e *plan.Error
	if errors.As(err, &e) {
		return nil, e.Code
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.(map[string]any), ""
}

func TestFilesAreAppendedToAndRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i, with := range []map[string]any{{"path": "a/b.jsonl", "body": map[string]any{"n": 1}}, {"path": "a/b.jsonl", "text": "x\n"}} {
		if out, code := do(t, file.Append{}, dir, with); code != "" || out["size"] != []int{8, 10}[i] {
			t.Errorf("%v %s", out, code)
		}
	}
	out, code := do(t, file.Read{}, dir, map[string]any{"path": "a/b.jsonl"})
	if code != "" || out["content"] != "{\"n\":1}\nx\n" || out["size"] != 10 {
		t.Errorf("%v %s", out, code)
	}
	if err := os.WriteFile(filepath.Join(dir, "data", "p.json"), []byte(`{"a": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code = do(t, file.Read{}, dir, map[string]any{"path": "p.json"}); code != "" || out["content"].(map[string]any)["a"] != 1 {
		t.Errorf("%v %s", out, code)
	}
	for want, with := range map[string]map[string]any{"no_file": {"path": "none"}, "too_large": {"path": "p.json", "max_size": "2B"},
		"bad_data": {"path": "a/b.jsonl", "parse": "json"}} {
		if want == "too_large" {
			with["max_size"] = "1KiB"
			_ = os.WriteFile(filepath.Join(dir, "data", "p.json"), []byte(strings.Repeat(" ", 1025)), 0o600)
		}
		if _, code := do(t, file.Read{}, dir, with); code != want {
			t.Errorf("%v: %s, want %s", with, code, want)
		}
	}
	if _, code := do(t, file.Append{}, dir, map[string]any{"path": "p.json", "text": "x", "max_size": "1KiB"}); code != "too_large" {
		t.Errorf("a file grew past max_size: %s", code)
	}
}

// TestMissingFolderIsAnErrorWithAdvice checks the advice: Hookloom does not create the folder.
func TestMissingFolderIsAnErrorWithAdvice(t *testing.T) {
	_, err := file.Append{}.Do(t.Context(), engine.Input{Dir: t.TempDir(), Folder: "data", With: map[string]any{"path": "a", "text": "x"}})
	if err == nil || err.Error() != "the folder data of files: does not exist: create it in the project's folder" {
		t.Errorf("%v", err)
	}
}

// TestNoPathLeadsOutOfTheFolder tries dots and links, for reading and writing.
func TestNoPathLeadsOutOfTheFolder(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"data", "workflows"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	secret := filepath.Join(dir, ".env")
	if err := os.WriteFile(secret, []byte("TOKEN=x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"link": "../.env", "absolute": secret, "folder": "../workflows"} {
		if err := os.Symlink(to, filepath.Join(dir, "data", name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{"../.env", "a/../../.env", secret, "link", "absolute", "folder/w.yaml", "", ".", "..", "folder", "a\x00b"} {
		if out, code := do(t, file.Read{}, dir, map[string]any{"path": p}); code == "" {
			t.Errorf("%q was read: %v", p, out)
		}
		if out, code := do(t, file.Append{}, dir, map[string]any{"path": p, "text": "x"}); code == "" {
			t.Errorf("%q was written: %v", p, out)
		}
	}
	if b, err := os.ReadFile(secret); err != nil || string(b) != "TOKEN=x" {
		t.Errorf("%q %v", b, err)
	}
	if entries, _ := os.ReadDir(filepath.Join(dir, "workflows")); len(entries) > 0 {
		t.Errorf("a file was made in workflows: %v", entries)
	}
	if _, err := (file.Read{}).Do(t.Context(), engine.Input{Dir: dir, With: map[string]any{"path": "a"}}); err == nil ||
		!strings.Contains(err.Error(), "files: {folder: data}") {
		t.Errorf("without a folder: %v", err)
	}
}
