package triggers

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// maxSame is how often in a row a page may equal the one before: more means that the service
// ignores the number that is sent. Fewer may be new items that moved the old ones.
const maxSame = 8

// pageRequest renders the request of the walk's next page.
func (p *poller) pageRequest(w *walk) (map[string]any, error) {
	with, err := p.request(p.poll.Request, expr.Names{"cursor": p.asked(w)})
	if err != nil {
		return nil, err
	}
	if w.Next != "" {
		delete(with, "query") // the next page's URL contains it
		with["url"] = w.Next
		return with, nil
	}
	pages := &p.poll.Pages
	if pages.SizeAt.Name != "" {
		setParameter(with, pages.SizeAt, pages.Size)
	}
	if c := pages.Counter(); c != nil {
		n := c.From
		if w.Count != nil {
			n = *w.Count
		}
		setParameter(with, c.PageParameter, n)
	}
	if w.Token != nil {
		setParameter(with, pages.TokenAt, w.Token)
	}
	return with, nil
}

// setParameter sets the parameter that selects a page in a request.
func setParameter(with map[string]any, at workflows.PageParameter, v any) {
	place := "query"
	if at.Body {
		place = "body"
	}
	m := map[string]any{}
	if old, ok := with[place].(map[string]any); ok {
		for k, x := range old {
			m[k] = x
		}
	}
	m[at.Name] = v
	with[place] = m
}

// turn moves the walk to the page after the one that was read, or reports that there is none. items
// is the number of items of the page; unlike the rows, it includes items that are left to the
// webhook.
func (p *poller) turn(pr *progress, resp map[string]any, items int, rows []row) (ended bool, err error) {
	w, pages := pr.Walk, &p.poll.Pages
	if !pages.Any() {
		return true, nil
	}
	if pages.Until != nil {
		list := make([]any, len(rows))
		for i, r := range rows {
			list[i] = r.item
		}
		last, err := pages.Until.Condition(&expr.Env{Names: expr.Names{"response": resp, "cursor": p.asked(w), "items": list},
			Now: p.now()})
		if err != nil {
			return false, fmt.Errorf("pages.until: %w", err)
		}
		if last {
			return true, nil
		}
	}
	switch c := pages.Counter(); {
	case c != nil:
		return p.count(pr, c, items, rows)
	case pages.Token != nil:
		return p.token(pr, resp, items, rows)
	}
	return p.follow(pr, resp, items, rows)
}

// count turns to the next number.
func (p *poller) count(pr *progress, c *workflows.PageCount, items int, rows []row) (bool, error) {
	w, size := pr.Walk, p.poll.Pages.Size
	// A short page is the last one only if the service honours the size: it may have its own limit.
	if items == 0 || size > 0 && items < size && pr.Full >= size {
		return true, nil
	}
	if err := w.moves(rows, c.Name); err != nil {
		return false, err
	}
	n := c.From
	if w.Count != nil {
		n = *w.Count
	}
	if p.poll.Pages.Offset != nil {
		n += items
	} else {
		n++
	}
	w.Count, w.Counted = &n, true
	return false, nil
}

// moves returns an error if the same page is returned again and again: the service ignores the
// parameter of that name.
func (w *walk) moves(rows []row, parameter string) error {
	if last := digestOf(rows); last != w.Last || len(rows) == 0 {
		w.Last, w.Same = last, 0
	} else if w.Same++; w.Same >= maxSame {
		return fmt.Errorf("%d pages in a row have the same items: the service does not read %s", w.Same+1, parameter)
	}
	return nil
}

// circles reports whether the next page, by its URL or token, was read before. It compares with the
// second page and with the page read after the last power of two of pages, so every cycle is found,
// wherever it begins.
func (w *walk) circles(next string) bool {
	sum := sha256.Sum256([]byte(next))
	name := hex.EncodeToString(sum[:8])
	if name == w.Second || name == w.Mark {
		return true
	}
	if w.Second == "" {
		w.Second = name
	}
	if w.Pages&(w.Pages-1) == 0 {
		w.Mark = name
	}
	return false
}

// maxEmpty is how many pages in a row may be empty, each with a next page, before the poll reports
// it: services that filter after paging return such pages.
const maxEmpty = 100

// empties warns of a list that has only empty pages and no end.
func (pr *progress) empties(items int) {
	if pr.Walk.Empty++; items > 0 {
		pr.Walk.Empty = 0
	}
	if n := pr.Walk.Empty; n >= maxEmpty {
		pr.doubt = &doubt{text: fmt.Sprintf("%d pages in a row have no items, and each names a next page: "+
			"nothing new is found until that ends", n)}
	}
}

