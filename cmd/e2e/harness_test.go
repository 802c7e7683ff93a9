//go:build unix

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine/egress"
	"github.com/hookloom/hookloom/engine/freeport"
	"github.com/hookloom/hookloom/engine/secrets"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
)

// The exit statuses that these tests expect; the documentation lists them.
const (
	exitOK    = 0
	exitIO    = 74
	exitInUse = 75
)

// hookConfig has one trigger, hook, for deliveries signed by Standard Webhooks, and allows steps to
// call loopback. hookEnv is its secret.
const (
	hookConfig = "triggers: {hook: {webhook: {provider: standard, secret: \"${{ secrets.IN }}\"}}}\negress: {allow: [127.0.0.1]}\n"
	hookEnv    = "IN=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"
)

// built is the folder of the binary, empty until a test needs it.
var built string

// build compiles the program, once for all tests, with the race detector if the tests have it: a
// detected race changes the exit status, which stop checks.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "hookloom-e2e-")
	if err != nil {
		return "", err
	}
	built = dir
	bin := filepath.Join(dir, "hookloom")
	args := []string{"build", "-o", bin, "../.."}
	if raceDetector {
		args = slices.Insert(args, 1, "-race")
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return bin, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built) // a folder of temporary files
	}
	os.Exit(code)
}

func buildBinary(t *testing.T) string {
	t.Helper()
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// realProcess skips a test in short mode.
func realProcess(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("runs real processes")
	}
}

// freeAddr returns an address that a server can listen on, even again after a restart.
func freeAddr(t *testing.T) string {
	t.Helper()
	address, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func writeFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}

// project is a folder with a project, and how to start its server.
type project struct {
	dir, bin    string
	addr, admin string
	db          string
	logLevel    string
	flows       *workflows.Project
	secrets     *secrets.Set
}

// newProject writes files to a folder and loads them as a project, which must have no mistakes.
func newProject(t *testing.T, files map[string]string) *project {
	t.Helper()
	return newProjectIn(t, t.TempDir(), files)
}

// hookProject is a project with the trigger hook and workflows, by name.
func hookProject(t *testing.T, flows map[string]string) *project {
	t.Helper()
	files := map[string]string{"hookloom.yaml": hookConfig, ".env": hookEnv}
	for name, text := range flows {
		files["workflows/"+name+".yaml"] = text
	}
	return newProject(t, files)
}

func newProjectIn(t *testing.T, dir string, files map[string]string) *project {
	t.Helper()
	for name, text := range files {
		if err := writeFile(filepath.Join(dir, name), text); err != nil {
			t.Fatal(err)
		}
	}
	p := &project{dir: dir, bin: buildBinary(t), addr: freeAddr(t), admin: freeAddr(t), db: newDatabase(t, dir),
		logLevel: "warn"}
	p.read(t)
	return p
}

// read loads the project's files, to sign deliveries with them.
func (p *project) read(t *testing.T) {
	t.Helper()
	presets, err := triggers.Presets()
	if err != nil {
		t.Fatal(err)
	}
	if p.secrets, err = secrets.Load(secrets.Options{Dir: p.dir}); err != nil {
		t.Fatal(err)
	}
	files, unreadable := workflows.ReadFiles(p.dir, "")
	catalog := workflows.Catalog{Actions: actions.Catalog(), Presets: presets,
		CheckCron: triggers.CheckCron, ExplainCron: triggers.ExplainCron}
	flows, mistakes := workflows.LoadFiles(p.dir, files, catalog, p.secrets.IsSet)
	if mistakes = unreadable.With(mistakes); mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	p.flows = flows
}

// hookURL returns the URL of a trigger.
func (p *project) hookURL(trigger string) string { return "http://" + p.addr + "/hooks/" + trigger }

// argv is the command line of the project's server.
func (p *project) argv() []string {
	return []string{p.bin, "serve", p.dir, "--db", p.db, "--addr", p.addr, "--admin-addr", p.admin, "--log-level", p.logLevel,
		"--log-format", "text"}
}

// run runs a command and returns its standard output.
func (p *project) run(args ...string) (string, error) {
	c := exec.Command(p.bin, append(args, "--dir", p.dir)...)
	c.Env = append(os.Environ(), "HOOKLOOM_ADDR="+p.addr, "HOOKLOOM_ADMIN_ADDR="+p.admin, "HOOKLOOM_DB="+p.db)
	out, err := c.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%w\n%s%s", err, out, exit.Stderr)
	}
	return string(out), err
}

// history opens the project's database for reading until the test ends.
func (p *project) history(t *testing.T) *store.History {
	t.Helper()
	h, err := store.OpenHistory(p.db)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// idle waits until no event is in the inbox and no run is open.
func (p *project) idle(t *testing.T) {
	t.Helper()
	h, err := store.OpenHistory(p.db)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	least := -1
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		c, err := h.Counts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		open := int(c.Open + c.Inbox)
		if open == 0 {
			return
		}
		if least < 0 || open < least {
			least, deadline = open, time.Now().Add(time.Minute)
		}
	}
	t.Fatalf("%d runs and events are still open, and for a minute none ended", least)
}

