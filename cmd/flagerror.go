package cmd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/spelling"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagError adds to the error for an unknown flag the one that was probably meant, and how to list
// the command's flags. For a value that cannot be read, it says how to write one.
func flagError(c *cobra.Command, err error) error {
	text := err.Error()
	if invalid := new(pflag.InvalidValueError); errors.As(err, &invalid) {
		if errors.Is(err, strconv.ErrRange) {
			return usageError("--%s %s: the number is too large", invalid.GetFlag().Name, invalid.GetValue())
		}
		return usageError("--%s %q: write %s", invalid.GetFlag().Name, invalid.GetValue(), valueWords(invalid.GetFlag()))
	}
	if missing := new(pflag.ValueRequiredError); errors.As(err, &missing) {
		if words := valueWords(missing.GetFlag()); words != "" {
			return usageError("--%s has no value: write %s", missing.GetFlag().Name, words)
		}
		return usageError("--%s has no value\n%s --help describes the flags", missing.GetFlag().Name, c.CommandPath())
	}
	if !strings.HasPrefix(text, "unknown ") {
		return usageError("%w\n%s --help lists the flags", err, c.CommandPath())
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

// valueWords says which values a flag takes; "" if it takes any text.
func valueWords(f *pflag.Flag) string {
	words := map[string]string{"int": "a whole number", "int64": "a whole number", "float64": "a number", "bool": "true or false",
		"duration": "a duration with a unit: ms, s, m, h or d"}[f.Value.Type()]
	if words != "" && f.Value.Type() != "bool" && f.DefValue != "" && f.DefValue != "0" {
		words += ", such as " + f.DefValue
	}
	return words
}

// durationVar defines a flag for a duration as it is written in YAML, where a day is 1d. It is not
// negative.
func durationVar(fs *pflag.FlagSet, p *time.Duration, name string, def time.Duration, usage string) {
	*p = def
	fs.Var((*durationValue)(p), name, usage)
}

type durationValue time.Duration

func (v *durationValue) Set(s string) error {
	if s == "0" {
		*v = 0
		return nil
	}
	d, err := workflows.ParseDuration(s)
	if err != nil {
		return err
	}
	*v = durationValue(d)
	return nil
}

func (v *durationValue) String() string { return engine.ShortDuration(time.Duration(*v)) }

func (v *durationValue) Type() string { return "duration" }

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
