package openapi

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows"
)

// servers selects the base URL.
func (d *document) servers() {
	if d.two {
		scheme := "https"
		if l := texts(d.root.get("schemes")); len(l) > 0 && !slices.Contains(l, "https") {
			scheme = "http"
		}
		host, base := str(d.root.get("host")), strings.TrimRight(str(d.root.get("basePath")), "/")
		if host == "" {
			d.s.server = d.unknownServer(base)
			return
		}
		d.s.server = d.parse(&object{vals: map[string]any{"url": scheme + "://" + host + base}})
		return
	}
	var all []server
	for _, x := range list(d.root.get("servers")) {
		if o := obj(x); o != nil && str(o.get("url")) != "" {
			all = append(all, d.parse(o))
		}
	}
	if len(all) == 0 {
		d.s.server = d.unknownServer("")
		return
	}
	d.s.server = all[0]
	for _, s := range all[1:] {
		if len(d.s.others) < 8 && s.url != all[0].url && strings.HasPrefix(s.url, "http") {
			d.s.others = append(d.s.others, s.url)
		}
	}
}

// unknownServer adds a connection field for the base URL if the document does not contain it.
func (d *document) unknownServer(path string) server {
	if u, err := url.Parse(d.from); err == nil && u.Host != "" {
		return server{url: u.Scheme + "://" + u.Host + path}
	}
	return server{url: "${{ connection.url }}", variables: []variable{{name: "url",
		help: "where the service is, such as https://api.example.com" + clean(path)}}}
}

var (
	serverVariable = regexp.MustCompile(`\{([^{}]+)\}`)
	plainServer    = regexp.MustCompile(`^https?://[A-Za-z0-9._~:/\[\]%@-]*$`)
)

// parse parses a server with its variables.
func (d *document) parse(o *object) server {
	raw := strings.TrimRight(strings.TrimSpace(str(o.get("url"))), "/")
	if strings.HasPrefix(raw, "//") {
		raw = "https:" + raw
	}
	if !strings.HasPrefix(raw, "http://") && !strings.HasPrefix(raw, "https://") && !strings.HasPrefix(raw, "{") {
		return d.unknownServer("/" + strings.Trim(raw, "/"))
	}
	s, vars := server{}, obj(o.get("variables"))
	plainText := serverVariable.ReplaceAllString(raw, "x")
	if strings.HasPrefix(raw, "{") {
		plainText = "https://" + plainText
	}
	if !plainServer.MatchString(plainText) || strings.Contains(plainText, "@") {
		return d.unknownServer("")
	}
	s.url = serverVariable.ReplaceAllStringFunc(raw, func(m string) string {
		name := strings.Trim(m, "{}")
		v := obj(vars.get(name))
		x := variable{name: fieldName(name), initial: clean(str(v.get("default"))), help: oneLine(str(v.get("description")), 160)}
		for _, e := range texts(v.get("enum")) {
			x.options = append(x.options, clean(e))
		}
		if x.initial != "" && len(x.options) > 0 && !slices.Contains(x.options, any(x.initial)) {
			x.options = append(x.options, x.initial)
		}
		if !slices.ContainsFunc(s.variables, func(y variable) bool { return y.name == x.name }) {
			s.variables = append(s.variables, x)
		}
		return "${{ connection." + x.name + " }}"
	})
	return s
}

// fieldName returns a name for a connection field that no connection already has.
func fieldName(name string) string {
	n := snake(name)
	switch n {
	case "", "connector", "base_url", "auth", "headers":
		return "api_" + n
	}
	return n
}

// security selects the scheme that most operations accept, and among equals the one that needs the
// least setup: a token before OAuth.
func (d *document) security() {
	schemes := obj(obj(d.root.get("components")).get("securitySchemes"))
	if d.two {
		schemes = obj(d.root.get("securityDefinitions"))
	}
	for _, s := range list(d.root.get("security")) {
		for _, k := range keysOf(s) {
			d.votes[k] += 1_000_000
		}
	}
	var best *auth
	most := -1
	for _, name := range keysOf(schemes) {
		s := obj(d.deref(schemes.vals[name]))
		a, cost := d.scheme(s)
		if a == nil {
			continue
		}
		if votes := d.votes[name]*10 - cost; votes > most || best == nil {
			best, most = a, votes
		}
	}
	d.s.auth = best
}

