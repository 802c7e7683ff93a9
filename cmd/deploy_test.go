package cmd

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// TestDeploymentFilesUseExistingCommands checks the commands and flags in the Dockerfile,
// the compose file and the unit.
func TestDeploymentFilesUseExistingCommands(t *testing.T) {
	var lines []string
	for _, file := range []string{"../Dockerfile", "../examples/deploy/hookloom.service", "../examples/deploy/compose.yaml",
		"../examples/deploy/compose.cluster.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.Split(string(text), "\n")...)
	}
	root := (&app{output: "text"}).root()
	checked := 0
	for _, line := range lines {
		if !strings.Contains(line, "CMD") && !strings.Contains(line, "ExecStart=") && !strings.Contains(line, " /hookloom ") &&
			!strings.Contains(line, "command:") {
			continue
		}
		words := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(` ",[]`, r) })
		for i, w := range words {
			c, _, err := root.Find([]string{w})
			if err != nil || c == root {
				continue
			}
			checked++
			for _, flag := range words[i+1:] {
				if name, is := strings.CutPrefix(flag, "--"); is && c.Flags().Lookup(name) == nil {
					t.Errorf("%s has no flag --%s: %s", w, name, line)
				}
			}
			break
		}
	}
	if checked < 9 {
		t.Errorf("only %d commands were found", checked)
	}
	for _, name := range []string{"compose.yaml", "compose.cluster.yaml"} {
		var compose map[string]any
		text, err := os.ReadFile(filepath.Join("../examples/deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, &compose); err != nil {
			t.Error(err)
		}
	}
}

// TestSystemdUnitIsHardened checks the unit with systemd-analyze, if it is installed.
func TestSystemdUnitIsHardened(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	unit, err := filepath.Abs("../examples/deploy/hookloom.service")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", unit).CombinedOutput()
	if err != nil && !strings.Contains(string(out), "Overall exposure") {
		t.Skipf("systemd-analyze cannot read units here: %s", out)
	}
	if !regexp.MustCompile(`Overall exposure level for hookloom.service: [01]\.\d`).Match(out) {
		t.Errorf("the unit is exposed to more than 2.0:\n%s", out)
	}
}
