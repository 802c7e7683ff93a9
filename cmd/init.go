package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine/seal"
	"github.com/hookloom/hookloom/workflows"
	"github.com/spf13/cobra"
)

// generatedSecret is replaced by a new secret for each project.
const generatedSecret = "GENERATED"

// starter is the project that init writes, by file.
var starter = map[string]string{
	"hookloom.yaml": `# Hookloom's project file. All of it is optional.

server:
  addr: 127.0.0.1:8080             # providers call http(s)://HOST:8080/hooks/TRIGGER; ":8080" for all of the machine's addresses
  admin_addr: 127.0.0.1:8081       # console, API and metrics
  # public_url: https://hooks.example.com

triggers:
  hello:                           # POST /hooks/hello
    webhook:
      provider: generic            # hookloom providers lists the others
      secret: ${{ secrets.HELLO_SECRET }}

# How long the history is kept. Open runs are never removed.
history: {keep: 30d, max_size: 2GB}

# Steps may not reach private addresses unless they are listed here.
# egress: {allow: [127.0.0.1, 10.1.2.0/24]}
`,
	"workflows/hello.yaml": `# The id of this workflow is "hello": the file's name.
name: Say hello
on: hello                          # a trigger of hookloom.yaml

when: event.data.employees > 0     # the rule, in expr: no ${{ }} here

vars:
  company: ${{ event.data.company ?? 'somebody' }}

steps:
  - id: greet
    uses: log                      # hookloom actions lists the others
    with:
      message: Hello ${{ vars.company }}, ${{ event.data.email }}

output: ${{ vars.company }}

tests:                             # hookloom test runs them, without network
  - name: a company is greeted
    event: {data: {email: ada@example.com, company: Analytical Engines, employees: 3}}
    expect:
      calls: {greet: {message: "Hello Analytical Engines, ada@example.com"}}
      output: Analytical Engines
  - name: nobody works there
    event: {data: {email: ada@example.com, employees: 0}}
    expect: {rule: skipped}
`,
	".env":       "# Secrets, one NAME=value a line. Keep this file out of version control.\nHELLO_SECRET=" + generatedSecret + "\n",
	".gitignore": ".env\n.hookloom-key\nhookloom.db*\n",
}

func (a *app) initCmd() *cobra.Command {
	return &cobra.Command{Use: "init [DIR]", Short: "Create a commented starter project", Args: cobra.MaximumNArgs(1),
		Example: "  hookloom init myproject && cd myproject && hookloom serve",
		RunE: func(c *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return a.init(dir)
		}}
}

// init never overwrites a file.
func (a *app) init(dir string) error {
	for _, name := range slices.Sorted(maps.Keys(starter)) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if _, err := os.Stat(path); err == nil {
			return usageError("%s already exists; nothing was written", path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(starter)) {
		if err := writeFile(filepath.Join(dir, filepath.FromSlash(name)), strings.Replace(starter[name], generatedSecret,
			workflows.GenerateSecret(), 1)); err != nil {
			return fmt.Errorf("writing the starter project: %w", err)
		}
		a.printf("wrote %s\n", filepath.Join(dir, name))
	}
	if err := a.initKey(dir); err != nil {
		return err
	}
	a.printf("\nNext:\n  cd %s\n  hookloom test                # the workflow's own tests\n  hookloom serve               # in one "+
		"terminal\n  hookloom send hello          # in another: a signed delivery\n  hookloom runs                # the resulting run\n", dir)
	return nil
}

// initKey creates the project's key, unless there is one or HOOKLOOM_KEY is set.
func (a *app) initKey(dir string) error {
	path := filepath.Join(dir, seal.FileName)
	if _, err := os.Lstat(path); err == nil || os.Getenv(seal.EnvName) != "" {
		return nil
	}
	if _, err := seal.New(dir).Key("init"); err != nil {
		return fmt.Errorf("writing the starter project: %w", err)
	}
	a.printf("wrote %s\n", path)
	return nil
}
