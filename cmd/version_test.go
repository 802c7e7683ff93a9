package cmd

import (
	"os/exec"
	"strings"
	"testing"
)

// TestTheLicencesOfAllModulesArePrinted compares with the modules in the program.
func TestTheLicencesOfAllModulesArePrinted(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f",
		"{{with .Module}}{{if not .Main}}==== {{.Path}} {{.Version}}{{end}}{{end}}", "..").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"": true, "==== the Go standard library": true}
	for _, line := range strings.Split(string(out), "\n") {
		want[line] = true
	}
	if len(want) < 10 {
		t.Fatalf("go list names only %d modules", len(want))
	}
	var printed strings.Builder
	if code := Main([]string{"version", "--licenses"}, &printed, &printed); code != exitOK {
		t.Fatal(printed.String())
	}
	has := map[string]bool{"": true}
	for _, line := range strings.Split(printed.String(), "\n") {
		if strings.HasPrefix(line, "==== ") {
			has[line] = true
		}
	}
	for line := range want {
		if !has[line] {
			t.Errorf("%q is missing: go run ./.ci/licenses > cmd/licenses.txt", line)
		}
	}
}
