package triggers

import (
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows/spelling"
)

// table is the routing of one project; it is replaced as a unit.
type table struct {
	// byPath are the routes by their path as written, byForm by its normalized form.
	byPath, byForm map[string]*route
	routes         []*route
	trusted        []netip.Prefix
}

func newTable(trusted []netip.Prefix) *table {
	return &table{byPath: map[string]*route{}, byForm: map[string]*route{}, trusted: trusted}
}

func (t *table) add(r *route) {
	t.byPath[r.webhook.Path] = r
	if form := plainPath(r.webhook.Path); t.byForm[form] == nil {
		t.byForm[form] = r
	}
	t.routes = append(t.routes, r)
}

// lookup returns the route of a path. Doubled, missing or additional slashes are ignored
// unless another trigger has exactly that path. The last segment may be a secret if the
// trigger says so.
func (t *table) lookup(path string) *route {
	if r := t.byPath[path]; r != nil {
		return r
	}
	form := plainPath(path)
	if r := t.byForm[form]; r != nil {
		return r
	}
	if i := strings.LastIndexByte(form, '/'); i > 0 {
		if r := t.byForm[form[:i]]; r != nil && r.urlSecret {
			return r
		}
	}
	return nil
}

// plainPath writes a path without empty segments and without a slash at its end.
func plainPath(path string) string {
	if len(path) <= 1 {
		return path
	}
	if !strings.Contains(path, "//") && path[len(path)-1] != '/' {
		return path
	}
	var b strings.Builder
	for _, s := range strings.Split(path, "/") {
		if s != "" {
			b.WriteByte('/')
			b.WriteString(s)
		}
	}
	if b.Len() == 0 {
		return "/"
	}
	return b.String()
}

// unknown answers a request to a path of no trigger, without reading the body. If a
// provider may have a wrong URL, the request is kept in the quarantine.
func (h *Hooks) unknown(w http.ResponseWriter, req *http.Request, t *table, from sender, now time.Time) {
	if nearest := t.nearest(req.URL.Path); nearest != nil {
		in := &inbound{method: req.Method, path: req.URL.Path, header: req.Header, at: now}
		h.refuse(t, nil, in, from.ip, verdict{reason: noSuchPath, detail: "the nearest is " + nearest.webhook.Path + ", of trigger " +
			nearest.trigger.Name}, int(max(req.ContentLength, 0)))
	}
	h.answered(nil, "unknown", now)
	h.decline(w, req, http.StatusNotFound, reply{Error: noSuchPath})
}

// noSuchPath is the answer to a sender that calls a path of no trigger, and the reason in the
// quarantine.
const noSuchPath = "no such path"

// nearest returns the trigger that an unknown path may mean: one with a similar path or,
// under /hooks/, the one with the longest common prefix; nil for none.
func (t *table) nearest(path string) *route {
	form := plainPath(path)
	if len(t.routes) == 0 || len(form) > 300 {
		return nil
	}
	paths := make([]string, len(t.routes))
	for i, r := range t.routes {
		paths[i] = r.webhook.Path
		if plainPath(r.webhook.Path) != "/" && strings.EqualFold(plainPath(r.webhook.Path), form) {
			return r
		}
	}
	if i := index(paths, spelling.Nearest(form, paths)); i >= 0 {
		return t.routes[i]
	}
	if !strings.HasPrefix(form, "/hooks/") {
		return nil
	}
	best, most := t.routes[0], -1
	for i, r := range t.routes {
		if n := common(paths[i], form); n > most {
			best, most = r, n
		}
	}
	return best
}

func index(list []string, s string) int {
	for i, x := range list {
		if x == s {
			return i
		}
	}
	return -1
}

// common returns the length of the common prefix.
func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// wordOrNumber matches a part of a name that a person has written: letters in one case, capitalized words such as
// ordersPaid, or digits.
var wordOrNumber = regexp.MustCompile(`^(?:\pL?\p{Ll}*|(?:\pL?\p{Ll}{2,})(?:\p{Lu}\p{Ll}{2,})+|\p{Lu}*|[0-9]{0,10})[0-9]{0,2}$`)

// shortestToken is the minimum length of a token in a path, in bytes.
const shortestToken = 16

// hideSegments masks the segments of a path that look like tokens: a trigger that has been renamed or removed may
// have had its secret in the URL, and no trigger knows it any more.
func hideSegments(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		words := strings.FieldsFunc(p, func(r rune) bool { return strings.ContainsRune("-_.~", r) })
		if len(p) >= shortestToken && slices.ContainsFunc(words, func(w string) bool { return !wordOrNumber.MatchString(w) }) {
			parts[i] = "***"
		}
	}
	return strings.Join(parts, "/")
}

// strayed returns what is kept of a request to a path of no trigger, without the secrets
// of any trigger.
func (t *table) strayed(x refusal) engine.Refusal {
	hide := alwaysHidden()
	path := x.in.path
	for _, r := range t.routes {
		for name := range r.hideSecret {
			hide[name] = true
		}
		for _, u := range r.secrets {
			path = string(masked([]byte(path), u.text))
		}
	}
	for name := range x.in.header {
		if looksSigned.MatchString(name) {
			hide[strings.ToLower(name)] = true
		}
	}
	path = clip(hideSegments(strings.ToValidUTF8(path, "\ufffd")), 500)
	return engine.Refusal{At: x.in.at, Reason: x.j.reason, Detail: x.j.detail, RemoteIP: x.ip.String(), Method: x.in.method, Path: path,
		Headers: keepHeaders(x.in.header, hide), Size: x.size,
		Diagnosis: "no trigger has this path; " + x.j.detail + ": compare the sender's URL with hookloom triggers"}
}
