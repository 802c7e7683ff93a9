package actions_test

import (
	"errors"
	"fmt"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/engine/plan"
)

// refusals are the errors: of the connector used below.
const refusals = `
errors:
  message: response.body?.message
  wait:
    - {status: 429, after: "response.headers['x-reset']"}
    - {body: "response.body?.error == 'busy'", after: response.body.at, code: busy}
  retry: [{status: [500-599, 423]}, {body: "response.body?.error == 'later'", message: "${{ response.body.error }}, please"}]
  permanent: {body: "response.body?.error == 'invalid'", code: invalid_contact}
actions:
  call:
    request: {method: POST, path: /contacts}
    fail: [{when: "response.body?.error == 'taken'", code: taken, message: "${{ response.body.error }}"}]
    already: [{when: "response.status == 409 && response.body?.id != nil", output: {id: "${{ response.body.id }}"}}]
    output: {id: "${{ response.body.id }}"}
`

func TestConnectorErrorsDefineTheRetry(t *testing.T) {
	soon := time.Now().Add(90 * time.Second)
	for _, c := range []struct {
		name      string
		status    int
		header    string
		body      string
		code      string
		retryable bool
		after     time.Duration
		says      string
	}{
		{"wait after seconds of the connector's header", 429, "X-Reset: 7", `{"message": "slow down"}`, "rate_limited", true, 7 * time.Second,
			"answered 429 Too Many Requests: slow down"},
		{"wait after a moment since 1970", 429, fmt.Sprintf("X-Reset: %d", soon.Unix()), "{}", "rate_limited", true, 90 * time.Second,
			"answered 429 Too Many Requests"},
		{"wait after Retry-After where the connector's header is absent", 429, "Retry-After: 5", "{}", "rate_limited", true, 5 * time.Second,
			"answered 429"},
		{"wait by a body of 200, after a date", 200, "", `{"error": "busy", "at": "` + soon.UTC().Format(time.RFC3339) + `"}`, "busy", true,
			90 * time.Second, "answered 200 OK"},
		{"wait at most a day", 429, "X-Reset: 999999", "{}", "rate_limited", true, 24 * time.Hour, "answered 429"},
		{"what cannot be read as after leaves Retry-After", 200, "Retry-After: 5", `{"error": "busy", "at": "soon"}`, "busy", true,
			5 * time.Second, "answered 200 OK"},
		{"retry by a range of statuses", 502, "", `{"message": " down "}`, "http_status", true, 0, "answered 502 Bad Gateway: down"},
		{"retry not before Retry-After", 503, "Retry-After: 120", "{}", "http_status", true, 2 * time.Minute, "answered 503"},
		{"retry by one status", 423, "", "not JSON", "http_status", true, 0, "answered 423 Locked"},
		{"retry by a body of 200, in the rule's words", 200, "", `{"error": "later"}`, "refused", true, 0, "later, please"},
		{"permanent by a body of 200", 200, "", `{"error": "invalid", "message": "no mail"}`, "invalid_contact", false, 0,
			"answered 200 OK: no mail"},
		{"retry stands before permanent", 500, "", `{"error": "invalid"}`, "http_status", true, 0, "answered 500"},
		{"without a rule the status decides", 404, "", `{"message": "no such contact"}`, "http_status", false, 0,
			"answered 404 Not Found: no such contact"},
		{"the action's own failure stands before the connector's", 503, "Retry-After: 3", `{"error": "taken"}`, "taken", true, 3 * time.Second,
			"taken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newService(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
				if k, v, ok := strings.Cut(c.header, ": "); ok {
					w.Header().Set(k, v)
				}
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			})
			out, err := s.call(refusals, nil)
			var e *plan.Error
			if !errors.As(err, &e) {
				t.Fatalf("%v, %v", out, err)
			}
			if e.Code != c.code || e.Retryable != c.retryable || !strings.HasPrefix(e.Message, c.says) || e.Status != c.status {
				t.Errorf("%s, status %d, retryable %v: %s", e.Code, e.Status, e.Retryable, e.Message)
			}
			if d := c.after - e.RetryAfter; d < 0 || d > 3*time.Second || c.after == 0 && d != 0 {
				t.Errorf("tried again after %v, want %v", e.RetryAfter, c.after)
			}
		})
	}
}

func TestConflictMayBeASuccess(t *testing.T) {
	s := newService(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(409)
		fmt.Fprint(w, `{"id": 7}`)
	})
	if out, err := s.call(refusals, nil); err != nil || fmt.Sprint(out) != "map[id:7]" {
		t.Errorf("%v, %v", out, err)
	}
}

