package main

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// test is a test of the package and what it needs.
type test struct {
	Name    string
	Took    time.Duration
	Passed  bool // without a mutant
	Reaches map[int]bool
}

// bench tries mutants with the tests of one package.
type bench struct {
	options
	tested string // the package of the tests
	dir    string
	binary string // of all mutants
	tests  []*test
}

// try sets the result of each mutant by the tests of the package tested.
func try(ctx context.Context, o options, tested string, mutants []*mutant) error {
	if tests, err := filepath.Glob(filepath.Join(tested, "*_test.go")); err != nil || len(tests) == 0 {
		for _, m := range mutants {
			m.Result = unreached
		}
		return err
	}
	dir, kept, err := workplace(o.state, tested, mutants)
	if err != nil {
		return err
	}
	if !kept {
		defer os.RemoveAll(dir)
	}
	b := &bench{options: o, tested: tested, dir: dir, binary: filepath.Join(dir, "all.test")}
	if err := b.compileAll(ctx, mutants); err != nil {
		return err
	}
	if err := b.learn(ctx); err != nil {
		return err
	}
	if err := b.mention(mutants); err != nil {
		return err
	}
	results, err := readResults(filepath.Join(dir, "results"))
	if err != nil {
		return err
	}
	for _, m := range mutants {
		if r, ok := results[m.id]; ok {
			m.Result, m.By = r.Result, r.By
			continue
		}
		before, by := m.Result, m.By
		if err := b.tryOne(ctx, m); err != nil {
			return err
		}
		if m.Result == unreached && before == survived {
			m.Result, m.By = before, by
		}
		if err := appendJSON(filepath.Join(dir, "results"), result{m.id, m.Result, m.By}); err != nil {
			return err
		}
		fmt.Fprintln(o.log, m)
	}
	return nil
}

// learn runs each test without a mutant.
func (b *bench) learn(ctx context.Context) error {
	list := exec.CommandContext(ctx, b.binary, "-test.list", "^(Test|Fuzz|Example)")
	list.Dir = b.tested
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("list the tests: %w", err)
	}
	only, err := regexp.Compile(b.run)
	if err != nil {
		return err
	}
	known, err := readTests(filepath.Join(b.dir, "tests"))
	if err != nil {
		return err
	}
	began := time.Now()
	for name := range strings.FieldsSeq(string(out)) {
		if !only.MatchString(name) {
			continue
		}
		t := known[name]
		if t == nil {
			if t, err = b.learnOne(ctx, name); err != nil {
				return err
			}
			if err := appendJSON(filepath.Join(b.dir, "tests"), t); err != nil {
				return err
			}
		}
		if t.Passed {
			b.tests = append(b.tests, t)
		}
	}
	slices.SortFunc(b.tests, func(a, b *test) int { return int(a.Took - b.Took) })
	fmt.Fprintf(b.log, "%s: %d tests pass without a mutant, in %v\n", b.tested, len(b.tests), time.Since(began).Round(time.Second))
	return nil
}

func (b *bench) learnOne(ctx context.Context, name string) (*test, error) {
	log := filepath.Join(b.dir, "reached")
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		return nil, err
	}
	t := &test{Name: name, Reaches: map[int]bool{}}
	start := time.Now()
	passed, output, err := b.runTests(ctx, b.binary, 0, log, b.testLimit, t)
	if err != nil {
		return nil, err
	}
	t.Took, t.Passed = time.Since(start), passed
	if !passed {
		fmt.Fprintf(b.log, "%s is left out: it does not pass without a mutant within %v\n%s\n", name, b.testLimit, tail(output))
		return t, nil
	}
	reached, err := os.ReadFile(log)
	if err != nil {
		return nil, err
	}
	for number := range strings.FieldsSeq(string(reached)) {
		n, err := strconv.Atoi(number)
		if err != nil {
			return nil, err
		}
		t.Reaches[n] = true
	}
	return t, nil
}

// mention lets tests that name a constant or variable try its mutants, besides those that reach a function
// that uses it.
func (b *bench) mention(mutants []*mutant) error {
	files, err := filepath.Glob(filepath.Join(b.tested, "*_test.go"))
	if err != nil {
		return err
	}
	for _, path := range files {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			i := slices.IndexFunc(b.tests, func(t *test) bool { return t.Name == fn.Name.Name })
			if i < 0 {
				continue
			}
			for _, m := range mutants {
				if m.name != "" && m.Package == b.tested && uses(fn.Body, map[string]bool{m.name: true}) {
					b.tests[i].Reaches[m.id] = true
				}
			}
		}
	}
	return nil
}

