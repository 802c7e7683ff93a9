package cmd

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/docs"
	"github.com/hookloom/hookloom/workflows/spelling"
	"github.com/spf13/cobra"
)

// docsCmd prints, searches and writes the manual.
func (a *app) docsCmd() *cobra.Command {
	var search, write, man string
	c := &cobra.Command{Use: "docs [PAGE]", Short: "Read the manual", Args: cobra.MaximumNArgs(1),
		Long: `Lists the pages of the manual, or prints one in Markdown. hookloom help PAGE also
prints it. The console serves the same pages under /docs/.`,
		Example: "  hookloom docs\n  hookloom docs workflow\n  hookloom docs --search retry\n" +
			"  hookloom docs --man /usr/local/share/man/man1",
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case man != "":
				return writeManPages(man, c.Root())
			case write != "":
				return writeReference(c.Context(), write)
			case search != "":
				return a.searchDocs(search)
			case len(args) == 1:
				return a.printPage(args[0])
			}
			return a.listPages()
		}}
	c.Flags().StringVar(&search, "search", "", "find the lines with these words")
	c.Flags().StringVar(&man, "man", "", "write a man page for each command into this folder")
	c.Flags().StringVar(&write, "write", "", "write the pages of the reference into this folder")
	_ = c.Flags().MarkHidden("write") // the flag is defined above
	return c
}

func (a *app) listPages() error {
	t := newTable("PAGE", "ABOUT")
	items := []any{}
	for _, p := range docs.Pages() {
		t.row(p.Name, p.Title)
		items = append(items, map[string]any{"page": p.Name, "title": p.Title})
	}
	if a.json() {
		return a.printJSON(map[string]any{"items": items})
	}
	return t.print(a.out)
}

func (a *app) printPage(name string) error {
	p, ok := docs.Find(name)
	if !ok {
		return usageError("no page %q%s; hookloom docs lists them", name, pageHint(name))
	}
	if a.json() {
		return a.printJSON(map[string]any{"page": p.Name, "title": p.Title, "text": p.Text})
	}
	a.printf("%s", p.Text)
	return nil
}

// pageHint suggests the page that was probably meant.
func pageHint(name string) string {
	var names []string
	for _, p := range docs.Pages() {
		names = append(names, p.Name, filepath.Base(p.Name))
	}
	near := spelling.Nearest(name, names)
	if stem := strings.TrimRight(name, "yes"); near == "" && len(stem) >= 4 { // retry is retries, polls is polling
		if i := slices.IndexFunc(names, func(page string) bool { return strings.HasPrefix(page, stem) }); i >= 0 {
			near = names[i]
		}
	}
	if near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

const maxHits = 50

func (a *app) searchDocs(query string) error {
	hits := docs.Search(query, maxHits)
	if a.json() {
		items := []any{}
		for _, h := range hits {
			items = append(items, map[string]any{"page": h.Page, "heading": h.Heading, "line": h.Line})
		}
		return a.printJSON(map[string]any{"items": items})
	}
	if len(hits) == 0 {
		return usageError("no page has all of the words %q; hookloom docs lists the pages", query)
	}
	for _, h := range hits {
		a.printf("%s, %s\n  %s\n", h.Page, cmp.Or(h.Heading, h.Title), h.Line)
	}
	return nil
}

// helpCmd replaces the default help command: it also prints pages of the manual.
func (a *app) helpCmd(root *cobra.Command) *cobra.Command {
	return &cobra.Command{Use: "help [COMMAND|PAGE|CODE]", Short: "Help about a command, a page of the manual, or the code of a mistake",
		Long: `Prints the help of a command, or a page of the manual (hookloom docs lists the pages),
or explains a code that hookloom validate reports, with an example and its fix.`,
		Example: "  hookloom help serve\n  hookloom help functions\n  hookloom help workflow\n  hookloom help unknown-key",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return root.Help()
			}
			if c, rest, err := root.Find(args); err == nil && c != root && len(rest) == 0 {
				c.InitDefaultHelpFlag()
				err := c.Help()
				if _, ok := docs.Find(args[0]); ok && err == nil {
					a.printf("\nThe manual has a page of this name: hookloom docs %s\n", args[0])
				}
				return err
			}
			if _, ok := docs.Find(args[0]); ok {
				return a.printPage(args[0])
			}
			if text := explainedMistake(strings.Trim(args[0], "[]")); text != "" {
				a.printf("%s", text)
				return nil
			}
			return usageError("no command and no page %q%s; hookloom --help lists the commands, hookloom docs the pages",
				strings.Join(args, " "), pageHint(args[0]))
		}}
}

// writeReference writes the generated pages below a folder.
func writeReference(ctx context.Context, dir string) error {
	pages, err := referencePages(ctx)
	if err != nil {
		return err
	}
	for name, text := range pages {
		file := filepath.Join(dir, filepath.FromSlash(name)+".md")
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // pages are public
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil { //nolint:gosec // pages are public
			return err
		}
	}
	return nil
}
