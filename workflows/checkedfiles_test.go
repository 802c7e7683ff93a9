package workflows_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows"
)

// TestRareMistakesAreReported: mistakes that need several keys or files, each beside a
// similar text without the mistake.
func TestRareMistakesAreReported(t *testing.T) {
	c := smallCatalog(t)
	var out strings.Builder
	check := func(name string, files workflows.Files) {
		_, mistakes := workflows.LoadFiles(t.TempDir(), files, c, nil)
		fmt.Fprintf(&out, "%s: %d\n", name, len(mistakes))
		for _, m := range mistakes {
			hint := generatedSecret.ReplaceAllString(m.Hint, "(random)")
			fmt.Fprintf(&out, "  %s:%d:%d+%d [%s] %s | %s\n", m.File, m.Line, m.Column, m.Width, m.Code, m.Problem, hint)
		}
	}
	const settings = "triggers: {t: {webhook: {auth: none, key: body.id}}, s: {webhook: {auth: none, key: body.id, respond: " +
		"{mode: sync, timeout: 5s}}}, e: {}}\nconnections: {b: {connector: http, base_url: 'https://b.example.com'}}\n" +
		"files: {max_file: 1MiB}\n"
	for _, step := range rareSteps {
		child := "on: call\ninputs: {n: {type: integer, min: 1}, s: {type: string}}\nsteps: [{stop: x}]\n"
		for _, on := range []string{"t", "s"} {
			if on == "s" && !strings.HasPrefix(step, "sleep") && !strings.HasPrefix(step, "wait") {
				continue
			}
			check(on+" "+step, workflows.Files{"workflows/w.yaml": []byte("on: " + on + "\nsteps:\n  - {id: a, " + step + "}\n"),
				"workflows/child.yaml": []byte(child), "hookloom.yaml": []byte(settings)})
		}
	}
	for _, top := range rareTops {
		check(top,
			workflows.Files{"workflows/w.yaml": []byte(top + "\nsteps:\n  - {id: a, uses: http/post, with: {url: 'https://a.example.com', " +
				"auth: {bearer: '${{ secrets.S }}'}}}\n"), "workflows/child.yaml": []byte("on: call\nsteps: [{stop: x}]\n"),
				"hookloom.yaml": []byte(settings)})
	}
	testgolden.Compare(t, "rare.txt", out.String())
}

// TestMistakesOfConnectorsAreReported: each rule for a connector file, beside a text that keeps it.
func TestMistakesOfConnectorsAreReported(t *testing.T) {
	var out strings.Builder
	check := func(text string) {
		_, mistakes := workflows.CheckConnector("crm.yaml", []byte(text))
		fmt.Fprintf(&out, "%s%d\n", text, len(mistakes))
		for _, m := range mistakes {
			fmt.Fprintf(&out, "  %d:%d+%d [%s] %s | %s\n", m.Line, m.Column, m.Width, m.Code, m.Problem, m.Hint)
		}
	}
	for _, top := range connectorTops {
		check("connector: crm\n" + top + "\n")
	}
	for _, action := range connectorActions {
		check("connector: crm\nbase_url: https://a.example.com\nactions: {a.b: {" + action + "}}\n")
		if strings.Contains(action, "idempotency") {
			check("connector: crm\nidempotency_header: none\nactions: {a.b: {" + action + "}}\n")
			check("connector: crm\nidempotency_query: k\nactions: {a.b: {" + action + "}}\n")
		}
	}
	testgolden.Compare(t, "connectors.txt", out.String())
}

