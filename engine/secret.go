package engine

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/url"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// quietSecret is how long an old secret must not have been used, while another
// was, before it can be dropped: longer than most providers repeat a delivery
// (Stripe 3 days, Svix 28 hours).
const quietSecret = 72 * time.Hour

// SecretState is a secret of a trigger and what its use tells.
type SecretState struct {
	Secret string     `json:"secret"`
	Count  int64      `json:"count"`
	LastAt *time.Time `json:"last_at"`
	// Advice is empty, or says that the secret is safe to drop.
	Advice string `json:"advice,omitempty"`
}

// SecretStates says of each of a trigger's secrets how often and when last it
// proved a delivery, and whether an old one can be dropped.
func SecretStates(trigger string, names []string, uses []SecretUse, now time.Time) []SecretState {
	var newest, began time.Time
	byName := map[string]SecretUse{}
	for _, u := range uses {
		if u.Trigger != trigger {
			continue
		}
		byName[u.Secret] = u
		if u.LastAt.After(newest) {
			newest, began = u.LastAt, u.FirstAt
		}
	}
	out := []SecretState{}
	for _, n := range names {
		s := SecretState{Secret: n}
		u, used := byName[n]
		if used {
			s.Count, s.LastAt = u.Count, &u.LastAt
		}
		switch {
		case len(names) < 2 || newest.IsZero() || used && u.LastAt.Equal(newest):
		case used && newest.Sub(u.LastAt) >= quietSecret:
			s.Advice = fmt.Sprintf("safe to drop: quiet for %d days while another was used", int(now.Sub(u.LastAt).Hours()/24))
		case !used && newest.Sub(began) >= quietSecret:
			s.Advice = "safe to drop: never used, while another was for days"
		}
		out = append(out, s)
	}
	return out
}

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
