package workflows

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows/expr"
)

// connectionForms shows how each kind of auth that only connections have is written.
var connectionForms = map[string]string{
	"oauth2": `auth: {oauth2: {grant: client_credentials, token_url: "https://id.example.com/token", client_id: "${{ secrets.ID }}", ` +
		`client_secret: "${{ secrets.SECRET }}"}}`,
	"jwt_bearer": `auth: {jwt_bearer: {issuer: ID, key: "${{ secrets.KEY }}", token_url: "https://id.example.com/token"}}`,
	"aws_sigv4": `auth: {aws_sigv4: {region: eu-central-1, service: s3, access_key: "${{ secrets.AWS_ACCESS_KEY_ID }}", ` +
		`secret_key: "${{ secrets.AWS_SECRET_ACCESS_KEY }}"}}`,
	"tls": "auth: {tls: {cert: client.pem, key: client.key}}",
}

// The grants of oauth2.
const (
	GrantClientCredentials = "client_credentials"
	GrantRefreshToken      = "refresh_token"
	GrantAuthorizationCode = "authorization_code"
	GrantDeviceCode        = "device_code"
)

// OAuth2 describes how to obtain access tokens by OAuth 2.0 (RFC 6749).
type OAuth2 struct {
	Grant                             string
	TokenURL, AuthorizeURL, DeviceURL *Value
	Redirect                          *Value
	ClientID, ClientSecret            *Value
	RefreshToken                      *Value
	Scopes                            []string
	// AuthStyle is header, params, or empty to detect it.
	AuthStyle               string
	Params, AuthorizeParams *Value
}

// JWTBearer describes how to make and use a signed JWT.
type JWTBearer struct {
	TokenURL, ServiceAccount  *Value
	Issuer, Subject, Audience *Value
	Key, KeyID                *Value
	Algorithm                 string
	Scopes                    []string
	Claims, Params            *Value
	Lifetime                  time.Duration
	// Use is grant, bearer or direct.
	Use string
}

// SigV4 are the credentials of AWS Signature Version 4.
type SigV4 struct {
	Region, AccessKey, SecretKey, SessionToken *Value
	Service                                    string
}

// ClientTLS is a client certificate. Each value is PEM text, or a file of the project in Dir.
type ClientTLS struct {
	Cert, Key, CA *Value
	Dir           string
}

// Expired describes the responses that, besides 401, mean that a token is no longer valid.
type Expired struct {
	Status []StatusRange
	Body   *Expr
}

// Kind returns the kind of authentication: none, bearer, basic, header, query, oauth2, jwt_bearer,
// aws_sigv4 or tls.
func (a *Auth) Kind() string {
	switch {
	case a == nil:
		return "none"
	case a.OAuth2 != nil:
		return "oauth2"
	case a.JWT != nil:
		return "jwt_bearer"
	case a.SigV4 != nil:
		return "aws_sigv4"
	case a.Bearer != nil:
		return "bearer"
	case a.BasicUser != nil:
		return "basic"
	case a.HeaderName != "":
		return "header"
	case a.QueryName != "":
		return "query"
	case a.TLS != nil:
		return "tls"
	}
	return "none"
}

// connectionAuth reads auth: of a connection or of a connector file. The caller checks its values
// and knows which names their expressions may use.
func (d *decoder) connectionAuth(parent *objectNode) *Auth {
	o := parent.object("auth")
	if o == nil {
		if parent.text("auth", "") == "none" {
			return &Auth{}
		}
		return nil
	}
	if kinds := given(o, "tls"); len(kinds) > 1 || len(kinds) == 0 && !o.has("tls") && !o.unknown {
		hint := "for a service without authentication write auth: none"
		if len(kinds) > 1 {
			hint = "keep one of " + strings.Join(kinds, ", ")
		}
		d.add(o.pos(), "exclusive-keys",
			"auth takes exactly one of bearer, basic, header, query, oauth2, jwt_bearer, aws_sigv4; tls may be used alone or with one of them", hint)
	}
	a := d.fixedAuth(o)
	if x := o.object("oauth2"); x != nil {
		a.OAuth2 = d.oauth2(x, o.has("tls"))
	}
	if x := o.object("jwt_bearer"); x != nil {
		a.JWT = d.jwtBearer(x)
	}
	if x := o.object("aws_sigv4"); x != nil {
		a.SigV4 = &SigV4{Region: d.value(x.vals["region"]), Service: x.text("service", ""), AccessKey: d.value(x.vals["access_key"]),
			SecretKey: d.secretOf(x, "secret_key"), SessionToken: d.secretOf(x, "session_token")}
	}
	if x := o.object("tls"); x != nil {
		a.TLS = &ClientTLS{Cert: d.value(x.vals["cert"]), Key: d.value(x.vals["key"]), CA: d.value(x.vals["ca"])}
		if text, _ := a.TLS.Key.constantText(); strings.Contains(text, "PRIVATE KEY") {
			d.hide(text)
			d.add(x.at("key"), "secret-in-file", "a private key is written in the file", "name a file of the project, or use ${{ secrets.NAME }}")
		}
	}
	return a
}

