package actions

import (
	"net"
	"net/http"
	"net/url"
	"strings"
)

// follower decides which redirects of a request to follow. Credentials, headers and bodies are for
// the first origin: the server chooses where it redirects to, and must not choose who else receives
// them.
type follower struct {
	// most is the maximum number of redirects.
	most int
	// stopped says why the last redirect was not followed, empty if it was.
	stopped string
}

// check implements http.Client.CheckRedirect. It modifies the request that net/http is about to
// send.
func (f *follower) check(next *http.Request, via []*http.Request) error {
	stop := func(why string) error {
		f.stopped = why
		return http.ErrUseLastResponse
	}
	if len(via) > f.most {
		return stop("there were more redirects than redirects: allows; raise it if they are expected")
	}
	// net/http sets it to the previous URL, whose query may contain a credential.
	next.Header.Del("Referer")
	// A user name in the Location would become an Authorization header.
	next.URL.User = nil
	if next.URL.Scheme != "http" && next.URL.Scheme != "https" {
		return stop("a redirect to a URL that is neither http nor https is not followed")
	}
	first := via[0]
	if first.URL.Scheme == "https" && next.URL.Scheme != "https" {
		return stop("a redirect from https to http is not followed")
	}
	foreign := false
	for _, r := range append(via[1:len(via):len(via)], next) {
		foreign = foreign || origin(r.URL) != origin(first.URL)
	}
	if !foreign {
		return nil
	}
	if next.Method != http.MethodGet && next.Method != http.MethodHead {
		return stop("a redirect of a " + next.Method + " to another origin is not followed, because it would send the body there")
	}
	kept := http.Header{}
	for _, name := range []string{"User-Agent", "Accept", "Accept-Language", "Range"} {
		if v := next.Header.Values(name); len(v) > 0 {
			kept[name] = v
		}
	}
	next.Header = kept
	return nil
}

// origin returns scheme, host and port of a URL; without the port if it is the scheme's default.
func origin(u *url.URL) string {
	host := strings.ToLower(u.Hostname())
	if port := u.Port(); port != "" && !(u.Scheme == "https" && port == "443") && !(u.Scheme == "http" && port == "80") {
		return u.Scheme + "://" + net.JoinHostPort(host, port)
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return u.Scheme + "://" + host
}
