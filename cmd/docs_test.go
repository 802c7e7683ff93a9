package cmd

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os/exec"
	"time"

	"github.com/hookloom/hookloom/engine/store"

	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var docBlock = regexp.MustCompile("(?s)```(yaml|json|sh|text)\n(.*?)```")

// TestTheBlocksOfDocumentsAreTrue does what a reader of docs/ does, from top to bottom: a
// yaml block is the file that its first line names, each line of a sh block is run, and the
// lines of a text block stand in what the commands before it printed.
func TestTheBlocksOfDocumentsAreTrue(t *testing.T) {
	for _, document := range []string{"../docs/connectors.md", "../docs/actions.md", "../docs/secrets.md"} {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(document), func(t *testing.T) {
			t.Chdir(t.TempDir())
			for i, name := range []string{"CRM_TOKEN", "CRM_US_TOKEN", "S3_ACCESS_KEY", "S3_SECRET_KEY", "R2_ACCESS_KEY", "R2_SECRET_KEY",
				"PROXY_PASSWORD", "BANK_CERT", "BANK_KEY"} {
				t.Setenv(name, fmt.Sprintf("k3v9x7q2m8%d", i))
			}
			printed, ran := "", 0
			for _, block := range docBlock.FindAllStringSubmatch(string(text), -1) {
				switch kind, body := block[1], block[2]; kind {
				case "yaml", "json":
					first, rest, _ := strings.Cut(body, "\n")
					if kind == "json" {
						body = rest // it has no comments
					}
					name, named := strings.CutPrefix(first, "# ")
					if !named || !filepath.IsLocal(name) {
						t.Fatalf("the block does not name its file:\n%s", body)
					}
					if filepath.Ext(name) == ".json" {
						body = strings.TrimPrefix(body, first+"\n") // JSON has no comments
					}
					if err := writeDocument(name, body); err != nil {
						t.Fatal(err)
					}
				case "sh":
					printed = ""
					settle(t)
					for _, line := range strings.Split(strings.TrimSpace(body), "\n") {
						printed += runDocumented(t, line)
						ran++
					}
				case "text":
					for _, line := range strings.Split(strings.TrimSpace(body), "\n") {
						if !strings.Contains(printed, strings.TrimSpace(line)) {
							t.Errorf("%q is not printed:\n%s", line, printed)
						}
					}
				}
			}
			if ran == 0 {
				t.Error("the document has no commands")
			}
			if filepath.Base(document) == "secrets.md" {
				return
			}
			// What stands behind the last command is checked too.
			if out := runDocumented(t, "hookloom validate"); !strings.Contains(out, "0 errors, 0 warnings") {
				t.Errorf("hookloom validate: %s", out)
			}
			if _, err := os.Stat("connectors"); err == nil {
				runDocumented(t, "hookloom connector test")
			}
		})
	}
}

func writeDocument(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(text), 0o600)
}

// inBackground starts a server for the rest of the test, and waits until it answers.
func inBackground(t *testing.T, args ...string) {
	t.Helper()
	for _, name := range []string{"HOOKLOOM_ADDR", "HOOKLOOM_ADMIN_ADDR"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv(name, l.Addr().String())
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command(args[0], args[1:]...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(c.Process.Signal(os.Interrupt), c.Wait()); err != nil {
			t.Error(err)
		}
	})
	for range 500 {
		resp, err := http.Get("http://" + os.Getenv("HOOKLOOM_ADMIN_ADDR") + "/readyz")
		if err == nil {
			resp.Body.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the server does not answer")
}

// settle waits until no event and no run of the folder's database is open.
func settle(t *testing.T) {
	t.Helper()
	for range 500 {
		h, err := store.OpenHistory("hookloom.db")
		if err != nil {
			return // there is none
		}
		c, err := h.Counts(context.Background())
		if err := errors.Join(err, h.Close()); err != nil {
			t.Fatal(err)
		}
		if c.Open == 0 && c.Inbox == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("runs are still open")
}

// runDocumented runs a command that must succeed, and gives what it printed.
func runDocumented(t *testing.T, line string) string {
	t.Helper()
	args := strings.Fields(line)
	if n := len(args); n > 2 && args[n-1] == "&" {
		inBackground(t, args[:n-1]...)
		return ""
	}
	if len(args) < 2 || args[0] != "hookloom" || strings.ContainsAny(line, `'"|$`) {
		t.Fatalf("%q is no plain hookloom command", line)
	}
	var out, errOut bytes.Buffer
	if code := Main(args[1:], &out, &errOut); code != 0 {
		t.Errorf("%s: exit status %d\n%s%s", line, code, out.String(), errOut.String())
	}
	return out.String()
}
