package secrets

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine/egress"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file is a client for HashiCorp Vault and OpenBao. It needs three requests of
// https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2 (read), .../auth/approle and
// .../auth/kubernetes (login). Vault's API module would add about twenty modules and its own
// transport.

const (
	vaultSource = "secrets.vault"
	// loginKey is the result that contains the token; it is not kept in the next set.
	loginKey = "vault login"
	// tokenSecret is the secret that contains the token if vault: configures no login.
	tokenSecret = "VAULT_TOKEN"
)

func vaultKey(f workflows.VaultField) string { return "vault " + f.Mount + "/" + f.Path }

// field returns a secret's field with defaults for what it does not set.
func (s *Set) field(name string, f workflows.VaultField) workflows.VaultField {
	v := s.o.Sources.Vault
	return workflows.VaultField{Mount: cmp.Or(strings.Trim(f.Mount, "/"), v.Mount), Path: cmp.Or(strings.Trim(f.Path, "/"), v.Path),
		Field: cmp.Or(f.Field, name)}
}

// fromVault returns one field; with must a missing field is a failure.
func (s *Set) fromVault(ctx context.Context, f workflows.VaultField, must bool) (string, *Failure) {
	values, failure := s.ask(vaultKey(f), func() (map[string]string, *Failure) { return s.readVault(ctx, f) })
	if v, failure := pick(f.Field, values, failure); v != "" || failure != nil || !must {
		return v, failure
	}
	return "", &Failure{Source: vaultSource, Problem: fmt.Sprintf("%s/%s has no field %s", f.Mount, f.Path, f.Field),
		Advice: "it has " + cmp.Or(strings.Join(slices.Sorted(maps.Keys(values)), ", "), "none") + "; field: names another"}
}

// readVault reads the latest version of a secret.
func (s *Set) readVault(ctx context.Context, f workflows.VaultField) (map[string]string, *Failure) {
	token, failure := s.vaultToken(ctx)
	if failure != nil {
		return nil, failure
	}
	var got struct {
		Data struct {
			Data json.RawMessage `json:"data"`
		} `json:"data"`
	}
	path := f.Mount + "/data/" + f.Path
	status, failure := s.callVault(ctx, http.MethodGet, path, token, nil, &got)
	switch {
	case failure != nil && status == http.StatusForbidden:
		failure.Advice = fmt.Sprintf("check that the token is valid, and that its policy grants read on %s", path)
		return nil, failure
	case status == http.StatusNotFound:
		return nil, &Failure{Source: vaultSource,
			Problem: fmt.Sprintf("there is no secret at %s/%s, or no KV engine of version 2", f.Mount, f.Path),
			Advice:  fmt.Sprintf("vault kv get -mount=%s %s shows what is there", f.Mount, f.Path)}
	case failure != nil:
		return nil, failure
	}
	values, err := textFields(got.Data.Data)
	if err != nil {
		return nil, &Failure{Source: vaultSource, Problem: "the answer has no data.data", Advice: "the engine at " + f.Mount +
			" must be KV version 2: check with vault secrets list -detailed"}
	}
	return values, nil
}

// vaultToken returns the token for requests.
func (s *Set) vaultToken(ctx context.Context) (string, *Failure) {
	values, failure := s.ask(loginKey, func() (map[string]string, *Failure) {
		v := s.o.Sources.Vault
		token, failure := "", (*Failure)(nil)
		switch {
		case v.AppRole != nil:
			token, failure = s.loginAppRole(ctx, v.AppRole)
		case v.Kubernetes != nil:
			token, failure = s.loginKubernetes(ctx, v.Kubernetes)
		case v.TokenFile != "":
			values, f := readSecret(s.inProject(v.TokenFile), vaultSource, "set secrets.vault.token_file to a file that the server can read")
			token, failure = values[""], f
		case v.Token != nil:
			token, failure = s.vaultText(ctx, v.Token, "token")
		default:
			token, failure = s.forVault(ctx, tokenSecret)
		}
		return map[string]string{"": token}, failure
	})
	return pick("", values, failure)
}

