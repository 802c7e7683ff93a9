package workflows

import (
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"github.com/hookloom/hookloom/workflows/value"
	"gopkg.in/yaml.v3"
)

// SecretFileName is the project file that contains secrets encrypted with age.
const SecretFileName = "secrets.age"

// Bounds of secrets.timeout.
const (
	defaultSecretTimeout = 10 * time.Second
	maxSecretTimeout     = 2 * time.Minute
)

// SecretSources are the sources of secrets configured in hookloom.yaml, besides those without
// configuration: the environment, .env, mounted files and secrets.age.
type SecretSources struct {
	// Timeout limits each command and each request to Vault.
	Timeout time.Duration
	// Names are the secrets with their own source.
	Names map[string]*SecretSource
	// Command prints all secrets, or one if an argument contains {name}; nil for none.
	Command []string
	// Vault is nil for none.
	Vault *Vault
}

// SecretSource is the source of one secret. Exactly one field is set.
type SecretSource struct {
	Command   []string
	File, Env string
	Vault     *VaultField
}

// VaultField is one field of a secret in Vault. Mount and Path default to those of the project's
// Vault, Field to the name of the secret.
type VaultField struct{ Mount, Path, Field string }

// Vault is a HashiCorp Vault or OpenBao server with a KV version 2 engine. Empty values default to
// the VAULT_ variables of its command line.
type Vault struct {
	// Address is a URL such as https://vault.example.com:8200; CA is a PEM file of the project.
	Address, Namespace, CA string
	Mount, Path            string
	Token                  *Value
	TokenFile              string
	// AppRole and Kubernetes are nil if a token is given.
	AppRole    *VaultAppRole
	Kubernetes *VaultKubernetes
}

// VaultAppRole is a login with AppRole.
type VaultAppRole struct {
	RoleID, SecretID *Value
	Mount            string
}

// VaultKubernetes is a login with the token of a Kubernetes service account.
type VaultKubernetes struct{ Role, Mount, TokenFile string }

// secretShapes are the mappings of secrets: in hookloom.yaml.
var secretShapes = map[string]*shape{
	"secrets": {title: "secrets of the project", fields: []field{
		{"timeout", is(kindDuration), false, "of each command and each request to Vault; 10s by default"},
		{"names", mapOf(object("secret_source")), false, "secrets with a source of their own, by name"},
		{"command", list(is(kindText)), false, "a program and its arguments, without a shell: it prints all secrets as NAME=value lines or " +
			"as a JSON object; with {name} in an argument it prints one"},
		{"vault", object("vault"), false, "HashiCorp Vault or OpenBao, KV version 2"},
	}},
	"secret_source": {title: "the source of a secret", fields: []field{
		{"command", list(is(kindText)), false, "a program and its arguments, without a shell: it prints the value"},
		{"file", is(kindText), false, "a file that holds the value"},
		{"env", is(kindText), false, "an environment variable of another name"},
		{"vault", object("vault_field"), false, "a field of a secret in Vault"},
	}},
	"vault_field": {title: "a field in Vault", fields: []field{
		{"path", is(kindText), false, "the path of the secret below its mount; secrets.vault.path by default"},
		{"field", is(kindText), false, "the secret's own name by default"},
		{"mount", is(kindText), false, "secrets.vault.mount by default"},
	}},
	"vault": {title: "vault", fields: []field{
		{"address", is(kindText), false, "such as https://vault.example.com:8200; VAULT_ADDR by default"},
		{"namespace", is(kindText), false, "VAULT_NAMESPACE by default"},
		{"ca", is(kindText), false, "a PEM file with the certificate authority of the server; VAULT_CACERT by default"},
		{"mount", is(kindText), false, "where the KV engine is; secret by default"},
		{"path", is(kindText), false, "a secret whose fields are secrets of the project"},
		{"token", is(kindValue), false, "from secrets; secrets.VAULT_TOKEN by default"},
		{"token_file", is(kindText), false, "a file with the token, as Vault Agent keeps it"},
		{"approle", object("vault_approle"), false, "a login by AppRole"},
		{"kubernetes", object("vault_kubernetes"), false, "a login by the service account of a pod"},
	}},
	"vault_approle": {title: "approle", fields: []field{
		{"role_id", is(kindValue), true, "the id of the role"},
		{"secret_id", is(kindValue), false, "from secrets"},
		{"mount", is(kindText), false, "approle by default"},
	}},
	"vault_kubernetes": {title: "kubernetes", fields: []field{
		{"role", is(kindText), true, "the name of the role"},
		{"mount", is(kindText), false, "kubernetes by default"},
		{"token_file", is(kindText), false, "the service account's token; where Kubernetes mounts it by default"},
	}},
}

