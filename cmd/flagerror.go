package cmd

import (
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/workflows/spelling"
	"github.com/spf13/cobra"
)

// flagError adds to the report of an unknown flag the one that may be meant, and where
// the verb's flags are listed.
func flagError(c *cobra.Command, err error) error {
	text := err.Error()
	if !strings.HasPrefix(text, "unknown ") {
		return err
	}
	hint := c.CommandPath() + " --help lists the flags"
	if given, long := strings.CutPrefix(text, "unknown flag: --"); long {
		if meant := spelling.Nearest(given, flagNames(c)); meant != "" {
			hint = fmt.Sprintf("did you mean --%s? ", meant) + hint
		}
	}
	return usageError("%w\n%s", err, hint)
}

// meantCommand is the command below a verb that a mistyped one may mean, or "".
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

// unknownBelow reports a word that is no command of a verb that only has commands, where
// cobra would print the verb's help and exit with 0.
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

// flagNames are the flags that the help of a verb lists.
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
