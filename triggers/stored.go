package triggers

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// hideOf records which headers carry the proof: their values are not stored.
func (r *route) hideOf(p *proof) {
	names := append([]string{p.verifier.From.Header}, p.verifier.From.Headers...)
	for _, n := range names {
		if n != "" {
			r.hide[strings.ToLower(n)] = true
			if name := strings.ToLower(n); p.verifier.Secret() || r.hideSecret[name] {
				r.hideSecret[name] = true
			} else {
				r.hideSecret[name] = false // a signature, whatever its header is called
			}
		}
	}
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// lowerCaseNames maps common header names to lower case, so that no string is allocated
// for them.
var lowerCaseNames = func() map[string]string {
	out := map[string]string{}
	for _, n := range []string{"Accept", "Accept-Encoding", "Connection", "Content-Length", "Content-Type", "Traceparent", "User-Agent",
		"X-Event-Id", "X-Event-Type", "X-Signature", "X-Forwarded-For", "X-Forwarded-Proto",
		"X-Real-Ip", "X-Request-Id", "Stripe-Signature", "X-Github-Event", "X-Github-Delivery", "X-Hub-Signature-256", "Webhook-Id",
		"Webhook-Timestamp", "Webhook-Signature"} {
		out[n] = strings.ToLower(n)
	}
	return out
}()

// keepHeaders stores header names in lower case, repeated values joined by a comma and
// credentials as ***.
func keepHeaders(h http.Header, hide map[string]bool) map[string]string {
	out := make(map[string]string, len(h))
	for k, v := range h {
		name, common := lowerCaseNames[k]
		if !common {
			name = strings.ToLower(k)
		}
		if hidden, said := hide[name]; hidden || !common && !said && workflows.SensitiveHeader(name) {
			out[name] = "***"
			continue
		}
		out[name] = strings.ToValidUTF8(strings.Join(v, ", "), "\ufffd")
	}
	return out
}

// keepQuery returns the query parameters to store; credentials are ***.
func (r *route) keepQuery(q url.Values) map[string]string {
	out := make(map[string]string, len(q))
	for k, v := range q {
		out[k] = strings.ToValidUTF8(strings.Join(v, ", "), "\ufffd")
		for _, p := range r.proofs {
			if k == p.verifier.From.Query || p.verifier.From.URL &&
				slices.ContainsFunc(r.secrets, func(u *secretUse) bool { return slices.Contains(v, u.text) }) {
				out[k] = "***"
			}
		}
	}
	return out
}

// keepPath returns the path to store, without a secret in its last segment.
func (r *route) keepPath(path string) string {
	base, form := plainPath(r.webhook.Path), plainPath(path)
	if r.urlSecret && form != base && strings.HasPrefix(form, base+"/") {
		return base + "/***"
	}
	return path
}

// maskTokens replaces tokens in the body, such as the passcode of Figma.
func (r *route) maskTokens(raw []byte) []byte {
	for _, p := range r.proofs {
		f := p.verifier.From
		if p.verifier.Secret() && (f.JSON != "" || f.Form != "") {
			for _, u := range r.secrets {
				raw = masked(raw, u.text)
			}
		}
	}
	return raw
}

// masked replaces a secret in a body, as it is and as JSON writes it.
func masked(raw []byte, secret string) []byte {
	if len(secret) == 0 {
		return raw
	}
	forms := []string{secret}
	if quoted, err := value.EncodeJSON(secret); err == nil {
		forms = append(forms, string(quoted[1:len(quoted)-1]))
	}
	forms = append(forms, url.QueryEscape(secret))
	for _, f := range forms {
		raw = bytes.ReplaceAll(raw, []byte(f), []byte("***"))
	}
	return raw
}
