package actions

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// maxListed is the maximum total size in bytes of all pages of a list.
const maxListed = 32 << 20

// walk is the state of reading a list page by page.
type walk struct {
	*call
	pages *workflows.ConnectorPages
	// most is the maximum number of items to read.
	most  int
	items []any
	bytes int
	// seen are the requests made so far: repeating one would never end.
	seen map[string]bool
	// count is the number or offset of the next page.
	count int
	token any
	next  string
	// last is the response with the last page that was read, env its names; more reports whether
	// further pages or items exist.
	last *reply
	env  *expr.Env
	more bool
}

// list reads the pages of a list, and returns the output with all items.
func (k *call) list(ctx context.Context, first order) (any, error) {
	most := k.action.Pages.MaxItems
	if n, ok := k.in.With[workflows.MaxItemsInput].(int); ok && k.in.Spec.Common(workflows.MaxItemsInput) {
		most = max(1, n)
	}
	first.limit = value.MaxSize
	w, err := k.walk(ctx, first, most)
	if err != nil {
		return nil, err
	}
	if k.tolerated(w.last.status) {
		return w.last.names(), nil
	}
	w.env.Names["items"], w.env.Names["more"] = w.items, w.more
	if k.action.Output == nil {
		return map[string]any{"items": w.items, "more": w.more}, nil
	}
	out, err := k.output(k.action.Output, w.last, w.env)
	if err != nil {
		return nil, err
	}
	return out, k.lacks(out, w.last, w.env)
}

// walk reads the pages of a list, up to most items. A response that only the step accepts ends it,
// and contains no items.
func (k *call) walk(ctx context.Context, first order, most int) (*walk, error) {
	p := k.action.Pages
	w := &walk{call: k, pages: p, most: most, items: []any{}, seen: map[string]bool{}}
	if c := p.Counter(); c != nil {
		w.count = c.From
	}
	for n := 1; ; n++ {
		o, err := w.request(first)
		if err != nil {
			return nil, err
		}
		r, err := send(ctx, k.client, o)
		if err != nil {
			return nil, onPage(err, n)
		}
		w.last, w.env = r, k.env(r)
		if err := k.refused(r, w.env); err != nil {
			return nil, onPage(err, n)
		}
		if k.tolerated(r.status) {
			return w, nil
		}
		if w.bytes += r.size; w.bytes > maxListed {
			return nil, plan.Permanent("too_large", "the pages of the list have more than %s: set max_items: to fewer than %d",
				workflows.SizeText(maxListed), max(len(w.items), 1))
		}
		if w.more, err = w.take(r, w.env); err != nil {
			return nil, onPage(err, n)
		}
		if len(w.items) > w.most {
			w.items, w.more = w.items[:w.most], true
		}
		if !w.more || len(w.items) >= w.most || n >= p.Max {
			return w, nil
		}
	}
}

// onPage adds to an error the page at which it occurred.
func onPage(err error, n int) error {
	var e *plan.Error
	if n > 1 && errors.As(err, &e) {
		e.Message = fmt.Sprintf("page %d of the list: %s", n, e.Message)
	}
	return err
}

// request returns the request for the next page.
func (w *walk) request(first order) (order, error) {
	o := first
	o.header = first.header.Clone()
	var err error
	set := func(at workflows.PageParameter, v any) {
		if err == nil && at.Name != "" && v != nil {
			err = w.parameter(&o, at, v)
		}
	}
	switch c := w.pages.Counter(); {
	case w.next != "":
		if o.url, err = w.connection.resolve(w.next, true, nil, ""); err != nil {
			return o, plan.Permanent("bad_answer", "the link to the next page points to another host: %v", err)
		}
		// A credential in the query is taken from the first request.
		if o.url, err = withCredential(o.url, first.url, w.connection); err != nil {
			return o, err
		}
	case c != nil:
		set(c.PageParameter, w.count)
	default:
		set(w.pages.TokenAt, w.token)
	}
	if w.next == "" && w.pages.SizeAt.Name != "" {
		set(w.pages.SizeAt, w.asked())
	}
	if err != nil {
		return o, err
	}
	key := o.url + "\n" + string(o.body)
	if w.seen[key] {
		return o, plan.Permanent("endless_list", "the list does not end: its next page was read already")
	}
	w.seen[key] = true
	return o, nil
}

