package workflows

import (
	"fmt"
	"slices"
	"strings"
)

// Paging says how a poll finds the next page of a list: by the URL in the response (Next,
// LinkHeader), by counting (Page, Offset), or by a token. If none is set, the list has one page.
type Paging struct {
	// Next gives the next page's URL; with LinkHeader, the Link header does.
	Next       *Expr
	LinkHeader bool
	// Page counts pages, Offset items; nil if not used.
	Page, Offset *PageCount
	// Token gives the token of the next page, which is sent as TokenAt.
	Token   *Expr
	TokenAt PageParameter
	// Size is the number of items of a full page, 0 if unknown. SizeAt is the parameter that sends
	// it; its Name is empty if it is not sent.
	Size   int
	SizeAt PageParameter
	// Until is true on the last page; nil if not used.
	Until *Expr
}

// Any reports whether the list has pages.
func (p *Paging) Any() bool {
	return p.Next != nil || p.LinkHeader || p.Page != nil || p.Offset != nil || p.Token != nil
}

// PageCount is a number that increases from page to page.
type PageCount struct {
	PageParameter
	From int
}

// PageParameter is the query parameter, or with Body the key of the request body, that selects a
// page.
type PageParameter struct {
	Name string
	Body bool
}

// AsksFrom reports whether the request reads the cursor: the service then omits older items.
func (p *Poll) AsksFrom() bool {
	reads := false
	p.Request.exprs(func(e *Expr) { reads = reads || e.Reads("cursor") })
	return reads
}

// paging reads pages:.
func (d *decoder) paging(o *objectNode) Paging {
	var p Paging
	var ways []string
	for _, way := range []string{"next", "page", "offset", "token"} {
		if o.has(way) {
			ways = append(ways, way)
		}
	}
	switch {
	case len(ways) > 1:
		d.add(o.keyAt(ways[1]), "exclusive-keys", "pages needs exactly one of next, page, offset and token", "keep "+ways[0]+" or "+ways[1])
	case len(ways) == 0 && !o.unknown:
		d.add(o.pos(), "exclusive-keys", "pages needs exactly one of next, page, offset and token",
			"add page: {query: page}, next: header link, or token: response.body.next with query: cursor")
	}
	if p.LinkHeader = o.text("next", "") == "header link"; !p.LinkHeader && o.vals["next"] != nil {
		p.Next = d.expression(o.vals["next"])
	}
	p.Page, p.Offset = d.pageCount(o, "page", 1), d.pageCount(o, "offset", 0)
	if v := o.vals["token"]; v != nil {
		p.Token, p.TokenAt = d.expression(v), d.pageParameter(o, "cursor")
	} else if len(ways) == 1 && !o.unknown {
		for _, name := range []string{"query", "body"} {
			if o.has(name) {
				d.add(o.keyAt(name), "needs-key", name+" of pages belongs to token", "remove "+name+":")
			}
		}
	}
	if s := o.object("size"); s != nil {
		p.Size, p.SizeAt = s.integer("value", 0), d.pageParameter(s, "limit")
	} else {
		p.Size = o.integer("size", 0)
	}
	if v := o.vals["until"]; v != nil {
		p.Until = d.expression(v)
	}
	return p
}

// pageCount reads a counter; nil if it is not set.
func (d *decoder) pageCount(o *objectNode, name string, from int) *PageCount {
	x := o.object(name)
	if x == nil {
		return nil
	}
	return &PageCount{PageParameter: d.pageParameter(x, name), From: x.integer("from", from)}
}

// pageParameter reads the parameter of a number or token; usual is the common name.
func (d *decoder) pageParameter(o *objectNode, usual string) PageParameter {
	switch inQuery, inBody := o.has("query"), o.has("body"); {
	case inQuery && inBody:
		d.add(o.keyAt("body"), "exclusive-keys", "query (in the URL) and body are mutually exclusive", "keep one of them")
	case !inQuery && !inBody && !o.unknown:
		d.add(o.pos(), "exclusive-keys", "pages needs the parameter's name in query: (sent in the URL) or in body:",
			"add query: "+usual+", or the service's name for it")
	}
	if o.has("body") {
		return PageParameter{Name: o.text("body", ""), Body: true}
	}
	return PageParameter{Name: o.text("query", "")}
}

// foreignRoots are names that other keys or other tools define; in a poll they are fields of the
// response or of an item.
var foreignRoots = []string{
	"body", "data", "event", "payload", "json", "items", "id", "headers", "status", "url", "key",
	"type", "results", "records", "rows", "list", "next",
}

// answerHint returns how to refer to a part of a poll's response.
func answerHint(name string) string {
	switch name {
	case "headers", "status", "url", "body":
		return "write response." + name
	case "event", "payload", "json":
		return "write response.body"
	case "item":
		return "item exists in key, cursor, data and event_type; the response is response.body"
	}
	if slices.Contains(foreignRoots, name) {
		return "response.body." + name
	}
	return ""
}

// itemHint returns how to refer to a part of an item.
func itemHint(name string) string {
	switch name {
	case "body", "headers", "status", "url", "event", "payload", "json", "data":
		return "write item for the item, such as item.id, and response.body for the whole response"
	}
	if slices.Contains(foreignRoots, name) {
		return "item." + name
	}
	return ""
}

// Outline returns a description of the request; requests that are written the same have equal
// outlines.
func (p *Poll) Outline() string {
	var b strings.Builder
	p.Request.outline(&b)
	return b.String()
}

func (v *Value) outline(b *strings.Builder) {
	if v == nil {
		return
	}
	switch v.kind {
	case constantValue:
		fmt.Fprintf(b, "%v;", v.constant)
		return
	case exprValue:
		fmt.Fprintf(b, "${%s};", v.expr.Text)
	}
	for _, x := range v.parts {
		if b.WriteString(x.text); x.expr != nil {
			fmt.Fprintf(b, "${%s}", x.expr.Text)
		}
	}
	for _, x := range v.list {
		x.outline(b)
	}
	for i, x := range v.values {
		fmt.Fprintf(b, "%s=", v.keys[i])
		x.outline(b)
	}
}

// Counter returns the counter of pages or items; nil if none is used.
func (p *Paging) Counter() *PageCount {
	if p.Page != nil {
		return p.Page
	}
	return p.Offset
}

// LimitNames are the query parameters and body keys that limit the number of items in a response.
var LimitNames = []string{"limit", "per_page", "perpage", "page_size", "pagesize", "page[size]", "size", "count",
	"first", "top", "$top", "rows", "take",
	"max", "max_results", "maxresults"}

// limited returns the parameter that limits the number of items; empty if there is none.
func (p *Poll) limited() string {
	for _, place := range []string{"query", "body"} {
		for _, name := range p.Request.Field(place).Keys() {
			if slices.Contains(LimitNames, strings.ToLower(name)) {
				return name
			}
		}
	}
	return ""
}
