// Command mutate measures whether the tests of a package can fail. It changes one
// operator, constant or statement of the package at a time (a mutant) and runs the
// package's own short tests, which should then fail (the mutant is killed).
//
//	go run ./.ci/mutate -n 46 -seed 1 engine/plan triggers
//	go run ./.ci/mutate engine/plan/retry.go engine/secret.go:60-119
//
// No file of the repository is changed. All mutants of a package are compiled into
// one test binary (go test -c -overlay), each behind a switch that an environment
// variable turns on, because linking takes longer than most tests. A mutant
// that a switch cannot express, such as a changed constant, is compiled alone.
// Each test first runs by itself without a mutant, to learn which mutants it
// reaches and how long it takes. A mutant is then tried with these tests only.
//
// The packages that implement the engine have few tests of their own: most tests run the
// whole engine, in engine/machine, and those of triggers test what is read of a file. A mutant
// of these packages that survives its own tests is tried with those (testedBy).
//
// With -state, compiled binaries and results are kept in a folder. The same command
// continues from there after an interruption, or when -for has ended it with status 3.
//
// A mutant that no test can kill, because the program behaves the same with it, is listed
// with the reason in equivalent.txt. It does not count.
package main

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The results of a mutant.
const (
	killed      = "killed"
	timedOut    = "timed out" // counts as killed: the tests did not pass
	survived    = "survived"
	unreached   = "not reached" // counts as survived: no test executes the line
	equivalent  = "equivalent"
	notCompiled = "not compiled"
)

// testedBy are the packages that hold tests of other packages besides their own, in the order in which
// they are tried.
var testedBy = map[string][]string{
	"engine": {"engine/machine", "engine/store"}, "engine/alert": {"engine/machine"}, "engine/backtest": {"cmd"}, "engine/console": {"cmd"},
	"engine/content": {"triggers"}, "engine/control": {"engine/machine"}, "engine/destination": {"engine/machine"},
	"engine/dryrun": {"cmd", "engine/backtest"}, "engine/egress": {"actions"}, "engine/intake": {"engine/machine"},
	"engine/memory": {"engine/machine"}, "engine/persist": {"engine/machine"}, "engine/plan": {"engine/machine"},
	"engine/redact": {"engine/machine"}, "engine/registry": {"engine/machine"}, "engine/runner": {"engine/machine"},
	"engine/secrets": {"cmd"}, "engine/shape": {"cmd"}, "engine/signature": {"triggers"}, "engine/store": {"engine/machine"},
	"engine/telemetry": {"cmd"}, "workflows": {"triggers", "cmd"}, "workflows/expr": {"workflows", "engine/plan"},
	"workflows/value": {"workflows", "engine/machine"},
}

// errUnfinished is the end of -for before that of the work.
var errUnfinished = errors.New("not finished: the same command goes on from here")

// options are the flags.
type options struct {
	n         int
	seed      uint64
	jsonPath  string
	list      bool
	atLeast   float64
	niceness  int
	run       string
	testLimit time.Duration
	own       bool
	state     string
	duration  time.Duration
	log       io.Writer
}

func main() {
	o := options{log: os.Stderr}
	flag.IntVar(&o.n, "n", 0, "size of the random sample; 0 takes every mutant")
	flag.Uint64Var(&o.seed, "seed", 1, "seed of the sample")
	flag.StringVar(&o.jsonPath, "json", "", "file for the report as JSON")
	flag.BoolVar(&o.list, "list", false, "print the mutants and run nothing")
	flag.Float64Var(&o.atLeast, "at-least", 0, "exit with status 1 if less than this share is killed (0.9 is nine of ten)")
	flag.IntVar(&o.niceness, "nice", 10, "niceness of the builds and tests")
	flag.StringVar(&o.run, "run", "", "only tests whose names match this regular expression")
	flag.DurationVar(&o.testLimit, "test-limit", time.Minute, "leave out tests that take longer than this alone")
	flag.BoolVar(&o.own, "own", false, "only the package's own tests")
	flag.StringVar(&o.state, "state", "", "folder that keeps the work, to go on after an interruption")
	flag.DurationVar(&o.duration, "for", 0, "stop after this time, with status 3; needs -state")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.duration, errUnfinished)
		defer cancel()
	}
	err := measure(ctx, o, flag.Args())
	if err == nil {
		return
	}
	if errors.Is(context.Cause(ctx), errUnfinished) {
		fmt.Fprintln(os.Stderr, "mutate:", errUnfinished)
		os.Exit(3)
	}
	fmt.Fprintln(os.Stderr, "mutate:", err)
	os.Exit(1)
}