// ended reports whether a counted page of n items was the last. If the service gives the total, a
// short page is not the end: some services allow fewer items than requested, or filter items after
// they have cut pages.
func (w *walk) ended(n int, env *expr.Env) bool {
	if w.pages.Total != nil {
		if v, err := w.pages.Total.Eval(env); err == nil {
			if total, known := v.(int); known && total >= 0 {
				return len(w.items) >= total
			}
		}
	}
	return n < w.asked()
}

// asked returns the number of items of a full page if pages are counted; 0 if it is unknown. If a
// response names the next page, a short page means nothing: services that filter items after they
// have cut pages return short ones.
func (w *walk) asked() int {
	if w.pages.SizeAt.Name == "" {
		return w.pages.Size
	}
	return min(w.pages.Size, w.most)
}

// withCredential adds a credential that belongs in the query to a link.
func withCredential(link, first string, conn *connection) (string, error) {
	if conn.auth == nil || conn.auth.QueryName == "" {
		return link, nil
	}
	u, err := url.Parse(first)
	if err != nil {
		return "", plan.Permanent("invalid_request", "the URL cannot be read")
	}
	l, err := url.Parse(link)
	if err != nil {
		return "", plan.Permanent("bad_answer", "the link to the next page cannot be read")
	}
	if q := l.Query(); q.Get(conn.auth.QueryName) == "" {
		return addQuery(link, map[string]any{conn.auth.QueryName: u.Query().Get(conn.auth.QueryName)}, "")
	}
	return link, nil
}

// parameter sets the parameter that selects a page, in the query or in the body.
func (w *walk) parameter(o *order, at workflows.PageParameter, v any) error {
	s, err := value.Text(v)
	if err != nil {
		return plan.Permanent("bad_answer", "the token of the next page is not text: %v", err)
	}
	if !at.Body {
		u, err := url.Parse(o.url)
		if err != nil {
			return plan.Permanent("invalid_request", "the URL cannot be read")
		}
		q := u.Query()
		q.Set(at.Name, s)
		u.RawQuery = q.Encode()
		o.url = u.String()
		return nil
	}
	if strings.HasPrefix(o.header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		form, err := url.ParseQuery(string(o.body))
		if err != nil {
			return plan.Permanent("invalid_request", "the form cannot be read")
		}
		form.Set(at.Name, s)
		o.body = []byte(form.Encode())
		return nil
	}
	body := map[string]any{}
	if len(o.body) > 0 {
		had, err := value.DecodeJSON(o.body)
		if err != nil {
			return plan.Permanent("invalid_request", "the body cannot be read: %v", err)
		}
		if body, _ = had.(map[string]any); body == nil {
			return plan.Permanent("invalid_request", "%s cannot be set in a body that is not an object", at.Name)
		}
	}
	names := strings.Split(at.Name, ".")
	inner := body
	for _, n := range names[:len(names)-1] {
		next, _ := inner[n].(map[string]any)
		if next == nil {
			next = map[string]any{}
			inner[n] = next
		}
		inner = next
	}
	inner[names[len(names)-1]] = v
	media := o.header.Get("Content-Type")
	if err := jsonBody(o, body); err != nil || media == "" {
		return err
	}
	o.header.Set("Content-Type", media)
	return nil
}

