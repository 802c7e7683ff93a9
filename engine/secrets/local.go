package secrets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hookloom/hookloom/workflows"
)

// sources lists where a secret may be, in order.
func (s *Set) sources(name string) []source {
	out := []source{
		{name: "the environment", get: fixed(os.Getenv(name))},
		{name: name + "_FILE in the environment", get: s.namedFile(name+"_FILE", os.Getenv(name+"_FILE"))},
		{name: workflows.EnvFileName, get: fixed(s.env[name])},
	}
	if path := s.env[name+"_FILE"]; path != "" {
		out = append(out, source{name: name + "_FILE in " + workflows.EnvFileName, get: s.namedFile(name+"_FILE", path)})
	}
	if v := s.Captured()[name]; v != "" {
		out = append(out, source{name: "the database", get: fixed(v)})
	}
	if name != "" && !strings.ContainsAny(name, "/\\.") {
		if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
			out = append(out, source{name: "$CREDENTIALS_DIRECTORY", get: s.mounted(filepath.Join(dir, name))})
		}
		out = append(out, source{name: runSecrets, get: s.mounted(filepath.Join(runSecrets, name))})
	}
	if x := s.o.Sources.Names[name]; x != nil {
		out = append(out, s.own(name, x))
	}
	if path := filepath.Join(s.o.Dir, workflows.SecretFileName); exists(path) {
		out = append(out, source{name: workflows.SecretFileName, get: func(context.Context) (string, *Failure) {
			values, failure := s.ask("age", s.readAge)
			return pick(name, values, failure)
		}})
	}
	if c := s.o.Sources.Command; c != nil {
		out = append(out, source{name: "secrets.command", slow: !s.wasAsked(commandKey(c, name)),
			get: func(ctx context.Context) (string, *Failure) { return s.fromCommand(ctx, c, name) }})
	}
	if v := s.o.Sources.Vault; v != nil && v.Path != "" {
		f := workflows.VaultField{Mount: v.Mount, Path: v.Path, Field: name}
		out = append(out, source{name: vaultSource, slow: !s.wasAsked(vaultKey(f)),
			get: func(ctx context.Context) (string, *Failure) { return s.fromVault(ctx, f, false) }})
	}
	return out
}

// own returns the source that hookloom.yaml sets for one secret.
func (s *Set) own(name string, x *workflows.SecretSource) source {
	out := source{name: "secrets.names." + name}
	switch {
	case x.Command != nil:
		out.slow = !s.wasAsked(ownKey(name))
		out.get = func(ctx context.Context) (string, *Failure) { return s.ownCommand(ctx, name, x.Command) }
	case x.Vault != nil && s.o.Sources.Vault != nil:
		f := s.field(name, *x.Vault)
		out.slow = !s.wasAsked(vaultKey(f))
		out.get = func(ctx context.Context) (string, *Failure) { return s.fromVault(ctx, f, true) }
	case x.File != "":
		out.get = s.namedFile(out.name, x.File)
	default:
		out.get = fixed(os.Getenv(x.Env))
	}
	return out
}

func (s *Set) wasAsked(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answers[key] != nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// fixed returns a known value.
func fixed(v string) func(context.Context) (string, *Failure) {
	return func(context.Context) (string, *Failure) { return v, nil }
}

// namedFile reads a file that the user has named, which must exist. A relative path is relative to
// the project's folder.
func (s *Set) namedFile(by, path string) func(context.Context) (string, *Failure) {
	return func(context.Context) (string, *Failure) {
		if path == "" {
			return "", nil
		}
		values, failure := s.ask("file "+path, func() (map[string]string, *Failure) {
			return readSecret(s.inProject(path), by, fmt.Sprintf("set %s to a file that the server can read, or remove it", by))
		})
		return pick("", values, failure)
	}
}

func (s *Set) inProject(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(s.o.Dir, path)
}

// mounted reads a file that may exist.
func (s *Set) mounted(path string) func(context.Context) (string, *Failure) {
	return func(context.Context) (string, *Failure) {
		values, failure := s.ask("file "+path, func() (map[string]string, *Failure) {
			info, err := os.Stat(path)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || err == nil && info.IsDir() {
				return map[string]string{}, nil
			}
			return readSecret(path, filepath.Dir(path), "make it readable by the server's user")
		})
		return pick("", values, failure)
	}
}

// readSecret reads a file that contains one secret, without its final line break.
func readSecret(path, source, advice string) (map[string]string, *Failure) {
	b, _, err := readBounded(path, maxFile)
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return nil, &Failure{Source: source, Problem: fmt.Sprintf("%s cannot be read: %v", path, err), Advice: advice}
	}
	v := trimLine(string(b))
	if v == "" {
		return nil, &Failure{Source: source, Problem: path + " is empty", Advice: "write the secret into it"}
	}
	if strings.ContainsRune(v, 0) {
		return nil, &Failure{Source: source, Problem: path + " holds a zero byte", Advice: "write the secret as text, such as base64"}
	}
	return map[string]string{"": v}, nil
}

func trimLine(s string) string { return strings.TrimRight(s, "\r\n") }

// readBounded reads a regular file of at most a number of bytes. Reading a pipe could block.
func readBounded(path string, most int64) ([]byte, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errors.New("it is not a file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("it is larger than %s", workflows.SizeText(most))
	}
	return b, info, err
}