// process is a process of the program.
type process struct {
	cmd    *exec.Cmd
	log    lockedBuffer
	exited chan struct{}
	err    error // of Wait; read it when exited is closed
}

// launch starts a command, which is killed at the end of the test if it still runs.
func launch(t *testing.T, argv ...string) *process {
	t.Helper()
	p, err := spawn(argv...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

// spawn starts a command.
func spawn(argv ...string) (*process, error) {
	p := &process{cmd: exec.Command(argv[0], argv[1:]...), exited: make(chan struct{})}
	p.cmd.Stderr = &p.log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// start starts the project's server and returns when it is ready.
func (p *project) start(t *testing.T) *process {
	t.Helper()
	s := launch(t, p.argv()...)
	if err := s.ready(http.DefaultClient, "http://"+p.addr+"/readyz"); err != nil {
		t.Fatalf("%v\n%s", err, s.log.String())
	}
	return s
}

// ready waits until a URL answers 200.
func (p *process) ready(client *http.Client, url string) error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if resp, err := client.Get(url); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.exited:
			return fmt.Errorf("the server has ended: %w", p.err)
		default:
		}
	}
	return errors.New("the server does not come up")
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// kill sends SIGKILL and waits for the end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.exited
}

// end waits for the end of a process and returns its exit status.
func (p *process) end(t *testing.T, within time.Duration) int {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(within):
		p.kill()
		t.Fatalf("the process goes on\n%s", p.log.String())
	}
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		return exit.ExitCode()
	}
	return exitOK
}

// stop ends a process by SIGTERM, which must succeed.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	if code := p.end(t, 60*time.Second); code != exitOK {
		t.Errorf("exit status %d after SIGTERM\n%s", code, p.log.String())
	}
}

// peakMemory is a process's largest resident set so far, in KiB.
func (p *process) peakMemory(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Skipf("SKIPPED: no /proc here: %v", err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String returns what was written so far.
func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// deliver sends a prepared delivery and returns the response.
func deliver(ctx context.Context, base string, s *triggers.SampleRequest) (int, string, error) {
	u := base + s.Path
	if len(s.Query) > 0 {
		u += "?" + s.Query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, s.Method, u, bytes.NewReader(s.Body))
	if err != nil {
		return 0, "", err
	}
	req.Header = s.Header.Clone()
	client := &http.Client{Timeout: 30 * time.Second, Transport: egress.Once(http.DefaultTransport)}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode, string(b), err
}

// send sends one event of the trigger hook and returns the status, 0 if there was no response.
func (p *project) send(t *testing.T, key string) int {
	t.Helper()
	body := fmt.Appendf(nil, `{"type":"n","data":{"key":%q}}`, key)
	s, err := triggers.Sample(p.flows, "hook", p.secrets.Lookup, triggers.SampleOrder{ID: key, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	status, _, err := deliver(t.Context(), "http://"+p.addr, s)
	if err != nil {
		return 0
	}
	return status
}

// acknowledged contains the event id of every 2xx response, by key.
type acknowledged struct {
	mu     sync.Mutex
	events map[string]string
}

func newAcknowledged() *acknowledged { return &acknowledged{events: map[string]string{}} }

func (a *acknowledged) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.events)
}

// load sends deliveries of the trigger hook, one after the other, until ctx is done or one gets no
// response.
func (p *project) load(ctx context.Context, t *testing.T, a *acknowledged, prefix string) {
	for i := 0; ctx.Err() == nil; i++ {
		key := fmt.Sprintf("%s-%d", prefix, i)
		body := fmt.Appendf(nil, `{"type":"n","data":{"n":%d,"key":%q}}`, i, key)
		s, err := triggers.Sample(p.flows, "hook", p.secrets.Lookup, triggers.SampleOrder{ID: key, Body: body})
		if err != nil {
			t.Error(err)
			return
		}
		status, answer, err := deliver(ctx, "http://"+p.addr, s)
		if err != nil {
			return // the server is gone
		}
		if status == http.StatusAccepted || status == http.StatusOK {
			_, rest, _ := strings.Cut(answer, `"event":"`)
			id, _, _ := strings.Cut(rest, `"`)
			a.mu.Lock()
			a.events[key] = id
			a.mu.Unlock()
		}
	}
}

// senders starts n loads; stop ends them and waits for them.
func (p *project) senders(t *testing.T, a *acknowledged, n int, prefix string) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { p.load(ctx, t, a, fmt.Sprintf("%s-%d", prefix, i)) })
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// message is one message of an event stream.
type message struct{ id, name, data string }

// eachMessage reads an event stream (WHATWG HTML, 9.2.6) as long as take wants more. A message
// counts when its empty line has arrived, as in a browser.
func eachMessage(stream io.Reader, take func(message) (more bool)) error {
	var m message
	r := bufio.NewScanner(stream)
	r.Buffer(nil, 1<<20)
	for r.Scan() {
		k, v, _ := strings.Cut(r.Text(), ": ")
		switch k {
		case "id":
			m.id = v
		case "event":
			m.name = v
		case "data":
			m.data = v
		case "":
			if !take(m) {
				return nil
			}
			m = message{}
		}
	}
	return r.Err()
}
