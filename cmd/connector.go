package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/actions/openapi"
	"github.com/hookloom/hookloom/engine/egress"
	"github.com/hookloom/hookloom/workflows"
	"github.com/spf13/cobra"
)

// connectorCmd creates and tests connector files.
func (a *app) connectorCmd() *cobra.Command {
	c := &cobra.Command{Use: "connector", Short: "Create connectors by hand, from an OpenAPI document or a curl command, and test them"}
	c.AddCommand(a.connectorNewCmd(), a.connectorImportCmd(), a.connectorCurlCmd(), a.connectorTestCmd())
	return c
}

var connectorName = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// connectorFile returns the path of a connector's file; an existing one is an error unless force is
// set.
func connectorFile(dir, name string, force bool) (string, error) {
	if !connectorName.MatchString(name) {
		return "", usageError("%q is not a valid connector name: names consist of lower-case letters, digits and _", name)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", usageError("%s: no such folder; hookloom init makes a project", dir)
	}
	file := filepath.Join(dir, "connectors", name+".yaml")
	if _, err := os.Stat(file); err == nil && !force {
		return "", usageError("%s exists; --force overwrites it, --name sets another name", file)
	}
	return file, nil
}

// writeConnector writes the file in the format that hookloom fmt --check expects.
func writeConnector(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return err
	}
	if out, err := workflows.Format("connector", text); err == nil { // otherwise unchanged: hookloom fmt reports why
		text = out
	}
	return os.WriteFile(file, text, 0o600)
}

func (a *app) connectorNewCmd() *cobra.Command {
	var dir string
	var force bool
	c := &cobra.Command{Use: "new NAME", Short: "Create a commented connector file to start from", Args: cobra.ExactArgs(1),
		Example: "  hookloom connector new crm",
		RunE: func(_ *cobra.Command, args []string) error {
			file, err := connectorFile(dir, args[0], force)
			if err != nil {
				return err
			}
			if err := writeConnector(file, []byte(strings.ReplaceAll(connectorStart, "NAME", args[0]))); err != nil {
				return err
			}
			a.printf("%s: change it, then\n  hookloom validate %s\n  hookloom connector test %s\n  hookloom actions %s/contacts.create\n",
				file, file, args[0], args[0])
			return nil
		}}
	c.Flags().StringVar(&dir, "dir", ".", "project folder")
	c.Flags().BoolVar(&force, "force", false, "overwrite an existing file")
	return c
}

func (a *app) connectorImportCmd() *cobra.Command {
	var dir, name string
	var only []string
	var force bool
	c := &cobra.Command{Use: "import FILE|URL", Short: "Create a connector from an OpenAPI document or a Postman collection",
		Args: cobra.ExactArgs(1),
		Long: `Makes connectors/NAME.yaml from an API description: OpenAPI 3.0 or 3.1,
Swagger 2.0 (JSON or YAML) or a Postman collection. Each operation becomes an action
with typed inputs and output. Operations that cannot be imported are listed with the
reason.`,
		Example: "  hookloom connector import openapi.yaml --name crm\n" +
			"  hookloom connector import https://api.example.com/openapi.json --name crm --only contacts,/deals",
		RunE: func(c *cobra.Command, args []string) error {
			if name == "" {
				return usageError("--name is required: workflows use it, as in uses: NAME/ACTION")
			}
			file, err := connectorFile(dir, name, force)
			if err != nil {
				return err
			}
			text, from, err := a.document(c.Context(), dir, args[0])
			if err != nil {
				return err
			}
			r, err := openapi.Import(c.Context(), text, openapi.Options{Name: name, Source: filepath.Base(args[0]), From: from, Only: only})
			if err != nil {
				return usageError("%s: %v", args[0], err)
			}
			return a.imported(r, dir, name, file)
		}}
	c.Flags().StringVar(&dir, "dir", ".", "project folder")
	c.Flags().StringVar(&name, "name", "", "the connector's name")
	c.Flags().StringSliceVar(&only, "only", nil, "only these tags, operation ids or path prefixes, separated by commas")
	c.Flags().BoolVar(&force, "force", false, "overwrite an existing file")
	return c
}

func (a *app) connectorCurlCmd() *cobra.Command {
	var dir, name, action string
	var force bool
	c := &cobra.Command{Use: "from-curl COMMAND", Short: "Create a connector from a curl command", Args: cobra.ExactArgs(1),
		Long: `Makes connectors/NAME.yaml with one action from a curl command. Ids in the
path, the query and the keys of the body become inputs; the credential becomes a field
of the connection, and its value is not written.`,
		Example: `  hookloom connector from-curl 'curl https://api.example.com/contacts -H "Authorization: Bearer x" -d email=a@b.c' --name crm`,
		RunE: func(c *cobra.Command, args []string) error {
			if name == "" {
				return usageError("--name is required: workflows use it, as in uses: NAME/ACTION")
			}
			file, err := connectorFile(dir, name, force)
			if err != nil {
				return err
			}
			r, err := openapi.FromCurl(c.Context(), args[0], action, openapi.Options{Name: name, Source: "a curl command"})
			if err != nil {
				return usageError("%v", err)
			}
			return a.imported(r, dir, name, file)
		}}
	c.Flags().StringVar(&dir, "dir", ".", "project folder")
	c.Flags().StringVar(&name, "name", "", "the connector's name")
	c.Flags().StringVar(&action, "action", "", "the action's name; derived from method and path by default")
	c.Flags().BoolVar(&force, "force", false, "overwrite an existing file")
	return c
}

