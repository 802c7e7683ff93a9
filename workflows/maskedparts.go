package workflows

import (
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/value"
)

// MaskedParts returns the texts in plain that are masked in shown. They identify a value that must
// be masked later, even if the secret has changed by then.
func MaskedParts(shown, plain any) []string {
	var out []string
	maskedParts(shown, plain, &out)
	slices.Sort(out)
	return slices.Compact(out)
}

func maskedParts(shown, plain any, out *[]string) {
	switch p := plain.(type) {
	case map[string]any:
		if s, ok := shown.(map[string]any); ok {
			for k, v := range p {
				maskedParts(s[k], v, out)
			}
			return
		}
	case []any:
		if s, ok := shown.([]any); ok && len(s) == len(p) {
			for i, v := range p {
				maskedParts(s[i], v, out)
			}
			return
		}
	}
	s, ok := shown.(string)
	if !ok || !strings.Contains(s, Mask) {
		return
	}
	if text, err := value.Text(plain); err == nil {
		*out = append(*out, gaps(strings.Split(s, Mask), text)...)
	}
}

// gaps returns the parts of text between the pieces, which follow each other in it.
func gaps(pieces []string, text string) []string {
	rest, ok := strings.CutPrefix(text, pieces[0])
	if !ok {
		return nil
	}
	var out []string
	for i, p := range pieces[1:] {
		at := strings.Index(rest, p)
		if p == "" || i == len(pieces)-2 {
			at = len(rest) - len(p)
		}
		if at < 0 || !strings.HasPrefix(rest[at:], p) {
			return out
		}
		if at >= ShortestMasked && rest[:at] != Mask {
			out = append(out, rest[:at])
		}
		rest = rest[at+len(p):]
	}
	return out
}
