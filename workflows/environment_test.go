package workflows_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows"
)

// settingsOf are the settings as "path = value (file:line)".
func settingsOf(p *workflows.Project) map[string]string {
	out := map[string]string{}
	for _, s := range p.Settings() {
		out[strings.Join(s.Path, ".")] = workflows.YAMLText(s.Value) + " " + s.File
	}
	return out
}

// TestAnEnvironmentIsMergedKeyByKey: maps merge, lists and single values replace, null removes, and
// each value is known to be from the file that says it.
func TestAnEnvironmentIsMergedKeyByKey(t *testing.T) {
	p, mistakes := workflows.LoadFiles(".", workflows.Files{
		"hookloom.yaml": []byte(`server: {addr: ":1000", public_url: "https://${{ vars.host }}", trusted_proxies: [10.0.0.1, 10.0.0.2]}
vars: {host: a.example.com, base: "https://${{ vars.host }}/v1", limit: 5}
history: {keep: 30d, max_size: 2GB}
egress: {allow: [127.0.0.1]}`), // no line break at the end
		"hookloom.prod.yaml": []byte(`server: {addr: ":2000", trusted_proxies: [10.9.9.9]}
vars: {host: b.example.com}
history: {max_size: null}
egress: null
`)}, workflows.Catalog{}, nil)
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	want := map[string]string{
		"server.addr":            `":2000" hookloom.prod.yaml`,
		"server.public_url":      `"https://b.example.com" hookloom.yaml`,
		"server.trusted_proxies": `["10.9.9.9"] hookloom.prod.yaml`,
		"vars.host":              `b.example.com hookloom.prod.yaml`,
		"vars.base":              `"https://b.example.com/v1" hookloom.yaml`,
		"vars.limit":             `5 hookloom.yaml`,
		"history.keep":           `"30d" hookloom.yaml`,
	}
	if got := settingsOf(p); !maps.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if p.Environment != "prod" || p.Server.Addr != ":2000" || p.Server.PublicURL != "https://b.example.com" || p.History.MaxSize != 0 {
		t.Errorf("environment %q, server %+v, history %+v", p.Environment, p.Server, p.History)
	}
}

// TestMistakeIsReportedInItsOwnFile names the file and line of each mistake, of
// hookloom.yaml or of the environment.
func TestMistakeIsReportedInItsOwnFile(t *testing.T) {
	base := "# two\n# lines\nserver: {addr: \":1000\"}\nvars: {host: a.example.com}\n" +
		"connections: {api: {connector: http, base_url: \"https://x.example.com\"}}\n"
	for name, c := range map[string]struct{ base, over, want string }{
		"unknown key": {
			"",
			"server:\n  adr: x\n",
			`hookloom.prod.yaml:2:3: error[unknown-key]: unknown key "adr" in server`,
		},
		"not YAML": {
			"",
			"server:\n\t- x\n",
			"hookloom.prod.yaml:2:1: error[yaml]: a tab is used for indentation",
		},
		"unknown var": {
			"",
			"server: {public_url: \"https://${{ vars.hots }}\"}\n",
			`hookloom.prod.yaml:1:40: error[unknown-var]: no var is named "hots"`,
		},
		"in hookloom.yaml": {
			"historyy: {keep: 30d}\n",
			"server: {addr: \":1\"}\n",
			`hookloom.yaml:6:1: error[unknown-key]: unknown key "historyy"`,
		},
		"required key": {
			"triggers:\n  a: {webhook: {auth: none, key: body.id}}\n",
			"triggers: {a: {webhook: {auth: null}}}\n",
			"hookloom.prod.yaml:1:25: error[no-proof]",
		},
		"nothing to remove": {
			"",
			"histori: null\n",
			`hookloom.prod.yaml:1:1: warning[nothing-removed]: null removes a key, and hookloom.yaml has no "histori"`,
		},
		"duplicate key": {
			"",
			"vars:\n  a: 1\n  a: 2\n",
			`hookloom.prod.yaml:3:3: error[duplicate-key]: duplicate key "a", first on line 2`,
		},
		"secret": {
			"",
			"vars: {api_key: abcdefgh}\n",
			"hookloom.prod.yaml:1:17: error[secret-in-file]",
		},
		"var without value": {
			"vars2: 1\n",
			"vars: {b: ~}\n",
			"hookloom.yaml:6:1",
		},
		"connection": {
			"",
			"connections: {api: {base_url: \"${{ vars.nope }}\"}}\n",
			`hookloom.prod.yaml:1:41: error[unknown-var]`,
		},
		"env": {
			"",
			"server: {addr: \":${{ env.PORT }}\"}\n",
			"put it into vars:, with its value for each environment",
		},
		"secret in setting": {
			"",
			"server: {addr: \"${{ secrets.ADDR }}\"}\n",
			"secrets can be read in tokens, auth: and webhook secrets",
		},
		"wrong type of var": {
			"",
			"vars: {n: [1]}\nserver: {addr: \"${{ vars.n }}\"}\n",
			"addr is a single value, got",
		},
		"duration from var": {
			"",
			"vars: {n: 30}\nhistory: {keep: \"${{ vars.n }}\"}\n",
			"hookloom.prod.yaml:1:11: error[unit]: keep: 30 has no unit",
		},
		"later var": {
			"",
			"vars: {a: \"${{ vars.b }}\", b: 1}\n",
			`hookloom.prod.yaml:1:21: error[unknown-var]: no var is named "b"`,
		},
		"the time in a var": {
			"",
			"vars: {a: {at: [\"${{ now().Year() }}\"]}}\n",
			"hookloom.prod.yaml:1:11: error[bad-expression]: the value is constant: now() and uuid() have no meaning here",
		},
		"a random name in a setting": {
			"",
			"server: {addr: \"x${{ uuid() }}:1\"}\n",
			"hookloom.prod.yaml:1:16: error[bad-expression]: the value is constant",
		},
		"name of a var": {
			"",
			"vars: {my-host: a}\n",
			`hookloom.prod.yaml:1:8: error[bad-name]: a var "my-host" is not a name`,
		},
		"vars is no map": {
			"",
			"vars: [a]\n",
			"hookloom.prod.yaml:1:7: error[wrong-kind]: vars is a map, got a list",
		},
		"same path as below": {
			"triggers: {a: {webhook: {auth: none, key: body.id, path: /x}}}\n",
			"triggers: {b: {webhook: {auth: none, key: body.id, path: /x}}}\n",
			"hookloom.prod.yaml:1:58: error[duplicate-path]: path /x is also used by hookloom.yaml:6",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, mistakes := workflows.LoadFiles(".", workflows.Files{"hookloom.yaml": []byte(base + c.base),
				"hookloom.prod.yaml": []byte(c.over)}, workflows.Catalog{}, nil)
			if !strings.Contains(mistakes.Error(), c.want) {
				t.Errorf("got\n%v\nwant\n%s", mistakes, c.want)
			}
		})
	}
}

