package cmd

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hookloom/hookloom/workflows/spelling"
	"github.com/spf13/cobra"
)

// argumentsOf returns the check of a command's arguments: that of its declaration, with an error that
// says which argument is wrong and how the command is called.
func argumentsOf(c *cobra.Command) cobra.PositionalArgs {
	check := c.Args
	if check == nil {
		return nil
	}
	return func(c *cobra.Command, args []string) error {
		if check(c, args) == nil {
			return nil
		}
		if len(args) > 0 && c.HasSubCommands() {
			return unknownCommand(c, args[0])
		}
		verb, names := c.CommandPath(), argumentNames(c)
		usage := fmt.Sprintf("write %s; %s --help says more", c.UseLine(), verb)
		switch {
		case len(args) < len(names):
			after := ""
			if len(args) > 0 {
				after = fmt.Sprintf(" after %q", args[len(args)-1])
			}
			return usageError("%s needs %s%s\n%s", verb, argumentWords(c, names[len(args)]), after, usage)
		case len(names) == 0:
			return usageError("%s takes no arguments, got %q\n%s", verb, args[0], usage)
		}
		most := ""
		if strings.HasPrefix(names[0], "[") {
			most = "at most "
		}
		count := []string{"", "one argument", "two arguments"}[len(names)]
		return usageError("%s takes %s%s, got %q too (an argument that contains spaces needs quotes)\n%s",
			verb, most, count, args[len(names)], usage)
	}
}

// argumentNames returns the arguments in a command's usage, such as [BEFORE and [AFTER]], without its
// flags.
func argumentNames(c *cobra.Command) []string {
	words, _, _ := strings.Cut(c.Use, " --")
	return strings.Fields(words)[1:]
}

// argumentWords says what to write for an argument, and which command lists the choices.
func argumentWords(c *cobra.Command, name string) string {
	switch {
	case c.Parent().Name() == "batches":
		name = "batch"
	case name == "ID", c.Name() == "connect":
		name = c.Name()
	}
	if words := namedBy[name]; words != "" {
		return words + " lists them"
	}
	return name
}

// namedBy has the arguments whose choices a command lists. An argument that is only ID or NAME has the name of its command.
var namedBy = map[string]string{
	"batch": "the id of a batch: hookloom batches", "run": "the id of a run: hookloom runs", "RUN": "the id of a run: hookloom runs",
	"event": "the id of an event: hookloom events", "TRIGGER": "the name of a trigger: hookloom triggers",
	"admit": "the id of a conflicting delivery: hookloom event EVENT", "connect": "the name of a connection: hookloom connections",
	"NODE": "the name of a node: hookloom nodes",
}

// unknownBelow reports an unknown command of the program, or of a command that only has subcommands,
// for which cobra would print the help and exit with 0.
func unknownBelow(root *cobra.Command, args []string) error {
	c, rest, err := root.Find(args)
	if err != nil {
		// cobra has skipped the flags before the command. Its error begins with the command in quotes.
		quoted, noQuote := strconv.QuotedPrefix(strings.TrimPrefix(err.Error(), "unknown command "))
		word, noWord := strconv.Unquote(quoted)
		if noQuote != nil || noWord != nil || strings.HasPrefix(word, cobra.ShellCompRequestCmd) {
			return nil
		}
		return unknownCommand(c, word)
	}
	if c == root || c.Runnable() || len(rest) == 0 || strings.HasPrefix(rest[0], "-") || rest[0] == "help" {
		return nil
	}
	return unknownCommand(c, rest[0])
}

// unknownCommand is the error for a word that is no subcommand.
func unknownCommand(c *cobra.Command, word string) error {
	verb := c.CommandPath()
	hint := verb + " --help lists the commands"
	if meant := meantCommand(c, word); meant != "" {
		hint = fmt.Sprintf("did you mean %s %s? ", verb, meant) + hint
	} else if own := ownWords[word]; own != "" && !c.HasParent() {
		hint = own + "; " + hint
	}
	return usageError("unknown command %q for %q\n%s", word, verb, hint)
}

// meantCommand returns the subcommand that a mistyped one probably means, or "".
func meantCommand(c *cobra.Command, word string) string {
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	near := spelling.Nearest(word, names)
	if 2*spelling.Distance(word, near, 3) >= len(word) && !strings.Contains(word, near) {
		return "" // half of the letters differ, as between list and test
	}
	return near
}

// ownWords say what commands of other programs are here.
var ownWords = map[string]string{
	"list":  "write hookloom runs, events, triggers, deadletters or nodes, which list them",
	"ls":    "write hookloom runs, events, triggers, deadletters or nodes, which list them",
	"start": "write hookloom serve", "up": "write hookloom serve", "logs": "write hookloom tail, or hookloom run ID",
	"retry": "write hookloom replay", "dlq": "write hookloom deadletters",
}

// shownBy are the commands that show what an id with a prefix names.
var shownBy = []struct{ prefix, command string }{{"run_", "run"}, {"evt_", "event"}, {"bat_", "batches"}, {"ref_", "quarantine"},
	{"cfl_", "admit"}}

// otherID reports an argument that is not an id with the own prefix of a command: if it is the id of something
// else, with the command for that, otherwise with a hint.
func otherID(err error, own, id, hint string) error {
	for _, x := range shownBy {
		if rest, is := strings.CutPrefix(id, x.prefix); is && rest != "" && x.prefix != own {
			hint = fmt.Sprintf("write hookloom %s %s", x.command, id)
			if x.prefix == "bat_" {
				hint = "write hookloom batches" // it lists them, with their counts
			}
			break
		}
	}
	return usageError("%v; %s", err, hint)
}
