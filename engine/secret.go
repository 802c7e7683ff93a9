package engine

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"sort"
	"strings"
	"sync/atomic"

	"github.com/hookloom/hookloom/workflows"
)

// Redactor replaces secret values by *** wherever they would be stored or
// shown, whatever key they stand under. It is safe for concurrent use.
type Redactor struct {
	values atomic.Pointer[[]string]
}

// shortest is the length in bytes under which a value is not searched for: it
// would blank out ordinary text. Templates mask by name besides.
const shortest = 6

// Set replaces the secrets that are looked for.
func (r *Redactor) Set(secrets []string) {
	seen := map[string]bool{}
	var out []string
	add := func(s string) {
		if len(s) >= shortest && !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	for _, s := range secrets {
		if len(s) < shortest {
			continue
		}
		add(s)
		if quoted, err := workflows.EncodeJSON(s); err == nil {
			add(string(quoted[1 : len(quoted)-1]))
		}
		add(url.QueryEscape(s))
		add(url.PathEscape(s))
		add(base64.StdEncoding.EncodeToString([]byte(s)))
	}
	// Longest first: one secret may be a part of another.
	sort.Slice(out, func(i, j int) bool { return len(out[i]) > len(out[j]) })
	r.values.Store(&out)
}

// Bytes masks secrets in b, which is returned as it is when there are none.
func (r *Redactor) Bytes(b []byte) []byte {
	if r == nil {
		return b
	}
	if v := r.values.Load(); v != nil {
		for _, s := range *v {
			if bytes.Contains(b, []byte(s)) {
				b = bytes.ReplaceAll(b, []byte(s), []byte("***"))
			}
		}
	}
	return b
}

// Text masks secrets in s.
func (r *Redactor) Text(s string) string {
	if r == nil {
		return s
	}
	if v := r.values.Load(); v != nil {
		for _, x := range *v {
			s = strings.ReplaceAll(s, x, "***")
		}
	}
	return s
}

// Value masks secrets in plain data. It copies only what changes.
func (r *Redactor) Value(v any) any {
	switch x := v.(type) {
	case string:
		return r.Text(x)
	case []any:
		for i := range x {
			if n := r.Value(x[i]); differs(n, x[i]) {
				out := append([]any(nil), x...)
				for j := i; j < len(out); j++ {
					out[j] = r.Value(x[j])
				}
				return out
			}
		}
	case map[string]any:
		var out map[string]any
		for k, e := range x {
			n, name := r.Value(e), r.Text(k)
			if !differs(n, e) && name == k {
				continue
			}
			if out == nil {
				out = make(map[string]any, len(x))
				for k2, e2 := range x {
					out[k2] = e2
				}
			}
			delete(out, k)
			out[name] = n
		}
		if out != nil {
			return out
		}
	}
	return v
}

func differs(a, b any) bool {
	switch x := a.(type) {
	case string:
		y, ok := b.(string)
		return !ok || x != y
	case []any:
		y, ok := b.([]any)
		return !ok || len(x) != len(y) || len(x) > 0 && &x[0] != &y[0]
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return true
		}
		for k := range x {
			if _, same := y[k]; !same || differs(x[k], y[k]) {
				return true
			}
		}
	}
	return false
}
