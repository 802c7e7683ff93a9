package cmd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// writeManPages writes a man page of section 1 for each command into a folder.
func writeManPages(dir string, root *cobra.Command) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // pages are public
		return err
	}
	return eachCommand(root, func(c *cobra.Command) error {
		name := strings.ReplaceAll(c.CommandPath(), " ", "-")
		return os.WriteFile(filepath.Join(dir, name+".1"), md2man.Render([]byte(manPage(c))), 0o644) //nolint:gosec // pages are public
	})
}

func eachCommand(c *cobra.Command, do func(*cobra.Command) error) error {
	if err := do(c); err != nil {
		return err
	}
	for _, sub := range c.Commands() {
		if !sub.IsAvailableCommand() {
			continue
		}
		if err := eachCommand(sub, do); err != nil {
			return err
		}
	}
	return nil
}

// manPage returns the page of a command in Markdown, with the sections of man-pages(7).
func manPage(c *cobra.Command) string {
	var b strings.Builder
	path := c.CommandPath()
	fmt.Fprintf(&b, "%% %s 1 \"\" \"hookloom %s\" \"Hookloom\"\n\n", strings.ToUpper(strings.ReplaceAll(path, " ", "-")), version())
	fmt.Fprintf(&b, "# NAME\n\n%s - %s\n\n", strings.ReplaceAll(path, " ", "-"), manText(c.Short))
	fmt.Fprintf(&b, "# SYNOPSIS\n\n**%s**\n\n", manText(c.UseLine()))
	if c.Long != "" {
		fmt.Fprintf(&b, "# DESCRIPTION\n\n%s\n\n", manText(c.Long))
	}
	options := func(title string, flags *pflag.FlagSet) {
		if !flags.HasAvailableFlags() {
			return
		}
		fmt.Fprintf(&b, "# %s\n\n", title)
		flags.VisitAll(func(f *pflag.Flag) {
			if f.Hidden {
				return
			}
			kind, usage := pflag.UnquoteUsage(f)
			short := ""
			if f.Shorthand != "" {
				short = "**-" + f.Shorthand + "**, "
			}
			fmt.Fprintf(&b, "%s**--%s** %s\n:   %s\n\n", short, f.Name, manText(kind), manText(usage))
		})
	}
	c.InitDefaultHelpFlag()
	options("OPTIONS", c.NonInheritedFlags())
	options("OPTIONS OF ALL COMMANDS", c.InheritedFlags())
	if c.Example != "" {
		fmt.Fprintf(&b, "# EXAMPLES\n\n```\n%s\n```\n\n", c.Example)
	}
	seeAlso := []string{}
	if c.HasParent() {
		seeAlso = append(seeAlso, strings.ReplaceAll(c.Parent().CommandPath(), " ", "-"))
	}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			seeAlso = append(seeAlso, strings.ReplaceAll(sub.CommandPath(), " ", "-"))
		}
	}
	if len(seeAlso) > 0 {
		fmt.Fprintf(&b, "# SEE ALSO\n\n**%s**(1)\n\n", strings.Join(seeAlso, "**(1), **"))
	}
	return b.String()
}

// manText escapes characters that Markdown interprets.
func manText(s string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "<", `\<`, "[", `\[`, "`", "\\`", "#", `\#`).Replace(s)
}