const tokenField = `token: {type: string, secret: true, required: true, description: `

// scheme returns one security scheme; nil if it cannot be expressed. cost ranks the work to set it
// up.
func (d *document) scheme(s *object) (*auth, int) {
	help := oneLine(str(s.get("description")), 120)
	if help == "" {
		help = "access token"
	}
	token := tokenField + workflows.YAMLText(help) + "}"
	switch kind := strings.ToLower(str(s.get("type"))); {
	case kind == "basic" || kind == "http" && strings.EqualFold(str(s.get("scheme")), "basic"):
		return &auth{text: "auth:\n  basic:\n    user: ${{ connection.user }}\n    password: ${{ connection.password }}\n",
			fields: []string{`user: {type: string, required: true, description: "user name, or what the service takes as one"}`,
				"password: {type: string, secret: true, required: true}"}}, 2
	case kind == "http" || kind == "openidconnect":
		return &auth{text: "auth:\n  bearer: ${{ connection.token }}\n", fields: []string{token}}, 1
	case kind == "apikey":
		name, in := str(s.get("name")), str(s.get("in"))
		if in != "header" && in != "query" || name == "" || in == "header" && !headerName.MatchString(name) {
			return nil, 0
		}
		a := &auth{text: fmt.Sprintf("auth:\n  %s: {name: %s, value: \"${{ connection.token }}\"}\n", in, workflows.YAMLText(clean(name))),
			fields: []string{token}}
		if in == "header" {
			a.header = name
		} else {
			a.query = name
		}
		return a, 1
	case kind == "oauth2":
		return d.oauth2(s, token), 3
	}
	return nil, 0
}

// oauth2 returns the flow that needs no person, or else the one that needs a person once.
func (d *document) oauth2(s *object, token string) *auth {
	flows := obj(s.get("flows"))
	if d.two {
		name := map[string]string{"application": "clientCredentials", "accessCode": "authorizationCode"}[str(s.get("flow"))]
		flows = &object{vals: map[string]any{name: s}}
	}
	id := []string{`client_id: {type: string, required: true}`, `client_secret: {type: string, secret: true, required: true}`}
	common := "    client_id: ${{ connection.client_id }}\n    client_secret: ${{ connection.client_secret }}\n"
	if f := obj(flows.get("clientCredentials")); address(str(f.get("tokenUrl"))) != "" {
		return &auth{text: "auth:\n  oauth2:\n    grant: client_credentials\n    token_url: " +
			workflows.YAMLText(address(str(f.get("tokenUrl")))) + "\n" + common, fields: id}
	}
	f := obj(flows.get("authorizationCode"))
	if address(str(f.get("tokenUrl"))) == "" || address(str(f.get("authorizationUrl"))) == "" {
		return &auth{text: "auth:\n  bearer: ${{ connection.token }}\n", fields: []string{token}}
	}
	text := "auth:\n  oauth2:\n    grant: authorization_code\n    authorize_url: " +
		workflows.YAMLText(address(str(f.get("authorizationUrl")))) +
		"\n    token_url: " + workflows.YAMLText(address(str(f.get("tokenUrl")))) + "\n" + common
	if scopes := keysOf(f.get("scopes")); len(scopes) > 0 {
		text += "    # Remove the scopes that are not needed.\n    scopes:\n"
		for _, sc := range scopes[:min(len(scopes), 40)] {
			text += "      - " + workflows.YAMLText(clean(sc)) + "\n"
		}
	}
	return &auth{text: text, fields: id}
}

// dropAuthInputs removes the parameters that carry the credential.
func (d *document) dropAuthInputs() {
	a := d.s.auth
	if a == nil {
		return
	}
	for _, o := range d.s.ops {
		o.inputs = slices.DeleteFunc(o.inputs, func(i *input) bool {
			return a.header != "" && i.in == "header" && strings.EqualFold(i.sent, a.header) ||
				a.query != "" && i.in == "query" && i.sent == a.query
		})
	}
}
