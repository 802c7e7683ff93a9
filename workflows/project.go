package workflows

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/spelling"
	"github.com/hookloom/hookloom/workflows/value"
	"gopkg.in/yaml.v3"
)

// Project is a project folder: hookloom.yaml, workflows/, connectors/ and fixtures/, read and
// checked together.
type Project struct {
	// brokenConnectors are the names of connectors whose files could not be read.
	brokenConnectors []string
	Dir              string
	// Environment is the environment whose file was merged over hookloom.yaml; "" for none.
	Environment string
	// Vars are the vars of hookloom.yaml, which all expressions of the project can read.
	Vars        map[string]any
	Server      Server
	Database    string
	Timezone    *time.Location
	Triggers    map[string]*Trigger
	Connections map[string]*Connection
	Egress      Egress
	// Destinations are the limits per destination, by host or host:port.
	Destinations map[string]Limit
	History      History
	FileBounds   FileBounds
	// SecretSources are the configured sources of secrets, besides the default ones.
	SecretSources SecretSources
	Workflows     map[string]*Workflow
	// Actions are those of the catalog and of connectors/.
	Actions *Actions
	Presets Presets
	// Connectors are the files of connectors/, by connector name.
	Connectors map[string]ConnectorFile
	sources    []*source
	// settingsBroken reports whether server: has a mistake or the file cannot be read;
	// literalSecret reports whether the file contains a secret.
	settingsBroken, literalSecret bool
	// settingsUnread reports whether triggers:, connections: and vars: could not be read.
	settingsUnread bool
	// written is hookloom.yaml with the environment's file merged over it; nil for none.
	written    *yaml.Node
	writtenSrc *source
}

// Server holds the settings of the server's listeners.
type Server struct {
	Addr, AdminAddr, PublicURL string
	// DB is the database, a file or the address of a PostgreSQL database; nil for Project.Database.
	DB *Value
	// Node is the name of this node among those of the database; empty for the host's name.
	Node string
	// AdminURL is the console's public URL without a trailing slash; empty for the listener's own
	// address.
	AdminURL       string
	TrustedProxies []netip.Prefix
	// Token grants full access to the admin address, ViewToken read access.
	Token, ViewToken *Value
	// Tokens are those of individual people, by name: they show who answered an approval.
	Tokens map[string]*Value
	// MCPWrite allows agents whose token permits changes to replay, cancel, approve and fire.
	MCPWrite bool
	// TLS is nil for plain HTTP on the hooks address.
	TLS *TLS
	// AdminTLS is the same for the admin address.
	AdminTLS *TLS
}

// TLS configures HTTPS; file names are relative to the project.
type TLS struct {
	Cert, Key, ClientCA string
	// ACME is nil if the certificate is a file.
	ACME *ACME
}

// ACME configures the issuer of certificates (RFC 8555).
type ACME struct {
	Hosts                   []string
	Email, Directory, Cache string
}

// Limit limits requests to one host; zero values keep the defaults.
type Limit struct {
	// Concurrency is the maximum number of simultaneous attempts; Rate is the maximum number
	// started within Per.
	Concurrency int
	Rate        int
	Per         time.Duration
}

// Egress lists what outbound requests may reach besides public addresses.
type Egress struct {
	// Allow contains addresses, CIDR blocks and host names as written.
	Allow []string
}

// History says how long records are kept; zero values keep everything.
type History struct {
	Keep, Bodies time.Duration
	MaxSize      int64
	// Redact are the event fields that are masked before they are stored.
	Redact []RedactPath
}

// With returns the settings with new values; an empty text keeps the old one.
func (h History) With(keep, bodies, maxSize string) (History, error) {
	var err error
	for text, to := range map[*string]*time.Duration{&keep: &h.Keep, &bodies: &h.Bodies} {
		if *text == "" {
			continue
		}
		if *to, err = parseDuration(*text); err != nil {
			return h, fmt.Errorf("%w; %s", err, durationHint(*text))
		}
	}
	if maxSize != "" {
		if h.MaxSize, err = parseSize(maxSize); err != nil {
			return h, fmt.Errorf("%w; write 500MB or 2GB", err)
		}
	}
	return h, nil
}

