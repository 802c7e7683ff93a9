package workflows

import (
	"fmt"
	"strings"

	"golang.org/x/net/idna"
)

// ASCIIHost returns a host without port as it is looked up and sent: an international name in its ASCII form
// (xn--..., RFC 5891), as net/http converts it. Other hosts are returned unchanged.
func ASCIIHost(host string) (string, error) {
	if isASCII(host) {
		return host, nil
	}
	out, err := idna.Lookup.ToASCII(host)
	if err != nil {
		return host, fmt.Errorf("%q is not a valid international host name: %w", host, err)
	}
	return out, nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// undecodable says why an ASCII host has a label that cannot be the form of an international one.
func undecodable(host string) error {
	for label := range strings.SplitSeq(strings.ToLower(host), ".") {
		if !strings.HasPrefix(label, "xn--") {
			continue
		}
		if _, err := idna.Lookup.ToASCII(label); err != nil {
			return fmt.Errorf("%q is not the ASCII form of an international name", label)
		}
	}
	return nil
}
