package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/rogpeppe/go-internal/testscript"
)

// callTool acts as an agent, with the SDK's own client: mcp WHERE TOOL JSON. WHERE is the flags of
// hookloom mcp, which is started, or URL TOKEN of a server. Without a tool it lists them. The
// result goes to stdout.
func callTool(ts *testscript.TestScript, wantError bool, args []string) {
	ctx := context.Background()
	client := mcp.NewClient(&mcp.Implementation{Name: "testagent", Version: "1"}, nil)
	session, err := client.Connect(ctx, toolTransport(ctx, ts, strings.Fields(args[0])), nil)
	if err != nil && wantError {
		fmt.Fprintln(ts.Stdout(), err)
		return
	}
	ts.Check(err)
	defer session.Close()
	if len(args) == 1 {
		list, err := session.ListTools(ctx, nil)
		ts.Check(err)
		var names []string
		for _, tool := range list.Tools {
			names = append(names, tool.Name)
		}
		slices.Sort(names)
		fmt.Fprintln(ts.Stdout(), strings.Join(names, "\n"))
		return
	}
	var in map[string]any
	ts.Check(json.Unmarshal([]byte(args[2]), &in))
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: args[1], Arguments: in})
	if err != nil && wantError {
		fmt.Fprintln(ts.Stdout(), err)
		return
	}
	ts.Check(err)
	for _, c := range result.Content {
		if text, ok := c.(*mcp.TextContent); ok {
			fmt.Fprintln(ts.Stdout(), text.Text)
		}
	}
	if result.IsError != wantError {
		ts.Fatalf("the tool's error is %v", result.IsError)
	}
}

func toolTransport(ctx context.Context, ts *testscript.TestScript, where []string) mcp.Transport {
	if len(where) > 0 && strings.HasPrefix(where[0], "http") {
		return &mcp.StreamableClientTransport{Endpoint: where[0], MaxRetries: -1,
			HTTPClient: &http.Client{Transport: bearer(strings.Join(where[1:], ""))}}
	}
	program := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if found, err := exec.LookPath(filepath.Join(dir, "hookloom")); err == nil {
			program = found
			break
		}
	}
	command := exec.CommandContext(ctx, program, append([]string{"mcp"}, where...)...)
	command.Dir = ts.MkAbs(".")
	command.Env = append(os.Environ(), "HOOKLOOM_TOKEN="+ts.Getenv("HOOKLOOM_TOKEN"))
	return &mcp.CommandTransport{Command: command}
}

// bearer sends a token with each request.
type bearer string

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if b != "" {
		r.Header.Set("Authorization", "Bearer "+string(b))
	}
	return http.DefaultTransport.RoundTrip(r)
}
