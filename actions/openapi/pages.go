package openapi

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows"
)

// This file detects whether an operation returns a list page by page. Documents do not say so;
// names of parameters and of response fields do. In doubt, the operation stays a single request.

// paging is the pagination of an operation, as in pages:.
type paging struct {
	// items is an expression whose elements have the type of.
	items string
	of    *workflows.DataType
	// way is whichever of the keys page, offset, token and next is used, with its value.
	way string
	// size is the parameter for the page size, 0 items for none; total is an expression, "" for
	// none.
	sizeName string
	size     int
	total    string
}

var (
	pageNames   = []string{"page", "page_number", "page_num", "page_no", "current_page"}
	offsetNames = []string{"offset", "skip"}
	tokenNames  = []string{"cursor", "page_token", "next_token", "continuation_token", "next_cursor", "after", "page_cursor",
		"next_page_token"}
	sizeNames = []string{"limit", "per_page", "page_size", "perpage", "pagesize", "size", "count", "max_results", "page_limit",
		"top", "pagelen"}
	listNames  = []string{"data", "items", "results", "value", "values", "records", "entries", "objects", "elements", "list", "rows"}
	nextTokens = []string{"next_cursor", "next_page_token", "next_token", "cursor", "continuation_token", "next", "after", "end_cursor",
		"page_token"}
	nextLinks = []string{"next", "next_page", "next_url", "next_page_url", "next_page_uri", "next_link", "odata_next_link", "next_href"}
	totals    = []string{"total", "total_count", "total_items", "total_results", "total_entries", "total_records", "total_size", "count",
		"total_elements", "num_results"}
	plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// largestPage is the largest page size to request.
const largestPage = 1000

// place is a field of a response, at the first or second level.
type place struct {
	name string
	expr string
	typ  *workflows.DataType
}

// places lists the fields of a response.
func places(t *workflows.DataType) []place {
	var out []place
	for _, f := range t.Fields {
		at := member("response.body", f.Name)
		out = append(out, place{snake(f.Name), at, f.Type})
		if f.Type == nil || f.Type.Kind != "object" {
			continue
		}
		for _, g := range f.Type.Fields {
			out = append(out, place{snake(g.Name), optionalMember(at, g.Name), g.Type})
			if g.Type != nil && g.Type.Kind == "object" { // for example, paging.next.after
				for _, h := range g.Type.Fields {
					out = append(out, place{snake(h.Name), optionalMember(optionalMember(at, g.Name), h.Name), h.Type})
				}
			}
		}
	}
	return out
}

func member(of, name string) string {
	if plainName.MatchString(name) {
		return of + "." + name
	}
	return fmt.Sprintf("%s[%q]", of, name)
}

// optionalMember returns a member access whose object may be missing.
func optionalMember(of, name string) string {
	if plainName.MatchString(name) {
		return of + "?." + name
	}
	return fmt.Sprintf("%s?.[%q]", of, name)
}

// pagesOf returns the pagination of an operation; nil for a single request. It removes the
// parameters that select a page from the inputs.
func (o *operation) pagesOf(linkHeader bool) *paging {
	if o.method != "GET" || o.returns == nil || o.content != nil {
		return nil
	}
	p := &paging{}
	if !p.list(o.returns) {
		return nil
	}
	all := places(o.returns)
	var used *input
	switch {
	case linkHeader:
		if p.way = "next: header link"; o.query(pageNames, "integer") != nil {
			used = o.query(pageNames, "integer")
		}
	case o.token(p, all):
		used = o.query(tokenNames, "string")
	case o.query(offsetNames, "integer") != nil:
		used = o.query(offsetNames, "integer")
		p.way = "offset: {query: " + workflows.YAMLText(used.sent) + "}"
	case o.query(pageNames, "integer") != nil:
		used = o.query(pageNames, "integer")
		p.way = "page: {query: " + workflows.YAMLText(used.sent) + firstPage(used) + "}"
	default:
		link := find(all, nextLinks, "string")
		if link == nil || find(all, []string{"previous", "prev", "count", "previous_page", "first", "last"}, "") == nil {
			return nil
		}
		p.way = "next: " + workflows.YAMLText(link.expr)
	}
	counted := strings.HasPrefix(p.way, "page") || strings.HasPrefix(p.way, "offset")
	if total := find(all, totals, "integer"); counted && total != nil {
		p.total = total.expr
	}
	o.inputs = slices.DeleteFunc(o.inputs, func(i *input) bool { return i == used })
	o.sized(p)
	return p
}

// list finds the list in the response: the response itself, the only list, or the one with a common
// name.
func (p *paging) list(t *workflows.DataType) bool {
	if t.Kind == "list" {
		p.items, p.of = "response.body", t.Of
		return true
	}
	var lists []workflows.DataField
	for _, f := range t.Fields {
		if f.Type != nil && f.Type.Kind == "list" {
			lists = append(lists, f)
		}
	}
	for _, f := range lists {
		if len(lists) == 1 || slices.Contains(listNames, snake(f.Name)) {
			p.items, p.of = member("response.body", f.Name), f.Type.Of
			if f.Optional {
				p.items += " ?? []" // the document allows the service to omit the list
			}
			return true
		}
	}
	return false
}

// token finds the parameter and the field of a page token.
func (o *operation) token(p *paging, all []place) bool {
	i := o.query(tokenNames, "string")
	if i == nil {
		return false
	}
	// A field with the parameter's name comes first.
	at := find(all, append([]string{"next_" + snake(i.sent)}, nextTokens...), "string")
	if at == nil || snake(i.sent) == "after" && !slices.Contains([]string{"after", "end_cursor", "next_cursor", "next_after"}, at.name) {
		return false // after may also be a date
	}
	p.way = "token: " + workflows.YAMLText(at.expr) + "\n      query: " + workflows.YAMLText(i.sent)
	return true
}

// sized uses the page size parameter if the document gives its maximum: the largest size needs the
// fewest requests.
func (o *operation) sized(p *paging) {
	for _, kind := range []string{"integer", "number"} {
		i := o.query(sizeNames, kind)
		if i == nil {
			continue
		}
		n, known := i.max.(int)
		if !known {
			n, known = i.initial.(int)
		}
		if !known || n < 1 || n > largestPage {
			return // it stays an input
		}
		p.sizeName, p.size = i.sent, n
		o.inputs = slices.DeleteFunc(o.inputs, func(x *input) bool { return x == i })
		return
	}
}

// query returns a query parameter by name and type.
func (o *operation) query(names []string, kind string) *input {
	for _, name := range names {
		for _, i := range o.inputs {
			if i.in == "query" && snake(i.sent) == name && (i.kind == kind || kind == "integer" && i.kind == "number") {
				return i
			}
		}
	}
	return nil
}

// find returns the first of the names that is a field of a type; "" is any.
func find(all []place, names []string, kind string) *place {
	for _, name := range names {
		for i := range all {
			if all[i].name == name && all[i].typ != nil && (kind == "" || all[i].typ.Kind == kind) {
				return &all[i]
			}
		}
	}
	return nil
}

// firstPage returns the from: setting if pages count from 0.
func firstPage(i *input) string {
	if i.initial == 0 || i.min == 0 && i.initial == nil {
		return ", from: 0"
	}
	return ""
}

// text returns pages: as YAML.
func (p *paging) text() string {
	out := "    pages:\n      items: " + workflows.YAMLText(p.items) + "\n      " + p.way + "\n"
	if p.size > 0 {
		out += fmt.Sprintf("      size: {value: %d, query: %s}\n", p.size, workflows.YAMLText(p.sizeName))
	}
	if p.total != "" {
		out += "      total: " + workflows.YAMLText(p.total) + "\n"
	}
	return out
}

// returns returns the type of the output.
func (p *paging) returns() *workflows.DataType {
	items := &workflows.DataType{Kind: "list", Of: p.of}
	return &workflows.DataType{Kind: "object", Fields: []workflows.DataField{{Name: "items", Type: items},
		{Name: "more", Type: &workflows.DataType{Kind: "boolean"}}}}
}
