package workflows

// authShapes are the mappings for the authentication of a connection or a connector.
var authShapes = map[string]*shape{
	"connection_auth": {title: "auth of a connection", fields: []field{
		{"bearer", is(kindValue), false, "a fixed token in Authorization: Bearer"},
		{"basic", object("basic"), false, "a user and a password"},
		{"header", object("auth_header"), false, "a key in a header"},
		{"query", object("auth_header"), false, "a key in the query"},
		{"oauth2", object("oauth2"), false, "an access token of OAuth 2, fetched and renewed"},
		{"jwt_bearer", object("jwt_bearer"), false, "a signed JWT, or the access token that it is exchanged for (RFC 7523)"},
		{"aws_sigv4", object("aws_sigv4"), false, "AWS Signature Version 4"},
		{"tls", object("client_tls"), false, "a client certificate, alone or with another kind"},
	}},
	"oauth2": {title: "oauth2", fields: []field{
		{"grant", word(oauthGrants...), true, "how the first token is obtained"},
		{"token_url", is(kindValue), true, "the token endpoint"},
		{"authorize_url", is(kindValue), false, "the authorization endpoint, for grant: authorization_code"},
		{"device_url", is(kindValue), false, "the device authorization endpoint, for grant: device_code"},
		{
			"redirect", is(kindValue), false,
			"the redirect URI that is registered with the service; a port of this machine, or the console's, by default",
		},
		{"client_id", is(kindValue), true, "the client id from the service"},
		{"client_secret", is(kindValue), false, "from secrets"},
		{"refresh_token", is(kindValue), false, "from secrets, for grant: refresh_token"},
		{"scopes", is(kindTexts), false, "the permissions of the token, by the service's names"},
		{"auth_style", word("header", "params"), false, "where the client id and secret are sent; detected by default"},
		{"params", mapOf(is(kindValue)), false, "additional parameters of token requests, such as audience"},
		{"authorize_params", mapOf(is(kindValue)), false, "additional parameters of the authorization page, such as access_type"},
	}},
	"jwt_bearer": {title: "jwt_bearer", fields: []field{
		{"token_url", is(kindValue), false, "where the JWT is exchanged; not needed with use: direct"},
		{
			"service_account", is(kindValue), false,
			"the JSON key file of a Google service account, from secrets: it gives issuer, key and token_url",
		},
		{"issuer", is(kindValue), false, "iss: the client id, or the id of a GitHub App"},
		{"subject", is(kindValue), false, "sub: the user to act for"},
		{"audience", is(kindValue), false, "aud; token_url by default"},
		{"key", is(kindValue), false, "the private key in PEM, from secrets"},
		{"key_id", is(kindValue), false, "kid of the JWT's header"},
		{"algorithm", word("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA", "HS256"), false, "RS256 by default"},
		{"scopes", is(kindTexts), false, "the permissions of the token, by the service's names"},
		{"claims", mapOf(is(kindValue)), false, "further claims"},
		{"lifetime", is(kindDuration), false, "of the JWT; 5m by default, at most 1h"},
		{
			"use", word("grant", "bearer", "direct"), false,
			"grant: exchanged by RFC 7523, the default; bearer: sent as bearer to token_url, as GitHub Apps do; direct: the JWT is the token",
		},
		{"params", mapOf(is(kindValue)), false, "additional parameters of the exchange"},
	}},
	"aws_sigv4": {title: "aws_sigv4", fields: []field{
		{"region", is(kindValue), true, "such as eu-central-1"},
		{"service", is(kindText), true, "such as s3 or ses"},
		{"access_key", is(kindValue), true, "the access key id"},
		{"secret_key", is(kindValue), true, "the secret access key, from secrets"},
		{"session_token", is(kindValue), false, "the session token of temporary credentials"},
	}},
	"client_tls": {title: "tls of a connection", fields: []field{
		{"cert", is(kindValue), true, "the certificate and its chain in PEM: a file of the project, or the text from secrets"},
		{"key", is(kindValue), true, "its private key in PEM: a file of the project, or the text from secrets"},
		{"ca", is(kindValue), false, "the CA of the server's certificate, if it is private"},
	}},
	"expired": {title: "expired", fields: []field{
		{"status", is(kindAny), false, "statuses that mean that the token is no longer valid: 403, 498-499, or a list of them; 401 always does"},
		{"body", is(kindExpr), false, "such as response.body.errcode == 40001"},
	}},
}

// oauthGrants are the grants that give the first token (RFC 6749; RFC 8628 for devices).
var oauthGrants = []string{GrantClientCredentials, GrantRefreshToken, GrantAuthorizationCode, GrantDeviceCode}
