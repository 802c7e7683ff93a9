// Package cmd implements the commands and wires the program together: only this package knows all
// the others. It must contain no rules about events, runs or signatures.
package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/hookloom/hookloom/workflows"
	"github.com/spf13/cobra"
)

// Exit codes of docs/reference/cli.md, and two of sysexits.h that operators know.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
	exitIO      = 74 // EX_IOERR: the database can no longer be trusted
	exitInUse   = 75 // EX_TEMPFAIL: another process has the database, or its server is unreachable
)

// exitError carries an exit code with an error.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usageError returns the error of a wrong call, or of an invalid configuration.
func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// app is passed to every command.
type app struct {
	out, err io.Writer
	output   string
}

// Main runs the command line and returns the exit status.
func Main(args []string, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal requests an orderly shutdown; a second one ends the process at once, after
	// which the next start recovers.
	context.AfterFunc(ctx, stop)
	return execute(inOwnProcess(ctx), args, out, errOut)
}

// execute runs one command line.
func execute(ctx context.Context, args []string, out, errOut io.Writer) int {
	a := &app{out: out, err: errOut}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	err := unknownBelow(root, args)
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	if err == nil {
		return exitOK
	}
	return report(errOut, err)
}

// report prints an error once and returns the exit status.
func report(w io.Writer, err error) int {
	var mistakes workflows.Mistakes
	var exit *exitError
	var inUse *store.InUseError
	var named *store.NodeNameError
	var away *postgres.Error
	code := exitFailure
	switch {
	case errors.As(err, &mistakes):
		code = exitUsage
	case errors.As(err, &inUse), errors.As(err, &named), errors.As(err, &away) && away.Temporary:
		code = exitInUse
	case errors.As(err, &exit):
		code = exit.code
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(w, text)
	}
	return code
}

// outputs is the annotation with a command's output formats besides text and json.
const outputs = "outputs"

// root builds the tree of commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "hookloom",
		Short: "Turn webhooks into workflow runs, with everything recorded",
		Long: `Hookloom receives webhooks, proves that they are genuine, stores them before it
answers, runs the YAML workflows whose rule matches, and records every step.

  hookloom demo                 see it work, without setup
  hookloom init myproject       a starter project with comments
  hookloom serve myproject      run it`,
		SilenceUsage: true, SilenceErrors: true, Version: version(),
	}
	root.SetVersionTemplate("hookloom {{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().StringVarP(&a.output, "output", "o", "text", "text or json")
	root.PersistentFlags().String("env", "", "environment: hookloom.NAME.yaml is merged over hookloom.yaml (HOOKLOOM_ENV)")
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		chooseEnvironment(c)
		more := c.Annotations[outputs]
		if a.output == "text" || a.output == "json" || more != "" && slices.Contains(strings.Split(more, ", "), a.output) {
			return nil
		}
		if more != "" {
			return usageError("--output is text, json, %s, not %q", strings.Replace(more, ", ", " or ", 1), a.output)
		}
		return usageError("--output is text or json, not %q", a.output)
	}
	root.AddCommand(
		a.demoCmd(), a.initCmd(), a.serveCmd(),
		a.validateCmd(), a.configCmd(), a.schemaCmd(), a.providersCmd(), a.actionsCmd(), a.connectorCmd(), a.functionsCmd(),
		a.sendCmd(), a.verifyCmd(), a.testCmd(), a.backtestCmd(), a.pollCmd(), a.compareCmd(),
		a.eventsCmd(), a.eventCmd(), a.runsCmd(), a.runCmd(), a.deadlettersCmd(), a.quarantineCmd(), a.admitCmd(), a.triggersCmd(), a.tailCmd(),
		a.replayCmd(), a.batchesCmd(), a.storeCmd(), a.cancelCmd(), a.enableCmd(), a.disableCmd(), a.approveCmd(), a.destinationsCmd(),
		a.connectionsCmd(), a.connectCmd(), a.secretsCmd(), a.nodesCmd(), a.drainCmd(),
		a.backupCmd(), a.restoreCmd(), a.recoverCmd(), a.checkCmd(), a.pruneCmd(), a.dbCmd(), a.doctorCmd(), a.benchCmd(), a.versionCmd(),
		a.docsCmd(), a.evalCmd(), a.fmtCmd(), a.diffCmd(), a.shapesCmd(), a.healthCmd(), a.mcpCmd(),
	)
	root.InitDefaultCompletionCmd() // cobra would add it later, with its own errors for wrong arguments
	for _, c := range root.Commands() {
		c.Args = argumentsOf(c)
		for _, sub := range c.Commands() {
			sub.Args = argumentsOf(sub)
		}
	}
	root.SetHelpCommand(a.helpCmd(root))
	root.InitDefaultHelpCmd() // so that it is known before the command line is executed
	if err := addCompletions(root); err != nil {
		panic(err) // a flag with two completions; every test that runs a command finds it
	}
	root.SetFlagErrorFunc(flagError)
	return root
}

// printJSON writes v indented, for --output json.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// json reports whether to print JSON.
func (a *app) json() bool { return a.output == "json" }

// warnf prints a message that is not part of the result to standard error.
func (a *app) warnf(format string, args ...any) { fmt.Fprintf(a.err, format, args...) }

func (a *app) printf(format string, args ...any) {
	fmt.Fprintf(a.out, format, args...)
}
