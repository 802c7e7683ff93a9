package triggers

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/spelling"
)

// This file questions the end of a list: an expression under pages that returns nothing is either
// the end, or names a field that the answer does not have.

// doubt is why a list may continue after the page that was taken for its last.
type doubt struct {
	text string
	// sure reports whether the list certainly continues; the poll then fails.
	sure bool
}

// lastPage examines a page on which pages.next or pages.token returned v, which is empty.
func (p *poller) lastPage(pr *progress, resp map[string]any, v any, items int, rows []row) {
	pages := &p.poll.Pages
	key, path := "pages.next", "header link"
	switch {
	case pages.Token != nil:
		key, path = "pages.token", pages.Token.Text
	case pages.Next != nil:
		path = pages.Next.Text
	}
	named := v != nil || isNull(resp, path)
	s := survey(resp, path)
	subject := fmt.Sprintf("%s: %s has no value", key, path)
	if pages.LinkHeader {
		subject = key + ": the response has no Link header with rel=next"
	}
	has := ""
	if m, ok := resp["body"].(map[string]any); ok {
		has = "; response.body has " + namesOf(m)
	}
	switch proven := pr.Turned == path || pr.Walk.Second != ""; {
	case s.flag != "" && s.more:
		pr.doubt = &doubt{subject + ", but " + s.flag + " says that the list continues: name the field with the next page" + has,
			!named && isPath(path)}
	case s.flag != "" || named || proven:
	case !pages.LinkHeader && linkNext(linkHeader(resp)) != "":
		pr.doubt = &doubt{subject + ", but the response has a Link header with rel=next: write pages: {next: header link}", isPath(path)}
	case s.live != "":
		advice := "write " + way(s.live, s.liveValue) + ", if that leads to the next page"
		pr.doubt = &doubt{subject + ", but " + s.live + " has a value: " + advice + has, isPath(path)}
	case len(s.like) > 0:
		pr.doubt = &doubt{fmt.Sprintf("%s, but the response has %s: check the name%s", subject, strings.Join(s.like, ", "), has), false}
	case items > 0 && (pages.Size > 0 && items >= pages.Size || p.cut(rows)):
		pr.doubt = &doubt{fmt.Sprintf("%s, and the page is full with %d items: check whether the list continues%s", subject, items, has), false}
	}
}

func linkHeader(resp map[string]any) string {
	headers, _ := resp["headers"].(map[string]any)
	return text(headers["link"])
}

// way formats pages: for a continuation.
func way(path string, v any) string {
	if s, ok := v.(string); ok && strings.ContainsAny(s, "/?") {
		return "pages: {next: " + path + "}"
	}
	return "pages: {token: " + path + ", query: NAME}"
}

// isPath reports whether an expression only names a place in the answer: a computed expression may
// return nothing on purpose.
func isPath(expr string) bool {
	return expr == "header link" || !strings.ContainsFunc(expr, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(`_.?[]"'@-$`, r)
	})
}

// surveyed lists what an answer has that looks like a continuation.
type surveyed struct {
	// flag names a field that says whether the list continues, more is its value.
	flag string
	more bool
	// live names a continuation that has a value.
	live      string
	liveValue any
	// like are other names that look like a continuation.
	like []string
}

// Names of continuations, in lower case without separators. Those of maybeNames may also name the
// page that was read.
var (
	moreNames = []string{"hasmore", "hasnext", "hasnextpage", "hasmoreitems", "hasmorepages", "ismore", "more", "moreavailable", "moreresults"}
	lastNames = []string{"islast", "islastpage", "lastpage", "last"}
	nextNames = []string{"next", "nextpage", "nextpagetoken", "nexttoken", "nextcursor", "nextlink", "nexturl", "nexturi", "nexthref",
		"nextpageurl", "nextpagelink", "nextpageuri",
		"nextmarker", "nextoffset", "nextkey", "nextcontinuationtoken", "continuation", "continuationtoken",
		"nextrecordsurl", "odatanextlink"}
	maybeNames = []string{"after", "cursor", "endcursor", "marker", "pagetoken", "scrollid", "token"}
)

var plainName = strings.NewReplacer("_", "", "-", "", "@", "", ".", "", " ", "")

// survey searches an answer's body for continuations, two levels deep.
func survey(resp map[string]any, path string) surveyed {
	var s surveyed
	wanted := path[strings.LastIndexAny(path, ".")+1:]
	s.look("response.body", resp["body"], wanted, 0)
	return s
}

func (s *surveyed) look(at string, v any, wanted string, depth int) {
	m, _ := v.(map[string]any)
	if depth > 2 || len(m) > 200 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		s.judge(member(at, name), name, m[name], wanted)
		s.look(member(at, name), m[name], wanted, depth+1)
	}
}

// member formats the path of a key.
func member(at, name string) string {
	if strings.ContainsAny(name, "@.- $:") {
		return at + `["` + clip(name, 40) + `"]`
	}
	return at + "." + clip(name, 40)
}

func (s *surveyed) judge(path, name string, v any, wanted string) {
	plain := strings.ToLower(plainName.Replace(name))
	if is, ok := v.(bool); ok && (slices.Contains(moreNames, plain) || slices.Contains(lastNames, plain)) {
		if more := is != slices.Contains(lastNames, plain); s.flag == "" || more {
			s.flag, s.more = path, more
		}
		return
	}
	if m, ok := v.(map[string]any); ok && slices.Contains(nextNames, plain) {
		for _, key := range []string{"href", "url"} { // as in HAL and JSON:API
			if text(m[key]) != "" {
				path, v = path+"."+key, m[key]
			}
		}
	}
	str, isText := v.(string)
	valued := isText && str != "" || !isText && asNumber(v) != nil
	near := isText && strings.ContainsAny(str, "/?") && spelling.Nearest(wanted, []string{name}) != ""
	switch {
	case valued && s.live == "" && (slices.Contains(nextNames, plain) || near):
		s.live, s.liveValue = path, v
	case slices.Contains(nextNames, plain), valued && slices.Contains(maybeNames, plain):
		s.like = append(s.like, path)
	}
}
