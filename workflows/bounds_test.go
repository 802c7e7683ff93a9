package workflows_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows"
)

// TestBoundsAndLongTextsAreReported: of each bound the last allowed value and the first that is
// not, units in every form, and long texts, which messages cut.
func TestBoundsAndLongTextsAreReported(t *testing.T) {
	c := smallCatalog(t)
	var out strings.Builder
	check := func(name string, files workflows.Files) {
		_, mistakes := workflows.LoadFiles(t.TempDir(), files, c, nil)
		fmt.Fprintf(&out, "%s: %d\n", name, len(mistakes))
		for _, m := range mistakes {
			hint := generatedSecret.ReplaceAllString(m.Hint, "(random)")
			fmt.Fprintf(&out, "  %d:%d+%d [%s] %s | %s\n", m.Line, m.Column, m.Width, m.Code, m.Problem, hint)
		}
	}
	settings := func(format string, values ...string) {
		for _, v := range values {
			check(fmt.Sprintf("%s of %.30s (%d)", format, v, len(v)),
				workflows.Files{"hookloom.yaml": []byte(strings.ReplaceAll(format, "%", v) + "\n")})
		}
	}
	workflow := func(format string, values ...string) {
		for _, v := range values {
			check(fmt.Sprintf("%s of %.30s (%d)", format, v, len(v)),
				workflows.Files{"workflows/w.yaml": []byte(strings.ReplaceAll(format, "%", v) + "\n"),
					"hookloom.yaml": []byte("triggers: {t: {webhook: {auth: none, key: body.id, respond: {mode: sync, timeout: 5s}}}}\n" +
						"connections: {b: {connector: http, base_url: 'https://b.example.com'}}\n")})
		}
	}
	x := func(n ...int) (out []string) {
		for _, i := range n {
			out = append(out, strings.Repeat("x", i))
		}
		return out
	}
	settings("destinations: {'a.example.com:%': {concurrency: 1}}", "0", "1", "65535", "65536")
	settings("destinations: {a.example.com: {rate: %, concurrency: 1}}", "1/s", "0/s", "1/d", "1/w", "30/m", "5/h", "5")
	settings("egress: {allow: ['%']}", "[::1]", "::1", "10.0.0.1/32", "10.0.0.1/33", "::/128", "::/129", "a", "a.b.", "A.b",
		"-a.b", "localhost:1")
	settings("server: {tokens: {%: \"${{ secrets.S }}\"}}", x(99, 100, 101)...)
	settings("server: {addr: '%'}", ":0", ":65535", ":65536", "x", "[::1]:1", "1.2.3.4", "localhost:80", "8080", ":")
	settings("files: {max_file: %, max_size: 1GiB}", "1GiB", "1025MiB", "1000B", "1073741825B")
	settings("secrets: {timeout: %, command: [a]}", "999ms", "1s", "1m", "61s", "5m", "301s", "10m", "601s")
	settings("history: {keep: '%'}", "1d", "0s", "99", "100", "90", "1.5", "1h30", "1h75", "PT5M", "P1DT12H", "P", "PT",
		"2 weeks", "1000 weeks", "999w", "3 days", "2 mins",
		"1 sec", "5 hrs", "1 month", "36500d", "36501d", "1h30m", "1.5h", "-1s", "1 H", "1ms", "100ms", "1e3")
	settings("history: {max_size: '%'}", "1KiB", "1kb", "5", "999999999999KB", "9999999999999KB", "1GB", "1MB", "1KB", "1B", "1TiB")
	settings("connections: {j: {connector: http, auth: "+
		"{jwt_bearer: {issuer: a, audience: b, use: direct, key: \"${{ secrets.K }}\", lifetime: %}}}}",
		"999ms", "1s", "1h", "3601s")
	settings("connections: {h: {connector: http, base_url: 'https://a.example.com', expired: {status: %}}}", "99", "100", "599",
		"600", "[400-399]", "4xx", "[0xx, 6xx]",
		"400-400")
	settings("triggers: {a: {webhook: {auth: none, key: body.id, max_body: %}}}", "32MiB", "33554433B", "0B", "1B")
	settings("triggers: {a: {webhook: {auth: none, key: body.id, respond: {mode: sync, timeout: %}}}}", "5m", "301s", "0s", "1ms")
	settings("triggers: {a: {webhook: {auth: none, key: body.id, expect: {within: %}}}}", "1s", "0s", "1m", "learned", "leaned", "59s")
	settings("triggers: {a: {schedule: {every: %}}}", "999ms", "1s", "1ms")
	settings("triggers: {a: {schedule: {every: 1h, jitter: %}}}", "0s", "1h", "61m")
	settings("triggers: {a: {poll: {every: %, request: {url: 'https://a.example.com'}, items: response.body, key: item.id}}}",
		"5s", "4999ms")
	settings("triggers: {a: {poll: {every: 5s, request: {url: '%'}, items: response.body, key: item.id}}}", append(x(60, 61),
		"/"+x(60)[0],
		"//"+x(61)[0], "ftp://"+x(60)[0], "https:"+x(61)[0], "https://%zz"+x(60)[0], "https://")...)
	settings("vars: {a: %}", "9223372036854775807", "9223372036854775808", "0x10", "0o17", "017", "1_000", "1e400", ".5", "-0",
		"yes", "1.50")
	workflow("on: manual\nsteps: [{id: a, uses: http/get, with: {url: '%'}}]", append(x(60, 61), "//"+x(58)[0], "//"+x(61)[0],
		"ftp://"+x(61)[0],
		"https:"+x(61)[0], "https://"+x(61)[0]+"%zz", "https:///"+x(61)[0], "a b")...)
	workflow("on: manual\nsteps: [{id: a, uses: http/get, with: {url: '%', connection: b}}]", append(x(60, 61), "/"+x(61)[0],
		"//"+x(61)[0])...)
	workflow("on: manual\nsteps: [{id: a, uses: http/get, with: {url: 'https://a.example.com', max_response: %}}]", "4MiB", "4194305B")
	workflow("on: manual\nsteps: [{id: a, uses: http/get, with: {url: 'https://a.example.com', save: true, max_response: %}}]",
		"256MiB", "268435457B")
	workflow("on: manual\nsteps: [{id: a, uses: store/get, with: {key: %}}]", x(256, 257)...)
	workflow("on: manual\nsteps: [{id: a, uses: log, with: {message: '%'}}]", "event.data."+x(60)[0], "event.data."+x(40)[0],
		"{{ "+x(70)[0]+".a }}", "{{ a.b }}",
		"x {{ a.b }} {{ c }}", "<%= "+x(70)[0]+" %>", "$"+"{"+x(70)[0]+"}", "x ${a.b}", "{"+"% "+x(70)[0]+" %}", "$$"+"{{ a }}")
	workflow("on: t\ndebounce: {key: event.data.id, wait: %}\nsteps: [{stop: x}]", "9ms", "10ms", "7d", "169h")
	workflow("on: t\ndebounce: {key: event.data.id, wait: 10s, max: %}\nsteps: [{stop: x}]", "9s", "10s", "7d", "169h")
	workflow("on: t\nbatch: {key: event.data.id, wait: 1s, size: %}\nsteps: [{stop: x}]", "1", "2", "1000", "1001")
	workflow("on: manual\nrate: {limit: 1, per: %}\nsteps: [{stop: x}]", "1ms", "0.5ms", "0s")
	workflow("on: manual\ndeadline: 10s\nsteps: [{sleep: %}, {sleep: 1s}]", "8s", "9s", "10s")
	workflow("on: manual\nsteps: [{id: a, uses: log, with: {message: a}, timeout: 10s, deadline: %}]", "9s", "10s", "11s", "0s")
	workflow("on: manual\nsteps: [{id: a, timeout: 10s, deadline: %, steps: [{sleep: 5s}]}]", "4s", "5s", "9s", "10s", "11s")
	workflow("on: manual\nsteps: [{id: a, uses: log, with: {message: a}, timeout: %}]", "24h", "25h", "0s", "1ms")
	workflow("on: manual\nsteps: [{id: a, uses: log, with: {message: a}, retry: {max: 2, delay: %, max_delay: 1m}}]", "59s", "1m", "61s")
	workflow("on: {mcp: {description: d, timeout: %}}\nsteps: [{stop: x}]", "5m", "301s")
	workflow("on: t\nsteps: [{uses: log, with: {message: a}, id: w}, {wait: {event: t, key: a, since: %}, timeout: 1h}]", "30d",
		"31d", "1s")
	deep := func(n int) string { return strings.Repeat("{steps: [", n) + "{stop: x}" + strings.Repeat("]}", n) }
	workflow("on: manual\nsteps: [%]", deep(7), deep(8), deep(9), strings.Repeat("{set: {a: 1}}, ", 499)+"{stop: x}",
		strings.Repeat("{set: {a: 1}}, ", 500)+"{stop: x}")
	workflow("on: manual\nsteps: [{set: {a: %}}]", strings.Repeat("[", 50)+strings.Repeat("]", 50), strings.Repeat("[",
		95)+strings.Repeat("]", 95),
		strings.Repeat("[", 101)+strings.Repeat("]", 101))
	workflow("on: manual\nsteps: [{set: {a: '%'}}] # "+x(200)[0], "${{ 1 + }}", strings.Repeat("y", 90)+" ${{ 1 + }}",
		strings.Repeat("y", 200)+" ${{ 1 + }}")
	workflow("on: manual\nsteps: [{id: a, uses: '%'}]", append(x(40, 41, 100), "http", "http/", "htp/get", "Http/get", "http/GET",
		"store", "HTTP")...)
	testgolden.Compare(t, "bounds.txt", out.String())
}