// Connection is a named credential and base URL.
type Connection struct {
	Name, Connector string
	BaseURL         *Value
	Auth            *Auth
	Headers         *Value
	// Expired describes the responses that mean that a token is no longer valid; Test is the path
	// of a cheap GET request that shows whether the connection works. If they are not set, the
	// connector's apply.
	Expired *Expired
	Test    string
	// Fields are the connector's own fields, such as token.
	Fields map[string]*Value
	// fieldPos are the positions of their keys.
	fieldPos map[string]Pos
	// unclear reports whether connector: has a mistake, so that the connector is not known.
	unclear bool
	pos     Pos
	src     *source
}

func newProject(dir string, catalog Catalog) *Project {
	p := &Project{Dir: dir, FileBounds: DefaultFileBounds(),
		Server: Server{Addr: ":8080", AdminAddr: "127.0.0.1:8081"}, Timezone: time.UTC, Triggers: map[string]*Trigger{},
		Connections: map[string]*Connection{}, Workflows: map[string]*Workflow{}, Actions: catalog.Actions.clone(),
		Presets: catalog.Presets, Connectors: map[string]ConnectorFile{}}
	return p
}

func (l *loader) connections(d *decoder, o *objectNode) {
	n := o.vals["connections"]
	if n == nil {
		return
	}
	d.pairs(n, func(k, v *yaml.Node) {
		c := d.connection(k, v, l.p)
		if c != nil {
			l.p.Connections[k.Value] = c
		}
	})
}

func secretsOnly() map[string]typesType { return map[string]typesType{"secrets": expr.AnySecret} }

// connection reads one connection: the common keys, and the fields that its connector declares.
func (d *decoder) connection(k, v *yaml.Node, p *Project) *Connection {
	if v.Kind != yaml.MappingNode {
		d.connectionText(v, p.Actions.connection(k.Value))
		return nil
	}
	c := &Connection{
		Name:      k.Value,
		Connector: k.Value,
		Fields:    map[string]*Value{},
		fieldPos:  map[string]Pos{},
		pos:       d.pos(k),
		src:       d.source,
	}
	own := &yaml.Node{Kind: yaml.MappingNode, Line: v.Line, Column: v.Column}
	common := shapes["connection"]
	d.pairs(v, func(key, val *yaml.Node) {
		if common.field(key.Value) != nil {
			own.Content = append(own.Content, key, val)
			return
		}
		c.Fields[key.Value], c.fieldPos[key.Value] = d.value(val), d.pos(key)
		if s, ok := c.Fields[key.Value].constant.(string); ok && LooksSecret(key.Value) && s != "" {
			d.hide(s)
			d.add(d.pos(val), "secret-in-file", secretInFile, nameTheSecret)
		}
	})
	if o := d.object(own, "connection"); o != nil {
		c.Connector = o.text("connector", k.Value)
		c.unclear = o.has("connector") && o.vals["connector"] == nil
		c.BaseURL, c.Headers = d.value(o.vals["base_url"]), d.value(o.vals["headers"])
		d.baseURL(c.BaseURL)
		c.Auth, c.Expired, c.Test = d.connectionAuth(o), d.expired(o), o.text("test", "")
		if c.Auth != nil && c.Auth.TLS != nil {
			c.Auth.TLS.Dir = p.Dir
		}
	}
	sc := &expr.Scope{Where: "a connection", Names: secretsOnly()}
	for _, x := range append(c.Auth.values(), c.BaseURL, c.Headers) {
		x.check(sc)
	}
	for _, x := range c.Fields {
		x.check(sc)
	}
	d.connectorFields(c, p)
	return c
}

