package workflows

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/value"
	"github.com/joho/godotenv"
)

// EnvFileName is the file of a project that holds secrets.
const EnvFileName = ".env"

// maxEnvFile bounds the file, in bytes, and maxEnvLines the lines among which the
// place of a mistake is looked for.
const (
	maxEnvFile  = 1 << 20
	maxEnvLines = 4096
)

// dollar stands for $ where a value is read without putting variables in.
const dollar = "\uf8ff"

// ReadEnv reads .env as docker compose does: export, # comments, values in quotes
// that may have several lines, \n and $NAME in double quotes. No error quotes the
// file, whose lines hold secrets.
func ReadEnv(text []byte) (map[string]string, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	values, err := godotenv.UnmarshalBytes(text)
	if _, nameless := values[""]; err != nil || nameless {
		return nil, fmt.Errorf("%s:%d: expected NAME=value; a value in quotes must be closed by the same quote", EnvFileName,
			badEnvLine(text))
	}
	return values, nil
}

// badEnvLine is the line at which the first statement begins that cannot be read.
func badEnvLine(text []byte) int {
	lines := bytes.SplitAfter(text, []byte("\n"))
	if len(lines) > maxEnvLines {
		return 1
	}
	good, end := 0, 0
	for i, l := range lines {
		end += len(l)
		values, err := godotenv.UnmarshalBytes(text[:end])
		if _, nameless := values[""]; err == nil && !nameless {
			good = i + 1
		}
	}
	return min(good+1, len(lines))
}

// expanded lists the names whose value holds a $ that was taken for a variable.
func expanded(text []byte, values map[string]string) []string {
	if !bytes.ContainsRune(text, '$') {
		return nil
	}
	plain, err := godotenv.UnmarshalBytes(bytes.ReplaceAll(bytes.TrimPrefix(text, []byte("\ufeff")), []byte("$"), []byte(dollar)))
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

// AddEnv gives the text of .env with one more value, written so that ReadEnv gives
// it back.
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

// LoadSecrets reads .env of dir, if it is there.
func LoadSecrets(dir string) (*Secrets, error) {
	s := &Secrets{file: map[string]string{}}
	path := filepath.Join(dir, EnvFileName)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading secrets: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxEnvFile {
		return nil, fmt.Errorf("reading secrets: %s is not a file, or is larger than 1 MiB", EnvFileName)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading secrets: %w", err)
	}
	if s.file, err = ReadEnv(b); err != nil {
		return nil, err
	}
	s.mode, s.expanded = info.Mode().Perm(), expanded(b, s.file)
	return s, nil
}

// EnvFileMode gives the permissions of .env; ok is false when there is no such file.
func (s *Secrets) EnvFileMode() (mode fs.FileMode, ok bool) { return s.mode, s.mode != 0 }
