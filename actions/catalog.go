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
	"io/fs"
	"log/slog"
	"net/http"
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
func table(o Options) []action {
	kept, out := &answers{}, outbound{o.Client, o.Auth}
	return append([]action{
		{httpSpec("http/request", "an HTTP request", ""), httpAction{"", out, kept}},
		{httpSpec("http/get", "an HTTP GET", "GET"), httpAction{"GET", out, kept}},
		{httpSpec("http/post", "an HTTP POST", "POST"), httpAction{"POST", out, nil}},
		{httpSpec("http/put", "an HTTP PUT", "PUT"), httpAction{"PUT", out, nil}},
		{httpSpec("http/patch", "an HTTP PATCH", "PATCH"), httpAction{"PATCH", out, nil}},
		{httpSpec("http/delete", "an HTTP DELETE", "DELETE"), httpAction{"DELETE", out, nil}},
		{httpSpec("http/head", "an HTTP HEAD", "HEAD"), httpAction{"HEAD", out, nil}},
		{webhookSpec, webhookAction{out}},
		{cloudEventsSpec, cloudEventsAction{out}},
		{logSpec, logAction{o.Log, o.Redact}},
		{email.SendSpec, email.Send{Client: o.Client}},
		{sqldb.QuerySpec, sqldb.Query{Client: o.Client}},
		{sqldb.ExecSpec, sqldb.Exec{Client: o.Client}},
		{file.ReadSpec, file.Read{}},
		{file.AppendSpec, file.Append{}},
		{transform.JQSpec, transform.JQ{}},
		{transform.CSVParseSpec, transform.CSVParse{}},
		{transform.CSVMakeSpec, transform.CSVMake{}},
		{transform.XMLParseSpec, transform.XMLParse{}},
		{transform.XMLMakeSpec, transform.XMLMake{}},
	}, append(s3Actions(out), valueSpecs()...)...)
}

// Catalog returns what workflows can use. The files of connectors are read when one of their
// actions is first asked for.
func Catalog() *workflows.Actions {
	specs := map[string]*workflows.ActionSpec{}
	for _, a := range table(Options{}) {
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

// Options are what actions need from the process. The zero value is for actions that send nothing.
type Options struct {
	// Client sends the requests. Without one, each request fails.
	Client *http.Client
	// Auth provides the tokens of connections; nil if they have none.
	Auth *auth.Source
	// Log receives what log: writes, masked by Redact.
	Log    *slog.Logger
	Redact func(string) string
}

// outbound sends the requests of an action and authenticates them.
type outbound struct {
	client *http.Client
	auth   *auth.Source
}

// offline fails each request.
var offline = &http.Client{Transport: noTransport{}}

type noTransport struct{}

// RoundTrip implements http.RoundTripper.
func (noTransport) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("requests cannot be sent here")
}

// Executors returns the executors of actions, by name; "connector" executes the actions of all
// connectors.
func Executors(o Options) map[string]engine.Action {
	if o.Client == nil {
		o.Client = offline
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Redact == nil {
		o.Redact = func(s string) string { return s }
	}
	out := map[string]engine.Action{"connector": connectorAction{outbound{o.Client, o.Auth}}}
	for _, a := range table(o) {
		out[a.spec.Name] = a.do
	}
	return out
}