// rareSteps are the steps of workflows, most with one mistake.
var rareSteps = []string{
	"uses: http/get, with: {url: 'https://a.example.com', save: true, max_response: 1MiB}",
	"uses: http/get, with: {url: 'https://a.example.com', save: true, max_response: 1048577B}",
	"uses: http/get, with: {url: 'https://a.example.com', save: '${{ event.data.x }}', max_response: 1GiB}",
	"uses: http/get, with: {url: 'https://a.example.com', save: true, parse: json}",
	"uses: http/get, with: {url: 'https://a.example.com', save: false, parse: json}",
	"uses: http/request, with: {url: 'https://a.example.com', save: true, method: HEAD}",
	"uses: http/request, with: {url: 'https://a.example.com', save: true, method: GET}",
	"uses: http/get, with: {url: 'https://a.example.com', max_response: x}",
	"uses: http/post, with: {url: 'https://a.example.com', raw_file: files/a}",
	"uses: http/post, with: {url: 'https://a.example.com', raw_file: files/../a}",
	"uses: http/post, with: {url: 'https://a.example.com', raw_file: files//a}",
	"uses: http/post, with: {url: 'https://a.example.com', raw_file: files/..}",
	"uses: http/post, with: {url: 'https://a.example.com', raw_file: data/a.txt}",
	"uses: http/post, with: {url: 'https://a.example.com', multipart: {f: {file: /a/b}, g: {path: files/x}, h: {txt: x}}}",
	"uses: http/post, with: {url: 'https://a.example.com', multipart: {f: '@files/a.txt', g: '@a', h: 'a.b'}}",
	"uses: http/post, with: {url: 'https://a.example.com', body: '{\"a\": \"${{ event.data.a }}\"}'}",
	"uses: http/post, with: {url: 'https://a.example.com', body: '[1, ${{ event.data.a }}]'}",
	"uses: http/post, with: {url: 'https://a.example.com', body: '{\"a\": 1}'}",
	"uses: http/post, with: {url: 'https://a.example.com', body: 'x ${{ event.data.a }}'}",
	"uses: http/post, with: {url: 'https://a.example.com', body: '{a ${{ event.data.a }}'}",
	"uses: http/get, with: {url: 'https://a.example.com/${{ secrets.S }}'}",
	"uses: http/get, with: {url: '${{ secrets.S }}'}",
	"uses: http/get, with: {url: '${{ secrets.S }}/x'}",
	"uses: store/get, with: {key: '${{ secrets.S }}'}",
	"uses: store/increment, with: {key: a, ttl: 0s}",
	"uses: store/increment, with: {key: a, ttl: 1s}",
	"uses: store/increment, with: {key: a, ttl: x}",
	"uses: store/increment, with: {key: a, by: x}",
	"uses: store/increment, with: {key: a, by: '5'}",
	"uses: hookloom/emit, with: {trigger: t}",
	"uses: hookloom/emit, with: {trigger: t, type: x}",
	"uses: hookloom/emit, with: {trigger: '${{ event.data.t }}'}",
	"if: event.data.x, uses: hookloom/emit, with: {trigger: t}",
	"uses: hookloom/emit, with: {trigger: e}",
	"uses: hookloom/emit, with: {trigger: tt}",
	"uses: hookloom/emit, with: {trigger: w}",
	"uses: hookloom/emit, with: {trigger: orders_paid}",
	"uses: hookloom/emit, with: {trigger: Orders Paid}",
	"uses: hookloom/emit, with: {trigger: hookloom}",
	"uses: discord/post, with: {text: x}",
	"uses: ./workflows/other.yaml, with: {text: x}",
	"uses: ./other, with: {text: x}",
	"uses: post",
	"uses: store/zzzzzzzz",
	"uses: nothing/here",
	"uses: log, with: {message: x, zzzzzz: 1}",
	"uses: log, with: {mesage: x}",
	"uses: log, with: {message: }",
	"uses: log, with: {message: {a: b}}",
	"uses: log, with: {message: x, level: loud}",
	"uses: log, with: [a]",
	"uses: log, with: '${{ event.data }}'",
	"uses: log",
	"uses: http/get, with: {url: 'https://a.example.com', timeout: 5}",
	"uses: http/get, with: {url: 'https://a.example.com', save: 'files/x'}",
	"uses: http/get, with: {url: 'https://a.example.com', follow: 'x'}",
	"call: w, with: {a: 1}", "call: child, with: {n: x}", "call: child, with: {n: 1, s: 5}", "call: child, with: {s: [1]}",
	"sleep: 4s", "sleep: 5s", "sleep: x", "wait: {approval: x}, timeout: 1h",
}

// rareTops are the keys of workflows above their steps.
var rareTops = []string{
	"on: t\nconcurrency: 1", "on: t\nconcurrency: {limit: 1, on_full: replace}",
	"on: t\nconcurrency: {limit: 1, max_queue: 5, on_full: drop}",
	"on: t\nconcurrency: {limit: 1, max_queue: 5}", "on: t\nconcurrency: [1]", "on: t\nrate: [1]", "on: t\nrate: 5/x", "on: t\nrate: 5/s",
	"on: t\nconcurrency: {group: steps.a.output, limit: 1}", "on: t\nconcurrency: {group: '${{ event.data.a }}', stale: event.data.b}",
	"on: call\nbatch: {key: event.data.id, wait: 1s, size: 5}", "on: s\nbatch: {key: event.data.id, wait: 1s, size: 5}",
	"on: manual\nbatch: {key: event.data.id, wait: 1s, size: 5}", "on: t\nbatch: {wait: 1s, size: 5}\ndebounce: {wait: 1s}",
	"on: t\ncancel_on: {event: tt, key: event.data.id}", "on: t\ncancel_on: {event: zzzzz, key: event.data.id}",
	"on: t\ncancel_on: [{event: e, key: event.data.id}, x]", "on: {workflow_run: {workflows: [w]}}", "on: {workflow_run: {workflows: [x]}}",
	"on: {workflow_run: {workflows: [child]}}", "on: {workflow_run: {workflows: ['*']}}", "on: ", "on: push", "on: cron", "on: tt",
	"on: child",
	"on: {t: {events: [a]}}\nsecrets: []", "on: t\nsecrets: [S]", "on: t\nsecrets: [T]",
}