func digestOf(rows []row) string {
	h := sha256.New()
	for _, r := range rows {
		fmt.Fprintf(h, "%d:%s", len(r.delivery.Key), r.delivery.Key)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// token moves to the page whose token the answer contains.
func (p *poller) token(pr *progress, resp map[string]any, items int, rows []row) (bool, error) {
	w := pr.Walk
	v, err := p.poll.Pages.Token.Eval(&expr.Env{Names: expr.Names{"response": resp, "cursor": p.asked(w)}, Now: p.now()})
	if err != nil {
		return false, fmt.Errorf("pages.token: %w", err)
	}
	switch v.(type) {
	case map[string]any, []any:
		return false, errors.New("pages.token returned a map or a list, not one value")
	}
	if v == nil || v == false || text(v) == "" {
		p.lastPage(pr, resp, v, items, rows)
		return true, nil
	}
	pr.Turned = p.poll.Pages.Token.Text
	if w.Token != nil && text(v) == text(w.Token) || w.circles(text(v)) {
		return false, fmt.Errorf("its next page was read already: the token %s", clip(text(v), 100))
	}
	w.Token = v
	pr.empties(items)
	return false, w.moves(rows, p.poll.Pages.TokenAt.Name)
}

// follow moves to the URL that the answer contains. It must be on the same host: the request's
// credentials are sent there.
func (p *poller) follow(pr *progress, resp map[string]any, items int, rows []row) (bool, error) {
	w, raw, by := pr.Walk, "", "header link"
	var v any
	var err error
	if p.poll.Pages.LinkHeader {
		raw = linkNext(linkHeader(resp))
	} else {
		by = p.poll.Pages.Next.Text
		v, err = p.poll.Pages.Next.Eval(&expr.Env{Names: expr.Names{"response": resp, "cursor": p.asked(w)}, Now: p.now()})
		if err != nil {
			return false, fmt.Errorf("pages.next: %w", err)
		}
		if raw, err = reference(v); err != nil {
			return false, err
		}
	}
	if raw == "" {
		p.lastPage(pr, resp, v, items, rows)
		return true, nil
	}
	pr.Turned = by
	next, err := p.nextURL(raw, text(resp["url"]))
	if err != nil {
		return false, err
	}
	if next == w.Next || next == text(resp["url"]) || w.circles(next) {
		return false, fmt.Errorf("its next page was read already: %s", next)
	}
	w.Counted = w.Counted || counts(text(resp["url"]), next)
	w.Next = next
	pr.empties(items)
	return false, w.moves(rows, "the URL of its next page")
}

// reference converts the result of pages.next to a URL; empty if there is none.
func reference(v any) (string, error) {
	s, isText := v.(string)
	switch {
	case v == nil || v == false || s == "" && isText:
		return "", nil
	case isText && strings.ContainsAny(s, "/?"):
		return s, nil
	case isText:
		return "", fmt.Errorf("pages.next must be a URL, got the text %q; a token is written as pages: {token: ..., query: NAME}", clip(s, 100))
	}
	if n := asNumber(v); n != nil {
		return "", fmt.Errorf("pages.next must be a URL, got the number %s; pages with numbers are written as pages: {page: {query: page}}",
			text(v))
	}
	return "", fmt.Errorf("pages.next must be a URL, got %s", clip(text(v), 100))
}

// nextURL resolves an answer's next page against the URL of the answer.
func (p *poller) nextURL(raw, at string) (string, error) {
	base, err := url.Parse(at)
	if err != nil {
		return "", fmt.Errorf("pages.next: %w", err)
	}
	u, err := base.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("pages.next: %w", err)
	}
	if u.Host != base.Host || u.Scheme != base.Scheme {
		return "", fmt.Errorf("pages.next is on another host, %s: the credentials of %s are not sent there", u.Host, base.Host)
	}
	if strings.HasPrefix(raw, "/") {
		// If the connection's base_url has a path, an answer's URL may be relative to the host, as
		// in RFC 3986, or to the base_url, as the request is written.
		if below := p.basePath(base.Path); below != "" && u.Path != below && !strings.HasPrefix(u.Path, below+"/") {
			u.Path, u.RawPath = below+u.Path, ""
		}
	}
	return u.String(), nil
}

// basePath is the path of the connection's base_url: the part before the path that the request
// names.
func (p *poller) basePath(asked string) string {
	with, err := p.request(p.poll.Request, expr.Names{"cursor": nil})
	if err != nil {
		return ""
	}
	written, _, _ := strings.Cut(text(with["url"]), "?")
	if !strings.HasPrefix(written, "/") {
		return ""
	}
	if own, ok := strings.CutSuffix(asked, written); ok {
		p.below = strings.TrimRight(own, "/")
	}
	return p.below
}

// counts reports whether a page's URL differs from the previous one by a small number: of a page or
// an offset.
func counts(before, next string) bool {
	b, berr := url.Parse(before)
	n, nerr := url.Parse(next)
	if berr != nil || nerr != nil {
		return false
	}
	old := b.Query()
	for name, values := range n.Query() {
		x, err := strconv.Atoi(values[len(values)-1])
		if err == nil && x >= 0 && x < firstSecond && old.Get(name) != values[len(values)-1] {
			return true
		}
	}
	return false
}

// linkNext reads rel="next" of a Link header (RFC 8288).
func linkNext(header string) string {
	for _, part := range splitLinks(header) {
		target, params, ok := strings.Cut(part, ">")
		target, open := strings.CutPrefix(strings.TrimSpace(target), "<")
		if !ok || !open {
			continue
		}
		for _, param := range strings.Split(params, ";") {
			k, v, _ := strings.Cut(strings.TrimSpace(param), "=")
			if strings.EqualFold(k, "rel") && slices.Contains(strings.Fields(strings.ToLower(strings.Trim(v, `"`))), "next") {
				return target
			}
		}
	}
	return ""
}

// splitLinks splits a Link header at the commas outside of <> and quotes.
func splitLinks(header string) []string {
	var out []string
	from, inside, quoted := 0, false, false
	for i := range len(header) {
		switch c := header[i]; {
		case c == '"' && !inside:
			quoted = !quoted
		case c == '<' && !quoted:
			inside = true
		case c == '>' && !quoted:
			inside = false
		case c == ',' && !quoted && !inside:
			out, from = append(out, header[from:i]), i+1
		}
	}
	return append(out, header[from:])
}

// isGone reports whether the service no longer knows the page: a token or a URL that has expired.
func isGone(err error) bool {
	var e *plan.Error
	return errors.As(err, &e) &&
		slices.Contains([]int{http.StatusBadRequest, http.StatusNotFound, http.StatusGone, http.StatusUnprocessableEntity,
			http.StatusPreconditionFailed}, e.Status)
}
