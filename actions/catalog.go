// Package actions implements the built-in actions: HTTP requests, signed webhooks and the services
// described by files in connectors/. Each execution makes one attempt and returns an error that
// says whether a retry could help.
//
// It knows the engine's contracts and the language. It must not know triggers, the store, the
// console, or what a run does next.
package actions

import (
	"embed"
	"io/fs"
	"log/slog"
	"path"
	"strings"
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

// Catalog returns what workflows can use. The files of connectors are read when one of their
// actions is first asked for.
func Catalog() *workflows.Actions {
	specs := map[string]*workflows.ActionSpec{}
	for _, a := range table(nil, nil, nil) {
		spec := a.spec
		if spec.Usage == "" {
			spec.Usage = usages[spec.Name]
		}
		specs[spec.Name] = &spec
	}
	return workflows.NewActions(specs, builtIn)
}

// builtIn are the connectors of this program.
var builtIn = &library{read: map[string]*workflows.Connector{}}

// library reads each embedded connector file once, when it is first needed. It is safe for
// concurrent use.
type library struct {
	mu   sync.Mutex
	read map[string]*workflows.Connector // guarded by mu
}

// Names implements workflows.ConnectorLibrary. A file has the name of its connector.
func (l *library) Names() []string {
	files, err := fs.Glob(connectorFiles, "connectors/*.yaml")
	if err != nil {
		return nil // the pattern is right
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(path.Base(f), ".yaml")
	}
	return files
}

// Get implements workflows.ConnectorLibrary. A file that cannot be read counts as missing; a test
// reads all of them.
func (l *library) Get(name string) *workflows.Connector {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c, ok := l.read[name]; ok {
		return c
	}
	file := "connectors/" + name + ".yaml"
	text, err := connectorFiles.ReadFile(file)
	if err != nil {
		return nil
	}
	c, err := workflows.BuiltInConnector(file, text)
	if err != nil {
		return nil
	}
	l.read[name] = c
	return c
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
