// Package actions implements the built-in actions: HTTP requests, signed webhooks and the services
// described by files in connectors/. Each execution makes one attempt and returns an error that
// says whether a retry could help.
//
// It knows the engine's contracts and the language. It must not know triggers, the store, the
// console, or what a run does next.
package actions

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime"
	"sync"

	"github.com/hookloom/hookloom/actions/auth"
	"github.com/hookloom/hookloom/actions/email"
	"github.com/hookloom/hookloom/actions/file"
	"github.com/hookloom/hookloom/actions/sqldb"
	"github.com/hookloom/hookloom/actions/transform"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

//go:embed connectors/*.yaml
var connectorFiles embed.FS

// action is an entry of the table: what the action accepts, and its executor.
type action struct {
	spec workflows.ActionSpec
	do   engine.Action
}

// table lists the built-in actions. The actions of connectors are added from their files.
func table(log *slog.Logger, redact func(string) string, source *auth.Source) []action {
	kept := &answers{}
	return append([]action{
		{httpSpec("http/request", "an HTTP request", ""), httpAction{auth: source, answers: kept}},
		{httpSpec("http/get", "an HTTP GET", "GET"), httpAction{"GET", source, kept}},
		{httpSpec("http/post", "an HTTP POST", "POST"), httpAction{"POST", source, nil}},
		{httpSpec("http/put", "an HTTP PUT", "PUT"), httpAction{"PUT", source, nil}},
		{httpSpec("http/patch", "an HTTP PATCH", "PATCH"), httpAction{"PATCH", source, nil}},
		{httpSpec("http/delete", "an HTTP DELETE", "DELETE"), httpAction{"DELETE", source, nil}},
		{httpSpec("http/head", "an HTTP HEAD", "HEAD"), httpAction{"HEAD", source, nil}},
		{webhookSpec, webhookAction{source}},
		{cloudEventsSpec, cloudEventsAction{source}},
		{logSpec, logAction{log, redact}},
		{email.SendSpec, email.Send{}},
		{sqldb.QuerySpec, sqldb.Query{}},
		{sqldb.ExecSpec, sqldb.Exec{}},
		{file.ReadSpec, file.Read{}},
		{file.AppendSpec, file.Append{}},
		{transform.JQSpec, transform.JQ{}},
		{transform.CSVParseSpec, transform.CSVParse{}},
		{transform.CSVMakeSpec, transform.CSVMake{}},
		{transform.XMLParseSpec, transform.XMLParse{}},
		{transform.XMLMakeSpec, transform.XMLMake{}},
	}, append(s3Actions(), valueSpecs()...)...)
}

// Catalog returns what workflows can use.
func Catalog() (map[string]*workflows.ActionSpec, error) {
	out := map[string]*workflows.ActionSpec{}
	for _, a := range table(nil, nil, nil) {
		if out[a.spec.Name] != nil {
			return nil, fmt.Errorf("action %s exists twice", a.spec.Name)
		}
		spec := a.spec
		if spec.Usage == "" {
			spec.Usage = usages[spec.Name]
		}
		out[spec.Name] = &spec
	}
	connectors, err := builtIn()
	if err != nil {
		return nil, err
	}
	for _, c := range connectors {
		for _, s := range c.Specs() {
			if out[s.Name] != nil {
				return nil, fmt.Errorf("action %s exists twice", s.Name)
			}
			out[s.Name] = s
		}
	}
	return out, nil
}

// builtIn returns the built-in connectors. Their files are parsed once.
var builtIn = sync.OnceValues(parseBuiltIn)

// parseBuiltIn parses the embedded files, in parallel on all processors.
func parseBuiltIn() ([]*workflows.Connector, error) {
	files, err := fs.Glob(connectorFiles, "connectors/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("listing connectors: %w", err)
	}
	out, failed := make([]*workflows.Connector, len(files)), make([]error, len(files))
	var wait sync.WaitGroup
	next := make(chan int)
	for range min(runtime.GOMAXPROCS(0), len(files)) {
		wait.Go(func() {
			for i := range next {
				text, err := connectorFiles.ReadFile(files[i])
				if err == nil {
					out[i], err = workflows.BuiltInConnector(files[i], text)
				}
				failed[i] = err
			}
		})
	}
	for i := range files {
		next <- i
	}
	close(next)
	wait.Wait()
	return out, errors.Join(failed...)
}

// Executors returns the executors of actions, by name; "connector" executes the actions of all
// connectors.
func Executors(log *slog.Logger, redact func(string) string) map[string]engine.Action {
	return ExecutorsWith(log, redact, nil)
}

// ExecutorsWith is Executors with a source of tokens for connections.
func ExecutorsWith(log *slog.Logger, redact func(string) string, source *auth.Source) map[string]engine.Action {
	out := map[string]engine.Action{"connector": connectorAction{source}}
	for _, a := range table(log, redact, source) {
		out[a.spec.Name] = a.do
	}
	return out
}
