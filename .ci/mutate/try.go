package main

import (
	"context"
	"fmt"
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
	name    string
	took    time.Duration
	reaches map[int]bool
}

// bench is where the mutants of a package are tried.
type bench struct {
	options
	p      *pkg
	dir    string
	binary string // of all mutants
	tests  []*test
}

// try gives each mutant of a package its result.
func try(ctx context.Context, o options, p *pkg, mutants []*mutant) error {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return err
	}
	b := &bench{options: o, p: p, dir: dir, binary: filepath.Join(dir, "all.test")}
	began := time.Now()
	if err := compileAll(ctx, p, mutants, dir, b.binary); err != nil {
		return err
	}
	fmt.Fprintf(o.log, "%s: %d mutants compiled in %v\n", p.dir, len(mutants), time.Since(began).Round(time.Second))
	if err := b.learn(ctx); err != nil {
		return err
	}
	for _, m := range mutants {
		if err := b.tryOne(ctx, m); err != nil {
			return err
		}
		fmt.Fprintln(o.log, m)
	}
	return nil
}

// learn runs each test without a mutant.
func (b *bench) learn(ctx context.Context) error {
	list := exec.CommandContext(ctx, b.binary, "-test.list", "^(Test|Fuzz|Example)")
	list.Dir = b.p.dir
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("list the tests: %w", err)
	}
	only, err := regexp.Compile(b.run)
	if err != nil {
		return err
	}
	log := filepath.Join(b.dir, "reached")
	began := time.Now()
	for name := range strings.FieldsSeq(string(out)) {
		if !only.MatchString(name) {
			continue
		}
		if err := os.WriteFile(log, nil, 0o600); err != nil {
			return err
		}
		t := &test{name: name, reaches: map[int]bool{}}
		start := time.Now()
		passed, output, err := b.runTests(ctx, b.binary, 0, log, b.testLimit, t)
		if err != nil {
			return err
		}
		t.took = time.Since(start)
		if !passed {
			fmt.Fprintf(b.log, "%s is left out: it does not pass without a mutant within %v\n%s\n", name, b.testLimit, tail(output))
			continue
		}
		reached, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		for number := range strings.FieldsSeq(string(reached)) {
			n, err := strconv.Atoi(number)
			if err != nil {
				return err
			}
			t.reaches[n] = true
		}
		b.tests = append(b.tests, t)
	}
	slices.SortFunc(b.tests, func(a, b *test) int { return int(a.took - b.took) })
	fmt.Fprintf(b.log, "%s: %d tests pass without a mutant, in %v\n", b.p.dir, len(b.tests), time.Since(began).Round(time.Second))
	return nil
}

// tryOne runs the tests that reach a mutant, the fast ones first.
func (b *bench) tryOne(ctx context.Context, m *mutant) error {
	var tests []*test
	for _, t := range b.tests {
		if t.reaches[m.id] {
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
		if _, err := compile(ctx, b.p, b.dir, binary, map[string]string{m.file.path: text}); err != nil {
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

// batch is how many tests run in one process: all that are fast, or else one.
func batch(tests []*test) int {
	const fast, together = 300 * time.Millisecond, 3 * time.Second
	var sum time.Duration
	for i, t := range tests {
		if sum += t.took; i > 0 && (t.took > fast || sum > together) {
			return i
		}
	}
	return len(tests)
}

var failure = regexp.MustCompile(`(?m)^--- FAIL: (\w+)|^\s*testing\.tRunner|^running tests:\n\s+(\w+)`)

// runBatch runs tests with a mutant. A test that fails has killed it, unless it fails
// without the mutant too: then it depends on the machine, and is left out from here on.
func (b *bench) runBatch(ctx context.Context, m *mutant, binary string, tests []*test) error {
	for len(tests) > 0 {
		limit := 20 * time.Second
		for _, t := range tests {
			limit += 6 * t.took
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
		i := slices.IndexFunc(tests, func(t *test) bool { return t.name == m.By })
		if i < 0 || m.Result == timedOut {
			return nil
		}
		holds, _, err := b.runTests(ctx, b.binary, 0, "", limit, tests[i])
		if err != nil || holds {
			return err
		}
		fmt.Fprintf(b.log, "%s is left out: it failed once without a mutant\n", m.By)
		b.tests = slices.DeleteFunc(b.tests, func(t *test) bool { return t.name == m.By })
		tests = slices.Delete(slices.Clone(tests), i, i+1)
		m.Result, m.By = survived, ""
	}
	return nil
}

// runTests runs tests with one mutant, 0 for none. A mutant may allocate without end,
// so that the process has a limit of memory.
func (b *bench) runTests(ctx context.Context, binary string, id int, log string, limit time.Duration, tests ...*test,
) (bool, string, error) {
	names := make([]string, len(tests))
	for i, t := range tests {
		names[i] = t.name
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
	cmd.Dir = b.p.dir
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

// tail is the end of an output.
func tail(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}