// take adds the items of a response and finds the next page; it returns false if there is none.
func (w *walk) take(r *reply, env *expr.Env) (bool, error) {
	v, err := w.pages.Items.Eval(env)
	if err != nil {
		return false, w.notAList(r, "pages.items: "+err.Error())
	}
	list, ok := v.([]any)
	if v == nil && r.status != http.StatusNoContent { // a 204 has no body, and so no items
		return false, w.notAList(r, fmt.Sprintf("pages.items: %s is nil; write %s ?? [] if the service leaves out an empty list",
			w.pages.Items.Text, w.pages.Items.Text))
	}
	if !ok && v != nil {
		return false, w.notAList(r, fmt.Sprintf("pages.items: %s is not a list, but %s", w.pages.Items.Text, value.Describe(v)))
	}
	w.items = append(w.items, list...)
	if w.pages.Until != nil {
		if last, err := w.pages.Until.Condition(env); err != nil {
			return false, w.notAList(r, "pages.until: "+err.Error())
		} else if last {
			return false, nil
		}
	}
	if w.pages.Counter() != nil && w.ended(len(list), env) {
		return false, nil
	}
	switch {
	case w.pages.LinkHeader:
		w.next = nextLink(r.header.Values("Link"), r.url)
		return w.next != "", nil
	case w.pages.Next != nil:
		v, err := w.pages.Next.Eval(env)
		if err != nil {
			return false, w.notAList(r, "pages.next: "+err.Error())
		}
		if w.next, err = absolute(v, r.url); err != nil {
			return false, w.notAList(r, err.Error())
		}
		return w.next != "", nil
	case w.pages.Token != nil:
		if w.token, err = w.pages.Token.Eval(env); err != nil {
			return false, w.notAList(r, "pages.token: "+err.Error())
		}
		return w.token != nil && w.token != "" && w.token != false, nil
	case w.pages.Offset != nil:
		w.count += len(list)
	default:
		w.count++
	}
	return len(list) > 0, nil
}

// absolute converts the result of pages.next to a URL, "" for none. A link that begins neither with
// a host nor with /, such as ?page=2, is resolved against the URL of its response (RFC 3986, 5.2).
// A link that begins with / is left to the connection, whose base_url may have a path.
func absolute(found any, of string) (string, error) {
	link, isText := found.(string)
	switch {
	case found == nil, found == false, isText && link == "":
		return "", nil
	case !isText || !strings.ContainsAny(link, "/?"):
		return "", fmt.Errorf("pages.next must be a URL, got %s: write pages: {token: ..., query: NAME} for a token",
			value.Clip(value.Shown(found), 100))
	case strings.HasPrefix(link, "/") && !strings.HasPrefix(link, "//"):
		return link, nil
	}
	base, err := url.Parse(of)
	if err != nil {
		return "", errors.New("pages.next: the URL of the response is not valid")
	}
	u, err := base.Parse(link)
	if err != nil {
		return "", errors.New("pages.next is not a valid link")
	}
	return u.String(), nil
}

func (w *walk) notAList(r *reply, why string) error {
	who := "the connector"
	if w.connector.Name == "" {
		who = "pages: of the step"
	}
	return &plan.Error{Message: "the response is not what " + who + " expects: " + why, Code: "bad_answer", Status: r.status,
		Details: r.names()}
}

// nextLink finds rel="next" in Link headers (RFC 8288, 3) and resolves it against the URL of the
// response; "" if there is none.
func nextLink(headers []string, of string) string {
	for _, h := range headers {
		for rest := h; ; {
			i := strings.IndexByte(rest, '<')
			if i < 0 {
				break
			}
			rest = rest[i+1:]
			target, params, ok := strings.Cut(rest, ">")
			if !ok {
				break
			}
			rest = params
			if end := strings.Index(params, "<"); end >= 0 {
				params = params[:end]
			}
			if !isNext(params) {
				continue
			}
			base, err := url.Parse(of)
			if err != nil {
				return target
			}
			u, err := base.Parse(target)
			if err != nil {
				return ""
			}
			return u.String()
		}
	}
	return ""
}

// isNext reports whether the parameters of a link have rel=next.
func isNext(params string) bool {
	for _, p := range strings.Split(params, ";") {
		name, v, _ := strings.Cut(strings.TrimSpace(strings.TrimRight(strings.TrimSpace(p), ",")), "=")
		if strings.EqualFold(strings.TrimSpace(name), "rel") {
			for _, rel := range strings.Fields(strings.Trim(strings.TrimSpace(v), `"`)) {
				if strings.EqualFold(rel, "next") {
					return true
				}
			}
		}
	}
	return false
}