// tryOne runs the tests that reach a mutant, fast ones first.
func (b *bench) tryOne(ctx context.Context, m *mutant) error {
	var tests []*test
	for _, t := range b.tests {
		if t.Reaches[m.id] {
			tests = append(tests, t)
		}
	}
	if len(tests) == 0 {
		m.Result = unreached
		return nil
	}
	binary := b.binary
	if m.switched == "" {
		binary = filepath.Join(b.dir, "one.test")
		text := string(m.file.source[:m.from]) + m.text + string(m.file.source[m.to:])
		if _, err := compile(ctx, b.tested, b.dir, binary, map[string]string{m.file.path: text}); err != nil {
			m.Result = notCompiled
			return ctx.Err()
		}
	}
	m.Result = survived
	for len(tests) > 0 && m.Result == survived {
		n := batch(tests)
		if err := b.runBatch(ctx, m, binary, tests[:n]); err != nil {
			return err
		}
		tests = tests[n:]
	}
	return nil
}

// batch returns the number of tests to run in one process: all that are fast, or else one.
func batch(tests []*test) int {
	const fast, together = 300 * time.Millisecond, 3 * time.Second
	var sum time.Duration
	for i, t := range tests {
		if sum += t.Took; i > 0 && (t.Took > fast || sum > together) {
			return i
		}
	}
	return len(tests)
}

var failure = regexp.MustCompile(`(?m)^--- FAIL: (\w+)|^\s*testing\.tRunner|^running tests:\n\s+(\w+)`)

// runBatch runs tests with a mutant. A failed test has killed it, unless it also fails without the
// mutant: then it depends on the machine, and is skipped from then on.
func (b *bench) runBatch(ctx context.Context, m *mutant, binary string, tests []*test) error {
	for len(tests) > 0 {
		limit := 20 * time.Second
		for _, t := range tests {
			limit += 6 * t.Took
		}
		passed, output, err := b.runTests(ctx, binary, m.id, "", limit, tests...)
		if err != nil || passed {
			return err
		}
		m.Result = killed
		if strings.Contains(output, "test timed out") || output == "" {
			m.Result = timedOut
		}
		by := failure.FindStringSubmatch(output)
		if by == nil || by[1]+by[2] == "" {
			return nil
		}
		m.By = by[1] + by[2]
		i := slices.IndexFunc(tests, func(t *test) bool { return t.Name == m.By })
		if i < 0 || m.Result == timedOut {
			return nil
		}
		holds, _, err := b.runTests(ctx, b.binary, 0, "", limit, tests[i])
		if err != nil || holds {
			return err
		}
		fmt.Fprintf(b.log, "%s is left out: it failed once without a mutant\n", m.By)
		b.tests = slices.DeleteFunc(b.tests, func(t *test) bool { return t.Name == m.By })
		tests = slices.Delete(slices.Clone(tests), i, i+1)
		m.Result, m.By = survived, ""
	}
	return nil
}

// runTests runs tests with one mutant, 0 for none. A mutant may allocate without end, so the
// process has a memory limit.
func (b *bench) runTests(ctx context.Context, binary string, id int, log string, limit time.Duration, tests ...*test,
) (bool, string, error) {
	names := make([]string, len(tests))
	for i, t := range tests {
		names[i] = t.Name
	}
	tmp, err := os.MkdirTemp(b.dir, "tmp")
	if err != nil {
		return false, "", err
	}
	defer os.RemoveAll(tmp)
	limited, cancel := context.WithTimeout(ctx, limit+10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(limited, "/bin/sh", "-c", `ulimit -v 12000000; exec "$@"`, "sh", binary, "-test.short", "-test.failfast",
		"-test.timeout", limit.String(), "-test.run", "^("+strings.Join(names, "|")+")$")
	cmd.Dir = b.tested
	cmd.Env = append(os.Environ(), "HOOKLOOM_MUTANT="+strconv.Itoa(id), "HOOKLOOM_MUTANT_LOG="+log, "TMPDIR="+tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return false, "", ctx.Err()
	}
	if limited.Err() != nil {
		return false, "", nil
	}
	return err == nil, string(out), nil
}

// tail returns the end of an output.
func tail(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}
