package secrets

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/hookloom/hookloom/engine/seal"
	"github.com/hookloom/hookloom/workflows"
)

const (
	// maxFile is the maximum size of a file with one secret, and maxEnvFile of one with many, in
	// bytes.
	maxFile    = 64 << 10
	maxEnvFile = 1 << 20
	// runSecrets is where Docker and Podman mount secrets.
	runSecrets = "/run/secrets"
)

// Options configure how secrets are found.
type Options struct {
	// Dir is the project's folder.
	Dir string
	// Sources are those configured in hookloom.yaml.
	Sources workflows.SecretSources
	// Before is the previous set, whose values are used if a source fails; nil for none.
	Before *Set
}

// Failure is a source that cannot be read. Its text holds no secret.
type Failure struct {
	// Source is, for example, secrets.age; Problem says what is wrong with it and Advice what to
	// do.
	Source, Problem, Advice string
	// Kept reports whether its previous values are in use.
	Kept bool
}

// Error implements error.
func (f *Failure) Error() string { return f.Source + ": " + f.Problem }

// Found is the result of looking up a secret.
type Found struct {
	Name, Value string
	// Source is where the value comes from; empty if there is none.
	Source string
	// Asked are the sources that were tried, in order.
	Asked []string
	// Failure is why the search ended without a value.
	Failure *Failure
}

// Set provides the values of secrets. Its methods are safe for concurrent use.
type Set struct {
	o    Options
	keys *seal.Ring
	// env is the content of .env; mode are its permissions, 0 if it does not exist; expanded are
	// the names whose value there contains a $ that was expanded as a variable.
	env      map[string]string
	mode     fs.FileMode
	expanded []string
	// last are the results of sources in previous sets, by key.
	last map[string]map[string]string

	mu sync.Mutex
	// answers are the results of sources, by key.
	answers map[string]*answer
	// captured are the secrets from handshakes that the database has; guarded by mu.
	captured map[string]string
}

// answer is the result of a source. done is closed when the other fields are set.
type answer struct {
	done    chan struct{}
	values  map[string]string
	failure *Failure
}

// source is a place where a secret may be.
type source struct {
	name string
	// slow reports whether reading takes a while: it starts a program or calls a server.
	slow bool
	get  func(ctx context.Context) (string, *Failure)
}

// Load reads .env; the other sources are read when a secret is looked up.
func Load(o Options) (*Set, error) {
	s := &Set{o: o, keys: seal.New(o.Dir), env: map[string]string{}, last: o.Before.good(), answers: map[string]*answer{}}
	path := filepath.Join(o.Dir, workflows.EnvFileName)
	b, info, err := readBounded(path, maxEnvFile)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading secrets: %s: %w", workflows.EnvFileName, err)
	}
	if s.env, err = workflows.ReadEnv(b); err != nil {
		return nil, err
	}
	s.mode, s.expanded = info.Mode().Perm(), workflows.ExpandedEnv(b, s.env)
	return s, nil
}

// good returns the results of the sources, for the next set.
func (s *Set) good() map[string]map[string]string {
	if s == nil {
		return nil
	}
	out := maps.Clone(s.last)
	if out == nil {
		out = map[string]map[string]string{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, a := range s.answers {
		select {
		case <-a.done:
			if a.failure == nil && !strings.HasPrefix(key, loginKey) {
				out[key] = a.values
			}
		default:
		}
	}
	return out
}

// UseCaptured sets the secrets from handshakes that the database of several nodes has.
func (s *Set) UseCaptured(values map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.captured = maps.Clone(values)
}

// Captured returns the secrets from handshakes that the database has.
func (s *Set) Captured() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.captured)
}

// Sources returns the configured sources.
func (s *Set) Sources() workflows.SecretSources { return s.o.Sources }

// EnvFileMode returns the permissions of .env; ok is false if the file does not exist.
func (s *Set) EnvFileMode() (mode fs.FileMode, ok bool) { return s.mode, s.mode != 0 }

// Expanded reports whether a secret has its value from .env and a $ in it was expanded as a
// variable.
func (s *Set) Expanded(name string) bool {
	return os.Getenv(name) == "" && os.Getenv(name+"_FILE") == "" && slices.Contains(s.expanded, name)
}

// Slow reports whether a source starts a program or calls a server.
func (s *Set) Slow() bool {
	for _, x := range s.o.Sources.Names {
		if x.Command != nil || x.Vault != nil {
			return true
		}
	}
	return s.o.Sources.Command != nil || s.o.Sources.Vault != nil
}

