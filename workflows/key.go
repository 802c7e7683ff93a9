package workflows

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file converts the values of expressions to keys. All keys of the language are built here, so
// that equal values give equal keys everywhere.

// maxKey is the maximum length in bytes of a key that is stored unhashed.
const maxKey = 300

var keyPart = strings.NewReplacer("%", "%25", "/", "%2F")

// EscapeKeyPart escapes a part of a key with several parts.
func EscapeKeyPart(part string) string { return keyPart.Replace(part) }

// JoinKey joins the parts of a key. Slashes in a part are escaped, so that ["a/b", "c"] and ["a",
// "b/c"] are different keys. A key of one part is unchanged.
func JoinKey(parts []string) string {
	if len(parts) == 1 {
		return ShortKey(parts[0])
	}
	for i, p := range parts {
		parts[i] = EscapeKeyPart(p)
	}
	return ShortKey(strings.Join(parts, "/"))
}

// ShortKey returns the digest of a key that is too long.
func ShortKey(key string) string {
	if len(key) <= maxKey {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// errEmptyKey means that a key is empty.
var errEmptyKey = errors.New("it is empty")

// keyOf evaluates the expressions of a key. The error wraps errEmptyKey if a part is nil or empty.
func keyOf(list []*Expr, env *expr.Env) (string, error) {
	var parts []string
	for _, e := range list {
		v, err := e.Eval(env)
		if err != nil {
			return "", err
		}
		// One expression may return all parts: "[event.data.id, event.type]".
		several, ok := v.([]any)
		if !ok {
			several = []any{v}
		}
		for _, x := range several {
			text, err := keyText(x)
			if err != nil {
				return "", err
			}
			if text == "" {
				return "", fmt.Errorf("%w: %s", errEmptyKey, e.Text)
			}
			parts = append(parts, text)
		}
		if len(several) == 0 {
			return "", fmt.Errorf("%w: %s", errEmptyKey, e.Text)
		}
	}
	return JoinKey(parts), nil
}

func keyText(v any) (string, error) {
	switch v.(type) {
	case map[string]any, []any:
		return "", errors.New("a key must be text, a number or a boolean")
	}
	return value.Text(v)
}
