package cmd

import (
	_ "embed" // the licence texts
	"runtime"
	"runtime/debug"

	"github.com/mattn/go-sqlite3"
	"github.com/spf13/cobra"
)

// version returns the module's version, or the commit from which it was built.
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

// built returns the commit from which the program was built and its time; both are empty if
// unknown.
func built() (commit, date string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", ""
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.time":
			date = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			commit += "+changes"
		}
	}
	return commit, date
}

// licenses are the licence texts of what is in the binary: go run ./.ci/licenses > cmd/licenses.txt
//
//go:embed licenses.txt
var licenses string

func (a *app) versionCmd() *cobra.Command {
	var texts bool
	c := &cobra.Command{Use: "version", Short: "Print versions", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		lib, _, _ := sqlite3.Version()
		commit, date := built()
		switch {
		case texts:
			a.printf("%s", licenses)
		case a.json():
			return a.printJSON(map[string]string{"version": version(), "go": runtime.Version(), "sqlite": lib, "commit": commit, "date": date,
				"platform": runtime.GOOS + "/" + runtime.GOARCH})
		default:
			a.printf("hookloom %s, %s, SQLite %s, %s/%s\n", version(), runtime.Version(), lib, runtime.GOOS, runtime.GOARCH)
			if commit != "" {
				a.printf("commit %s of %s\n", commit, date)
			}
		}
		return nil
	}}
	c.Flags().BoolVar(&texts, "licenses", false, "print the licences of the modules in the program")
	return c
}
