package workflows

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Secrets looks up secret values: in the environment, then in .env of the
// project folder, then in /run/secrets/NAME.
type Secrets struct {
	file map[string]string
}

// maxSecret is the largest secret file, in bytes.
const maxSecret = 64 << 10

// LoadSecrets reads .env of dir, if it is there: lines of NAME=value, with
// optional export, quotes and # comments.
func LoadSecrets(dir string) (*Secrets, error) {
	s := &Secrets{file: map[string]string{}}
	b, err := os.ReadFile(filepath.Join(dir, ".env"))
	if os.IsNotExist(err) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading secrets: %w", err)
	}
	sc := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" {
			// The line is not shown: it may be half of a secret.
			return nil, fmt.Errorf(".env:%d: expected NAME=value", n)
		}
		s.file[name] = unquote(value)
	}
	return s, sc.Err()
}

func unquote(v string) string {
	if len(v) >= 2 && (v[0] == '"' || v[0] == '\'') && v[len(v)-1] == v[0] {
		return v[1 : len(v)-1]
	}
	if i := strings.Index(v, " #"); i >= 0 {
		v = strings.TrimSpace(v[:i])
	}
	return v
}

// Lookup gives a secret's value; an empty one counts as not set, so that a
// verification can never run with an empty key.
func (s *Secrets) Lookup(name string) (string, bool) {
	if v := os.Getenv(name); v != "" {
		return v, true
	}
	if v := s.file[name]; v != "" {
		return v, true
	}
	if name == "" || strings.ContainsAny(name, "/\\.") {
		return "", false
	}
	b, err := os.ReadFile(filepath.Join("/run/secrets", name))
	if err != nil || len(b) == 0 || len(b) > maxSecret {
		return "", false
	}
	v := strings.TrimRight(string(b), "\r\n")
	return v, v != ""
}

// IsSet tells whether Lookup would find a value.
func (s *Secrets) IsSet(name string) bool {
	_, ok := s.Lookup(name)
	return ok
}

// SecretNames lists every secret that the project's files name, sorted.
func (p *Project) SecretNames() []string {
	set := map[string]bool{}
	visit := func(e *Expr) {
		for _, n := range e.secretNames() {
			set[n] = true
		}
	}
	for _, w := range p.Workflows {
		w.eachExpr(visit)
	}
	for _, t := range p.Triggers {
		t.exprs(visit)
	}
	for _, c := range p.Connections {
		for _, v := range append(c.Auth.values(), c.BaseURL, c.Headers) {
			v.exprs(visit)
		}
		for _, v := range c.Fields {
			v.exprs(visit)
		}
	}
	p.Server.Token.exprs(visit)
	p.Server.ViewToken.exprs(visit)
	return sortedStrings(set)
}

// SecretNames lists the secrets that a connection's expressions name.
func (c *Connection) SecretNames() []string {
	set := map[string]bool{}
	visit := func(e *Expr) {
		for _, n := range e.secretNames() {
			set[n] = true
		}
	}
	for _, v := range append(c.Auth.values(), c.BaseURL, c.Headers) {
		v.exprs(visit)
	}
	for _, v := range c.Fields {
		v.exprs(visit)
	}
	return sortedStrings(set)
}

// SecretNames lists the secrets that the trigger's own expressions name.
func (t *Trigger) SecretNames() []string {
	set := map[string]bool{}
	t.exprs(func(e *Expr) {
		for _, n := range e.secretNames() {
			set[n] = true
		}
	})
	return sortedStrings(set)
}

// HoldsSecret tells that the project's own settings hold a secret in clear text,
// so that the file must not be copied.
func (p *Project) HoldsSecret() bool { return p.literalSecret }

// SettingsBroken tells that the server's own settings cannot be read: hookloom.yaml
// is no YAML, or its server: part has a mistake.
func (p *Project) SettingsBroken() bool { return p.settingsBroken }
