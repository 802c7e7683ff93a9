package cmd

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/freeport"
	"github.com/hookloom/hookloom/triggers"
	"github.com/spf13/cobra"
)

// exampleCommands returns the command lines of an example: the words after hookloom of each, without
// redirections and comments.
func exampleCommands(t *testing.T, line string) (out [][]string) {
	t.Helper()
	var words []string
	var word strings.Builder
	quote, inWord, command := rune(0), false, false
	end := func() {
		if inWord {
			words = append(words, word.String())
		}
		word.Reset()
		inWord = false
	}
	for _, r := range line + "\n" {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, inWord = r, true
		case quote == 0 && !command && (r == ' ' || r == '\n'):
			end()
		default:
			command = r != ')' && (command || r == '(' && strings.HasSuffix(word.String(), "$"))
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 {
		t.Fatalf("%s: a quote is not closed", line)
	}
	for len(words) > 0 {
		n := slices.IndexFunc(words, func(s string) bool { return s == "&&" || s == "|" })
		if n < 0 {
			n = len(words)
		}
		command := words[:n]
		words = words[min(n+1, len(words)):]
		if i := slices.IndexFunc(command, func(s string) bool { return s == ">" || s == "<" || s == "#" }); i >= 0 {
			command = command[:i]
		}
		for len(command) > 0 && strings.Contains(command[0], "=") {
			command = command[1:] // an environment variable
		}
		if len(command) > 0 && command[0] == "hookloom" {
			out = append(out, command[1:])
		}
	}
	return out
}

// eachExample calls do for each command line in the help of a command and those below it.
func eachExample(t *testing.T, c *cobra.Command, do func(c *cobra.Command, line string, args []string)) {
	t.Helper()
	for line := range strings.Lines(c.Example) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		list := exampleCommands(t, line)
		if len(list) == 0 {
			t.Errorf("%s: the example %q does not run hookloom", c.CommandPath(), line)
		}
		for _, args := range list {
			do(c, line, args)
		}
	}
	for _, sub := range c.Commands() {
		eachExample(t, sub, do)
	}
}

// TestExamplesInHelpHaveValidFlags checks each example of each command: the command exists, takes its
// flags and the number of its arguments. Each command that does something has an example of itself.
func TestExamplesInHelpHaveValidFlags(t *testing.T) {
	shown, checked := map[string]bool{}, 0
	eachExample(t, (&app{output: "text"}).root(), func(c *cobra.Command, line string, args []string) {
		// Flags keep their values: each example has its own commands.
		found, rest, err := (&app{output: "text"}).root().Find(args)
		if err == nil {
			err = found.ParseFlags(rest)
		}
		if err == nil {
			err = found.ValidateArgs(found.Flags().Args())
		}
		if err == nil && !found.Runnable() {
			err = fmt.Errorf("%s does nothing by itself", found.CommandPath())
		}
		if err != nil {
			t.Errorf("%s: %s: %v", c.CommandPath(), line, err)
			return
		}
		if found.CommandPath() == c.CommandPath() {
			shown[c.CommandPath()] = true
		}
		checked++
	})
	if checked < 100 {
		t.Errorf("%d examples are checked", checked)
	}
	for _, verb := range []string{"backtest", "replay", "shapes", "diff", "fmt", "test", "eval", "send", "validate"} {
		if !shown["hookloom "+verb] {
			t.Errorf("%s has no example of itself", verb)
		}
	}
}

// exampleProject is what the examples of the verbs for files and history speak of.
var exampleProject = map[string]string{
	"hookloom.yaml": `triggers:
  stripe: {webhook: {provider: stripe, secret: "${{ secrets.STRIPE }}"}}
  github: {webhook: {provider: github, secret: "${{ secrets.GITHUB }}"}}
  shop: {webhook: {auth: none, key: body.id}}
`,
	".env":                  "STRIPE=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nGITHUB=It's a Secret to Everybody\n",
	"workflows/paid.yaml":   "on: stripe\nsteps: [{id: n, uses: store/increment, with: {key: paid}}]\n",
	"workflows/pushed.yaml": "on: github\nsteps: [{uses: log, with: {message: pushed}}]\n",
	"workflows/fulfil.yaml": "on: shop\nwhen: event.data.amount > 100\nsteps: [{uses: store/increment, with: {key: fulfilled}}]\n",
	"workflows/refund.yaml": "on: manual\ninputs: {order_id: {type: string}, amount: {type: number}}\n" +
		"steps: [{uses: log, with: {message: refund}}]\n",
	"tests/paid_test.yaml": "tests:\n  - {name: it counts, event: {data: {id: 1}}, mock: {n: {output: 1}}, expect: {status: succeeded}}\n",
	"old.yaml":             "on: stripe\nsteps: [{uses: store/increment, with: {key: old}}]\n",
	"order.json":           `{"id": "o1", "amount": 900, "lines": [{"quantity": 2}, {"quantity": 1}]}`,
}

