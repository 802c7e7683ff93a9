package cmd

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine/dryrun"
	"github.com/spf13/cobra"
)

func (a *app) testCmd() *cobra.Command {
	var junit, record, db, coverage string
	var watch bool
	c := &cobra.Command{Use: "test [DIR or FILE...]", Short: "Run the tests of workflows, without network",
		Long: `Runs the tests in workflow files and in tests/WORKFLOW_test.yaml. Nothing leaves the
machine: a step gets the response of its mock, otherwise its action's example, otherwise
{}. The clock is frozen (now:), sleeps and waits end at once, an approval is given
unless a mock rejects it, a called workflow runs the same way, and a secret's value is
secret:NAME. A run must succeed unless the test expects an error or another status.

--record RUN turns a recorded run into a test: its event becomes a fixture, the responses
to its steps become mocks, and its result is expected.`,
		Example: "  hookloom test\n  hookloom test --watch\n  hookloom test shop/workflows/paid.yaml\n" +
			"  hookloom test shop --junit results.xml\n  hookloom test --record run_0d3c6f2a41e00000",
		RunE: func(c *cobra.Command, args []string) error {
			if record != "" {
				dir := "."
				if len(args) > 0 {
					dir = args[0]
				}
				return a.recordTest(c, dir, db, record)
			}
			if watch {
				return a.watchTests(c.Context(), args, junit, coverage)
			}
			return a.test(args, junit, coverage)
		}}
	c.Flags().StringVar(&junit, "junit", "", "also write the results to this file, as JUnit XML")
	c.Flags().StringVar(&coverage, "coverage", "", "also show which steps, conditions and cases the tests reach; "+
		"--coverage=FILE writes HTML, or Cobertura XML for a name that ends in .xml")
	c.Flags().Lookup("coverage").NoOptDefVal = coverageShown
	c.Flags().BoolVar(&watch, "watch", false, "run them again whenever a file of the project changes, until Ctrl-C")
	c.Flags().StringVar(&record, "record", "", "a run to turn into a test")
	c.Flags().StringVar(&db, "db", "", "with --record: the database")
	return c
}

// testResult is the result of one test.
type testResult struct {
	File     string   `json:"file"`
	Workflow string   `json:"workflow"`
	Name     string   `json:"name"`
	OK       bool     `json:"ok"`
	Failures []string `json:"failures,omitempty"`
	Seconds  float64  `json:"seconds"`
	// Skipped, in JUnit only, says why the result is unknown; OK has no meaning then.
	Skipped string `json:"-"`
}

func (a *app) test(args []string, junit, coverage string) error {
	var results []testResult
	reached := []dryrun.WorkflowCoverage{}
	groups := targets(args)
	for _, dir := range slices.Sorted(maps.Keys(groups)) {
		l, err := load(dir)
		if err != nil {
			return err
		}
		if l.mistakes.Errors() > 0 {
			return l.mistakes
		}
		tests, mistakes := l.project.LoadTests()
		if mistakes.Errors() > 0 {
			return mistakes
		}
		counted := dryrun.NewCoverage(l.project)
		for _, t := range tests {
			if only := groups[dir]; len(only) > 0 && !only[t.File] && !only["workflows/"+t.Workflow+".yaml"] {
				continue
			}
			began := time.Now()
			failures := dryrun.TestCounted(l.project, t, counted)
			file := t.File
			if dir != "." {
				file = filepath.Join(dir, file)
				for i := range failures {
					failures[i] = filepath.Join(dir, failures[i])
				}
			}
			results = append(results, testResult{File: file, Workflow: t.Workflow, Name: t.Name, OK: len(failures) == 0, Failures: failures,
				Seconds: time.Since(began).Seconds()})
		}
		reached = append(reached, coverageIn(dir, counted)...)
	}
	if junit != "" {
		if err := writeJUnit(junit, results); err != nil {
			return err
		}
	}
	return a.printResults(results, coverage, reached)
}

func (a *app) printResults(results []testResult, coverage string, reached []dryrun.WorkflowCoverage) error {
	failed := 0
	for _, r := range results {
		if !r.OK {
			failed++
		}
	}
	if a.json() {
		if results == nil {
			results = []testResult{}
		}
		out := map[string]any{"ok": failed == 0, "tests": results}
		if coverage != "" {
			out["coverage"] = reached
		}
		if err := a.printJSON(out); err != nil {
			return err
		}
	} else {
		for _, r := range results {
			word := "ok  "
			if !r.OK {
				word = "FAIL"
			}
			a.printf("%s  %s  %s\n", word, r.File, printable(r.Name))
			for _, f := range r.Failures {
				a.printf("      %s\n", printable(f))
			}
		}
		if len(results) == 0 {
			a.printf("no tests: write tests: into a workflow, or tests/WORKFLOW_test.yaml\n")
		} else {
			a.printf("%d passed, %d failed\n", len(results)-failed, failed)
		}
	}
	if err := a.writeCoverage(coverage, reached); err != nil {
		return err
	}
	if failed > 0 {
		return &exitError{exitFailure, errors.New("")}
	}
	return nil
}