// connectorTops are the keys of connector files above their actions.
var connectorTops = []string{
	"base_url: https://a.example.com", "base_url: a.example.com", "base_url: \"a${{ connection.x }}\"",
	"base_url: \"http://${{ connection.x }}\"", "base_url: /x", "base_url: ''", "test: me", "test: /me", "auth: {bearer: abc}",
	"auth: {header: {name: X, value: abc}}", "auth: {query: {name: x, value: abc}}", "auth: none", "idempotency_header: none",
	"idempotency_query: key", "connection: {auth: {type: string}}", "connection: {X: {type: string}}", "connection: {x: {type: string}}",
	"connection: {x: {type: string, secret: true, default: abcdefg}}", "connection: {x: {type: integer, default: a}}",
	"connection: {x: {options: [a, b], default: c}}", "connection: {x: {options: [a, b], default: b}}", "defaults: {rate: 5/x}",
	"defaults: {retry: {max: 2, when: nope}}", "defaults: {retry: {max: 2, when: error.status == 5}}", "errors: {retry: [{status: 5xx}]}",
	"errors: {retry: [{status: 600}]}", "actions: {A-b: {request: {path: /x}}}", "actions: {é: {request: {path: /x}}}",
}

// connectorActions are actions of connector files.
var connectorActions = []string{
	"request: {path: x}", "request: {path: /x}", "request: {path: 'https://b.example.com/x/y'}",
	"request: {path: '/x/{orderId}'}",
	"request: {path: '/x/{id'}", "request: {path: '/x?y'}", "request: {path: '${{ inputs.a }}'}", "request: {path: '${{ inputs.a }}/x'}",
	"request: {path: '/${{ inputs.a }}'}, inputs: {a: {type: string}}", "request: {path: /x}, inputs: {a: {type: string}}",
	"request: {path: /x, body: {a: 1}}", "request: {path: /x, method: HEAD, text: a}",
	"request: {path: /x, method: POST, body: {a: 1}, form: {b: 1}}",
	"request: {path: /x, method: POST, body: {a: 1}}", "request: {path: /x}, inputs: {connection: {type: string}}",
	"request: {path: '/x/{order-id}'}, inputs: {orderId: {type: string}}",
	"request: {path: /x}, output: {a: '${{ response.status }}'}, returns: {a: string, b: string}",
	"request: {path: /x}, output: {a: '${{ response.status }}', c: 2}, returns: {a: integer}",
	"request: {path: /x}, output: {abc: '${{ response.status }}'}, returns: {abd: integer}",
	"request: {path: /x}, output: {a: '${{ response.status }}'}, returns: {a: integer, b: 'string?'}",
	"request: {path: /x}, already: [{when: nope}, {output: 1}, x]",
	"request: {path: /x}, already: [{when: response.status == 409, output: {a: 1}}]",
	"request: {path: /x}, fail: [{when: 5, code: x}, {code: y}, x]",
	"request: {path: /x}, fail: [{when: response.body.ok, code: x, message: '${{ response.body.a }}'}]",
	"request: {path: /x}, check: {value: output, schema: nope}", "request: {path: /x}, check: {value: 'a b', schema: output}",
	"request: {path: /x}, pages: {items: response.body, next: response.body.next}",
	"request: {path: /x}, pages: {items: response.body, total: 5}",
	"request: {path: /x}, pages: {items: nope, page: {query: p}, total: response.body.n}", "request: {path: /x}, idempotency: key",
	"request: {path: /x}, example: {with: {a: 1}}", "request: {path: /x}, example: {with: [a]}",
	"request: {path: /x}, example: {with: {}, request: [a]}",
	"request: {path: '/${{ inputs.a }}'}, inputs: {a: {type: integer, required: true}}, example: {with: {b: 1}, output: {c: 1}}",
	"request: {path: '/${{ inputs.a }}'}, inputs: {a: {type: integer}}, example: {with: {a: x, timeout: 5s}, request: {pth: /x}}",
	"request: {path: /x}, returns: {a: integer}, output: {a: '${{ response.body.a }}'}, " +
		"example: {with: {}, response: {body: {a: x}}}",
	"request: {path: /x}, returns: {a: integer}, output: {a: '${{ response.body.a }}'}, " +
		"example: {with: {}, response: {body: {a: 1}}, output: {a: x}}",
	"request: {path: /x}, returns: {a: integer}, output: {a: '${{ response.body.a }}'}, example: {a: x}",
}