// TestExamplesInHelpRun runs each example in the help of the verbs for files and history, as it is
// written, with the ids of a real history in place of those in the help.
func TestExamplesInHelpRun(t *testing.T) {
	dir := t.TempDir()
	for name, text := range exampleProject {
		writeTestFile(t, filepath.Join(dir, filepath.FromSlash(name)), text)
	}
	if err := os.Symlink(".", filepath.Join(dir, "shop")); err != nil { // some examples name the folder
		t.Skip(err)
	}
	admin, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	s, stop := startServerAt(t, dir, admin)
	defer stop()
	t.Chdir(dir)
	t.Setenv("HOOKLOOM_ADDR", strings.TrimPrefix(s.hooksURL(), "http://"))
	t.Setenv("HOOKLOOM_ADMIN_ADDR", admin)
	ids := exampleHistory(t, s)
	ran := map[string]int{}
	eachExample(t, (&app{output: "text"}).root(), func(c *cobra.Command, line string, args []string) {
		verb := c.Name()
		if c.Parent() == nil || c.Parent().HasParent() || !slices.Contains([]string{"backtest", "replay", "shapes", "diff", "fmt", "test", "eval",
			"send", "validate"}, verb) {
			return
		}
		for i, x := range args {
			for from, to := range ids {
				if strings.HasPrefix(x, from) {
					args[i] = to
				}
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if slices.Contains(args, "--watch") {
			cancel() // it would run until it is interrupted
		}
		var out, errOut bytes.Buffer
		code := execute(ctx, args, &out, &errOut)
		if code != exitOK && (verb != "diff" || code != exitFailure || out.Len() == 0) { // diff fails where it finds differences
			t.Errorf("%s: status %d\n%s%s", line, code, out.String(), errOut.String())
		}
		ran[verb]++
	})
	if len(ran) != 9 {
		t.Errorf("ran %v", ran)
	}
}

// exampleHistory sends deliveries, and returns what stands for the ids and files in the help.
func exampleHistory(t *testing.T, s *server) map[string]string {
	t.Helper()
	l, err := load(".")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{"/tmp/paid.yaml": "old/paid.yaml"}
	if err := os.Mkdir("old", 0o700); err != nil {
		t.Fatal(err)
	}
	writeTestFile(t, "old/paid.yaml", exampleProject["old.yaml"])
	for _, x := range []struct {
		trigger string
		order   triggers.SampleOrder
	}{{"stripe", triggers.SampleOrder{Type: "payment_intent.succeeded"}},
		{"shop", triggers.SampleOrder{Body: []byte(exampleProject["order.json"])}}} {
		sample, err := triggers.Sample(l.project, x.trigger, l.secrets.Lookup, x.order)
		if err != nil {
			t.Fatal(err)
		}
		if status, body, err := deliver(t.Context(), s.hooksURL(), sample); err != nil || status != 202 {
			t.Fatalf("%d %s %v", status, body, err)
		}
	}
	run := endedRun(t, s)
	ids["run_"], ids["1f0c2a7be39d"], ids["3f2a9c1b"] = run.ID, run.Version, run.Version[:8]
	list, err := s.store.History().Events(t.Context(), engine.Query{Trigger: "shop"})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	ids["evt_"] = list[0].ID
	return ids
}

func writeTestFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestHelpFitsATerminal checks that no line of a command's description is longer than a terminal of
// usual width shows well.
func TestHelpFitsATerminal(t *testing.T) {
	const columns = 92
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		for line := range strings.Lines(c.Long) {
			if n := len(strings.TrimSuffix(line, "\n")); n > columns {
				t.Errorf("%s: a line of the description has %d columns, at most %d: %s", c.CommandPath(), n, columns, line)
			}
		}
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	check((&app{output: "text"}).root())
}
