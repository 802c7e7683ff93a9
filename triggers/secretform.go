package triggers

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/workflows"
)

// errWeak is wrapped if a secret is too weak to verify anybody.
var errWeak = errors.New("the secret is too weak")

// refuseWeak rejects a shared secret that is empty, blank or easily guessed: whoever guesses it can
// act as the provider. Public keys are exempt: the provider alone has the private key.
func (r *route) refuseWeak() error {
	for _, p := range r.proofs {
		if p.verifier.Asymmetric() {
			continue
		}
		for _, at := range p.secret {
			if at < 0 {
				continue
			}
			u := r.secrets[at]
			if why := workflows.WeakSecret(schemeWordOff(p.written, u.text)); why != "" {
				return fmt.Errorf("secret %s %s: use the provider's own, or, where you choose it, a generated one such as %s: %w", u.name, why,
					workflows.GenerateSecret(), errWeak)
			}
		}
		if own := r.params[p.written.SecretParam]; p.written.SecretParam != "" && own != "" {
			if why := workflows.WeakSecret(own); why != "" {
				return fmt.Errorf("params.%s %s: use the provider's own: %w", p.written.SecretParam, why, errWeak)
			}
		}
	}
	return nil
}

// trimmed removes blanks and line breaks around a secret: echo and editors add them, and no
// provider uses them. A blank secret is rejected.
func trimmed(text string) (string, error) {
	plain := strings.TrimSpace(text)
	if plain == "" && text != "" {
		return "", fmt.Errorf("the secret is blank: %w", errWeak)
	}
	return plain, nil
}

// schemeWordOff removes the scheme of an Authorization header that was pasted with the secret:
// "Bearer abc" is the secret abc, "Basic ..." its user and password.
func schemeWordOff(v *workflows.Verify, text string) string {
	prefix := v.Prefix
	if v.Algorithm != "static-token" && v.Algorithm != "basic-auth" || !strings.HasSuffix(prefix, " ") {
		return text
	}
	if len(text) <= len(prefix) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return text
	}
	rest := strings.TrimSpace(text[len(prefix):])
	if v.Algorithm != "basic-auth" {
		return rest
	}
	if b, err := base64.StdEncoding.DecodeString(rest); err == nil && strings.Contains(string(b), ":") {
		return string(b)
	}
	return text
}

// looseContent rejects a custom scheme whose signed text can be split in more than one way, unless
// each text counts only once.
func looseContent(v *workflows.Verify, compiled *signature.Verifier) error {
	why := compiled.Ambiguous()
	if why == "" || v.SignsMoment(false) {
		return nil
	}
	return fmt.Errorf("signed_content: %s, so the same bytes can be read in several ways: put fixed text between, or write single_use: true, "+
		"so that they count once", why)
}