// measure finds the mutants, takes the sample, tries it and reports.
func measure(ctx context.Context, o options, args []string) error {
	if len(args) == 0 {
		return errors.New("name packages, files or line ranges: mutate [flags] engine/plan engine/secret.go:60-119")
	}
	if o.duration > 0 && o.state == "" {
		return errors.New("-for needs -state: without it, the next run begins again")
	}
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, o.niceness); err != nil {
		return fmt.Errorf("set niceness: %w", err)
	}
	packages, err := load(ctx, args)
	if err != nil {
		return err
	}
	sample := choose(packages, o)
	markEquivalents(sample, equivalents)
	if o.list {
		for _, m := range sample {
			fmt.Println(m)
		}
		return nil
	}
	if err := tryAll(ctx, o, packages, sample); err != nil {
		return err
	}
	return report(o, sample)
}

// tryAll tries the mutants with the tests of their packages, and what survives with those
// that other packages hold.
func tryAll(ctx context.Context, o options, packages []*pkg, sample []*mutant) error {
	for _, p := range packages {
		mine := slices.DeleteFunc(slices.Clone(sample), func(m *mutant) bool { return m.pkg != p || m.Result == equivalent })
		if len(mine) == 0 {
			continue
		}
		if err := try(ctx, o, p.dir, mine); err != nil {
			return fmt.Errorf("%s: %w", p.dir, err)
		}
	}
	for turn := 0; !o.own; turn++ {
		elsewhere := map[string][]*mutant{}
		last := true
		for _, m := range sample {
			by := testedBy[m.Package]
			last = last && turn >= len(by)
			if turn < len(by) && (m.Result == survived || m.Result == unreached) {
				elsewhere[by[turn]] = append(elsewhere[by[turn]], m)
			}
		}
		if last {
			break
		}
		for _, tested := range slices.Sorted(maps.Keys(elsewhere)) {
			if err := try(ctx, o, tested, elsewhere[tested]); err != nil {
				return fmt.Errorf("%s: %w", tested, err)
			}
		}
	}
	return nil
}

// choose returns the sample in the order of the source.
func choose(packages []*pkg, o options) []*mutant {
	var all []*mutant
	for _, p := range packages {
		all = append(all, p.mutants...)
	}
	if o.n > 0 && o.n < len(all) {
		rand.New(rand.NewPCG(o.seed, 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		all = all[:o.n]
	}
	slices.SortFunc(all, func(a, b *mutant) int { return cmp.Or(cmp.Compare(a.File, b.File), a.from-b.from, a.to-b.to) })
	for i, m := range all {
		m.id = i + 1
	}
	return all
}

// report prints the survivors and the figures of each package.
func report(o options, sample []*mutant) error {
	counts := map[string]map[string]int{}
	for _, m := range sample {
		for _, dir := range []string{m.Package, "total"} {
			if counts[dir] == nil {
				counts[dir] = map[string]int{}
			}
			counts[dir][m.Result]++
		}
		if m.Result == survived || m.Result == unreached {
			fmt.Println(m)
		}
	}
	dirs := make([]string, 0, len(counts))
	for dir := range counts {
		dirs = append(dirs, dir)
	}
	slices.SortFunc(dirs, func(a, b string) int {
		return cmp.Or(strings.Compare(fmt.Sprint(a == "total"), fmt.Sprint(b == "total")), strings.Compare(a, b))
	})
	var share float64
	for _, dir := range dirs {
		c := counts[dir]
		dead, alive := c[killed]+c[timedOut], c[survived]+c[unreached]
		share = float64(dead) / max(1, float64(dead+alive))
		fmt.Printf("mutants of %s: "+
			"killed %d of %d (%.0f %%), %d of them timed out; survived %d, not reached %d; "+
			"equivalent %d, not compiled %d\n", dir, dead, dead+alive, 100*share, c[timedOut], c[survived], c[unreached], c[equivalent],
			c[notCompiled])
	}
	if o.jsonPath != "" {
		text, err := json.MarshalIndent(sample, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.jsonPath, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	if share < o.atLeast {
		return fmt.Errorf("%.1f %% of the mutants are killed, and it should be %.1f %%", 100*share, 100*o.atLeast)
	}
	return nil
}

// equivalentText has a line for each mutant that no test can kill: package and function, the
// change, and the reason, separated by tabs. Lines of code move, so it names no line.
//
//go:embed equivalent.txt
var equivalentText string

var equivalents = parseEquivalents(equivalentText)

func parseEquivalents(text string) map[string]string {
	reasons := map[string]string{}
	for line := range strings.Lines(text) {
		if f := strings.Split(strings.TrimSpace(line), "\t"); len(f) == 3 {
			reasons[f[0]+"\t"+f[1]] = f[2]
		}
	}
	return reasons
}

func markEquivalents(sample []*mutant, reasons map[string]string) {
	for _, m := range sample {
		if reason, ok := reasons[m.Package+" "+m.Function+"\t"+m.Change]; ok {
			m.Result, m.By = equivalent, reason
		}
	}
}
