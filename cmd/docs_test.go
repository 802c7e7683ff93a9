package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/docs"
	"github.com/hookloom/hookloom/engine/freeport"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"gopkg.in/yaml.v3"
)

// docBlock matches a fenced block: its language, the rest of the fence line, and its text.
var docBlock = regexp.MustCompile("(?ms)^```([a-z]+) ?([a-z]*)\n(.*?)^```$")

// TestBlocksOfDocumentsWork executes the manual and README.md like a reader, from top to
// bottom. A yaml or json block is the file that its first line names; `alone` makes it the only
// file of a project, and `elsewhere` is for another program. The lines of a sh block are run; `sh
// fails` must end with an error, and `sh elsewhere` is for another machine. The lines of a text
// block must be in the output of the preceding commands.
func TestBlocksOfDocumentsWork(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts some three hundred processes, which the race detector makes slow")
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range append(docs.Pages(), docs.Page{Name: "README", Text: string(readme)}) {
		if strings.HasPrefix(p.Name, "reference/") {
			continue // their examples are tested with their tables
		}
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			r := newReader(t, p)
			for _, block := range docBlock.FindAllStringSubmatch(p.Text, -1) {
				r.block(block[1], block[2], block[3])
			}
			r.checkProject()
		})
	}
}

// TestEachBlockOfADocumentIsExecuted finds blocks that TestBlocksOfDocumentsWork does not
// execute: indented ones, and commands marked for another machine that could run here.
func TestEachBlockOfADocumentIsExecuted(t *testing.T) {
	elsewhere := regexp.MustCompile(`^([A-Z0-9_]+=\S+ )*(docker|kubectl|helm|sudo|go|git|claude|npx)\b`)
	for _, p := range docs.Pages() {
		if strings.HasPrefix(p.Name, "reference/") {
			continue
		}
		text := docBlock.ReplaceAllString(p.Text, "")
		for _, line := range strings.Split(text, "\n") {
			if strings.HasPrefix(line, "```") || strings.HasPrefix(line, "    ") {
				t.Errorf("%s: %q is in a block that no test sees", p.Name, line)
			}
		}
		for _, block := range docBlock.FindAllStringSubmatch(p.Text, -1) {
			if block[1] != "sh" || block[2] != "elsewhere" {
				continue
			}
			for _, line := range strings.Split(strings.TrimSpace(block[3]), "\n") {
				if !strings.HasPrefix(line, " ") && !elsewhere.MatchString(line) {
					t.Errorf("%s: %q can run here", p.Name, line)
				}
			}
		}
	}
}

// reader executes one document in its own folder.
type reader struct {
	t        *testing.T
	dir, cwd string
	env      map[string]string
	printed  string
	// addresses are those in the document, each followed by its replacement.
	addresses []string
	// unset reports whether the page is about secrets that are not set.
	unset bool
}

var secretName = regexp.MustCompile(`secrets\.([A-Z][A-Z0-9_]*)`)

func newReader(t *testing.T, p docs.Page) *reader {
	dir := t.TempDir()
	r := &reader{t: t, dir: dir, cwd: dir, unset: p.Name == "secrets",
		env: map[string]string{"HOME": dir, "NO_COLOR": "1", "GORACE": "atexit_sleep_ms=20"}}
	names := secretName.FindAllStringSubmatch(p.Text, -1)
	if r.unset {
		names = [][]string{{"", "CRM_TOKEN"}}
	}
	for i, m := range names {
		r.env[m[1]] = fmt.Sprintf("k3v9x7q2m8%d", i)
	}
	if p.Name == "postgresql" {
		r.env["DATABASE_URL"] = postgrestest.Shared(t).Database(t)
	}
	for _, address := range []string{"127.0.0.1:8080", "127.0.0.1:8081", "127.0.0.1:9100", "127.0.0.1:9101"} {
		free, err := freeport.Address()
		if err != nil {
			t.Fatal(err)
		}
		r.addresses = append(r.addresses, address, free)
	}
	r.env["HOOKLOOM_ADDR"], r.env["HOOKLOOM_ADMIN_ADDR"] = r.here("127.0.0.1:8080"), r.here("127.0.0.1:8081")
	return r
}