// forVault looks up a secret that the login needs, in the sources before Vault.
func (s *Set) forVault(ctx context.Context, name string) (string, *Failure) {
	if x := s.o.Sources.Names[name]; x != nil && x.Vault != nil {
		return "", &Failure{Source: vaultSource, Problem: fmt.Sprintf("the login needs secret %s, which is in Vault itself", name),
			Advice: "keep it outside of Vault"}
	}
	f, _ := s.find(ctx, name, false, vaultSource)
	if f.Failure != nil {
		return "", f.Failure
	}
	if f.Value == "" {
		return "", &Failure{Source: vaultSource, Problem: fmt.Sprintf("the login needs secret %s, which is not set", name),
			Advice: "set it in the environment, in .env or with hookloom secrets set " + name + ", or choose token_file, approle or kubernetes"}
	}
	return f.Value, nil
}

// vaultText renders a value of the login.
func (s *Set) vaultText(ctx context.Context, v *workflows.Value, key string) (string, *Failure) {
	values := map[string]any{}
	for _, n := range v.SecretNames() {
		x, failure := s.forVault(ctx, n)
		if failure != nil {
			return "", failure
		}
		values[n] = x
	}
	text, err := v.Text(values)
	if err != nil || text == "" && key != "secret_id" {
		return "", &Failure{Source: vaultSource, Problem: key + " has no value", Advice: `write it as "${{ secrets.NAME }}"`}
	}
	return text, nil
}

func (s *Set) loginAppRole(ctx context.Context, a *workflows.VaultAppRole) (string, *Failure) {
	role, failure := s.vaultText(ctx, a.RoleID, "role_id")
	if failure != nil {
		return "", failure
	}
	body := map[string]string{"role_id": role}
	if a.SecretID != nil {
		if body["secret_id"], failure = s.vaultText(ctx, a.SecretID, "secret_id"); failure != nil {
			return "", failure
		}
	}
	return s.login(ctx, a.Mount, body, "check role_id and secret_id: a secret_id can expire, or be used up")
}

func (s *Set) loginKubernetes(ctx context.Context, k *workflows.VaultKubernetes) (string, *Failure) {
	jwt, failure := readSecret(s.inProject(k.TokenFile), vaultSource,
		"the server must run in a pod that has its service account's token mounted; token_file names another place")
	if failure != nil {
		return "", failure
	}
	return s.login(ctx, k.Mount, map[string]string{"role": k.Role, "jwt": jwt[""]},
		fmt.Sprintf("check that the role %s of Vault is bound to the pod's service account and namespace", k.Role))
}

func (s *Set) login(ctx context.Context, mount string, body map[string]string, advice string) (string, *Failure) {
	var got struct {
		Auth struct {
			ClientToken string `json:"client_token"`
		} `json:"auth"`
	}
	status, failure := s.callVault(ctx, http.MethodPost, "auth/"+strings.Trim(mount, "/")+"/login", "", body, &got)
	switch {
	case failure != nil && status >= 400 && status < 500:
		failure.Problem, failure.Advice = "the login was refused: "+failure.Problem, advice
		return "", failure
	case failure != nil:
		return "", failure
	case got.Auth.ClientToken == "":
		return "", &Failure{Source: vaultSource, Problem: "the login returned no token", Advice: advice}
	}
	return got.Auth.ClientToken, nil
}

