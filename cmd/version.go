package cmd

import (
	"runtime"
	"runtime/debug"

	"github.com/mattn/go-sqlite3"
	"github.com/spf13/cobra"
)

// version is the module's, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}

func (a *app) versionCmd() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print versions", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		lib, _, _ := sqlite3.Version()
		if a.json() {
			return a.printJSON(map[string]string{"version": version(), "go": runtime.Version(), "sqlite": lib})
		}
		a.printf("hookloom %s, %s, SQLite %s\n", version(), runtime.Version(), lib)
		return nil
	}}
}
