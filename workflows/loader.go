package workflows

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
	"gopkg.in/yaml.v3"
)

// Load reads and checks the project in dir. It returns the mistakes of all files, sorted. isSet
// reports whether a secret has a value; nil skips that check.
func Load(dir string, catalog Catalog, isSet func(secret string) bool) (*Project, Mistakes) {
	files, unreadable := ReadFiles(dir, "")
	p, mistakes := LoadFiles(dir, files, catalog, isSet)
	return p, unreadable.With(mistakes)
}

// LoadFiles is like Load, but takes the contents of the YAML files.
func LoadFiles(dir string, files Files, catalog Catalog, isSet func(secret string) bool) (*Project, Mistakes) {
	l := &loader{p: newProject(dir, catalog), files: files, catalog: catalog, isSet: isSet}
	l.connectors()
	l.root()
	l.workflows()
	return l.finish()
}

type loader struct {
	p       *Project
	files   Files
	catalog Catalog
	isSet   func(string) bool
}

// open returns a file of the project and records it in the project's sources.
func (l *loader) open(name string) (*source, bool) {
	text, there := l.files[name]
	if !there {
		return nil, false
	}
	src := newSource(name, text)
	src.scanned, src.connectorFile = true, strings.HasPrefix(name, "connectors/")
	src.vars = l.p.Vars
	l.p.sources = append(l.p.sources, src)
	return src, true
}

func (l *loader) connectors() {
	for _, rel := range l.files.below("connectors") {
		src, ok := l.open(rel)
		if !ok {
			l.p.brokenConnectors = append(l.p.brokenConnectors, path.Base(workflowID(rel)))
			continue
		}
		c := parseConnector(src)
		if c == nil {
			l.p.brokenConnectors = append(l.p.brokenConnectors, path.Base(workflowID(rel)))
			continue
		}
		if !l.connectorName(c, src) {
			l.p.brokenConnectors = append(l.p.brokenConnectors, path.Base(workflowID(rel)))
			continue
		}
		l.p.Actions.put(c)
		l.p.Connectors[c.Name] = ConnectorFile{File: rel, Version: versionOf(src.text), Text: src.text}
	}
}

// connectorName reports a connector whose name another connector or a built-in action already uses.
func (l *loader) connectorName(c *Connector, src *source) bool {
	at := Pos{1, 1, 1}
	for i, line := range src.lines {
		if strings.HasPrefix(line, "connector:") {
			at = Pos{i + 1, 1, len("connector")}
		}
	}
	if other, twice := l.p.Connectors[c.Name]; twice {
		src.add(at, "duplicate-name", fmt.Sprintf("connector %s is also in %s", c.Name, other.File), "rename one of them")
		return false
	}
	if name := l.catalog.Actions.builtInUnder(c.Name + "/"); name != "" {
		src.add(at, "reserved-name", fmt.Sprintf("connector %s would hide %s and the other actions of that name", c.Name, name),
			"choose another name")
		return false
	}
	return true
}

func (l *loader) root() {
	l.p.Environment = l.files.Environment()
	if _, there := l.files[ProjectFile]; !there && l.p.Environment == "" {
		return
	}
	src, n, ok := settings(l.files)
	l.p.sources = append(l.p.sources, src)
	if !ok || n == nil {
		l.p.settingsBroken, l.p.settingsUnread = !ok, !ok
		return
	}
	src.settings = true
	d := &decoder{source: src}
	before := len(src.mistakes)
	l.p.Vars = d.projectVars(n)
	varsBroken := len(src.mistakes) > before
	l.p.written, l.p.writtenSrc = n, src
	o := d.object(n, "project")
	if o == nil {
		l.p.settingsBroken, l.p.settingsUnread = true, true
		return
	}
	l.p.Database = o.text("database", "")
	d.timezone(o, "timezone")
	if tz, err := time.LoadLocation(o.text("timezone", "UTC")); err == nil {
		l.p.Timezone = tz
	}
	before = len(src.mistakes)
	if s := o.object("server"); s != nil {
		l.server(d, s)
	}
	l.p.settingsBroken = len(src.mistakes) > before || varsBroken
	if e := o.object("egress"); e != nil {
		l.p.Egress.Allow = d.allowed(e)
	}
	if v := o.vals["destinations"]; v != nil {
		l.destinations(d, v)
	}
	if h := o.object("history"); h != nil {
		l.p.History = History{
			Keep:    h.duration("keep", 0),
			Bodies:  h.duration("bodies", 0),
			MaxSize: h.size("max_size", 0),
			Redact:  d.redactPaths(h.vals["redact"]),
		}
	}
	l.p.FileBounds = d.fileBounds(o)
	l.p.SecretSources = d.secretSources(o.vals["secrets"])
	for _, v := range l.p.SecretSources.Vault.values() {
		text, literal := v.constantText()
		l.p.literalSecret = l.p.literalSecret || literal && text != ""
	}
	l.triggers(d, o)
	l.connections(d, o)
}

