package cmd

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestWrongArgumentsAreSaidInOneWay: for each command, with none and with too many arguments, the error
// names the command, is a usage error, and is not in the words of the library.
func TestWrongArgumentsAreSaidInOneWay(t *testing.T) {
	t.Parallel()
	a := &app{out: io.Discard, err: io.Discard}
	checked := 0
	err := eachCommand(a.root(), func(c *cobra.Command) error {
		if c.Args == nil {
			return nil
		}
		for _, args := range [][]string{nil, slices.Repeat([]string{"xyzzy"}, 9)} {
			err := c.Args(c, args)
			if err == nil {
				continue
			}
			checked++
			text, exit := err.Error(), new(exitError)
			named := strings.HasPrefix(text, c.CommandPath()+" ") ||
				strings.HasPrefix(text, `unknown command "xyzzy" for "`+c.CommandPath()+`"`)
			if !named || strings.Contains(text, "arg(s)") || strings.Contains(text, "wrong arguments") ||
				!strings.Contains(text, c.CommandPath()+" --help") || !errors.As(err, &exit) || exit.code != exitUsage {
				t.Errorf("%s with %d arguments: %v", c.CommandPath(), len(args), err)
			}
		}
		return nil
	})
	if err != nil || checked < 60 {
		t.Errorf("%d cases, %v", checked, err)
	}
}