func (r *reader) block(kind, how, body string) {
	r.t.Helper()
	switch {
	case kind == "yaml" || kind == "json":
		r.write(kind, how, body)
	case kind == "sh" && how == "elsewhere":
	case kind == "sh":
		r.settle()
		r.printed = ""
		r.run(body, how == "fails")
	case kind == "text":
		for _, line := range strings.Split(strings.TrimSpace(body), "\n") {
			if !stands(line, r.printed) {
				r.t.Errorf("%q is not printed:\n%s", line, r.printed)
			}
		}
	}
}

// stands reports whether a line was printed, ignoring ids and times; `...` matches anything within
// a line, and one space matches several.
func stands(line, printed string) bool {
	var parts []string
	for _, part := range strings.Split(strings.TrimSpace(comparable(line)), "...") {
		parts = append(parts, regexp.QuoteMeta(part))
	}
	return regexp.MustCompile(strings.Join(parts, ".*")).MatchString(comparable(printed))
}

// comparable replaces what differs from run to run.
func comparable(text string) string {
	for _, r := range []struct{ of, by string }{
		{`[ \t]+`, " "}, {`\b(evt|run)_[0-9a-f]+`, "${1}_x"}, {`\b\d\d\d\d-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?Z?`, "TIME"},
		{`\b[0-9.]+(µs|ms|s)\b`, "Ns"}, {`version [0-9a-f.]+`, "version x"},
		{`\b127\.0\.0\.1:[3-6]\d{4}\b`, "127.0.0.1:PORT"}, // the kernel's choice
	} {
		text = regexp.MustCompile(r.of).ReplaceAllString(text, r.by)
	}
	return text
}