// server reads server:, the addresses and tokens of the server.
func (l *loader) server(d *decoder, s *objectNode) {
	l.p.Server = Server{Addr: s.text("addr", ":8080"), AdminAddr: s.text("admin_addr", "127.0.0.1:8081"),
		PublicURL: s.text("public_url", ""), Node: s.text("node", ""),
		AdminURL: d.adminURL(s), TrustedProxies: d.prefixes(s, "trusted_proxies"),
		Token: d.value(s.vals["token"]), ViewToken: d.value(s.vals["view_token"]),
		TLS: d.tls(s, "tls"), AdminTLS: d.tls(s, "admin_tls")}
	for _, key := range []string{"addr", "admin_addr"} {
		d.listenAddress(s, key)
	}
	if l.p.Server.DB = d.value(s.vals["db"]); l.p.Server.DB != nil && l.p.Database != "" {
		d.add(s.at("db"), "exclusive-keys", "server.db and database both name the database", "remove database")
	}
	if m := s.object("mcp"); m != nil {
		l.p.Server.MCPWrite = m.boolean("allow_write", false)
	}
	d.webAddress(s, "public_url")
	l.p.Server.Tokens = d.namedTokens(s)
	tokens := []*Value{l.p.Server.Token, l.p.Server.ViewToken}
	l.p.Server.DB.check(&expr.Scope{Where: "server", Names: secretsOnly()})
	for _, name := range slices.Sorted(maps.Keys(l.p.Server.Tokens)) {
		tokens = append(tokens, l.p.Server.Tokens[name])
	}
	for _, token := range tokens {
		token.check(&expr.Scope{Where: "server", Names: secretsOnly()})
		text, literal := token.constantText()
		l.p.literalSecret = l.p.literalSecret || literal && text != ""
	}
}

// destinations reads destinations:, the limits per host.
func (l *loader) destinations(d *decoder, v *yaml.Node) {
	l.p.Destinations = map[string]Limit{}
	d.pairs(v, func(k, n *yaml.Node) {
		if problem, hint := destinationProblem(k.Value); problem != "" {
			d.add(d.pos(k), "bad-address", "destinations: "+problem, hint)
		}
		host := destinationHost(k.Value)
		if _, twice := l.p.Destinations[host]; twice {
			d.add(d.pos(k), "duplicate-key", fmt.Sprintf("destinations: %q is the host of another key, written in another way", k.Value),
				"remove one of them")
		}
		if x := d.object(n, "destination"); x != nil {
			limit := Limit{Concurrency: x.integer("concurrency", 0)}
			if r := x.vals["rate"]; r != nil {
				if n, per, err := parseRate(r.Value); err == nil {
					limit.Rate, limit.Per = n, per
				}
			}
			l.p.Destinations[host] = limit
		}
	})
}

// namedTokens reads server.tokens.
func (d *decoder) namedTokens(s *objectNode) map[string]*Value {
	n := s.vals["tokens"]
	if n == nil {
		return nil
	}
	out := map[string]*Value{}
	d.pairs(n, func(k, v *yaml.Node) {
		if name := strings.TrimSpace(k.Value); name == "" || name != k.Value || len(name) > 100 {
			d.add(d.pos(k), "bad-name", fmt.Sprintf("server.tokens: %q is not a valid name", value.Clip(k.Value, 40)),
				"write tokens: {ada: \"${{ secrets.ADA_TOKEN }}\"}")
			return
		}
		if v.Kind != yaml.ScalarNode {
			d.wrongKind(v, "a token", "text")
			return
		}
		out[k.Value] = d.value(v)
	})
	return out
}

func (d *decoder) tls(s *objectNode, key string) *TLS {
	o := s.object(key)
	if o == nil {
		return nil
	}
	t := &TLS{Cert: o.text("cert", ""), Key: o.text("key", ""), ClientCA: o.text("client_ca", "")}
	if a := o.object("acme"); a != nil {
		t.ACME = &ACME{
			Hosts:     a.texts("hosts"),
			Email:     a.text("email", ""),
			Directory: a.text("directory", ""),
			Cache:     a.text("cache", "acme"),
		}
	}
	switch {
	case o.has("cert") != o.has("key"):
		d.add(o.pos(), "missing-key", key+" needs cert: and key:", "two PEM files")
	case o.has("cert") == o.has("acme"):
		d.add(o.pos(), "exclusive-keys", key+" needs cert and key, or acme, not both", "")
	}
	return t
}

// reservedTriggers are the names of keys of on: (docs/workflows.md).
var reservedTriggers = append(inletNames(func(k InletKind) bool { return k.Starts }), "mcp")

func (l *loader) triggers(d *decoder, o *objectNode) {
	n := o.vals["triggers"]
	if n == nil {
		return
	}
	d.pairs(n, func(k, v *yaml.Node) {
		if slices.Contains(reservedTriggers, k.Value) {
			d.add(d.pos(k), "reserved-name", fmt.Sprintf("trigger %q has the name of a trigger kind", k.Value), "choose another name")
			return
		}
		if !d.fitsName(k, "trigger") {
			return
		}
		if t := d.object(v, "trigger"); t != nil {
			l.p.Triggers[k.Value] = d.trigger(k.Value, d.pos(k), t)
		}
	})
}
