package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/rogpeppe/go-internal/testscript"
)

// callTool starts hookloom mcp as an agent does and calls a tool by the SDK's own client:
// mcp 'FLAGS' TOOL JSON. Without a tool it lists them. The answer goes to stdout.
func callTool(ts *testscript.TestScript, wantError bool, args []string) {
	program := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if found, err := exec.LookPath(filepath.Join(dir, "hookloom")); err == nil {
			program = found
			break
		}
	}
	ctx := context.Background()
	command := exec.CommandContext(ctx, program, append([]string{"mcp"}, strings.Fields(args[0])...)...)
	command.Dir = ts.MkAbs(".")
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(ctx, &mcp.CommandTransport{Command: command}, nil)
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