// write writes the file that the block's first line names. `added to` adds keys to an existing
// file.
func (r *reader) write(kind, how, body string) {
	r.t.Helper()
	switch how {
	case "elsewhere":
		var v any
		if err := yaml.Unmarshal([]byte(body), &v); err != nil {
			r.t.Errorf("%v in\n%s", err, body)
		}
		return
	case "alone":
		alone := *r
		alone.cwd = r.t.TempDir()
		alone.write(kind, "", body)
		alone.shell([]string{"hookloom validate"}, false)
		return
	}
	first, rest, _ := strings.Cut(body, "\n")
	name, named := strings.CutPrefix(first, "# ")
	name, added := strings.CutPrefix(name, "added to ")
	if !named || !filepath.IsLocal(name) {
		r.t.Fatalf("the block does not name its file:\n%s", body)
	}
	if kind == "json" || filepath.Ext(name) == ".json" {
		body = rest // it has no comments
	}
	path := filepath.Join(r.cwd, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if added {
		body = r.merge(path, body)
	}
	if err := os.WriteFile(path, []byte(r.here(body)), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// here replaces the addresses in the document by those of this test.
func (r *reader) here(text string) string { return strings.NewReplacer(r.addresses...).Replace(text) }

// merge adds the keys of a text to those of a file.
func (r *reader) merge(path, text string) string {
	r.t.Helper()
	old, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	var all, more map[string]any
	if err := errors.Join(yaml.Unmarshal(old, &all), yaml.Unmarshal([]byte(text), &more)); err != nil {
		r.t.Fatal(err)
	}
	for k, v := range more {
		into, isMap := all[k].(map[string]any)
		from, same := v.(map[string]any)
		if isMap && same {
			maps.Copy(into, from)
		} else {
			all[k] = v
		}
	}
	b, err := yaml.Marshal(all)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// run runs the lines of a block with sh. A line that ends with & starts a server.
func (r *reader) run(body string, fails bool) {
	r.t.Helper()
	var lines []string
	for _, line := range strings.Split(strings.TrimSpace(body), "\n") {
		server, isServer := strings.CutSuffix(line, " &")
		if !isServer {
			lines = append(lines, line)
			continue
		}
		r.shell(lines, false)
		lines = nil
		r.inBackground(strings.Fields(r.here(server))...)
	}
	r.shell(lines, fails)
}

func (r *reader) environment() []string {
	env := os.Environ()
	for k, v := range r.env {
		env = append(env, k+"="+v)
	}
	return env
}

func (r *reader) shell(lines []string, fails bool) {
	r.t.Helper()
	if len(lines) == 0 {
		return
	}
	text := r.here(strings.Join(lines, "\n"))
	pwd := filepath.Join(r.dir, ".pwd")
	c := exec.CommandContext(r.t.Context(), "sh", "-ec", text+"\npwd >"+pwd+"\n")
	c.Dir, c.Env = r.cwd, r.environment()
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Run(); (err != nil) != fails {
		r.t.Errorf("%s\n%v\n%s", text, err, out.String())
	}
	r.printed += out.String()
	if b, err := os.ReadFile(pwd); err == nil {
		r.cwd = strings.TrimSpace(string(b))
	}
}

// inBackground starts a server for the rest of the test, and waits until it answers.
func (r *reader) inBackground(args ...string) {
	r.t.Helper()
	c := exec.Command(args[0], args[1:]...)
	c.Dir, c.Env = r.cwd, r.environment()
	var log bytes.Buffer
	c.Stdout, c.Stderr = &log, &log
	if err := c.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := errors.Join(c.Process.Signal(os.Interrupt), c.Wait()); err != nil {
			r.t.Errorf("%v\n%s", err, log.String())
		}
	})
	admin := r.env["HOOKLOOM_ADMIN_ADDR"]
	if i := slices.Index(args, "--admin-addr"); i > 0 {
		admin = args[i+1]
	}
	for range 500 {
		resp, err := http.Get("http://" + admin + "/readyz")
		if err == nil {
			resp.Body.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	r.t.Fatal("the server does not answer")
}

// settle waits until no event and no run of the folder's database is open, or until the open ones
// have waited for a while.
func (r *reader) settle() {
	r.t.Helper()
	var last store.Counts
	for same := 0; same < 40; same++ {
		h, err := store.OpenHistory(filepath.Join(r.cwd, "hookloom.db"))
		if err != nil {
			return // there is none
		}
		c, err := h.Counts(context.Background())
		if err := errors.Join(err, h.Close()); err != nil {
			r.t.Fatal(err)
		}
		if c.Open == 0 && c.Inbox == 0 {
			return
		}
		if c != last {
			last, same = c, 0
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// checkProject checks the project after the last block: the files are valid, and their tests pass.
func (r *reader) checkProject() {
	r.t.Helper()
	if _, err := os.Stat(filepath.Join(r.cwd, "hookloom.yaml")); err != nil {
		if _, err := os.Stat(filepath.Join(r.cwd, "workflows")); err != nil {
			return
		}
	}
	r.printed = ""
	r.shell([]string{"hookloom validate"}, false)
	if want := "0 errors, 0 warnings"; !strings.Contains(r.printed, want) && !r.unset {
		r.t.Errorf("hookloom validate: %s", r.printed)
	}
	files, err := filepath.Glob(filepath.Join(r.cwd, "workflows", "*.yaml"))
	if err != nil {
		r.t.Fatal(err)
	}
	if slices.ContainsFunc(files, func(name string) bool {
		b, err := os.ReadFile(name)
		return err == nil && bytes.Contains(b, []byte("\ntests:"))
	}) {
		r.shell([]string{"hookloom test"}, false)
	}
	if _, err := os.Stat(filepath.Join(r.cwd, "connectors")); err == nil {
		r.shell([]string{"hookloom connector test"}, false)
	}
}