// imported writes the file and prints its content.
func (a *app) imported(r *openapi.Result, dir, name, file string) error {
	if r.Imported > 0 {
		if err := writeConnector(file, r.Text); err != nil {
			return err
		}
	}
	rel, err := filepath.Rel(dir, file)
	if err != nil {
		rel = file
	}
	if r.Skipped == nil {
		r.Skipped = []openapi.Skipped{}
	}
	if a.json() {
		if r.Imported == 0 {
			rel = ""
		}
		if err := a.printJSON(map[string]any{"operations": r.Operations, "imported": r.Imported, "skipped": r.Skipped,
			"file": filepath.ToSlash(rel)}); err != nil {
			return err
		}
	} else {
		for _, s := range r.Skipped {
			a.printf("left out: %s: %s\n", printable(s.Operation), printable(s.Reason))
		}
	}
	if r.Imported == 0 {
		return &exitError{exitUsage, errors.New("no operation can be imported; no file was written")}
	}
	if a.json() {
		return nil
	}
	a.printf("%s: %d of %s\n", file, r.Imported, counted(r.Operations, "operation"))
	if r.Shortened != "" {
		a.printf("the file has no %s, because it would be too large; select operations with --only\n", r.Shortened)
	}
	at := ""
	if dir != "." {
		at = " --dir " + dir
	}
	a.printf("  hookloom actions %s%s    lists its actions\n", name, at)
	return nil
}

// document reads a document from a file or from a URL, through the egress guard that steps use too.
func (a *app) document(ctx context.Context, dir, source string) (text []byte, from string, err error) {
	if !strings.HasPrefix(source, "http://") && !strings.HasPrefix(source, "https://") {
		info, err := os.Stat(source)
		switch {
		case err != nil:
			return nil, "", usageError("%s: no such file", source)
		case !info.Mode().IsRegular():
			return nil, "", usageError("%s is not a regular file", source)
		case info.Size() > openapi.MaxSize:
			return nil, "", usageError("%s has %s, but a document may have at most %s", source, workflows.SizeText(info.Size()),
				workflows.SizeText(openapi.MaxSize))
		}
		text, err = os.ReadFile(source)
		return text, "", err
	}
	var allow []string
	if l, err := load(dir); err == nil {
		allow = l.project.Egress.Allow
	}
	guard, err := egress.NewGuard(allow)
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, source, nil)
	if err != nil {
		return nil, "", usageError("%s is not a URL", source)
	}
	resp, err := guard.Client().Do(req)
	if err != nil {
		return nil, "", fmt.Errorf("fetching %s: %w", source, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("%s answered %s", source, resp.Status)
	}
	text, err = io.ReadAll(io.LimitReader(resp.Body, openapi.MaxSize+1))
	if err != nil {
		return nil, "", fmt.Errorf("%s cannot be read: %w", source, err)
	}
	if len(text) > openapi.MaxSize {
		return nil, "", fmt.Errorf("%s has more than %s", source, workflows.SizeText(openapi.MaxSize))
	}
	return text, source, nil
}

func (a *app) connectorTestCmd() *cobra.Command {
	var dir string
	c := &cobra.Command{Use: "test [NAME]", Short: "Test the examples of the project's connectors", Args: cobra.MaximumNArgs(1),
		Long: `Runs each action's example against a local fake server that returns the example's
response. The request and the output must match the example. Nothing leaves this
machine.`,
		RunE: func(c *cobra.Command, args []string) error {
			l, err := load(dir)
			if err != nil {
				return err
			}
			broken := slices.DeleteFunc(errorsOf(l.mistakes), func(m workflows.Mistake) bool { return !strings.HasPrefix(m.File, "connectors/") })
			if len(broken) > 0 {
				return broken // otherwise a file that cannot be read would pass
			}
			if len(args) == 1 && !ownConnector(l.project, args[0]) {
				return usageError("the project has no connector %q; known are %s", args[0],
					cmp.Or(strings.Join(slices.Sorted(maps.Keys(l.project.Connectors)), ", "), "none: hookloom connector new makes one"))
			}
			return a.tryExamples(c.Context(), l.project, args)
		}}
	c.Flags().StringVar(&dir, "dir", ".", "project folder")
	return c
}

// exampleMistake is a difference from an action's example.
type exampleMistake struct {
	Action  string `json:"action"`
	Problem string `json:"problem"`
}

// tryExamples runs the examples of the project's own connectors, or of the named one.
func (a *app) tryExamples(ctx context.Context, p *workflows.Project, only []string) error {
	tried, mistakes := 0, []exampleMistake{}
	for _, s := range p.Actions.All() {
		if s.Connector == nil || !ownConnector(p, s.Connector.Name) || len(only) == 1 && s.Connector.Name != only[0] {
			continue
		}
		problems, did, err := actions.TryExample(ctx, s)
		if err != nil {
			return err
		}
		if did {
			tried++
		}
		for _, problem := range problems {
			mistakes = append(mistakes, exampleMistake{s.Name, problem})
		}
	}
	if a.json() {
		if err := a.printJSON(map[string]any{"examples": tried, "mistakes": mistakes}); err != nil {
			return err
		}
	} else {
		for _, m := range mistakes {
			a.printf("%s: %s\n", m.Action, m.Problem)
		}
	}
	switch {
	case len(mistakes) > 0:
		return &exitError{exitFailure, fmt.Errorf("%s of %s", counted(len(mistakes), "mistake"), counted(tried, "example"))}
	case tried == 0:
		return usageError("no action has an example to test: add example: {with, request, response, output}")
	case !a.json():
		a.printf("%s passed\n", counted(tried, "example"))
	}
	return nil
}

// ownConnector reports whether a connector is a file of the project's connectors/.
func ownConnector(p *workflows.Project, name string) bool {
	_, own := p.Connectors[name]
	return own
}