func (d *decoder) connectorFields(c *Connection, p *Project) {
	known := p.Actions.connection(c.Connector)
	if known == nil {
		if c.Connector != "http" && c.Connector != c.Name && !slices.Contains(p.brokenConnectors, c.Connector) {
			d.add(c.pos, "unknown-connector", fmt.Sprintf("there is no connector %q", c.Connector),
				spelling.Suggest(c.Connector, append(p.Actions.connectorNames(), "http")))
		}
		if c.Connector == "http" || c.Connector == c.Name && !c.unclear && !slices.Contains(p.brokenConnectors, c.Connector) {
			for _, k := range slices.Sorted(maps.Keys(c.Fields)) {
				d.connectionKeys(c, k, c.fieldPos[k], p)
			}
		}
		return
	}
	var names []string
	for _, f := range known.Fields {
		names = append(names, f.Name)
		if c.Fields[f.Name] == nil && known.NeedsField(c, f) {
			d.add(c.pos, "missing-key", fmt.Sprintf("connection %s needs %s:", c.Name, f.Name), f.Description)
		}
		if want, got := misfit(f.Type, c.Fields[f.Name]); want != "" {
			d.add(c.Fields[f.Name].pos, "wrong-kind", fmt.Sprintf("%s is %s, got %s", f.Name, want, got), f.hint())
		} else if v, constant := c.Fields[f.Name].IsConstant(); constant && v != nil && !c.Fields[f.Name].broken {
			if t, err := value.Text(v); err == nil && f.Type == "string" {
				v = t // a number used as an account name is a text
			}
			if problem := (Input{Type: f.Type, Options: f.Options}).check(v); problem != "" {
				d.add(c.Fields[f.Name].pos, "wrong-type", fmt.Sprintf("%s: %s", f.Name, problem), f.hint())
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(c.Fields)) {
		if !slices.Contains(names, k) {
			hint := spelling.Suggest(k, names)
			if hint == "" {
				hint = "known are " + strings.Join(append(names, shapes["connection"].names()...), ", ")
			}
			d.add(c.fieldPos[k], "unknown-key", fmt.Sprintf("connector %s has no field %q", known.Name, k), hint)
		}
	}
}

// hint describes the valid values of the field, or what it is.
func (f ConnectionField) hint() string {
	if len(f.Options) == 0 {
		return f.Description
	}
	words := make([]string, len(f.Options))
	for i, o := range f.Options {
		words[i] = fmt.Sprint(o)
	}
	return "one of " + strings.Join(words, ", ")
}

// LooksSecret reports whether the words of a field name suggest that it holds a secret.
func LooksSecret(key string) bool {
	key = strings.ToLower(key)
	for _, w := range []string{"token", "secret", "password", "key"} {
		if strings.Contains(key, w) {
			return true
		}
	}
	return false
}

func (l *loader) workflows() {
	for _, rel := range l.files.below("workflows") {
		src, ok := l.open(rel)
		if !ok {
			continue
		}
		id := workflowID(strings.TrimPrefix(rel, "workflows/"))
		if other := l.p.Workflows[id]; other != nil {
			src.add(Pos{}, "duplicate-id", fmt.Sprintf("%s has the same id %q", other.File, id), "rename one")
			continue
		}
		if w := parseWorkflow(src, id); w != nil {
			l.p.Workflows[id] = w
		}
	}
}

// finish does the checks that need all files.
func (l *loader) finish() (*Project, Mistakes) {
	catalog := l.catalog
	catalog.Actions = l.p.Actions
	for _, s := range l.p.sources {
		s.zone = l.p.Timezone
	}
	c := &checker{p: l.p, catalog: &catalog, secrets: l.isSet, pending: map[string]string{}}
	c.tokens()
	for _, id := range slices.Sorted(maps.Keys(l.p.Workflows)) {
		if w := l.p.Workflows[id]; w.Trigger != nil {
			l.p.Triggers[id] = w.Trigger
		}
	}
	for _, t := range l.p.Triggers {
		if w := t.Webhook; w != nil && len(w.Secrets) > 0 {
			if p := presetOf(l.p.Presets, w.Provider); p != nil && p.Captures() {
				c.pending[w.Secrets[0].SecretName()] = t.Name
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.p.Triggers)) {
		t := l.p.Triggers[name]
		if w := l.p.Workflows[name]; w == nil || w.Trigger != t {
			c.trigger(t)
			t.exprs(func(e *Expr) {
				for _, s := range e.SecretNames() {
					c.secretSet(e, s, strings.Index(e.Text, s))
				}
			})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(l.p.Workflows)) {
		c.workflow(l.p.Workflows[id])
	}
	l.circles()
	l.connectionSecrets(c)
	for _, v := range l.p.SecretSources.Vault.values() {
		v.exprs(func(e *Expr) {
			for _, s := range e.SecretNames() {
				c.secretSet(e, s, strings.Index(e.Text, s))
			}
		})
	}
	l.paths()
	l.schemas()
	l.stepConnections()
	l.privateConnections()
	l.runLinks()
	var all Mistakes
	for _, s := range l.p.sources {
		if l.p.settingsUnread {
			s.mistakes = slices.DeleteFunc(s.mistakes, Mistake.aboutSettings)
		}
		s.warnOfCredentials()
		all = append(all, s.mistakes...)
	}
	return l.p, all.sorted()
}

// aboutSettings reports whether a mistake may be due to settings that could not be read: the name
// of what is declared in hookloom.yaml.
func (m Mistake) aboutSettings() bool {
	switch m.Code {
	case "unknown-trigger", "unknown-connection", "missing-connection", "unknown-var":
		return true
	case "not-here":
		return strings.HasPrefix(m.Problem, "vars ")
	}
	return false
}

// circles reports workflows that call themselves, directly or through others.
func (l *loader) circles() {
	for _, id := range slices.Sorted(maps.Keys(l.p.Workflows)) {
		w := l.p.Workflows[id]
		w.EachStep(func(s *Step) {
			if s.Call != "" && l.reaches(s.Call, id, map[string]bool{}) {
				w.src.add(s.Pos, "circle", fmt.Sprintf("calling %s leads back to %s", s.Call, id),
					"a workflow cannot call itself, directly or through others")
			}
		})
	}
}

func (l *loader) reaches(from, to string, seen map[string]bool) bool {
	if from == to {
		return true
	}
	if seen[from] || l.p.Workflows[from] == nil {
		return false
	}
	seen[from] = true
	found := false
	l.p.Workflows[from].EachStep(func(s *Step) { found = found || s.Call != "" && l.reaches(s.Call, to, seen) })
	return found
}

func (l *loader) connectionSecrets(c *checker) {
	for _, name := range slices.Sorted(maps.Keys(l.p.Connections)) {
		conn := l.p.Connections[name]
		visit := func(e *Expr) {
			for _, s := range e.SecretNames() {
				c.secretSet(e, s, strings.Index(e.Text, s))
			}
		}
		for _, v := range append(conn.Auth.values(), conn.BaseURL, conn.Headers) {
			v.exprs(visit)
		}
		for _, k := range slices.Sorted(maps.Keys(conn.Fields)) {
			conn.Fields[k].exprs(visit)
		}
	}
}

// paths reports two triggers with the same path and method.
func (l *loader) paths() {
	taken := map[string]*Trigger{}
	for _, name := range slices.Sorted(maps.Keys(l.p.Triggers)) {
		t := l.p.Triggers[name]
		if t.Webhook == nil {
			continue
		}
		for _, m := range t.Webhook.Methods {
			k := m + " " + t.Webhook.Path
			if o := taken[k]; o != nil {
				file, line := o.src.at(o.Webhook.pathPos.Line)
				t.src.add(t.Webhook.pathPos, "duplicate-path", fmt.Sprintf("path %s is also used by %s:%d", t.Webhook.Path,
					file, line), "change one of the paths")
				continue
			}
			taken[k] = t
		}
	}
}

func (v *Value) constantText() (string, bool) {
	if v == nil || v.kind != constantValue {
		return "", false
	}
	s, ok := v.constant.(string)
	return s, ok
}

// readJSON reads a fixture of the project. The path cannot leave the folder.
func (p *Project) readJSON(rel string) (any, error) {
	root, err := os.OpenRoot(p.Dir)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", p.Dir, err)
	}
	defer root.Close()
	b, err := root.ReadFile(path.Clean(rel))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s does not exist", rel)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", rel, pathless(err))
	}
	return value.DecodeJSON(b)
}

// Files returns the names of the user-editable files, for messages of the command line.
func (p *Project) Files() []string {
	var out []string
	for _, s := range p.sources {
		out = append(out, s.name)
		if s.over != nil {
			out = append(out, s.over.name)
		}
	}
	return out
}

// SecretNames returns the names of the secrets that a workflow's own expressions read.
func (w *Workflow) SecretNames() []string {
	if w.secretNames == nil {
		set := map[string]bool{}
		w.eachExpr(func(e *Expr) {
			for _, n := range e.SecretNames() {
				set[n] = true
			}
		})
		w.secretNames = append([]string{}, slices.Sorted(maps.Keys(set))...)
	}
	return w.secretNames
}