// callVault makes one request. Its failure contains Vault's message, without what was sent.
func (s *Set) callVault(ctx context.Context, method, path, token string, body map[string]string, into any) (int, *Failure) {
	client, base, failure := s.vaultClient()
	if failure != nil {
		return 0, failure
	}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, s.o.Sources.Timeout)
	defer cancel()
	sent, err := json.Marshal(body)
	if err != nil {
		return 0, &Failure{Source: vaultSource, Problem: "the request cannot be written", Advice: "use text alone in secrets.vault"}
	}
	req, err := http.NewRequestWithContext(ctx, method, base+"/v1/"+path, bytes.NewReader(sent))
	if err != nil {
		return 0, &Failure{Source: vaultSource, Problem: "its address cannot be used", Advice: "write address: https://vault.example.com:8200"}
	}
	if body == nil {
		req.Body, req.ContentLength = nil, 0
	}
	// Vault's agent and proxy require it, as a protection against requests forged through a
	// browser.
	req.Header.Set("X-Vault-Request", "true")
	if token != "" {
		req.Header.Set("X-Vault-Token", token)
	}
	if ns := cmp.Or(s.o.Sources.Vault.Namespace, os.Getenv("VAULT_NAMESPACE")); ns != "" {
		req.Header.Set("X-Vault-Namespace", ns)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, unreachable(err, base, s)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAll+1))
	if err != nil || len(b) > maxAll {
		return resp.StatusCode, &Failure{Source: vaultSource, Problem: "its answer cannot be read", Advice: "look at its log"}
	}
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode, refused(resp.StatusCode, b, []string{token, body["secret_id"], body["jwt"]})
	}
	if err := json.Unmarshal(b, into); err != nil {
		return resp.StatusCode, &Failure{Source: vaultSource, Problem: "its answer is not JSON",
			Advice: "check that address is that of Vault's API"}
	}
	return resp.StatusCode, nil
}

// unreachable explains why there was no response.
func unreachable(err error, base string, s *Set) *Failure {
	f := &Failure{Source: vaultSource, Problem: base + " does not answer",
		Advice: "check address, and that the server runs and can be reached"}
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var u *url.Error
	switch {
	case errors.As(err, &unknown):
		f.Problem = base + " has a certificate of an unknown authority"
		f.Advice = "name the authority's PEM file: secrets.vault.ca, or VAULT_CACERT"
	case errors.As(err, &name):
		f.Problem, f.Advice = base+" has a certificate for another name", "use the name in the certificate as address"
	case errors.Is(err, context.DeadlineExceeded):
		f.Problem = fmt.Sprintf("%s did not answer within %s", base, s.o.Sources.Timeout)
	case errors.As(err, &u):
		var op *net.OpError
		if errors.As(u.Err, &op) {
			f.Problem += ": " + op.Err.Error()
		}
	}
	return f
}

// refused explains an error response by the errors in it.
func refused(status int, body []byte, hide []string) *Failure {
	var failed struct {
		Errors []string `json:"errors"`
	}
	_ = json.Unmarshal(body, &failed) // other responses have no errors
	text := strings.Join(strings.Fields(strings.Join(failed.Errors, "; ")), " ")
	for _, h := range hide {
		if h != "" {
			text = strings.ReplaceAll(text, h, workflows.Mask)
		}
	}
	f := &Failure{Source: vaultSource, Problem: fmt.Sprintf("status %d", status), Advice: "look at the audit log of Vault"}
	if text != "" {
		f.Problem += ": " + value.Clip(text, 200)
	}
	switch {
	case status == http.StatusServiceUnavailable:
		f.Advice = "Vault is sealed or in maintenance: check with vault status"
	case status == http.StatusTooManyRequests:
		f.Advice = "Vault limits requests; try again later"
	case status >= 300 && status < 400:
		f.Advice = "redirects are not followed: use the address of the active server"
	}
	return f
}

// vaultClient returns an HTTP client that connects only to the server of vault:.
func (s *Set) vaultClient() (*http.Client, string, *Failure) {
	v := s.o.Sources.Vault
	base := strings.TrimSuffix(cmp.Or(v.Address, os.Getenv("VAULT_ADDR")), "/")
	u, err := url.Parse(base)
	if base == "" || err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, "", &Failure{Source: vaultSource, Problem: "the address of the server is not known",
			Advice: "write address: https://vault.example.com:8200 under secrets.vault, or set VAULT_ADDR"}
	}
	guard, err := egress.NewGuard([]string{u.Hostname()})
	if err != nil {
		return nil, "", &Failure{Source: vaultSource, Problem: "its address cannot be used",
			Advice: "write address: https://vault.example.com:8200"}
	}
	file := cmp.Or(v.CA, os.Getenv("VAULT_CACERT"))
	if file == "" {
		return guard.Client(), base, nil
	}
	pem, _, err := readBounded(s.inProject(file), maxAll)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		return nil, "", &Failure{Source: vaultSource, Problem: file + " holds no certificates in PEM", Advice: "name the authority's PEM file"}
	}
	return guard.ClientTLS(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}), base, nil
}
