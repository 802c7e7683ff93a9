package workflows

import (
	"strings"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
)

// writtenURL matches the scheme and host of a URL.
var writtenURL = lazyregexp.New(`(?i)https?://([a-z0-9](?:[a-z0-9._-]*[a-z0-9])?(?::[0-9]{1,5})?|\[[0-9a-f:.]+\](?::[0-9]{1,5})?)`)

// Hosts returns the hosts, with a port if one is given, that the project's files name in URLs or
// under destinations. Hosts that only payloads name are not included.
func (p *Project) Hosts() map[string]bool {
	out := map[string]bool{}
	for host := range p.Destinations {
		out[host] = true
	}
	for _, s := range p.sources {
		for _, m := range writtenURL.FindAllSubmatch(s.text, -1) {
			out[strings.ToLower(string(m[1]))] = true
		}
	}
	return out
}
