package workflows

import (
	"fmt"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"gopkg.in/yaml.v3"
)

// This file finds credentials in the files of a project: everyone who can read the repository can
// read them. Each one is a warning, and messages that quote a file show stars in its place.

// A foundCredential is a credential in a file. It is reported after all other checks, unless one of
// them has reported it as a mistake.
type foundCredential struct {
	at                         Pos
	what, value, secret, write string
}

// A credentialPlace is the position of a scalar in the file's structure.
type credentialPlace struct {
	// key is the key of the scalar, parent the key of the map around it.
	key, parent string
	// headers reports whether the map is one of headers, auth whether it is below auth:.
	headers, auth bool
	// owner is the connection, trigger or step that the scalar belongs to.
	owner string
}

// examplesOnly are keys below which values are examples, types or texts for people.
var examplesOnly = map[string]bool{
	"test": true, "tests": true, "example": true, "examples": true, "sample": true, "returns": true, "inputs": true,
	"schema": true, "description": true, "docs": true, "help": true, "options": true, "pattern": true, "mocks": true, "redact": true,
	"fixture": true, "expect": true,
}

// credentialNames are the names of fields and parameters that contain credentials. The value true
// means that the text must also look generated, since the word has other meanings too.
var credentialNames = map[string]bool{
	"password": false, "passwd": false, "passphrase": false, "client_secret": false, "api_key": false, "apikey": false,
	"access_token": false, "auth_token": false, "refresh_token": false, "secret_key": false, "api_secret": false, "api_token": false,
	"signing_secret": false, "webhook_secret": false, "bearer_token": false,
	"secret": true, "token": true, "bearer": true, "pwd": true, "access_key": true, "auth": true, "key": true, "sig": true,
	"signature": true, "subscription_key": true, "app_key": true, "view_token": true, "hapikey": true,
}

// sentAsText are the maps whose numbers are sent as text.
var sentAsText = map[string]bool{"query": true, "form": true, "headers": true}

// minCredential is the minimum length of a credential in bytes.
const minCredential = 6

var (
	// userInfo is the user and the password of a URL.
	userInfo = lazyregexp.New(`\b[a-z][a-z0-9+.-]*://([^/\s:@?#"'$]*):([^/\s@?#"'$]+)@`)
	// queryPart is a parameter in a URL or a path.
	queryPart = lazyregexp.New(`[?&]([\w.-]+)=([^&#\s"'$]+)`)
)

// credentials records each credential below n.
func (d *decoder) credentials(n *yaml.Node, at credentialPlace, seen map[*yaml.Node]bool) {
	if seen[n] {
		return // an alias
	}
	seen[n] = true
	switch n.Kind {
	case yaml.MappingNode:
		owner := at.owner
		if id := valueOf(n, "id"); id != nil && id.Kind == yaml.ScalarNode && at.owner == "" {
			owner = id.Value
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := strings.ToLower(n.Content[i].Value)
			if examplesOnly[key] {
				continue
			}
			in := credentialPlace{key: key, parent: at.key, headers: at.key == "headers", auth: at.auth || at.key == "auth", owner: owner}
			if at.key == "connections" || at.key == "triggers" {
				in.owner = n.Content[i].Value
			}
			d.credentials(n.Content[i+1], in, seen)
		}
	case yaml.SequenceNode:
		for _, c := range n.Content {
			d.credentials(c, at, seen)
		}
	case yaml.ScalarNode:
		d.hideAll(passwordsInText, n.Value)
		if n.Tag == "!!str" || n.Tag == "!!int" && at.auth { // a password of digits
			d.credentialText(n, at)
		}
		if at.auth && (n.Tag != "!!str" || at.key == "basic") {
			d.hide(n.Value) // it is written in the wrong form, which is reported as a mistake
		}
		if n.Tag == "!!float" && roundFloat.MatchString(n.Value) && sentAsText[at.parent] {
			d.warn(d.pos(n), "odd-number", fmt.Sprintf("%s is sent as %s", n.Value, strings.TrimSuffix(n.Value, ".0")),
				"quote it if it is meant as text")
		}
	}
}

