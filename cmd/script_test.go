package cmd

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/freeport"
	"github.com/hookloom/hookloom/engine/store"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"hookloom": func() { os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr)) }})
}

// TestCommandLine runs the scripts: real processes, a real server, loopback.
func TestCommandLine(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) < 10 {
		t.Fatalf("%d scripts, %v", len(scripts), err)
	}
	if testing.Short() { // under the race detector, a process takes seconds
		for i := range scripts[:len(scripts)/3] {
			scripts[i] = scripts[3*i]
		}
		scripts = scripts[:len(scripts)/3]
	}
	testscript.Run(t, testscript.Params{Files: scripts, Cmds: map[string]func(*testscript.TestScript, bool, []string){"up": waitUp,
		"idle": waitRuns, "request": request, "await": await, "waitfor": awaitStatus, "oauth": oauthServer, "browse": browse, "mcp": callTool},
		Setup: func(e *testscript.Env) error {
			for _, name := range []string{"HOOKS", "ADMIN", "SHOP", "SHOP_ADMIN"} {
				address, err := freeport.Address()
				if err != nil {
					return err
				}
				e.Setenv(name, address)
			}
			e.Setenv("HOOKLOOM_LOG_FORMAT", "text")
			e.Setenv("HOOKLOOM_ADDR", e.Getenv("HOOKS"))
			e.Setenv("HOOKLOOM_ADMIN_ADDR", e.Getenv("ADMIN"))
			// With the race detector each process would wait a second before it exits, for further
			// races (go.dev/doc/articles/race_detector, atexit_sleep_ms).
			e.Setenv("GORACE", "atexit_sleep_ms=20")
			return nil
		}})
}

// request sends a request and prints status, headers and body: request METHOD URL [@FILE] 'Header:
// value'.
func request(ts *testscript.TestScript, _ bool, args []string) {
	body, headers := "{}", args[2:]
	if len(headers) > 0 && strings.HasPrefix(headers[0], "@") {
		body, headers = ts.ReadFile(headers[0][1:]), headers[1:]
	}
	req, err := http.NewRequestWithContext(context.Background(), args[0], args[1], strings.NewReader(body))
	ts.Check(err)
	req.Header.Set("Content-Type", "application/json")
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	ts.Check(err)
	fmt.Fprintln(ts.Stdout(), resp.StatusCode)
	for k := range resp.Header {
		fmt.Fprintf(ts.Stdout(), "%s: %s\n", k, resp.Header.Get(k))
	}
	fmt.Fprintf(ts.Stdout(), "%s\n", b)
}

// waitUp waits until a server answers: up ADDR.
func waitUp(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		resp, err := http.Get("http://" + args[0] + "/readyz")
		if err == nil {
			resp.Body.Close()
			return
		}
	}
	ts.Fatalf("no server at %s", args[0])
}

// await requests a URL until its response matches: await URL REGEXP.
func await(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile(args[1])
	var last []byte
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get(args[0])
		if err != nil {
			continue
		}
		last, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		if err == nil && want.Match(last) {
			return
		}
	}
	ts.Fatalf("%s never answered %s; last: %s", args[0], args[1], last)
}

// awaitStatus requests a URL with a header until it gets a status: waitfor URL 'Name: value'
// STATUS.
func awaitStatus(ts *testscript.TestScript, _ bool, args []string) {
	name, value, _ := strings.Cut(args[1], ": ")
	status := 0
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, args[0], nil)
		ts.Check(err)
		req.Header.Set(name, value)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if status = resp.StatusCode; strconv.Itoa(status) == args[2] {
				return
			}
		}
	}
	ts.Fatalf("%s never answered %s; last: %d", args[0], args[2], status)
}

// waitRuns waits until no run of a project is open: idle DIR.
func waitRuns(ts *testscript.TestScript, _ bool, args []string) {
	h, err := store.OpenHistory(filepath.Join(ts.MkAbs(args[0]), "hookloom.db"))
	ts.Check(err)
	defer h.Close()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		c, err := h.Counts(context.Background())
		ts.Check(err)
		if c.Open == 0 && c.Inbox == 0 {
			return
		}
	}
	ts.Fatalf("runs of %s are still open", args[0])
}
