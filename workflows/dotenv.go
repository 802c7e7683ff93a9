package workflows

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/value"
)

// EnvFileName is the project file that contains secrets.
const EnvFileName = ".env"

// maxEnvLines is the number of lines that are searched for the position of a mistake.
const maxEnvLines = 4096

// dollar replaces $ in a value that is read without expanding variables.
const dollar = "\uf8ff"

// ReadEnv parses .env like docker compose: export, # comments, quoted values of several lines, escapes in
// double quotes, $NAME and ${NAME}. Forms of variables that it does not read, such as ${NAME:-default},
// are errors. Errors never quote the file, since its lines contain secrets.
func ReadEnv(text []byte) (map[string]string, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	values, err := parseEnv(text)
	if _, nameless := values[""]; err != nil || nameless {
		return nil, fmt.Errorf("%s:%d: expected NAME=value, with a name of letters, digits and _; a value in quotes must be closed by "+
			"the same quote", EnvFileName, badEnvLine(text))
	}
	if err := badVariable(text); err != nil {
		return nil, err
	}
	return values, nil
}

// badEnvLine returns the line of the first statement that cannot be parsed.
func badEnvLine(text []byte) int {
	lines := bytes.SplitAfter(text, []byte("\n"))
	if len(lines) > maxEnvLines {
		return 1
	}
	good, end := 0, 0
	for i, l := range lines {
		end += len(l)
		values, err := parseEnv(text[:end])
		if _, nameless := values[""]; err == nil && !nameless {
			good = i + 1
		}
	}
	return min(good+1, len(lines))
}

// ExpandedEnv lists the names whose value contains a $ that was expanded as a variable.
func ExpandedEnv(text []byte, values map[string]string) []string {
	if !bytes.ContainsRune(text, '$') {
		return nil
	}
	plain, err := parseEnv(bytes.ReplaceAll(bytes.TrimPrefix(text, []byte("\ufeff")), []byte("$"), []byte(dollar)))
	if err != nil {
		return nil
	}
	var out []string
	for n, v := range plain {
		if v = strings.NewReplacer(`\`+dollar, "$", dollar, "$").Replace(v); v != values[n] {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// AddEnv returns the text of .env with one more value, written so that ReadEnv returns the same
// value.
func AddEnv(text []byte, name, secret string) ([]byte, error) {
	if name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return nil, fmt.Errorf("%q is not a valid variable name", value.Clip(name, 40))
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(slices.Clip(text), '\n')
	}
	if strings.ContainsRune(secret, 0) {
		return nil, fmt.Errorf("secret %s holds a zero byte, which a variable cannot", name)
	}
	before, err := ReadEnv(text)
	if err != nil {
		return nil, err
	}
	double := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, `"`, `\"`, "$", `\$`).Replace(secret)
	for _, written := range []string{`"` + secret + `"`, `'` + secret + `'`, `"` + double + `"`, secret} {
		out := append(slices.Clip(text), name+"="+written+"\n"...)
		after, err := ReadEnv(out)
		if err == nil && after[name] == secret && sameBut(before, after, name) && sameBut(after, before, name) {
			return out, nil
		}
	}
	return nil, fmt.Errorf("secret %s has characters that .env cannot hold", name)
}

func sameBut(a, b map[string]string, name string) bool {
	for k, v := range a {
		if k != name && b[k] != v {
			return false
		}
	}
	return true
}

// RemoveEnv returns the text of .env without name, and reports whether name was set. Everything
// else, comments included, is unchanged.
func RemoveEnv(text []byte, name string) ([]byte, bool, error) {
	before, err := ReadEnv(text)
	if err != nil {
		return nil, false, err
	}
	if _, there := before[name]; !there {
		return text, false, nil
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	if len(lines) > maxEnvLines {
		return nil, false, fmt.Errorf("there are more than %d lines", maxEnvLines)
	}
	for {
		shorter := withoutStatement(lines, name, before)
		if shorter == nil {
			return nil, false, fmt.Errorf("%s is written in a form that cannot be changed automatically: edit the file", name)
		}
		lines = shorter
		text = bytes.Join(lines, nil)
		if after, err := ReadEnv(text); err == nil {
			if _, there := after[name]; !there {
				return text, true, nil
			}
		}
	}
}

// withoutStatement removes the lines of the first statement that sets name. It returns nil if no
// lines can be removed without changing other values.
func withoutStatement(lines [][]byte, name string, before map[string]string) [][]byte {
	for i, l := range lines {
		rest := bytes.TrimSpace(bytes.TrimPrefix(bytes.TrimSpace(bytes.TrimPrefix(l, []byte("\ufeff"))), []byte("export ")))
		after, ok := bytes.CutPrefix(rest, []byte(name))
		if after = bytes.TrimLeft(after, " \t"); !ok || len(after) == 0 || after[0] != '=' && after[0] != ':' {
			continue
		}
		for end := i + 1; end <= len(lines); end++ {
			shorter := append(slices.Clone(lines[:i]), lines[end:]...)
			values, err := ReadEnv(bytes.Join(shorter, nil))
			if err == nil && sameBut(before, values, name) && sameBut(values, before, name) {
				return shorter
			}
		}
	}
	return nil
}

// SetEnv returns the text of .env with name set to secret; it replaces an existing value.
func SetEnv(text []byte, name, secret string) ([]byte, error) {
	text, _, err := RemoveEnv(text, name)
	if err != nil {
		return nil, err
	}
	return AddEnv(text, name, secret)
}
