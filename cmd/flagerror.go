package cmd

import (
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/workflows/spelling"
	"github.com/spf13/cobra"
)

// flagError adds to the error for an unknown flag the one that was probably meant, and how to list
// the command's flags.
func flagError(c *cobra.Command, err error) error {
	text := err.Error()
	if !strings.HasPrefix(text, "unknown ") {
		return err
	}
	hint := c.CommandPath() + " --help lists the flags"
	if given, long := strings.CutPrefix(text, "unknown flag: --"); long {
		if given == "dir" && strings.Contains(c.Use, "DIR") {
			hint = fmt.Sprintf("the folder is an argument: %s DIR. ", c.CommandPath()) + hint
		} else if meant := spelling.Nearest(given, flagNames(c)); meant != "" {
			hint = fmt.Sprintf("did you mean --%s? ", meant) + hint
		}
	}
	if c.Name() == "eval" {
		hint += "; an expression that begins with - goes after --, as in " + c.CommandPath() + " -- '-1'"
	}
	return usageError("%w\n%s", err, hint)
}

// meantCommand returns the subcommand that a mistyped one probably means, or "".
func meantCommand(c *cobra.Command, args []string) string {
	if len(args) == 0 {
		return ""
	}
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return spelling.Nearest(args[0], names)
}

// unknownBelow reports an unknown subcommand of a command that only has subcommands, for which
// cobra would print the help and exit with 0.
func unknownBelow(root *cobra.Command, args []string) error {
	c, rest, err := root.Find(args)
	if err != nil || c == root || c.Runnable() || len(rest) == 0 || strings.HasPrefix(rest[0], "-") || rest[0] == "help" {
		return nil
	}
	hint := c.CommandPath() + " --help lists the commands"
	if meant := meantCommand(c, rest); meant != "" {
		hint = fmt.Sprintf("did you mean %q? ", meant) + hint
	}
	return usageError("unknown command %q for %q\n%s", rest[0], c.CommandPath(), hint)
}

// flagNames returns the flags in a command's help.
func flagNames(c *cobra.Command) []string {
	var names []string
	for line := range strings.Lines(c.Flags().FlagUsages()) {
		if _, rest, ok := strings.Cut(line, "--"); ok {
			name, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
			names = append(names, name)
		}
	}
	return names
}
