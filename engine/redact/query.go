package redact

import (
	"maps"
	"strings"
)

// This file finds the fields of history.redact in query strings: those of event.query, and those that
// a path such as $..iban names at any depth.

func (f *Fields) queryStates() (list []pathState) {
	for _, p := range f.paths {
		if p.Query || !p.Data && p.Steps[0].Deep {
			list = append(list, pathState{p.Steps})
		}
	}
	return list
}

// Query masks the fields of a query; it returns the map itself if there are none.
func (f *Fields) Query(query map[string]string) map[string]string {
	states := f.queryStates()
	if len(states) == 0 {
		return query
	}
	changed := map[string]string{}
	for name, value := range query {
		if safe, ok := f.field(name, value, states); ok && safe != value {
			changed[name] = safe
		}
	}
	if len(changed) == 0 {
		return query
	}
	out := maps.Clone(query)
	maps.Copy(out, changed)
	return out
}

// URL masks the fields of the query of a URL.
func (f *Fields) URL(url string) string {
	before, query, ok := strings.Cut(url, "?")
	states := f.queryStates()
	if !ok || len(states) == 0 {
		return url
	}
	query, fragment, _ := strings.Cut(query, "#")
	if fragment != "" {
		fragment = "#" + fragment
	}
	return before + "?" + string(f.form([]byte(query), states)) + fragment
}
