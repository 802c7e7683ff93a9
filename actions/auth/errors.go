package auth

import (
	"errors"
	"net/url"
	"strings"

	"github.com/hookloom/hookloom/engine/plan"
)

// asPlanError returns err as a *plan.Error; nil if it is not one.
func asPlanError(err error) error {
	var known *plan.Error
	if errors.As(err, &known) {
		return known
	}
	return nil
}

// plainError returns an error's text without its URL, whose query may contain inserted values.
func plainError(err error) string {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	text := err.Error()
	if strings.Contains(text, "cannot parse") {
		return "the response cannot be read" // it would quote the response
	}
	return clip(strings.TrimPrefix(text, "oauth2: "), 300)
}

// egressError returns why an address is refused, without the URL.
func egressError(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

// clip shortens a text from the service and removes line breaks.
func clip(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "..."
	}
	return s
}
