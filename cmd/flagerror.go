package cmd

import (
	"errors"
	"fmt"

	"github.com/hookloom/hookloom/workflows"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagError adds to the report of an unknown flag the one that may be meant, and where
// the verb's flags are listed.
func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return err
	}
	var names []string
	c.InitDefaultHelpFlag()
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	hint := c.CommandPath() + " --help lists the flags"
	if meant := workflows.DidYouMean(unknown.GetSpecifiedName(), names); meant != "" && len(unknown.GetSpecifiedName()) > 1 {
		hint = fmt.Sprintf("did you mean --%s? ", meant) + hint
	}
	return usageError("%w\n%s", err, hint)
}
