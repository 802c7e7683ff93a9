package workflows

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestEnvIsReadLikeDockerCompose(t *testing.T) {
	got, err := ReadEnv([]byte("\ufeff# a comment\r\nPLAIN=abc # why\r\nexport EXPORTED = x y \nHASH=a#b\nSINGLE='a $HOME " +
		"\\n b'\nDOUBLE=\"a\\nb\"\n" +
		"KEY=\"-----BEGIN-----\nMIIE\n-----END-----\n\"\nEMPTY=\nREF=${PLAIN}d\nKEEP='$2b$10$x'\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"PLAIN": "abc", "EXPORTED": "x y", "HASH": "a#b", "SINGLE": `a $HOME \n b`, "DOUBLE": "a\nb",
		"KEY": "-----BEGIN-----\nMIIE\n-----END-----\n", "EMPTY": "", "REF": "abcd", "KEEP": "$2b$10$x"}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is %q, wanted %q", k, got[k], v)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%v", got)
	}
}

// TestEscapesInDoubleQuotesOfEnvLoseNothing: what is no escape keeps its backslash.
func TestEscapesInDoubleQuotesOfEnvLoseNothing(t *testing.T) {
	got, err := ReadEnv([]byte(`# "A="\n"
TAB="tab\tx\\y"
PATH_="C:\dir\\new\u00e9"
REGEX="^\d+\.\w$"
SINGLE='a\tb"c'
PLAIN=a\tb
QUOTE="a\"\tb" # "\t"
LAST="\t` + "\""))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"TAB": "tab\tx\\y", "PATH_": `C:\dir\new\u00e9`, "REGEX": `^\d+\.\w$`,
		"SINGLE": `a\tb"c`, "PLAIN": `a\tb`,
		"QUOTE": "a\"\tb", "LAST": "\t"} {
		if got[name] != want {
			t.Errorf("%s is %q, not %q", name, got[name], want)
		}
	}
}

// TestVariablesOfEnvThatWouldBeAnotherValueAreMistakes: compose reads defaults; a name cannot begin with a digit.
func TestVariablesOfEnvThatWouldBeAnotherValueAreMistakes(t *testing.T) {
	for text, place := range map[string]string{
		"A=${NOPE:-canary}\n": ".env:1:3:", "A=1\nB=\"x ${NOPE-canary}\"\n": ".env:2:6:", "A=${NOPE:?canary}": ".env:1:3:",
		"A=${NOPE:+canary}": ".env:1:3:",
		"A=abc${DEF":        ".env:1:6:", "A=cost$5canary": ".env:1:7:", "A=$2b$10$canary": ".env:1:3:", "A=${Canary}": ".env:1:3:",
		"A=$NOpe": ".env:1:3:", "A=$NOPE}x": ".env:1:3:", "A=$B ${C} $5": ".env:1:11:", "A=\"x\n$5\"": ".env:2:1:",
	} {
		_, err := ReadEnv([]byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), place) || strings.Contains(strings.ToLower(err.Error()), "canary") {
			t.Errorf("%q: %v, wanted %s", text, err, place)
		}
	}
	for text, want := range map[string]string{"A='$5 ${X:-y}'": "$5 ${X:-y}", `A=\$5x`: "$5x", `A="\${X:-y}"`: "${X:-y}",
		"B=b\nA=$B-${B}_$B": "b-b_b", "A=a$": "a$", "A=${lower}": "${lower}", "A=$lower": "$lower", "A=${}": "${}",
		"A=$ x": "$ x", "A=x # ${Y:-z}": "x", "# ${Y:-z}\nA=x": "x", "B=b\nA=\"$B\"": "b", "A=a$$b": "a$$b"} {
		if got, err := ReadEnv([]byte(text)); err != nil || got["A"] != want {
			t.Errorf("%q: %q %v, wanted %q", text, got["A"], err, want)
		}
	}
}

func TestMistakesInEnvNameTheLineAndShowNothing(t *testing.T) {
	for text, place := range map[string]string{
		"A=1\nB C D secret-canary\n":           ".env:2:",
		"A=1\nB=\"secret-canary\nC=2\n":        ".env:2:",
		"A=1\nsecret-canary":                   ".env:2:",
		"A=\"x\ny\"\nB='secret-canary\n":       ".env:3:",
		"=secret-canary\n":                     ".env:1:",
		"A=1\n\n# x\nB-C=secret-canary\nD=2\n": ".env:4:",
		"-----BEGIN secret-canary-----\nA=1\n": ".env:1:",
	} {
		_, err := ReadEnv([]byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), place) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v, wanted %s", text, err, place)
		}
	}
}

func TestAddedEnvValueIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.RuneFrom([]rune("a'\"\\$ #\n=n`!")))).Draw(t, "value")
		before := rapid.SampledFrom([]string{"", "A=1\n", "A='x'\nexport B=\"y\nz\"", "# only a comment"}).Draw(t, "before")
		out, err := AddEnv([]byte(before), "NEW_SECRET", value)
		if err != nil {
			return // it returns an error and writes nothing
		}
		got, err := ReadEnv(out)
		if err != nil || got["NEW_SECRET"] != value {
			t.Fatalf("%q was read back as %q (%v) from %q", value, got["NEW_SECRET"], err, out)
		}
	})
	for _, value := range []string{
		"whsec_abc+/=", `a"b`, `a'b`, "two\nlines", `back\slash`, "pa$$word", "a b # c",
		"-----BEGIN-----\nx\n-----END-----\n",
	} {
		if _, err := AddEnv(nil, "S", value); err != nil {
			t.Errorf("%q cannot be kept: %v", value, err)
		}
	}
	if _, err := AddEnv(nil, "A B", "x"); err == nil {
		t.Error("a name with a blank is taken")
	}
}

func TestWeakSecretsGiveAWarning(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"hookloom.yaml": "triggers:\n  t: {webhook: {provider: generic, secret: \"${{ secrets.LONG_ENOUGH " +
			"}}\"}}\nconnections:\n  c: {base_url: https://example.com, auth: {bearer: \"${{ secrets.TINY }}\"}}\n",
		"workflows/w.yaml": "on: t\nsteps: [{uses: http/post, with: {url: https://example.com, connection: c, body: \"${{ " +
			"secrets.DOLLAR + secrets.DOLLAR }}\"}}]\n",
		".env": "TINY=abc12\nLONG_ENOUGH=0123456789abcdef\nDOLLAR=pa$WORD-and-more\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, ".env"))
	if err != nil {
		t.Fatal(err)
	}
	values, err := ReadEnv(text)
	if err != nil {
		t.Fatal(err)
	}
	changed := ExpandedEnv(text, values)
	lookup := func(name string) (string, bool) { return values[name], values[name] != "" }
	p, _ := Load(dir, Catalog{}, func(name string) bool { return values[name] != "" })
	var got []string
	for _, m := range p.Warnings(lookup, func(name string) bool { return slices.Contains(changed, name) }) {
		if !m.Warning {
			t.Errorf("%s is no warning", m.Code)
		}
		if strings.Contains(m.String(), "abc12") || strings.Contains(m.String(), "and-more") {
			t.Errorf("it shows the value: %s", m)
		}
		got = append(got, m.Code+" "+m.File)
	}
	if strings.Join(got, ", ") != "short-secret hookloom.yaml, env-variable workflows/w.yaml" {
		t.Errorf("%q", got)
	}
}

func TestOneNameIsReplacedAndTheRestStays(t *testing.T) {
	const text = "# head\nexport KEY = \"a\nb\" # why\nOTHER='$x'\nKEY=again\n\nLAST=1"
	out, err := SetEnv([]byte(text), "KEY", "new $value")
	if err != nil {
		t.Fatal(err)
	}
	if want := "# head\nOTHER='$x'\n\nLAST=1\nKEY=\"new $value\"\n"; string(out) != want {
		t.Errorf("%q", out)
	}
	if same, there, err := RemoveEnv(out, "GONE"); err != nil || there || string(same) != string(out) {
		t.Errorf("a name that is not there: %q, %v, %v", same, there, err)
	}
}

// TestSetAndRemoveChangeOneNameOnly checks it for any values.
func TestSetAndRemoveChangeOneNameOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, want := []byte("# comment with KEY=x\n"), map[string]string{}
		for i := range rapid.IntRange(1, 6).Draw(t, "changes") {
			name := rapid.SampledFrom([]string{"A", "AB", "KEY", "A_B"}).Draw(t, "name")
			value := rapid.StringMatching(`[a-z$"'\\ =#\n]{1,12}x`).Draw(t, "value")
			out, err := SetEnv(text, name, value)
			if i%3 == 2 {
				delete(want, name)
				out, _, err = RemoveEnv(text, name)
			} else if err == nil {
				want[name] = value
			}
			if err != nil {
				continue // some values cannot be written; that is an error
			}
			text = out
		}
		got, err := ReadEnv(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"A", "AB", "KEY", "A_B"} {
			if got[name] != want[name] {
				t.Errorf("%s is %q, wanted %q in\n%s", name, got[name], want[name], text)
			}
		}
	})
}