// given lists the fields of o that are set, except those named.
func given(o *objectNode, but ...string) []string {
	var out []string
	for _, f := range o.shape.fields {
		if o.has(f.name) && !slices.Contains(but, f.name) {
			out = append(out, f.name)
		}
	}
	return out
}

const (
	secretInFile  = "a secret is written in the file"
	nameTheSecret = `write "${{ secrets.NAME }}"; put the value into .env, or use hookloom secrets set NAME`
)

// secretOf reads a value that must not be written in the file in clear text.
func (d *decoder) secretOf(o *objectNode, name string) *Value {
	v := d.value(o.vals[name])
	if s, constant := v.constantText(); constant && s != "" {
		d.hide(s)
		d.add(o.at(name), "secret-in-file", secretInFile, nameTheSecret)
	}
	return v
}

// grantKeys maps the keys of oauth2 that only one grant has, and requires.
var grantKeys = map[string]string{
	"refresh_token": GrantRefreshToken, "authorize_url": GrantAuthorizationCode, "device_url": GrantDeviceCode,
}

func (d *decoder) oauth2(o *objectNode, certificate bool) *OAuth2 {
	x := &OAuth2{Grant: o.text("grant", ""), TokenURL: d.endpoint(o, "token_url"), AuthorizeURL: d.endpoint(o, "authorize_url"),
		DeviceURL: d.endpoint(o, "device_url"), Redirect: d.endpoint(o, "redirect"), ClientID: d.value(o.vals["client_id"]),
		ClientSecret: d.secretOf(o, "client_secret"), RefreshToken: d.secretOf(o, "refresh_token"), Scopes: o.texts("scopes"),
		AuthStyle: o.text("auth_style", ""), Params: d.value(o.vals["params"]), AuthorizeParams: d.value(o.vals["authorize_params"])}
	d.textsOf("params", x.Params)
	d.textsOf("authorize_params", x.AuthorizeParams)
	if x.Grant == "" {
		return x // reported already
	}
	for _, key := range []string{"refresh_token", "authorize_url", "device_url"} {
		switch grant := grantKeys[key]; {
		case grant == x.Grant && !o.has(key) && !d.misspelt[fieldOfNode{o.node, key}]:
			d.add(o.at("grant"), "missing-key", fmt.Sprintf("grant: %s needs %s:", x.Grant, key), "add "+key+": "+grantExample[key])
		case grant != x.Grant && o.has(key):
			d.add(o.keyAt(key), "exclusive-keys", fmt.Sprintf("%s belongs to grant: %s, but the grant is %s", key, grant, x.Grant),
				"remove it, or write grant: "+grant)
		}
	}
	for _, key := range []string{"redirect", "authorize_params"} {
		if o.has(key) && x.Grant != GrantAuthorizationCode {
			d.add(o.keyAt(key), "exclusive-keys", fmt.Sprintf("%s belongs to grant: authorization_code, but the grant is %s", key, x.Grant),
				"remove it, or write grant: authorization_code")
		}
	}
	if x.Grant == GrantClientCredentials && !o.has("client_secret") && !certificate && !d.misspelt[fieldOfNode{o.node, "client_secret"}] {
		d.add(o.at("grant"), "missing-key", "grant: client_credentials needs client_secret:, or a client certificate in tls: next to oauth2:",
			`add client_secret: "${{ secrets.CLIENT_SECRET }}"`)
	}
	return x
}

// grantExample shows how a key that a grant requires is written.
var grantExample = map[string]string{
	"refresh_token": `"${{ secrets.REFRESH_TOKEN }}"`, "authorize_url": `"https://id.example.com/authorize"`,
	"device_url": `"https://id.example.com/device"`,
}

