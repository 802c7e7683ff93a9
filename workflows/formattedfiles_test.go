//go:build unix

package workflows_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows"
)

// TestFilesAreFormattedAndMerged: comments at each place, keys that cannot be moved, and settings of
// an environment over those of the project.
func TestFilesAreFormattedAndMerged(t *testing.T) {
	var out strings.Builder
	for _, text := range []string{"", "# only\n", "a: [", "on: manual", "steps: [{stop: x}]\non: manual\n", "zzz: 1\non: manual\nname: n\n",
		"x-a: 1\nname: n\n", "\n\n\non: manual   \n\n\n\nname: n\t\n\n\n", "steps: []\r\non: manual\r\n",
		"# a\n# b\nsteps: []\n# c\non: manual\n",
		"# a\n\n# b\nsteps: []\n\n# c\n\non: manual\n# d\n",
		"steps:\n- with: {message: x}\n  # own\n  uses: log\n  # end\n# after\non: manual\n",
		"steps:\n  # above\n  - with:\n      message: x\n    # beside\n    uses: log\n\n  - uses: log\n    id: b\n",
		"steps:\n  -   with: {message: x}\n      uses: log\n", "{steps: [], on: manual}\n", "steps: [{uses: log, id: a}]\n",
		"vars:\n  b: |\n    x   \n\n\n    y\n  a: >\n    z\n\n\non: manual\n", "vars:\n  b: \"x\n\n\n    y\"\non: manual\n",
		"steps:\n  - switch: a\n    default:\n      - with: {message: x}\n        uses: log\n    " +
			"cases:\n      x:\n        - uses: log\n          id: c\n",
		"steps:\n- if: a\n  steps:\n  - uses: log\n    id: b\n  else:\n  - uses: log\n    id: c\n",
		"on:\n  webhook:\n    key: body.id\n    auth: none\nname: n\n",
		"steps:\n  -\n    uses: log\n    id: a\n", "steps:\n  # c\n  -\n    # d\n    uses: log\n    id: a\n", "steps: *a\nx-b: &a []\n",
		"on: manual\non: manual\n",
		"steps:\n  - uses: log\n    id: a\n    # less\n  # lesser\n# least\non: manual\n# last\n", "- a\n", "a\n",
		"on: manual # one\nname: n # two\n",
		"# s" + strings.Repeat("x", workflows.MaxFileSize-12) + "\na: 1\n", "#" + strings.Repeat("x", workflows.MaxFileSize) + "\n"} {
		for _, of := range []string{"workflow", "unknown"} {
			got, err := workflows.Format(of, []byte(text))
			fmt.Fprintf(&out, "%s %.200q: %.240q %v\n", of, text, got, err)
		}
	}
	for _, c := range [][2]string{{"vars: {a: 1, b: 2}", "vars: {a: null}"}, {"vars: {a: 1}", "vars: {b: null}"}, {"vars: {a: 1}",
		"vars: {b: null, b: 3}"},
		{"vars: {a: 1}\nvars: {c: 1}", "vars: {b: 2}"}, {"vars: {a: 1}", "# nothing\n"}, {"# nothing", "vars: {a: 1}"}, {"", ""},
		{"vars: [", "vars: {a: 1}"},
		{"vars: {a: 1}", "vars: ["}, {"vars: [", "vars: ["}, {"vars: {a: 1}\n\n", "\n\nvars: {a: 2}\nzzz: 1"}, {"zzz: 1", "vars: {a: 1}"},
		{"history: {keep: x}", "history: {max_size: y}"}, {"history: {keep: x}", "history: {keep: 5d}"}, {"history: {keep: 5d}", "history: x"},
		{"vars: 1", "vars: {a: 1}"}, {"vars: {a: 1}", "vars: 1"}, {"server: {tls: {cert: a}}", "server: {tls: {key: b}}"},
		{"server: {tls: {cert: a, key: b}}", "server: {tls: {key: null}}"}, {"server: {tls: {cert: a, key: b}}", "server: {tls: null}"},
		{"connections: {b: {connector: http, auth: {bearer: ghp_a1b2c3d4e5f6a1b2c3d4e5}}}", "vars:\n  t: ghp_b1b2c3d4e5f6a1b2c3d4e5"}} {
		p, mistakes := workflows.LoadFiles(t.TempDir(), workflows.Files{"hookloom.yaml": []byte(c[0]), "hookloom.prod.yaml": []byte(c[1])},
			workflows.Catalog{}, nil)
		var vars []string
		for _, s := range p.Settings() {
			vars = append(vars, fmt.Sprint(s.Path, " ", s.Value, " ", s.File))
		}
		slices.Sort(vars)
		fmt.Fprintf(&out, "%q + %q: %s %q\n%s\n", c[0], c[1], p.Environment, vars, mistakes.Error())
	}
	testgolden.Compare(t, "formatted.txt", out.String())
}

// TestFilesThatDoNotLoadAreLeftOut: the last good files may not load either, after an upgrade or
// the removal of a secret.
func TestFilesThatDoNotLoadAreLeftOut(t *testing.T) {
	var out strings.Builder
	const manual, secret, broken = "on: manual\nsteps: [{stop: x}]\n",
		"on: manual\nsteps: [{uses: log, with: {message: \"${{ secrets.S }}\"}}]\n", "on: ["
	type files = map[string]string
	const a, b, settings = "workflows/a.yaml", "workflows/b.yaml", "hookloom.yaml"
	for _, c := range []struct{ now, good files }{
		{files{a: manual}, nil}, {files{a: broken}, nil}, {files{a: broken, b: manual}, nil}, {files{a: broken}, files{a: broken}},
		{files{a: secret}, files{a: secret}}, {files{a: secret, b: manual}, files{a: manual}},
		{files{settings: "x: ["}, nil}, {files{settings: "x: [", a: manual}, files{settings: "vars: {a: 1}"}}, {files{settings: "x: ["},
			files{settings: "x: ["}},
		{files{settings: "server: {addr: x}"}, nil}, {files{settings: "zzz: 1"}, files{settings: "zzz: 2"}}, {files{settings: "zzz: 1"},
			files{settings: "vars: {}"}},
		{files{}, files{settings: "zzz: 2"}}, {files{a: broken, b: broken}, files{b: manual}}, {files{}, files{a: broken}},
		{files{"hookloom.prod.yaml": "vars: ["}, files{"hookloom.prod.yaml": "vars: {a: 1}", "hookloom.test.yaml": "zzz: 1"}},
	} {
		good := workflows.Files{}
		for name, text := range c.good {
			good[name] = []byte(text)
		}
		environment := ""
		if c.now["hookloom.prod.yaml"] != "" {
			environment = "prod"
		}
		l := workflows.LoadKeeping(writeFiles(t, c.now), environment, smallCatalog(t), func(string) bool { return false }, nil, good)
		var names []string
		for name, text := range l.Files {
			names = append(names, fmt.Sprintf("%s=%.14q", name, text))
		}
		slices.Sort(names)
		fmt.Fprintf(&out, "%v good %v: project %t kept %v left %v files %v broken %t mistakes %d\n", c.now, c.good, l.Project != nil,
			l.Kept, l.Left, names,
			l.SettingsBroken, len(l.Mistakes))
	}
	testgolden.Compare(t, "leftout.txt", out.String())
}