// credentialText records the credentials in one text.
func (d *decoder) credentialText(n *yaml.Node, at credentialPlace) {
	text := n.Value
	if anyCredential.MatchString(text) {
		for _, f := range credentialForms {
			for _, found := range f.form.FindAllString(text, -1) {
				if !isPlaceholder(found) {
					secret := d.freeName(f.secret, found)
					d.foundCredential(n, found, f.what, secret, d.insteadOf(at, n.Value, found, secret))
				}
			}
		}
	}
	if strings.Contains(text, "://") || strings.HasPrefix(text, "/") {
		d.credentialsInURL(n, at)
	}
	if strings.Contains(text, "${{") {
		return
	}
	name := strings.ReplaceAll(at.key, "-", "_")
	value, ok := namedCredential(text, at, name)
	if !ok {
		return
	}
	what := "the value of " + at.key
	switch {
	case at.headers:
		what = "the credential of the header " + textproto.CanonicalMIMEHeaderKey(at.key)
	case at.auth:
		what = "a credential"
	}
	secret := d.freeName(at.secretFor(name), value)
	d.foundCredential(n, value, what, secret, d.insteadOf(at, text, value, secret))
}

// namedCredential returns the part of a text that is a credential because of its key.
func namedCredential(text string, at credentialPlace, name string) (string, bool) {
	value := strings.TrimSpace(text)
	random := false
	switch {
	case at.headers:
		if !SensitiveHeader(at.key) {
			return "", false
		}
		random = strings.Contains(at.key, "cookie")
		if _, after, ok := strings.Cut(value, " "); ok && strings.HasSuffix(at.key, "authorization") {
			value = strings.TrimSpace(after)
		}
	case at.auth:
		isValue := name == "value" && (at.parent == "header" || at.parent == "query")
		if !isValue && name != "bearer" && name != "password" && name != "pass" && name != "secret_key" && name != "session_token" {
			return "", false
		}
	default:
		needsRandom, known := credentialNames[name]
		if !known || name == "auth" || name == "key" {
			return "", false
		}
		random = needsRandom
	}
	if len(value) < minCredential || strings.ContainsAny(value, " \n\t") || isPlaceholder(value) || random && !looksRandom(value) {
		return "", false
	}
	return value, true
}

// credentialsInURL records the password of a URL and the credentials in its parameters.
func (d *decoder) credentialsInURL(n *yaml.Node, at credentialPlace) {
	for _, m := range userInfo.FindAllStringSubmatch(n.Value, -1) {
		if !isPlaceholder(m[2]) {
			secret := d.freeName(at.secretFor("password"), m[2])
			d.foundCredential(n, m[2], "the password of a URL", secret, fmt.Sprintf(
				`take user and password out of the URL and write auth: {basic: {user: %s, password: "${{ secrets.%s }}"}}`, plainUser(m[1]), secret))
		}
	}
	for _, m := range queryPart.FindAllStringSubmatch(n.Value, -1) {
		name := strings.ReplaceAll(strings.ToLower(m[1]), "-", "_")
		random, known := credentialNames[name]
		value, err := url.QueryUnescape(m[2])
		if err != nil || !known || len(value) < minCredential || isPlaceholder(value) || random && !looksRandom(value) ||
			anyCredential.MatchString(m[2]) {
			continue // no credential, or found by its form
		}
		secret := d.freeName(at.secretFor(name), value)
		d.foundCredential(n, m[2], "the value of the parameter "+m[1], secret,
			fmt.Sprintf(`take the parameter out of the URL and write auth: {query: {name: %s, value: "${{ secrets.%s }}"}}`, m[1], secret))
	}
}

// plainUser writes a user name as a value of a flow map.
func plainUser(name string) string {
	if name == "" || strings.ContainsAny(name, ",{}[]#&*!|>'\"%@` ") {
		return quoted(name)
	}
	return name
}