// Lookup returns a secret's value. An empty value counts as not set, so that a verification can
// never use an empty key.
func (s *Set) Lookup(name string) (string, bool) {
	if v := os.Getenv(name); v != "" {
		return v, true
	}
	if v := s.env[name]; v != "" && os.Getenv(name+"_FILE") == "" {
		return v, true // most are here, and every attempt of a step asks
	}
	// Every source has its own time limit.
	f := s.Find(context.Background(), name)
	return f.Value, f.Value != ""
}

// IsSet reports whether Lookup would find a value.
func (s *Set) IsSet(name string) bool {
	_, ok := s.Lookup(name)
	return ok
}

// Known is Lookup without sources that start a program or call a server.
func (s *Set) Known(name string) (string, bool) {
	f, _ := s.find(context.Background(), name, true, "")
	return f.Value, f.Value != ""
}

// MayBeSet is IsSet without sources that start a program or call a server: a secret that such a
// source may have counts as set.
func (s *Set) MayBeSet(name string) bool {
	f, skipped := s.find(context.Background(), name, true, "")
	return f.Value != "" || skipped
}

// Find looks up a secret in all sources, in order.
func (s *Set) Find(ctx context.Context, name string) Found {
	f, _ := s.find(ctx, name, false, "")
	return f
}

// find implements Find. With quick it stops before a slow source that was not read yet, and skipped
// reports that; it also stops before the source named until.
func (s *Set) find(ctx context.Context, name string, quick bool, until string) (f Found, skipped bool) {
	f.Name = name
	for _, src := range s.sources(name) {
		if src.name == until {
			return f, false
		}
		if quick && src.slow {
			return f, true
		}
		f.Asked = append(f.Asked, src.name)
		v, failure := src.get(ctx)
		if v != "" {
			f.Value, f.Source, f.Failure = v, src.name, nil
			return f, false
		}
		if failure != nil && (f.Failure == nil || !failure.Kept) {
			f.Failure = failure
		}
		if failure != nil && !failure.Kept { // if its last result is kept, the secret was not in that
			return f, false
		}
	}
	return f, false
}

// parallelAsks is the maximum number of programs and requests that Ask runs concurrently.
const parallelAsks = 4

// Ask looks up secrets concurrently, so that a later Lookup is fast.
func (s *Set) Ask(ctx context.Context, names []string) {
	if !s.Slow() {
		return
	}
	var all sync.WaitGroup
	free := make(chan struct{}, parallelAsks)
	for _, n := range names {
		free <- struct{}{}
		all.Go(func() {
			defer func() { <-free }()
			s.Find(ctx, n)
		})
	}
	all.Wait()
}

// Failures lists the sources that could not be read, by name.
func (s *Set) Failures() []Failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Failure
	seen := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(s.answers)) {
		a := s.answers[key]
		select {
		case <-a.done:
			if a.failure != nil && !seen[a.failure.Error()] {
				seen[a.failure.Error()] = true
				out = append(out, *a.failure)
			}
		default:
		}
	}
	slices.SortFunc(out, func(a, b Failure) int { return cmp.Compare(a.Error(), b.Error()) })
	return out
}

// ask reads a source once. If that fails, it returns the source's result in the previous set with
// the failure.
func (s *Set) ask(key string, get func() (map[string]string, *Failure)) (map[string]string, *Failure) {
	s.mu.Lock()
	a := s.answers[key]
	first := a == nil
	if first {
		a = &answer{done: make(chan struct{})}
		s.answers[key] = a
	}
	s.mu.Unlock()
	if first {
		defer close(a.done)
		a.values, a.failure = get()
		if last := s.last[key]; a.failure != nil && last != nil {
			a.failure.Kept, a.values = true, last
		}
	} else {
		<-a.done
	}
	return a.values, a.failure
}

// pick returns one value from the result of ask, or the failure.
func pick(name string, values map[string]string, failure *Failure) (string, *Failure) {
	if v := values[name]; v != "" {
		return v, nil
	}
	return "", failure
}

// Explain returns why a secret has no value, and what to do about it.
func (s *Set) Explain(name string) (problem, hint string) {
	f := s.Find(context.Background(), name)
	if f.Failure != nil {
		return fmt.Sprintf("secret %s is not set: %s", name, f.Failure), f.Failure.Advice
	}
	return fmt.Sprintf("secret %s is not set", name),
		fmt.Sprintf("set it in the environment, in .env or with hookloom secrets set %s; looked in %s", name, strings.Join(f.Asked, ", "))
}
