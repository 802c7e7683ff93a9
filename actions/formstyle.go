package actions

import (
	"fmt"
	"net/url"
	"sort"
	"strconv"
	"strings"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows/value"
)

// formStyles are the encodings of lists and maps in a form or a query, for which there is no
// standard:
//
//   - repeat, the default: a list repeats its name, a map is a[b]=1. Twilio uses it.
//   - brackets: a list is a[]=1, or a[0][b]=1 if it contains maps or lists. Stripe, PHP
//     and Rails use it.
//   - json: a list or a map is its JSON text.
var formStyles = []string{"repeat", "brackets", "json"}

// addValues adds the entries of a map to a form or a query. nil adds nothing.
func addValues(to url.Values, v any, style string) error {
	m, _ := v.(map[string]any)
	for _, k := range sortedKeys(m) {
		if err := addValue(to, k, m[k], style); err != nil {
			return err
		}
	}
	return nil
}

func addValue(to url.Values, name string, v any, style string) error {
	switch x := v.(type) {
	case nil:
		return nil
	case map[string]any:
		if style == "json" {
			break
		}
		for _, k := range sortedKeys(x) {
			if err := addValue(to, name+"["+k+"]", x[k], style); err != nil {
				return err
			}
		}
		return nil
	case []any:
		if style == "json" {
			break
		}
		flat := isFlat(x)
		for i, e := range x {
			if err := addValue(to, elementName(name, i, flat, style), e, style); err != nil {
				return err
			}
		}
		return nil
	}
	s, err := value.Text(v)
	if err != nil {
		return plan.Permanent("invalid_request", "%s: %v", name, err)
	}
	to.Add(name, s)
	return nil
}

// elementName returns the name of a list's i-th element.
func elementName(name string, i int, flat bool, style string) string {
	switch {
	case !flat:
		return name + "[" + strconv.Itoa(i) + "]"
	case style == "brackets":
		return name + "[]"
	}
	return name
}

// isFlat reports whether a list contains neither maps nor lists.
func isFlat(list []any) bool {
	for _, e := range list {
		switch e.(type) {
		case map[string]any, []any:
			return false
		}
	}
	return true
}

func sortedKeys(m map[string]any) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// addQuery adds parameters to a URL.
func addQuery(raw string, query any, style string) (string, error) {
	if query == nil {
		return raw, nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", plan.Permanent("invalid_request", "the URL cannot be read")
	}
	q := u.Query()
	if err := addValues(q, query, style); err != nil {
		return "", err
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// asciiQuery percent-encodes the bytes of a query that a request line cannot carry: a literal space
// would end the URL, and RFC 3986 allows only ASCII, which some servers insist on.
func asciiQuery(q string) string {
	var b strings.Builder
	for i := range len(q) {
		if c := q[i]; c <= ' ' || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
