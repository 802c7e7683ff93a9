package triggers

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/engine"
)

// hookCase is a trigger and the requests to it.
type hookCase struct {
	name string
	// webhook is that of the trigger t; config is the whole file in its place.
	webhook, config string
	requests        []string
	// err is how the store, or what a handshake asks for, fails.
	err   error
	await bool
	// from is the address that hookloom verify is given.
	from []string
}

const (
	posted = "POST /hooks/t\nContent-Type: application/json\n\n"
	signed = "POST /hooks/t\nContent-Type: application/json\nX-Sig: {hmac}\n\n"
	custom = `verify: {algorithm: hmac-sha256, signature: {from: {header: X-Sig}, encoding: hex}}, key: body.id, secret: "${{ secrets.S }}"`
)

var hookCases = []hookCase{
	{name: "open", webhook: `auth: none, key: body.id, event_type: body.type, events: [a, b.*]`, requests: []string{
		posted + `{"id":1,"type":"a"}`, posted + `{"id":1,"type":"a"}`, posted + `{"id":2,"type":"c"}`, posted + `{"id":"x y","type":"b.c"}`,
		posted + `{"type":"a"}`, posted + `{"id":[1],"type":{"x":1}}`, posted + `{"id":`, posted + `7`, posted, "GET /hooks/t\n\n",
		"PUT /hooks/t\n\n{}",
		"POST /hooks/other\n\n{}", "POST /hooks/T/\nContent-Type: text/plain\n\nplain",
		"POST /hooks/t?b=2&a=1&a=3\nX-Event-Id: e\nDate: x\n\nid=9",
		"POST /hooks/t\nContent-Type: application/x-www-form-urlencoded\n\nid=9&type=a", "POST /hooks/t\nContent-Encoding: br\n\n{}",
		"POST /hooks/t\nContent-Type: application/xml\n\n<a/>"}},
	{name: "by content", webhook: `auth: none`, requests: []string{posted + `{"b":1,"a":2}`, posted + `{"b":1,"a":2}`,
		"POST /hooks/t\nIdempotency-Key: k\n\n{}", "POST /hooks/t\nX-Event-Id: e\nX-Event-Type: made\n\n{}",
		"POST /hooks/t\nContent-Type: application/json\nwebhook-id: w\n\n{}", "POST /hooks/t\nce-id: 1\nce-source: /s\nce-type: t\nce-time: " +
			"2000-01-01T00:00:00Z\n\n{}", "POST /hooks/t\nContent-Type: application/cloudevents+json\n\n" +
			`{"specversion":"1.0","id":"i","source":"/s","type":"y","time":"1999-12-31T23:00:00+01:00","data":{}}`}},
	{name: "data and dedupe",
		webhook:  `auth: none, key: '[body.a, headers["x-b"]]', data: "{n: body.n, q: query.q, p: path, m: method}", dedupe: 2h`,
		requests: []string{"POST /hooks/t?q=1\nX-B: b\nContent-Type: application/json\n\n" + `{"a":"a/b","n":1.50}`, posted + `{"a":1}`}},
	{name: "a schema that refuses", webhook: `auth: none, key: body.id, schema: {type: object, required: [n]}, on_invalid: refuse`,
		requests: []string{posted + `{"id":1,"n":1}`, posted + `{"id":2}`, posted + `{"id":`}},
	{name: "a schema of data", webhook: `auth: none, key: body.id, data: "[body][body.at]", schema: {type: object, required: [n]}, ` +
		`on_invalid: dead_letter`, requests: []string{posted + `{"id":1,"n":1,"at":0}`, posted + `{"id":2,"at":0}`, posted +
		`{"id":3,"at":1}`}},
	{name: "a schema that marks", webhook: `auth: none, key: body.id, event_type: body.type, events: [a], schema: {required: [n]}, ` +
		`on_invalid: mark`, requests: []string{posted + `{"id":1,"type":"a"}`, posted + `{"id":2,"type":"b"}`}},
	{name: "a list",
		webhook: `auth: none, split: body.list, key: item.id, event_type: item.type, data: "{of: body.of, x: [1][item.n]}", schema: ` +
			`{required: [of]}`, requests: []string{posted + `{"of":1,"list":[{"id":1,"n":0,"type":"a"},{"id":2,"n":0},{"n":0},{"n":0}]}`,
			posted + `{"of":1,"list":[{"id":1,"n":1}]}`, posted + `{"list":7}`, posted + `{"list":[7]}`, posted + `{"list":[]}`,
			posted + `{"list":[` + strings.Repeat("1,", maxSplit) + `1]}`}},
	{name: "a list that fails", webhook: `auth: none, split: "[body.list][body.n]", key: item`, requests: []string{posted +
		`{"list":[1,2],"n":0}`,
		posted + `{"list":[1,2],"n":1}`}},
	{name: "a deep list", webhook: `auth: none, split: "body?.a.list"`, requests: []string{posted +
		`{"a":{"list":[{"x":1},{"x":1}],"y":2},"z":3}`,
		posted + `[1]`, posted + `{"a":7}`}},
	{name: "a signature", webhook: custom + `, event_type: body.type`, requests: []string{signed + `{"id":1,"type":"a"}`, posted +
		`{"id":1}`,
		strings.Replace(signed, "{hmac}", "{other}", 1) + `{"id":1}`, strings.Replace(signed, "{hmac}", "zz", 1) + `{"id":1}`,
		strings.Replace(signed, "X-Sig", "X-Other-Signature", 1) + `{"id":1}`, signed + `{"id":1}`, signed + fmt.Sprintf("%70000d", 1)}},
	{name: "a secret in quotes", webhook: strings.Replace(custom, "secrets.S", "secrets.Q", 1), requests: []string{signed + `{"id":1}`}},
	{name: "a secret with a prefix", webhook: strings.Replace(custom, "secrets.S", "secrets.N", 1), requests: []string{signed + `{"id":1}`}},
	{name: "a secret with a line feed at the sender", webhook: custom, requests: []string{strings.Replace(signed, "{hmac}", "{line}", 1) +
		`{"id":1}`}},
	{name: "the secret of another trigger", config: "triggers:\n  t: {webhook: {" + custom + "}}\n  other: {webhook: {" +
		strings.Replace(custom, "secrets.S", "secrets.O", 1) + "}}\n", requests: []string{strings.Replace(signed, "{hmac}", "{other}", 1) +
		`{"id":1}`}},
	{name: "no secret", webhook: strings.Replace(custom, "secrets.S", "secrets.NONE", 1), requests: []string{signed + `{"id":1}`}},
	{name: "a key that is not read", webhook: strings.Replace(custom, "encoding: hex}", "encoding: hex}, key_encoding: hex", 1),
		requests: []string{signed + `{"id":1}`}},
	{name: "bearer", webhook: `auth: {bearer: "${{ secrets.S }}"}, key: body.id`, requests: []string{posted + `{"id":1}`,
		"POST /hooks/t\nContent-Type: application/json\nAuthorization: Bearer " + ownSecret + "\n\n" + `{"id":1}`,
		"POST /hooks/t\nContent-Type: application/json\nAuthorization: Bearer wrong\n\n" + `{"id":1}`}},
	{name: "basic", webhook: `auth: {basic: {user: u, password: "${{ secrets.S }}"}}, key: body.id`, requests: []string{
		"POST /hooks/t\nContent-Type: application/json\nAuthorization: Basic dTphLXNlY3JldC1vZi10aGlzLXRlc3QtMDEyMw==\n\n" + `{"id":1}`,
		"POST /hooks/t\nContent-Type: application/json\nAuthorization: Basic dTp4\n\n" + `{"id":1}`}},
	{name: "a user with a colon", webhook: `auth: {basic: {user: "${{ secrets.COLON }}", password: "${{ secrets.S }}"}}`},
	{name: "a secret in a header", webhook: `auth: {header: {name: X-Key, value: "${{ secrets.S }}"}}, key: body.id`, requests: []string{
		"POST /hooks/t\nX-Key: " + ownSecret + "\nContent-Type: application/json\n\n" + `{"id":1}`, posted + `{"id":1}`}},
	{name: "a secret in the query", webhook: `auth: {query: {name: key, value: "${{ secrets.S }}"}}, key: body.id`, requests: []string{
		"POST /hooks/t?key=" + ownSecret + "&a=1\nContent-Type: application/json\n\n" + `{"id":1}`, "POST /hooks/t?key=wrong-secret\n\n{}"}},
	{name: "a secret of nothing", webhook: `auth: {header: {name: X-Key, value: "${{ secrets.NONE ?? '' }}"}}, key: body.id`},
	{name: "addresses",
		config: "server: {trusted_proxies: [198.51.100.0/24]}\ntriggers:\n  t: {webhook: {auth: none, key: body.id, allow_ips: " +
			"[192.0.2.0/24]}}\n", from: []string{"203.0.113.9"}, requests: []string{posted + `{"id":1}`,
			"POST /hooks/t\nRemote: 203.0.113.9:1\n\n{}", "POST /hooks/t\nRemote: 198.51.100.1:1\nX-Forwarded-For: 192.0.2.9\n\n{}",
			"POST /hooks/t\nRemote: 198.51.100.1:1\nX-Forwarded-For: 203.0.113.9\nForwarded: for=192.0.2.1\n\n{}",
			"POST /hooks/t\nRemote: 198.51.100.1:1\n\n{}"}},
	{name: "addresses that are not given", config: "triggers:\n  t: {webhook: {auth: none, key: body.id, allow_ips: [192.0.2.0/24]}}\n",
		requests: []string{posted + `{"id":1}`, "POST /hooks/t\nRemote: nowhere\n\n{}"}},
	{name: "a certificate", webhook: `auth: none, key: body.id, client_cert: [partner.example.com]`, requests: []string{posted +
		`{"id":1}`}},
	{name: "browsers", webhook: `auth: none, key: body.id, cors: {origins: ["https://a.example"]}`, requests: []string{
		"OPTIONS /hooks/t\nOrigin: https://a.example\nAccess-Control-Request-Method: POST\nAccess-Control-Request-Headers: x-a, x-b\n\n",
		"OPTIONS /hooks/t\nOrigin: https://b.example\nAccess-Control-Request-Method: POST\n\n",
		"OPTIONS /hooks/t\nOrigin: https://a.example\n\n",
		"POST /hooks/t\nOrigin: https://A.example\n\n{}", "POST /hooks/t\nOrigin: https://b.example\n\n{}", posted + `{}`}},
	{name: "any browser", webhook: `auth: none, key: body.id, cors: {origins: ["*"]}`, requests: []string{
		"OPTIONS /hooks/t\nOrigin: https://b.example\nAccess-Control-Request-Method: POST\nAccess-Control-Request-Headers: a;b\n\n"}},
	{name: "a limit of bytes", webhook: `auth: none, key: body.id, max_body: 1KiB`, requests: []string{posted + fmt.Sprintf("%1025d", 1),
		posted + fmt.Sprintf("%1024d", 1)}},
	{name: "a rate", webhook: `auth: none, key: body.id, rate: 2/h`, requests: []string{posted + `{"id":1}`, posted + `{"id":2}`,
		posted + `{"id":3}`}},
	{name: "a store that fails", webhook: `auth: none, key: body.id`, err: errors.New("broken"), requests: []string{posted + `{"id":1}`}},
	{name: "a full disk", webhook: `auth: none, key: body.id`, err: engine.ErrFull, requests: []string{posted + `{"id":1}`}},
	{name: "a busy engine", webhook: `auth: none, split: body`, err: engine.ErrBusy, requests: []string{posted + `[1,2]`}},
	{name: "an answer of its own",
		webhook: `auth: none, key: body.id, event_type: body.type, events: [a], respond: {status: 201, headers: ` +
			`{X-A: "2", X-B: "a\nb"}, body: {ok: true}}`, requests: []string{posted + `{"id":1,"type":"a"}`, posted +
			`{"id":1,"type":"b"}`}},
	{name: "a status of its own", webhook: `auth: none, key: body.id, event_type: body.type, events: [a], respond: {status: 204}`,
		requests: []string{posted + `{"id":1,"type":"a"}`, posted + `{"id":2,"type":"b"}`}},
	{name: "the answer of a run", webhook: `auth: none, key: body.id, respond: sync`, requests: []string{posted + `{"id":1}`,
		posted + `{"id":2}`, posted + `{"id":1}`}},
	{name: "slack", webhook: `provider: slack, secret: "${{ secrets.S }}"`, requests: []string{posted +
		`{"type":"url_verification","challenge":"c"}`}},
	{name: "a captured secret", webhook: `provider: asana, secret: "${{ secrets.NEW }}"`, await: true, requests: []string{
		"POST /hooks/t\nX-Hook-Secret: a-new-secret-of-asana\n\n", "POST /hooks/t\nX-Hook-Secret: a-new-secret-of-asana\n\n",
		"POST /hooks/t\nX-Hook-Secret: short\n\n", posted + `{"events":[]}`}},
	{name: "a captured secret that cannot be saved", webhook: `provider: asana, secret: "${{ secrets.NEW }}"`, await: true,
		err: errors.New("read only"), requests: []string{"POST /hooks/t\nX-Hook-Secret: a-new-secret-of-asana\n\n"}},
	{name: "a secret that nobody awaits", webhook: `provider: asana, secret: "${{ secrets.NEW }}"`, requests: []string{
		"POST /hooks/t\nX-Hook-Secret: a-new-secret-of-asana\n\n"}},
}