func (d *decoder) jwtBearer(o *objectNode) *JWTBearer {
	x := &JWTBearer{TokenURL: d.endpoint(o, "token_url"), ServiceAccount: d.secretOf(o, "service_account"), Issuer: d.value(o.vals["issuer"]),
		Subject: d.value(o.vals["subject"]), Audience: d.value(o.vals["audience"]), Key: d.secretOf(o, "key"),
		KeyID: d.value(o.vals["key_id"]), Algorithm: o.text("algorithm", "RS256"), Scopes: o.texts("scopes"),
		Claims: d.value(o.vals["claims"]), Params: d.value(o.vals["params"]), Lifetime: o.duration("lifetime", 5*time.Minute),
		Use: o.text("use", "grant")}
	d.textsOf("params", x.Params)
	if x.Lifetime < time.Second || x.Lifetime > time.Hour {
		d.add(o.at("lifetime"), "out-of-range", "lifetime must be between 1s and 1h", "5m by default; GitHub takes at most 10m")
	}
	if o.has("service_account") {
		for _, key := range []string{"issuer", "key", "key_id"} {
			if o.has(key) {
				d.add(o.keyAt(key), "exclusive-keys", fmt.Sprintf("service_account already contains the %s", key), "remove it")
			}
		}
		return x
	}
	need := []string{"issuer", "key"}
	if x.Use != "direct" {
		need = append(need, "token_url")
	}
	for _, key := range need {
		if !o.has(key) && !d.misspelt[fieldOfNode{o.node, key}] {
			d.add(o.pos(), "missing-key", fmt.Sprintf("jwt_bearer needs %s:", key), shapes["jwt_bearer"].field(key).help)
		}
	}
	return x
}

// endpoint reads a URL, which may hold expressions.
func (d *decoder) endpoint(o *objectNode, name string) *Value {
	v := d.value(o.vals[name])
	text, constant := v.constantText()
	if v == nil || !constant {
		return v
	}
	if problem, hint := urlProblem(text, false, true); problem != "" {
		d.add(o.at(name), "bad-address", name+": "+problem, hint)
	}
	return v
}

// textsOf checks that the values of a parameter map are texts, numbers or expressions.
func (d *decoder) textsOf(name string, v *Value) {
	for _, f := range v.fields() {
		c, constant := f.value.IsConstant()
		switch c.(type) {
		case nil, map[string]any, []any:
			if constant || f.value.kind == mapValue || f.value.kind == listValue {
				d.add(f.value.pos, "wrong-type", fmt.Sprintf("%s: the value of %s is a text", name, f.name), "write "+name+": {"+f.name+": TEXT}")
			}
		}
	}
}

// expired reads the rule for responses that mean that a token is no longer valid.
func (d *decoder) expired(parent *objectNode) *Expired {
	o := parent.object("expired")
	if o == nil {
		return nil
	}
	x := &Expired{}
	if v := o.vals["status"]; v != nil {
		x.Status = d.statuses(v)
	}
	if v := o.vals["body"]; v != nil {
		if x.Body = d.expression(v); x.Body != nil {
			x.Body.check(&expr.Scope{
				Where: "expired.body",
				Names: expr.Map{"response": expr.Map{"status": expr.Int, "headers": expr.AnyMap, "body": expr.Any}},
			}, reflect.Bool)
		}
	}
	if len(given(o)) == 0 && !o.unknown {
		d.add(o.pos(), "missing-key", "expired needs status: or body:",
			`write expired: {status: [403]} or {body: "response.body.error == 'expired'"}`)
	}
	return x
}

// Says reports whether a response means that the token is no longer valid.
func (x *Expired) Says(status int, response map[string]any) bool {
	if status == 401 {
		return true
	}
	if x == nil {
		return false
	}
	for _, s := range x.Status {
		if status >= s.From && status <= s.To {
			return true
		}
	}
	if x.Body == nil {
		return false
	}
	ok, err := x.Body.Condition(&expr.Env{Names: expr.Names{"response": response}})
	return err == nil && ok // a rule that cannot be evaluated does not match
}

// values returns the parts that contain expressions.
func (x *OAuth2) values() []*Value {
	if x == nil {
		return nil
	}
	return []*Value{x.TokenURL, x.AuthorizeURL, x.DeviceURL, x.Redirect, x.ClientID, x.ClientSecret, x.RefreshToken, x.Params,
		x.AuthorizeParams}
}

func (x *JWTBearer) values() []*Value {
	if x == nil {
		return nil
	}
	return []*Value{x.TokenURL, x.ServiceAccount, x.Issuer, x.Subject, x.Audience, x.Key, x.KeyID, x.Claims, x.Params}
}

func (x *SigV4) values() []*Value {
	if x == nil {
		return nil
	}
	return []*Value{x.Region, x.AccessKey, x.SecretKey, x.SessionToken}
}

func (x *ClientTLS) values() []*Value {
	if x == nil {
		return nil
	}
	return []*Value{x.Cert, x.Key, x.CA}
}
