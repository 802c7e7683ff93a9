package openapi

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// snake converts a name to lower case letters, digits and _.
func snake(s string) string {
	var b strings.Builder
	runes := []rune(s)
	for i, r := range runes {
		switch {
		case r >= 'A' && r <= 'Z':
			before := i > 0 && (runes[i-1] >= 'a' && runes[i-1] <= 'z' || runes[i-1] >= '0' && runes[i-1] <= '9')
			behind := i > 0 && runes[i-1] >= 'A' && runes[i-1] <= 'Z' && i+1 < len(runes) && runes[i+1] >= 'a' && runes[i+1] <= 'z'
			if before || behind {
				b.WriteByte('_')
			}
			b.WriteRune(unicode.ToLower(r))
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		default:
			b.WriteByte('_')
		}
		if b.Len() > 80 {
			break
		}
	}
	out := strings.Trim(repeated.ReplaceAllString(b.String(), "_"), "_")
	if len(out) > 80 {
		out = strings.Trim(out[:80], "_")
	}
	if out != "" && out[0] >= '0' && out[0] <= '9' {
		out = "_" + out
	}
	return out
}

var (
	repeated = regexp.MustCompile(`_+`)
	version  = regexp.MustCompile(`^(v\d+(\.\d+)*|\d{4}-\d{2}(-\d{2})?|api|rest)$`)
	dotted   = regexp.MustCompile(`[/.:]+`)
)

// pathVerbs are the verbs at the end of paths whose method does not determine the operation.
var pathVerbs = []string{"search", "upsert", "archive", "merge", "cancel", "close", "complete", "confirm", "capture", "create", "update",
	"delete", "read", "send", "query", "find", "void", "pay", "refund", "verify", "preview", "test", "import", "export", "batch", "bulk"}

// actionName names an action by its operationId, or by its path if the operationId is unreadable.
func actionName(o *operation) string {
	id := o.id
	if id != "" && !strings.ContainsAny(id, "{}") && !strings.Contains(id, "-/") && !strings.Contains(id, "_/") {
		var parts []string
		for _, p := range dotted.Split(id, -1) {
			if s := snake(p); s != "" {
				parts = append(parts, s)
			}
		}
		if len(parts) > 0 && len(strings.Join(parts, ".")) <= 100 {
			return strings.Join(parts, ".")
		}
	}
	return pathName(o)
}

// pathName derives a name such as contacts.notes.create from a method and a path.
func pathName(o *operation) string {
	var parts []string
	last := ""
	for _, seg := range strings.Split(strings.Trim(o.path, "/"), "/") {
		last = seg
		if strings.ContainsAny(seg, "{}") || version.MatchString(strings.ToLower(seg)) {
			continue
		}
		if s := snake(strings.TrimSuffix(seg, ".json")); s != "" {
			parts = append(parts, s)
		}
	}
	if len(parts) > 4 {
		parts = parts[len(parts)-4:]
	}
	byParam := strings.ContainsAny(last, "{}")
	verb := map[string]string{"GET": "get", "POST": "create", "PUT": "replace", "PATCH": "update", "DELETE": "delete", "HEAD": "head",
		"OPTIONS": "options"}[o.method]
	switch {
	case o.method == "GET" && !byParam && o.returnsList:
		verb = "list"
	case o.method == "POST" && byParam:
		verb = "update"
	case o.method == "POST" && len(parts) > 0 && slices.Contains(pathVerbs, parts[len(parts)-1]):
		verb = ""
	}
	if verb != "" {
		parts = append(parts, verb)
	}
	if len(parts) == 0 {
		return "call"
	}
	return strings.Join(parts, ".")
}

// unique returns a name that is not yet used.
func unique(name string, taken map[string]bool) string {
	out := name
	for n := 2; taken[out]; n++ {
		out = fmt.Sprintf("%s_%d", name, n)
	}
	taken[out] = true
	return out
}

// oneLine shortens a description to one or two sentences on a line, without markup.
func oneLine(s string, most int) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n\n")
	s = clean(s)
	if len(s) <= most {
		return s
	}
	cut := s[:most]
	if i := strings.LastIndex(cut, ". "); i > most/3 {
		return cut[:i+1]
	}
	if i := strings.LastIndexByte(cut, ' '); i > 0 {
		cut = cut[:i]
	}
	return strings.ToValidUTF8(strings.TrimRight(cut, " ,;:"), "") + "..."
}

// tags match markup, but not an address such as <ada@example.com>.
var tags = regexp.MustCompile(`</?[a-zA-Z][a-zA-Z0-9-]*(?:[\s/][^<>]{0,200})?>`)

// clean removes control characters, markup and expressions from a description.
func clean(s string) string {
	s = tags.ReplaceAllString(strings.ToValidUTF8(s, ""), "")
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x85 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		if r == 0x7f || unicode.Is(unicode.Cf, r) || r >= 0x80 && r < 0xa0 || r >= 0xfffe && r <= 0xffff {
			return -1
		}
		return r
	}, s)
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "${{", "$ {{")
}