func TestErrorOfAnUnknownEnvironmentListsAll(t *testing.T) {
	dir := t.TempDir()
	if err := workflows.CheckEnvironment(dir, "prod"); err == nil || !strings.Contains(err.Error(), "create it, or leave out --env") {
		t.Errorf("without environments: %v", err)
	}
	for _, name := range []string{"hookloom.yaml", "hookloom.prod.yaml", "hookloom.staging.yaml", "hookloom.Not.yaml", "hookloom.test.yml"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("version: 1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"": "", "prod": "", "test": "has no hookloom.test.yaml; rename hookloom.test.yml to it",
		"../x": "is not a name of an environment",
		"prd":  `did you mean "prod"?` + "\nthis project has the environments prod, staging"} {
		err := workflows.CheckEnvironment(dir, name)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", name, err, want)
		}
	}
}

// TestSecretsInSettingsAreHidden: what a person wrote in clear text is not printed.
func TestSecretsInSettingsAreHidden(t *testing.T) {
	p, _ := workflows.LoadFiles(".", workflows.Files{"hookloom.yaml": []byte(`server: {token: plain-text-1, tokens: {ada: plain-text-2}}
vars: {api_key: plain-text-3}
connections:
  a: {connector: http, base_url: "https://ada:plain-text-4@example.com", auth: {header: {name: X-Key, value: plain-text-5}}}
  b: {connector: http, auth: {basic: {user: u, password: plain-text-6}}}
triggers:
  t: {webhook: {auth: {bearer: plain-text-7}, key: body.id}}
  u: {webhook: {provider: github, secret: [plain-text-8, "${{ secrets.NEXT }}"]}}
`)}, workflows.Catalog{}, nil)
	got := settingsOf(p)
	for path, v := range got {
		if strings.Contains(v, "plain-text") {
			t.Errorf("%s shows %s", path, v)
		}
	}
	if got["triggers.t.webhook.key"] != "body.id hookloom.yaml" ||
		got["triggers.u.webhook.secret"] != `["***", "${{ secrets.NEXT }}"] hookloom.yaml` {
		t.Errorf("got %v", got)
	}
}

// TestMistakesOfBothFilesAreReported: each file that cannot be parsed has its mistake in the list.
func TestMistakesOfBothFilesAreReported(t *testing.T) {
	for range 20 {
		_, mistakes := workflows.LoadFiles(".", workflows.Files{"hookloom.yaml": []byte("server: {addr: [\n"),
			"hookloom.prod.yaml": []byte("vars: {host: [\n")}, workflows.Catalog{}, nil)
		files := map[string]bool{}
		for _, m := range mistakes {
			files[m.File] = true
		}
		if !files["hookloom.yaml"] || !files["hookloom.prod.yaml"] {
			t.Fatalf("mistakes of %v; want both files:\n%v", files, mistakes)
		}
	}
}
