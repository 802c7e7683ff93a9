package cmd

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const openSession = `{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18",
	"capabilities": {}, "clientInfo": {"name": "testagent", "version": "1"}}}`

// TestNumberOfAgentSessionsIsBounded opens sessions like a client that never closes one.
func TestNumberOfAgentSessionsIsBounded(t *testing.T) {
	t.Parallel()
	p := &workflows.Project{}
	a := &agentServers{log: slog.New(slog.DiscardHandler), project: func() *workflows.Project { return p },
		tools: func(*workflows.Project, bool) *agentTools { return &agentTools{dir: t.TempDir()} }}
	srv := httptest.NewServer(a.handler())
	defer srv.Close()
	ask := func(method, session, body string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, srv.URL, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		if session != "" {
			r.Header.Set("Mcp-Session-Id", session)
		}
		answer, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return answer.StatusCode, answer.Header.Get("Mcp-Session-Id")
	}
	session := ""
	for i := range mcpSessions {
		status := 0
		if status, session = ask(http.MethodPost, "", openSession); status != http.StatusOK || session == "" {
			t.Fatalf("session %d: %d", i, status)
		}
	}
	if status, _ := ask(http.MethodPost, "", openSession); status != http.StatusServiceUnavailable {
		t.Errorf("one more than %d: %d", mcpSessions, status)
	}
	if status, _ := ask(http.MethodPost, session, `{"jsonrpc": "2.0", "id": 2, "method": "tools/list"}`); status != http.StatusOK {
		t.Errorf("a call of an open session: %d", status)
	}
	if status, _ := ask(http.MethodDelete, session, ""); status != http.StatusNoContent {
		t.Errorf("ending a session: %d", status)
	}
	if status, _ := ask(http.MethodPost, "", openSession); status != http.StatusOK {
		t.Errorf("after one has ended: %d", status)
	}
}

// TestWaitingCallsDoNotBlockOthers calls more workflows than may run concurrently.
func TestWaitingCallsDoNotBlockOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hookloom.yaml"), []byte("server: {addr: \"127.0.0.1:0\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	arrived, end := make(chan struct{}), make(chan struct{})
	tools := &agentTools{dir: dir, slots: make(chan struct{}, 1), waits: make(chan struct{}, mcpWaits),
		workflows: map[string]*workflows.Workflow{"slow": {ID: "slow", Enabled: true,
			Tool: &workflows.Tool{Timeout: workflows.DefaultToolTimeout}}},
		api: func(http.Header) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				arrived <- struct{}{}
				<-end
				w.WriteHeader(http.StatusInternalServerError)
			})
		}}
	ours, theirs := mcp.NewInMemoryTransports()
	if _, err := tools.newServer().Connect(t.Context(), theirs, nil); err != nil {
		t.Fatal(err)
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "testagent", Version: "1"}, nil).Connect(t.Context(), ours, nil)
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 3)
	for range cap(answered) {
		go func() {
			_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "run_slow"})
			answered <- err
		}()
	}
	for range cap(answered) {
		<-arrived
	}
	if got, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "get_docs"}); err != nil || got.IsError {
		t.Errorf("a call while others wait: %v, %v", got, err)
	}
	close(end)
	for range cap(answered) {
		if err := <-answered; err != nil {
			t.Error(err)
		}
	}
}
