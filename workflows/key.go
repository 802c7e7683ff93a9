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

// This file makes the text of a key of what its expressions give. All keys of the
// language are made here, so that equal values are equal keys wherever they stand.

// maxKey is the length in bytes up to which a key is kept as it is.
const maxKey = 300

var keyPart = strings.NewReplacer("%", "%25", "/", "%2F")

// EscapeKeyPart escapes a part of a key that has several.
func EscapeKeyPart(part string) string { return keyPart.Replace(part) }

// JoinKey makes one key of its parts. A slash inside of a part is escaped, so that
// ["a/b", "c"] and ["a", "b/c"] are two keys. A key of one part is kept as it is.
func JoinKey(parts []string) string {
	if len(parts) == 1 {
		return ShortKey(parts[0])
	}
	for i, p := range parts {
		parts[i] = EscapeKeyPart(p)
	}
	return ShortKey(strings.Join(parts, "/"))
}

// ShortKey returns a digest of a long key.
func ShortKey(key string) string {
	if len(key) <= maxKey {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// errEmptyKey means that a key names nothing.
var errEmptyKey = errors.New("it is empty")

// keyOf evaluates the expressions of a key. The error wraps errEmptyKey when a part of
// it is nil or empty.
func keyOf(list []*Expr, env *expr.Env) (string, error) {
	var parts []string
	for _, e := range list {
		v, err := e.Eval(env)
		if err != nil {
			return "", err
		}
		// One expression may give all parts: "[event.data.id, event.type]".
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