// TestFileIsSentAsTheActionSpecifies sends it as a part of a form, and as the whole body.
func TestFileIsSentAsTheActionSpecifies(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "files"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "files", "a.csv"), []byte("n\n1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var header http.Header
	s := newService(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		header = r.Header
		fmt.Fprint(w, `{}`)
	})
	s.files = files.New(dir, 1<<20)
	action := func(request string) string {
		return "actions:\n  call:\n    inputs: {file: {type: file, required: true}, to: {type: string}}\n    request: " + request + "\n"
	}
	with := map[string]any{"file": "files/a.csv", "to": "ada"}
	whole := action(`{method: PUT, path: "/f/${{ inputs.to }}", raw_file: "${{ inputs.file }}", headers: {Content-Type: text/csv}}`)
	if _, err := s.call(whole, with); err != nil || s.asked[0] != "PUT /v1/f/ada n\n1" || header.Get("Content-Type") != "text/csv" {
		t.Errorf("%v %q %v", err, s.asked, header)
	}
	multi := action(`{method: POST, path: /f, multipart: {to: "${{ inputs.to }}", none: "${{ inputs.none }}", ` +
		`upload: {file: "${{ inputs.file }}", filename: list.csv, type: text/csv}}}`)
	if _, err := s.call(strings.Replace(multi, "to: {type: string}", "to: {type: string}, none: {type: string}", 1), with); err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(s.asked[1], "/v1/f ")
	form, err := multipart.NewReader(strings.NewReader(body+"\r\n"), params["boundary"]).ReadForm(1 << 20)
	if err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	file := form.File["upload"]
	if fmt.Sprint(form.Value) != "map[to:[ada]]" || len(file) != 1 || file[0].Filename != "list.csv" || file[0].Size != 4 ||
		file[0].Header.Get("Content-Type") != "text/csv" {
		t.Errorf("%v %+v", form.Value, file)
	}
	for _, outside := range []string{"../a.csv", "/etc/passwd", "files/../../a.csv", "files/none.csv"} {
		out, err := s.call(action(`{method: PUT, path: "/f/${{ inputs.to }}", raw_file: "${{ inputs.file }}"}`),
			map[string]any{"file": outside, "to": "ada"})
		var e *plan.Error
		if !errors.As(err, &e) || e.Retryable || len(s.asked) != 2 {
			t.Errorf("%s: %v, %v", outside, out, err)
		}
	}
}

// TestKeyIsSentAsAUserWithoutPassword is for services whose documentation says curl -u
// KEY:.
func TestKeyIsSentAsAUserWithoutPassword(t *testing.T) {
	user, password := "", "unset"
	s := newService(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		user, password, _ = r.BasicAuth()
		fmt.Fprint(w, "{}")
	})
	_, err := s.call("connection: {token: {type: string, secret: true}}\nauth: {basic: {user: \"${{ connection.token }}\"}}\n"+
		"actions: {call: {request: {path: /a}}}\n", nil)
	if err != nil || user != "example-token" || password != "" {
		t.Errorf("%q %q, %v", user, password, err)
	}
}

func TestOutputOfAnUndeclaredTypeIsAnError(t *testing.T) {
	for _, c := range []struct{ name, action, body, says string }{
		{"a number for a text", `output: "${{ response.body.id }}", returns: string`, `{"id": 5}`, "output: "},
		{"nothing for a text", `output: "${{ response.body.id }}", returns: string`, `{}`, "output is nil, not a string"},
		{"a text", `output: "${{ response.body.id }}", returns: string`, `{"id": "5"}`, ""},
		{"a field", `output: {id: "${{ response.body.id }}"}, returns: {id: string}`, `{"id": 5}`, "output.id: "},
		{"a field that may be missing", `output: {id: "${{ response.body.id }}"}, returns: {"id?": string}`, `{}`, ""},
		{"a list for an object", `output: "${{ response.body }}", returns: {id: string}`, `[{"id": "5"}]`, "output: "},
		{"all of an answer, with a field of another type", `output: "${{ response.body }}", returns: {id: string, no: string}`,
			`{"id": 5, "no": "7"}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newService(t, func(_ int, w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, c.body) })
			out, err := s.call("actions: {call: {request: {path: /x}, "+c.action+"}}", nil)
			if c.says == "" {
				if err != nil {
					t.Errorf("%v", err)
				}
				return
			}
			var e *plan.Error
			if !errors.As(err, &e) || e.Code != "bad_answer" || !strings.Contains(e.Message, "returns: declares: "+c.says) {
				t.Errorf("%v, %v", out, err)
			}
		})
	}
}

func TestEmptyResponseIsAnEmptyList(t *testing.T) {
	s := newService(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	out, err := s.call(list("{path: /l}", `{items: "response.body?.rows", token: "response.body?.next", query: c}`), nil)
	if err != nil || fmt.Sprint(out) != "map[items:[] more:false]" {
		t.Errorf("%v, %v", out, err)
	}
}

func TestIdempotencyKeyMayBeInTheQuery(t *testing.T) {
	s := newService(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"query": %q, "header": %q}`, r.URL.Query().Get("requestid"), r.Header.Get("Idempotency-Key"))
	})
	action := "actions: {call: {request: {method: %s, path: /x}, output: \"${{ response.body }}\"}}"
	for method, want := range map[string]string{"POST": "map[header: query:hl_key]", "GET": "map[header: query:]"} {
		out, err := s.call("idempotency_query: requestid\n"+fmt.Sprintf(action, method), nil)
		if err != nil || fmt.Sprint(out) != want {
			t.Errorf("%s: %v, %v; want %s", method, out, err, want)
		}
	}
	out, err := s.call("idempotency_query: requestid\n"+fmt.Sprintf(action, "PUT"), map[string]any{"idempotency_key": "own"})
	if err != nil || fmt.Sprint(out) != "map[header: query:own]" {
		t.Errorf("a key of the step: %v, %v", out, err)
	}
}
