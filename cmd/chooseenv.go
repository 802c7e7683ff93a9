package cmd

import (
	"maps"
	"os"
	"slices"
	"sync/atomic"

	"github.com/hookloom/hookloom/workflows"
	"github.com/spf13/cobra"
)

// environmentFlag is the value of --env of this process; nil when the flag is not given. It is
// process-wide because every verb reads the project in the same environment, also verbs that a
// server calls for an agent.
var environmentFlag atomic.Pointer[string]

// chooseEnvironment takes --env from a command line that has it.
func chooseEnvironment(c *cobra.Command) {
	if f := c.Flags().Lookup("env"); f != nil && f.Changed {
		name := f.Value.String()
		environmentFlag.Store(&name)
	}
}

// environmentOfFiles chooses the environment whose file is among those that are to be checked.
func environmentOfFiles(files map[string]bool) error {
	for _, file := range slices.Sorted(maps.Keys(files)) {
		name := workflows.EnvironmentOf(file)
		switch chosen := chosenEnvironment(); {
		case name == "" || name == chosen:
		case chosen != "":
			return usageError("%s is not a file of the environment %s: check one environment at a time", file, chosen)
		default:
			environmentFlag.Store(&name)
		}
	}
	return nil
}

// withoutEnvironment is for verbs that make a project of their own.
func withoutEnvironment() { environmentFlag.Store(new(string)) }

// chosenEnvironment is the environment of the project, "" for none.
func chosenEnvironment() string {
	if name := environmentFlag.Load(); name != nil {
		return *name
	}
	return os.Getenv("HOOKLOOM_ENV")
}
