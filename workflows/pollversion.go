package workflows

import (
	"net/url"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"github.com/hookloom/hookloom/workflows/value"
)

// PollVersionHeader is the header under which a polled event stores the version of the provider's API.
// It is no header of a request, so expressions do not see it.
const PollVersionHeader = "x-polled-api-version"

var (
	// versionHeader matches the names of headers that select a version, such as Stripe-Version,
	// Notion-Version, X-GitHub-Api-Version and X-Shopify-API-Version.
	versionHeader = lazyregexp.New(`(?i)^(x-)?([a-z0-9]+-)*(api-)?version$`)
	// versionQuery are the parameters that do, such as Azure's api-version.
	versionQuery = []string{"api-version", "api_version", "apiversion"}
	// versionSegment matches a part of a path that names one, such as v3, v59.0 and 2026-01.
	versionSegment = lazyregexp.New(`^(v[0-9]{1,3}(\.[0-9]{1,3})*|20[0-9]{2}-[0-9]{2}(-[0-9]{2})?)$`)
)

// PolledVersion returns the version of the provider's API that the request of a poll names as a
// constant: in a header, in the query, or in the path of its URL; empty for none.
func (p *Project) PolledVersion(poll *Poll) string {
	c := p.Connections[poll.Request.Field("connection").Template()]
	headers := []*Value{poll.Request.Field("headers")}
	base := ""
	if c != nil {
		headers, base = append(headers, c.Headers), c.BaseURL.Template()
	}
	for _, h := range headers {
		if v := versionIn(h, versionHeader.MatchString); v != "" {
			return v
		}
	}
	isParameter := func(name string) bool { return slices.Contains(versionQuery, strings.ToLower(name)) }
	if v := versionIn(poll.Request.Field("query"), isParameter); v != "" {
		return v
	}
	for _, text := range []string{poll.Request.Field("url").Template(), base} {
		u, err := url.Parse(strings.ReplaceAll(text, "{}", "x"))
		if err != nil {
			continue
		}
		for name, list := range u.Query() {
			if isParameter(name) && len(list[0]) <= maxAPIVersion {
				return list[0]
			}
		}
		for segment := range strings.SplitSeq(u.Path, "/") {
			if versionSegment.MatchString(segment) {
				return segment
			}
		}
	}
	return ""
}

// versionIn returns the constant of the first key that names a version.
func versionIn(m *Value, names func(string) bool) string {
	for _, name := range m.Keys() {
		v, constant := m.Field(name).IsConstant()
		if text := value.Shown(v); names(name) && constant && v != nil && text != "" && len(text) <= maxAPIVersion {
			return text
		}
	}
	return ""
}
