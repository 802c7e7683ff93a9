package workflows

import (
	"strings"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
)

// This file hides credentials in messages that the tree of a file does not show: those of a file that is
// not YAML (a missing bracket or quote), and passwords inside of a text.

var (
	// namedInText is a key of a credential and the value after it: in quotes, or to the end of the value.
	namedInText = lazyregexp.New(`(?im)(?:[\w-]*(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|bearer|` +
		`authorization|cookie|\bpwd)[\w-]*|\bauth:.*\b(?:value|pass|basic))["']?[ \t]*[:=][ \t]*(?:"([^"\n]*)|'([^'\n]*)|([^"'{\[\s][^,}\]\n]*))`)
	// passwordsInText are the password of a URL, also one with characters that must be escaped there, and
	// that of a connection string.
	passwordsInText = lazyregexp.New(`(?i)://[^/\s:@"']*:([^\s"']+)@|\bpassword\s*=\s*([^\s&"']+)`)
)

// hideNamed hides the values of keys that name credentials in a file without a tree.
func (s *source) hideNamed() {
	s.hideAll(namedInText, string(s.text))
	s.hideAll(passwordsInText, string(s.text))
}

// hideAll hides the groups of each match.
func (s *source) hideAll(form *lazyregexp.Regexp, text string) {
	for _, m := range form.FindAllStringSubmatch(text, -1) {
		for _, value := range m[1:] {
			// An alias or an anchor is named without its sign too.
			value = strings.TrimLeft(strings.TrimSpace(value), "*&!")
			if value != "" && !strings.Contains(value, "${{") && !isPlaceholder(value) {
				s.hide(value)
			}
		}
	}
}
