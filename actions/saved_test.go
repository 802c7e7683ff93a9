package actions_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/engine/plan"
)

// saver runs http actions in a project's folder.
type saver struct {
	dir   string
	store *files.Store
}

func (s saver) do(t *testing.T, name string, with map[string]any) (map[string]any, error) {
	t.Helper()
	a := actions.Executors(actions.Options{Client: client(t, "127.0.0.1")})[name]
	out, err := a.Do(t.Context(), engine.Input{Spec: catalog(t)[name], With: with, Key: "hl_key", Run: 1, Path: "docs/0/get", Attempt: 1,
		Files: s.store, MaxFile: 8 << 20})
	m, _ := out.(map[string]any)
	return m, err
}

// TestLargeResponseIsSavedToAFileForOtherSteps checks that the file contains the response, and
// that raw_file and multipart send the same bytes.
func TestLargeResponseIsSavedToAFileForOtherSteps(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 6<<16) // 6 MiB
	x := newExchanged(t)
	x.answer, x.headers = content, map[string]string{"Content-Type": "application/pdf"}
	s := saver{dir: t.TempDir()}
	s.store = files.New(s.dir, 20<<20)
	out, err := s.do(t, "http/get", map[string]any{"url": x.URL, "save": true})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(content))
	path, _ := out["path"].(string)
	if !strings.HasPrefix(path, "files/run_0000000000000001/docs-0-get-") || !strings.HasSuffix(path, ".pdf") ||
		out["size"] != len(content) || out["sha256"] != hex.EncodeToString(sum[:]) ||
		out["content_type"] != "application/pdf" || out["status"] != 200 {
		t.Errorf("%v", out)
	}
	if _, hasBody := out["body"]; hasBody {
		t.Error("the output holds the body too")
	}
	if kept, err := os.ReadFile(filepath.Join(s.dir, path)); err != nil || string(kept) != content {
		t.Errorf("%d bytes, %v", len(kept), err)
	}
	x.answer, x.headers = "{}", nil
	for what, v := range map[string]any{"by its path": path, "by the step's output": out} {
		if _, err := s.do(t, "http/post", map[string]any{"url": x.URL, "raw_file": v}); err != nil || x.body != content ||
			x.header.Get("Content-Length") != fmt.Sprint(len(content)) {
			t.Errorf("%s: %d bytes arrived, %v, %v", what, len(x.body), x.header, err)
		}
	}
	if x.header.Get("Content-Type") == "" {
		t.Error("it has no type")
	}
	if _, err := s.do(t, "http/post",
		map[string]any{"url": x.URL, "multipart": map[string]any{"a": "text", "doc": map[string]any{"file": out, "filename": "may.pdf"},
			"z": map[string]any{"body": 1}}}); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/", strings.NewReader(x.body))
	r.Header = x.header
	if err := r.ParseMultipartForm(32 << 20); err != nil {
		t.Fatal(err)
	}
	f, h, err := r.FormFile("doc")
	if err != nil || h.Size != int64(len(content)) || h.Filename != "may.pdf" || h.Header.Get("Content-Type") != "application/pdf" ||
		r.FormValue("a") != "text" || r.FormValue("z") != "1" {
		t.Errorf("%v %+v %v", err, h, r.Form)
	}
	if err == nil {
		_ = f.Close()
	}
}

// TestErrorOfAnUnsavedResponseGivesAdvice also checks that no file remains.
func TestErrorOfAnUnsavedResponseGivesAdvice(t *testing.T) {
	x := newExchanged(t)
	s := saver{dir: t.TempDir()}
	s.store = files.New(s.dir, 9<<20)
	for _, c := range []struct {
		name     string
		size     int
		status   int
		with     map[string]any
		code, in string
	}{
		{"more than the step asked for", 3 << 20, 200, map[string]any{"max_response": "2MiB"}, "too_large",
			"larger than max_response, 2MiB; files.max_file of hookloom.yaml allows up to 8MiB"},
		{"more than one file may have", 9 << 20, 200, nil, "too_large",
			"larger than 8MiB, the limit for one file; raise files: {max_file: ...}"},
		{"an error is told, not saved", 100, 500, nil, "http_status", "answered 500"},
		{"a file", 5 << 20, 200, nil, "", ""},
		{"more than all may have", 5 << 20, 200, nil, "files_full", "prune the history, or raise files: {max_size: ...}"},
	} {
		x.answer, x.status = strings.Repeat("x", c.size), c.status
		with := map[string]any{"url": x.URL, "save": true}
		for k, v := range c.with {
			with[k] = v
		}
		_, err := s.do(t, "http/get", with)
		var e *plan.Error
		if errors.As(err, &e); c.code == "" && err != nil || c.code != "" &&
			(e == nil || e.Code != c.code || !strings.Contains(e.Message, c.in)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	left, err := filepath.Glob(filepath.Join(s.dir, "files", "*", "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("there are %v, %v", left, err)
	}
	for path, want := range map[any]string{"files/run_9/x": "no_file", "../secret": "invalid_request", "/etc/passwd": "invalid_request",
		7: "invalid_request"} {
		_, err := s.do(t, "http/post", map[string]any{"url": x.URL, "raw_file": path})
		var e *plan.Error
		if !errors.As(err, &e) || e.Code != want {
			t.Errorf("%v: %v, want %s", path, err, want)
		}
	}
}

// TestInterruptedResponseLeavesNoFile checks that the next attempt starts from the beginning.
func TestInterruptedResponseLeavesNoFile(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write(make([]byte, 500))
		if broken.Load() {
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(make([]byte, 500))
	}))
	defer srv.Close()
	s := saver{dir: t.TempDir()}
	s.store = files.New(s.dir, 1<<20)
	with := map[string]any{"url": srv.URL, "save": true}
	_, err := s.do(t, "http/get", with)
	if !errors.Is(err, engine.ErrUnanswered) {
		t.Errorf("%v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(s.dir, "files", "*", "*")); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
	broken.Store(false)
	if out, err := s.do(t, "http/get", with); err != nil || out["size"] != 1000 {
		t.Errorf("%v %v", out, err)
	}
}
