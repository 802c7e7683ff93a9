package workflows

import "strings"

// ShortestMasked is the minimum length in bytes of a secret that is masked wherever it occurs:
// masking a shorter one would remove ordinary text.
const ShortestMasked = 6

// sensitiveHeaders are headers whose value is always a credential; it is never recorded. So are
// names that end in one of sensitiveEndings.
var sensitiveHeaders = map[string]bool{
	"authorization": true, "proxy-authorization": true, "cookie": true, "set-cookie": true, "cookie2": true, "set-cookie2": true,
	"api-key": true, "apikey": true, "x-api-key": true, "x-apikey": true, "x-auth": true, "x-auth-key": true, "x-access-key": true,
	"token": true, "x-token": true, "secret": true, "x-secret": true, "password": true, "x-password": true, "passcode": true,
	"x-amz-security-token": true, "x-goog-iam-authorization-token": true, "x-functions-key": true, "ocp-apim-subscription-key": true,
	"x-ms-authorization-auxiliary": true, "authentication": true, "x-authorization": true,
}

var sensitiveEndings = []string{
	"-token", "-secret", "-api-key", "-apikey", "-password", "-authorization", "-access-key",
	"-secret-key", "-private-key", "-passwd", "-credential", "-credentials",
}

// notSensitive are names with such an ending that contain no credential.
var notSensitive = map[string]bool{
	"x-goog-channel-token": true,
	"x-next-page-token":    true,
	"next-page-token":      true,
	"x-continuation-token": true,
}

// SensitiveHeader reports whether a header contains a credential. Case is ignored, and - and _ are
// equivalent.
func SensitiveHeader(name string) bool {
	// Most names are lower case and have neither ending; avoid allocations for them.
	n := name
	if strings.ContainsAny(n, "_ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		n = strings.ToLower(strings.ReplaceAll(n, "_", "-"))
	}
	if sensitiveHeaders[n] {
		return true
	}
	for _, e := range sensitiveEndings {
		if strings.HasSuffix(n, e) {
			return !notSensitive[n] && !strings.Contains(n, "idempotency")
		}
	}
	return false
}

// credentialFields are the credentials in responses of token endpoints (RFC 6749, section 5.1, and
// OpenID Connect Core, section 3.1.3.3).
var credentialFields = map[string]bool{"access_token": true, "refresh_token": true, "id_token": true, "client_secret": true}

// HideHeaders returns v with *** for the values of sensitive headers, in every map named headers,
// and for the tokens in a token endpoint's response. hidden reports whether there were any; v is
// not changed.
func HideHeaders(v any) (out any, hidden bool) {
	switch x := v.(type) {
	case []any:
		var list []any
		for i, e := range x {
			n, h := HideHeaders(e)
			if h && list == nil {
				list = append([]any(nil), x...)
			}
			if h {
				list[i] = n
			}
		}
		if list != nil {
			return list, true
		}
	case map[string]any:
		var m map[string]any
		for k, e := range x {
			n, h := HideHeaders(e)
			if s, ok := n.(string); ok && credentialFields[k] && s != "" && s != Mask {
				n, h = Mask, true
			}
			if headers, ok := n.(map[string]any); ok && strings.EqualFold(k, "headers") {
				if masked, any := HideNames(headers); any {
					n, h = masked, true
				}
			}
			if !h {
				continue
			}
			if m == nil {
				m = make(map[string]any, len(x))
				for k2, e2 := range x {
					m[k2] = e2
				}
			}
			m[k] = n
		}
		if m != nil {
			return m, true
		}
	}
	return v, false
}

// HideNames returns headers with *** for the sensitive ones.
func HideNames(headers map[string]any) (map[string]any, bool) {
	var out map[string]any
	for k, v := range headers {
		if v == nil || v == Mask || !SensitiveHeader(k) {
			continue
		}
		if out == nil {
			out = make(map[string]any, len(headers))
			for k2, v2 := range headers {
				out[k2] = v2
			}
		}
		out[k] = Mask
	}
	return out, out != nil
}

// Mask replaces a secret.
const Mask = "***"

// HideAuth returns the value of auth: with *** for everything except the names of headers and
// parameters.
func HideAuth(v any) any {
	switch x := v.(type) {
	case nil:
		return nil
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, e := range x {
			if s, ok := e.(string); ok && k == "name" {
				out[k] = s
				continue
			}
			out[k] = HideAuth(e)
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = HideAuth(e)
		}
		return out
	}
	return Mask
}

// Credentials appends the values that HideHeaders hides, and their parts: a cookie's value, the
// token after Bearer.
func Credentials(v any, out []string) []string {
	switch x := v.(type) {
	case []any:
		for _, e := range x {
			out = Credentials(e, out)
		}
	case map[string]any:
		for k, e := range x {
			if s, ok := e.(string); ok && credentialFields[k] {
				out = credential(s, out)
			}
			if headers, ok := e.(map[string]any); ok && strings.EqualFold(k, "headers") {
				for name, h := range headers {
					if s, ok := h.(string); ok && SensitiveHeader(name) {
						out = credential(s, out)
					}
				}
			}
			out = Credentials(e, out)
		}
	}
	return out
}

// credential appends a header's value and the parts of it that are secret on their own.
func credential(s string, out []string) []string {
	if s == Mask || len(s) < ShortestMasked {
		return out
	}
	out = append(out, s)
	first, _, _ := strings.Cut(s, ";")
	if _, value, ok := strings.Cut(first, "="); ok && len(value) >= shortestToken {
		out = append(out, value)
	}
	if _, token, ok := strings.Cut(s, " "); ok && !strings.Contains(token, " ") && len(token) >= shortestToken {
		out = append(out, token)
	}
	return out
}

// shortestToken prevents masking cookie values such as true or en-GB.
const shortestToken = 12