var secretName = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_]*$`)

// ReadSecretSources reads only secrets: of a project's files, since the secrets are needed to check
// the project. ok is false if the file cannot be used; loading the project reports why.
func ReadSecretSources(files Files) (s SecretSources, ok bool) {
	s.Timeout = defaultSecretTimeout
	src, n, ok := settings(files)
	if !ok || n == nil {
		return s, ok
	}
	if n.Kind != yaml.MappingNode {
		return s, false
	}
	d := &decoder{source: src}
	d.settings, d.vars = true, d.projectVars(n)
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "secrets" {
			before := len(d.source.mistakes)
			s = d.secretSources(n.Content[i+1])
			return s, len(d.source.mistakes) == before
		}
	}
	return s, true
}

func (d *decoder) secretSources(n *yaml.Node) SecretSources {
	s := SecretSources{Timeout: defaultSecretTimeout}
	if n == nil {
		return s
	}
	o := d.object(n, "secrets")
	if o == nil {
		return s
	}
	if s.Timeout = o.duration("timeout", s.Timeout); s.Timeout < time.Second || s.Timeout > maxSecretTimeout {
		d.add(o.at("timeout"), "out-of-range", fmt.Sprintf("timeout is %s", s.Timeout), "use a time from 1s to 2m")
	}
	s.Command = d.commandOf(o)
	if v := o.object("vault"); v != nil {
		s.Vault = d.vault(v)
	}
	if names := o.vals["names"]; names != nil {
		s.Names = map[string]*SecretSource{}
		d.pairs(names, func(k, v *yaml.Node) {
			if !secretName.MatchString(k.Value) {
				d.add(d.pos(k), "bad-name", fmt.Sprintf("%q cannot be the name of a secret", value.Clip(k.Value, 40)),
					"use letters, digits and _, such as STRIPE_KEY")
			}
			if x := d.object(v, "secret_source"); x != nil {
				s.Names[k.Value] = d.secretSource(x, s.Vault)
			}
		})
	}
	return s
}

// commandOf reads command:, which is a list because no shell splits it.
func (d *decoder) commandOf(o *objectNode) []string {
	command := o.texts("command")
	if o.has("command") && o.vals["command"] != nil && (len(command) == 0 || command[0] == "") {
		d.add(o.at("command"), "empty", "command names no program", `write command: [op, read, "op://shop/stripe/key"]`)
		return nil
	}
	return command
}

func (d *decoder) secretSource(o *objectNode, v *Vault) *SecretSource {
	s := &SecretSource{Command: d.commandOf(o), File: o.text("file", ""), Env: o.text("env", "")}
	if n := given(o); len(n) != 1 && !o.unknown {
		d.add(o.pos(), "exclusive-keys", "the source of a secret is exactly one of command, file, env, vault", "keep one of them")
	}
	if x := o.object("vault"); x != nil {
		s.Vault = &VaultField{Mount: x.text("mount", ""), Path: x.text("path", ""), Field: x.text("field", "")}
		d.vaultPath(x, "path")
		d.vaultPath(x, "mount")
		switch {
		case v == nil:
			d.add(o.keyAt("vault"), "missing-key", "secrets.vault is missing, so the server is not known",
				"add vault: {address: ...} under secrets:")
		case s.Vault.Path == "" && v.Path == "":
			d.add(o.keyAt("vault"), "missing-key", "the secret's path in Vault is missing", "write vault: {path: shop/db, field: url}")
		}
	}
	return s
}

func (d *decoder) vault(o *objectNode) *Vault {
	v := &Vault{Address: strings.TrimSuffix(o.text("address", ""), "/"), Namespace: o.text("namespace", ""), CA: o.text("ca", ""),
		Mount: strings.Trim(o.text("mount", "secret"), "/"), Path: strings.Trim(o.text("path", ""), "/"), Token: d.secretOf(o, "token"),
		TokenFile: o.text("token_file", "")}
	if u, err := url.Parse(v.Address); v.Address != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" ||
		u.User != nil || u.Path != "" || u.RawQuery != "") {
		d.add(o.at("address"), "bad-address", "address is not the URL of a Vault server", "write https://vault.example.com:8200")
	}
	d.vaultPath(o, "path")
	d.vaultPath(o, "mount")
	if x := o.object("approle"); x != nil {
		v.AppRole = &VaultAppRole{RoleID: d.value(x.vals["role_id"]), SecretID: d.secretOf(x, "secret_id"), Mount: x.text("mount", "approle")}
		d.vaultPath(x, "mount")
	}
	if x := o.object("kubernetes"); x != nil {
		v.Kubernetes = &VaultKubernetes{Role: x.text("role", ""), Mount: x.text("mount", "kubernetes"),
			TokenFile: x.text("token_file", "/var/run/secrets/kubernetes.io/serviceaccount/token")}
		d.vaultPath(x, "mount")
	}
	ways := slices.DeleteFunc([]string{"token", "token_file", "approle", "kubernetes"}, func(k string) bool { return !o.has(k) })
	if len(ways) > 1 {
		d.add(o.keyAt(ways[1]), "exclusive-keys", "vault takes one of token, token_file, approle, kubernetes", "keep one of "+
			strings.Join(ways, ", "))
	}
	for _, x := range v.values() {
		x.check(&expr.Scope{Where: "vault", Names: secretsOnly()})
	}
	return v
}

// vaultPath reports a path that Vault would normalize to another path.
func (d *decoder) vaultPath(o *objectNode, key string) {
	text := strings.Trim(o.text(key, ""), "/")
	if text != "" && (!filepath.IsLocal(text) || strings.ContainsAny(text, "?#%\\ ") || strings.Contains(text, "..") ||
		strings.Contains(text, "//")) {
		d.add(o.at(key), "bad-path", fmt.Sprintf("%q is not a path in Vault", value.Clip(text, 60)),
			"write it as vault kv get does, such as shop/db")
	}
}

func (v *Vault) values() []*Value {
	if v == nil {
		return nil
	}
	out := []*Value{v.Token}
	if v.AppRole != nil {
		out = append(out, v.AppRole.RoleID, v.AppRole.SecretID)
	}
	return out
}

// SecretNames returns the names of the secrets used in a value.
func (v *Value) SecretNames() []string {
	set := map[string]bool{}
	v.exprs(func(e *Expr) {
		for _, n := range e.SecretNames() {
			set[n] = true
		}
	})
	return slices.Sorted(maps.Keys(set))
}

// Text renders a value whose expressions use only secrets.
func (v *Value) Text(secrets map[string]any) (string, error) {
	x, err := v.Render(&expr.Env{Names: expr.Names{"secrets": secrets}}, FillPlain)
	if err != nil {
		return "", err
	}
	return value.Text(x)
}
