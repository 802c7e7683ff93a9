package triggers

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// pollCase is a poll, and the answers to the requests of each time.
type pollCase struct {
	name string
	// poll is what the list says besides every: and request:; config is the whole trigger in its place.
	poll, config string
	polls        [][]string
	state        engine.InletState
	// pages bounds the pages of a first poll.
	pages int
}

// orders begins an answer of orders with an id and a time, in minutes after nine; a case ends it.
func orders(ids ...int) string {
	var out []string
	for _, n := range ids {
		out = append(out, fmt.Sprintf(`{"id":%d,"at":"2026-05-01T09:%02d:00Z"}`, n, n))
	}
	return `{"orders":[` + strings.Join(out, ",") + `]`
}

const byTime = `items: response.body.orders, key: item.id, cursor: item.at, `

var pollCases = []pollCase{
	{name: "all of a list, and what the headers say", poll: `key: item.id, event_type: item.kind, data: "{n: item.id}", dedupe: 2d`,
		polls: [][]string{
			{`[{"id":1,"kind":"made"}] ;; etag="v1" ;; last-modified=Fri ;; x-ratelimit-remaining=7 ;; x-ratelimit-limit=10`},
			{`[{"id":2,"kind":"sold"},{"id":1,"kind":"made"}] ;; etag="v2" ;; ratelimit-remaining=5`},
			{` ;; status=304 ;; x-shopify-shop-api-call-limit=3/40`},
			{"!503 2h"}, {"!503 48h"}, {"!503"}, {"!503"},
			{`[{"id":3}] ;; status=304`}, {`[{"id":3}]`}}},
	{name: "items without key, type or time", poll: `key: "[item.a, item.b]", event_type: item.kind, cursor: item.at, backfill: true`,
		polls: [][]string{{`[{"a":1,"at":1},{"b":2,"kind":7,"at":2},{"a":"x","b":"y/z","at":3}]`}, {`[{"x":1}]`}, {`[{"a":1}]`}, {`[]`},
			{`[7]`}}},
	{name: "a cursor of the answer", poll: `items: response.body.list, key: item.id, cursor: response.body.at, backfill: true`,
		polls: [][]string{{`{"list":[{"id":1}],"at":17}`}, {`{"list":[]}`}, {`{"list":[],"at":18}`}}},
	{name: "a cursor of the answer that fails", poll: `items: response.body.list, key: item.id, cursor: "[1][response.body.at]"`,
		polls: [][]string{{`{"list":[{"id":1}],"at":17}`}}},
	{name: "expressions that fail", poll: `items: "[[]][response.body.n]", key: item.id`, polls: [][]string{{`{"n":1}`}, {`{"n":0}`}}},
	{name: "data that fails", poll: `key: item.id, data: "[1][item.n]"`, polls: [][]string{{`[{"id":1,"n":0},{"id":2,"n":1}]`}}},
	{name: "a cursor that fails", poll: `key: item.id, cursor: "[1][item.n]"`, polls: [][]string{{`[{"id":1,"n":0},{"id":2,"n":1}]`}}},
	{name: "a request that fails", config: `poll: {every: 30m, request: {url: "https://shop.example/${{ [1][1] }}"}, key: item.id}`,
		polls: [][]string{{`[]`}}},
	{name: "a list that is not there", poll: `items: response.body.orders, key: item.id`, polls: [][]string{
		{`{"ordres":[{"id":1}],"n":1}`}, {`{"orders":null}`}, {`{}`}, {``}, {`"text"`}, {`[1]`}, {`7`}, {`{"orders":{"a":1},"more":[]}`},
		{`{"a":1}`},
		{`{"a01":1,"a02":1,"a03":1,"a04":1,"a05":1,"a06":1,"a07":1,"a08":1,"a09":1,"a10":1,"a11":1,"a12":1,"a13":1,"a14":1,"a15":1,"a16":1,` +
			`"a17":1,"a18":1,"a19":1,"a20":1,"a21":1,"a22":1}`}}},
	{name: "details", poll: byTime + `detail: {url: "https://shop.example/orders/${{ item.id }}"}, backfill: true`, polls: [][]string{
		{orders(1, 2, 3) + "}", `{"id":1,"whole":true} ;; x-ratelimit-remaining=1`, "!404", "!410"}, {orders(3, 4) + "}", "!500"},
		{orders(3, 4) + "}", `{"id":4}`}}},
	{name: "data of details", poll: byTime +
		`detail: {url: "https://shop.example/${{ item.id }}"}, data: "{of: item.id, all: [1][detail.body.n]}"`,
		polls: [][]string{{orders(1) + "}"}, {orders(2) + "}", `{"n":0}`}, {orders(3) + "}", `{"n":1}`}, {orders(4) + "}"}}},
	{name: "a detail whose request fails", poll: byTime + `backfill: true, detail: {url: "https://shop.example/${{ [1][item.id] }}"}`,
		polls: [][]string{{orders(1) + "}"}}},
	{name: "a schema", poll: byTime + `backfill: true, on_invalid: dead_letter, schema: {type: object, required: [id, total]}`,
		polls: [][]string{{`{"orders":[{"id":1,"at":5},{"id":2,"total":1,"at":6}]}`}}},
	{name: "by a token", poll: byTime + `pages: {token: response.body.next, query: page, max: 2}`, polls: [][]string{
		{orders(3, 2) + `,"next":"b"}`, orders(1) + `,"next":""}`},
		{orders(9, 8) + `,"next":"b"}`, orders(7, 6) + `,"next":"c"}`}, {orders(5, 4) + `,"next":null}`},
		{orders(12) + `,"next":{"a":1}}`}, {orders(12) + `,"next":"b"}`, orders(11) + `,"next":"b"}`},
		{orders(13) + `,"next":"x"}`, "!500"}, {orders(13) + `,"next":"x"}`, "!410", orders(13) + `}`}}},
	{name: "by a token that fails", poll: byTime + `pages: {token: "[1][response.body.n]", query: page}`, polls: [][]string{{orders(1) +
		`,"n":1}`}}},
	{name: "by a number", poll: byTime + `pages: {page: {query: page}, size: {query: limit, value: 2}, max: 3}`, polls: [][]string{
		{orders(1, 2) + "}", orders(3, 4) + "}", orders(5) + "}", orders(1, 2) + "}", orders(3, 4) + "}", orders(5) + "}"},
		{orders(5, 6) + "}", orders(7) + "}", orders(5, 6) + "}", orders(7) + "}"}, {"!404", "!404"}, {orders() + "}"}}},
	{name: "by an offset in the body", poll: byTime + `pages: {offset: {body: from}, max: 2}, backfill: true`, polls: [][]string{
		{orders(1, 2) + "}", orders(3) + "}"}, {orders() + "}"}, {orders(1, 2) + "}", orders(3) + "}"}, {orders() + "}"}}},
	{name: "until", poll: byTime +
		`pages: {page: {query: page, from: 0}, until: "len(items) < 2 || items[0].id > 90", max: 5}, backfill: true`,
		polls: [][]string{{orders(1, 2) + "}", orders(3) + "}", orders(1, 2) + "}", orders(3) + "}"}}},
	{name: "until, which fails", poll: byTime + `pages: {page: {query: page}, until: "[true][response.body.n]"}`,
		polls: [][]string{{orders(1) + `,"n":1}`}}},
	{name: "by a URL", poll: byTime + `pages: {next: response.body.next, max: 3}, backfill: true`, polls: [][]string{
		{orders(1) + `,"next":"/orders?page=2"}`, orders(2) + `,"next":"?after=b"}`, orders(3) + `,"next":false}`},
		{orders(4) + `,"next":17}`}, {orders(4) + `,"next":"b"}`}, {orders(4) + `,"next":[1]}`}, {orders(4) +
			`,"next":"http://shop.example/x"}`},
		{orders(4) + `,"next":"https://%zz/"}`}, {orders(4) + `,"next":"/orders"} ;; url=://`}, {orders(4) + `,"next":"/orders"}`},
		{orders(4) + `,"next":""}`}, {orders(4) + `,"next":"/orders?x"}`, "!404", orders(4) + "}"}}},
	{name: "by a URL that fails", poll: byTime + `pages: {next: "['/a'][response.body.n]"}`, polls: [][]string{{orders(1) + `,"n":1}`}}},
	{name: "by a Link header", poll: byTime + `pages: {next: header link, max: 3}, backfill: true`, polls: [][]string{
		{orders(1) + `} ;; link=<https://shop.example/a,b>; rel=last, <https://shop.example/c,d>; title="x,y>"; REL="Prev NEXT"`,
			orders(2) + "}"},
		{orders(3) + `} ;; link=https://shop.example/a; rel=next`}, {orders(3) + `} ;; link=<https://shop.example/a; rel=next`},
		{orders(3) + `} ;; link=<https://shop.example/a>; rel=nextpage`}, {orders(3) + `} ;; link=<https://shop.example/a>`}}},
	{name: "the newest first, past the cursor", poll: byTime + `pages: {page: {query: page}, max: 9}, overlap: 1m`, polls: [][]string{
		{orders(9, 8) + "}", orders(7, 6) + "}", orders() + "}", orders(9, 8) + "}", orders(7, 6) + "}", orders() + "}"},
		{orders(11, 10) + "}", orders(9, 8) + "}", orders(7, 6) + "}", orders(5, 4) + "}"}}},
	{name: "a limit without pages",
		config: `poll: {every: 1h, request: {url: "https://shop.example/o", query: {since: "${{ cursor }}", limit: 2}}, ` +
			byTime + `overlap: 2m, max_items: 3}`, polls: [][]string{{orders(1, 2) + "}", orders(2, 3) + "}", orders(3) + "}"},
			{orders(3, 4) + "}", orders(4, 5) + "}", orders(5) + "}"}, {orders(9, 8) + "}"}, {orders(5, 5) + "}", orders(5, 5) + "}"},
			{`{"orders":[{"id":70,"at":"2029-01-01T00:00:00Z"},{"id":71,"at":"2029-01-01T00:00:00Z"}]}`}}},
	{name: "at most three at a time", poll: byTime + `max_items: 3, backfill: true`, polls: [][]string{{orders(1, 2, 3, 4, 5) + "}"},
		{orders(1, 2, 3, 4, 5) + "}"}, {orders(1, 2, 3, 4, 5) + "}"}}},
	{name: "a first poll of several polls", poll: `items: response.body.orders, key: item.id, cursor: item.id, ` +
		`pages: {token: response.body.next, query: page, max: 1}`, pages: 2, polls: [][]string{
		{orders(1) + `,"next":"b"}`, orders(2) + `,"next":"c"}`}, {orders(3) + `,"next":"d"}`, orders(4) + `,"next":"e"}`}, {orders(9) +
			"}"},
		{orders(10) + "}"}}},
	{name: "a first poll of times in several polls", poll: byTime + `pages: {token: response.body.next, query: page, max: 1}`,
		polls: [][]string{
			{orders(1) + `,"next":"b"}`}, {`{"orders":[{"id":7,"at":"2026-05-01T10:30:00Z"},{"id":2,"at":"2026-05-01T09:30:00Z"}]}`},
			{orders(7) + "}"}}},
	{name: "a first poll whose third page fails", poll: `items: response.body.orders, key: item.id, ` +
		`pages: {token: response.body.next, query: page, max: 1}`, polls: [][]string{
		{orders(1) + `,"next":"b"}`, orders(2) + `,"next":"c"}`, "!429 30s"}, {orders(3) + "}"}}},
	{name: "comparing",
		config: "webhook: {auth: none, key: body.id}\n    poll: {every: 1h, compare: true, request: {url: \"https://shop.example/o\"}, " +
			byTime + "max_items: 1}", polls: [][]string{{orders(1, 2) + "}"}, {orders(2, 3) + "}"}}},
	{name: "reconciling", config: `webhook: {auth: none, key: body.id, reconcile: {every: 1h, request: {url: "https://shop.example/o"}, ` +
		strings.TrimSuffix(byTime, ", ") + `}}`, polls: [][]string{{orders(1, 2) + "}"},
		{`{"orders":[{"id":3,"at":"2026-05-01T10:58:00Z"},{"id":4,"at":"2026-05-01T10:59:00Z"},{"id":5,"at":"2026-05-01T10:59:01Z"}]}`}}},
	{name: "secrets in the next page",
		config: `poll: {every: 1h, request: {url: "https://shop.example/o", query: {key: "${{ secrets.KEY }}"}, ` +
			`headers: {B: "${{ cursor ?? 'none' }}"}}, ` + byTime +
			`pages: {next: response.body.next, max: 1}, backfill: true}`,
		polls: [][]string{{orders(1) + `,"next":"/o?key=secret+of+KEY&page=2"}`}, {orders(2) + "}"}}},
	{name: "a secret in the next token", config: `poll: {every: 1h, request: {url: "https://shop.example/o?key=${{ secrets.KEY }}"}, ` +
		byTime +
		`pages: {token: response.body.next, query: page, max: 1}, backfill: true}`, polls: [][]string{
		{orders(1) + `,"next":"a secret of KEY and more"}`}, {orders(2) + "}"}}},
	{name: "the end of a list whose pages were turned", poll: byTime +
		`pages: {token: response.body.next, query: page, max: 1}, backfill: true`,
		polls: [][]string{{orders(1) + `,"next":"b"}`}, {orders(2) + `,"cursor":"c","next_url":"https://shop.example/x"}`}}},
	{name: "the end of a list with another continuation", poll: byTime + `pages: {token: response.body.next, query: page}, backfill: true`,
		polls: [][]string{{orders(1) + `,"next_url":"https://shop.example/x"}`}, {orders(2) + `,"has_more":true}`},
			{orders(3) + `,"meta":{"is_last":true}}`}, {orders(4) + `,"cursor":"c"}`}, {orders(5) + `,"next_page":{"href":"/x"}}`},
			{orders(6) + `} ;; link=<https://shop.example/c>; rel=next`}, {orders(7) + `,"a":{"b":{"c":{"d":{"has_more":true}}}}}`},
			{orders(8) + `,"nxet":"https://shop.example/x"}`}, {orders(9) + `,"has more":true,"x":{"more":false}}`}}},
	{name: "a state that cannot be read", poll: byTime, state: engine.InletState{Cursor: json.RawMessage(`{`)}, polls: [][]string{{"[]"}}},
	{name: "a rest that cannot be read", poll: byTime, state: engine.InletState{Rest: json.RawMessage(`{"walk":7}`)},
		polls: [][]string{{"[]"}}},
	{name: "a rest that is not JSON", poll: byTime, state: engine.InletState{Rest: json.RawMessage(`{`)}, polls: [][]string{{"[]"}}},
	{name: "a first walk of another list", poll: byTime, polls: [][]string{{orders(1) + "}"}, {orders(2) + "}"}},
		state: engine.InletState{OKAt: clockOfPolls.Add(-time.Hour), Rest: json.RawMessage(`{"request":"x","walk":{"first":true}}`)}},
	{name: "a cursor of the year 2099", poll: byTime + "overlap: 10m", polls: [][]string{{orders(2) + "}"}},
		state: engine.InletState{OKAt: clockOfPolls.Add(-time.Hour), Cursor: json.RawMessage(`"2099-01-01T00:00:00Z"`)}},
	{name: "failures for long", poll: byTime, polls: [][]string{{"!500"}, {"!500"}, {orders(1) + "}"}},
		state: engine.InletState{OKAt: clockOfPolls.Add(-90 * time.Minute), Failures: 7}},
}