// insteadOf returns the hint with the text to write in place of one that contains a credential.
func (d *decoder) insteadOf(at credentialPlace, text, found, secret string) string {
	switch at.key {
	case "when", "if", "key", "filter":
		return "have the trigger check it: auth: {header: {name: X-Token, value: \"${{ secrets." + secret + " }}\"}}"
	}
	if strings.Contains(text, "${{") && strings.Index(text, found) > strings.Index(text, "${{") {
		return "write secrets." + secret + " in its place, without quotes, inside of ${{ }}"
	}
	whole := strings.Replace(text, found, "${{ secrets."+secret+" }}", 1)
	if len(whole) > 80 || strings.ContainsAny(whole, "\n") || anyCredential.MatchString(whole) {
		return "write ${{ secrets." + secret + " }} in its place"
	}
	if whole == text || at.headers && strings.Contains(at.key, "cookie") {
		return "write ${{ secrets." + secret + " }} in its place"
	}
	return "write " + quoted(whole)
}

// secretFor suggests the name of a secret for a field, such as CRM_API_KEY for x-api-key of the
// connection crm.
func (at credentialPlace) secretFor(name string) string {
	name = strings.TrimPrefix(strings.ToUpper(name), "X_")
	switch name {
	case "AUTHORIZATION", "BEARER", "VALUE", "AUTH", "COOKIE", "SIG", "SIGNATURE", "KEY", "PROXY_AUTHORIZATION":
		name = "TOKEN"
	case "PASS", "PWD", "PASSWD":
		name = "PASSWORD"
	}
	owned := strings.ToUpper(strings.ReplaceAll(at.owner, "-", "_")) + "_" + name
	switch {
	case at.owner != "" && secretName.MatchString(owned):
		return owned
	case secretName.MatchString(name):
		return name
	}
	return "TOKEN"
}

// foundCredential records one credential, and hides it in messages that quote the file.
func (d *decoder) foundCredential(n *yaml.Node, found, what, secret, write string) {
	d.hide(found)
	if d.connectorFile {
		// A connector cannot read secrets. They are fields of its connections.
		field := strings.ToLower(secret)
		write = fmt.Sprintf("declare it under connection: as %s: {type: string, secret: true} and write ${{ connection.%s }}", field, field)
	} else {
		write = fmt.Sprintf("%s; hookloom secrets set %s stores the value", write, secret)
	}
	at := d.posOf(n, firstLine(found))
	for _, c := range d.found {
		if c.at.Line == at.Line && c.at.Column == at.Column {
			return
		}
	}
	d.found = append(d.found, foundCredential{at, what, found, secret, write})
}

// freeName adds a number to a name that is already suggested for another credential of the file.
func (s *source) freeName(name, value string) string {
	free := name
	for i := 2; slices.ContainsFunc(s.found, func(c foundCredential) bool { return c.secret == free && c.value != value }); i++ {
		free = fmt.Sprintf("%s_%d", name, i)
	}
	return free
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// hide masks a text of the file in messages.
func (s *source) hide(text string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); len(line) >= minCredential {
			s.hidden = append(s.hidden, line)
		}
	}
}

// masked returns text with a star for each hidden character, so that carets keep their columns.
func (s *source) masked(text string) string {
	for _, h := range s.hidden {
		text = strings.ReplaceAll(text, h, strings.Repeat("*", len([]rune(h))))
	}
	return anyCredential.ReplaceAllStringFunc(text, func(found string) string {
		if isPlaceholder(found) {
			return found
		}
		return strings.Repeat("*", len([]rune(found)))
	})
}

// warnOfCredentials reports each credential that no other check has reported.
func (s *source) warnOfCredentials() {
	for _, c := range s.found {
		said := false
		for _, m := range s.mistakes {
			said = said || m.Code == "secret-in-file" && m.Line == c.at.Line && c.at.Column >= m.Column && c.at.Column < m.Column+m.Width
		}
		if !said {
			s.warn(c.at, "credential-in-file", c.what+" is written in plain text in this file", c.write)
		}
	}
}
