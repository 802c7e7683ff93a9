package actions

import (
	"html"
	"regexp"
	"strings"
	"unicode"

	"github.com/hookloom/hookloom/workflows/value"
)

// maxReason is the most letters of a reason in an error message.
const maxReason = 300

// reasonFields are the fields in which services give the reason of an error response, the one that
// says most first: RFC 9457 has detail and title, OAuth error_description.
var reasonFields = []string{"message", "error_description", "detail", "error", "errors", "title"}

// reasonOf returns the reason that the body of an error response gives, in one line; "" if it gives
// none.
func reasonOf(body any) string {
	reason := findReason(body, 0)
	reason = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(value.Clip(reason, 4*maxReason), ""))
	return value.Clip(strings.Join(strings.Fields(reason), " "), maxReason)
}

func findReason(v any, depth int) string {
	switch x := v.(type) {
	case string:
		return pageTitle(x)
	case []any:
		if len(x) > 0 {
			return findReason(x[0], depth+1)
		}
	case map[string]any:
		for _, name := range reasonFields {
			if depth > 2 || x[name] == nil {
				continue
			}
			if s := strings.TrimSpace(findReason(x[name], depth+1)); s != "" {
				return s
			}
		}
	}
	return ""
}

var titleOfPage = regexp.MustCompile(`(?is)<title[^>]*>([^<]{1,300})</title`)

// pageTitle returns the title of an HTML page, nothing for other markup, and other text as it is.
func pageTitle(s string) string {
	s = strings.TrimSpace(s)
	if !strings.HasPrefix(s, "<") {
		return s
	}
	if m := titleOfPage.FindStringSubmatch(value.Clip(s, 16<<10)); m != nil {
		return html.UnescapeString(m[1])
	}
	return ""
}
