//go:build unix

package e2e

import (
	"bytes"
	"compress/gzip"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/hookloom/hookloom/engine"
)

const readableConfig = `server: {public_url: "https://hooks.example.com"}
triggers:
  github: {webhook: {provider: github, secret: "${{ secrets.GITHUB }}"}}
  twilio: {webhook: {provider: twilio, secret: "${{ secrets.TWILIO }}"}}
  mailgun: {webhook: {provider: mailgun, secret: "${{ secrets.MAILGUN }}"}}
  any: {webhook: {auth: {header: {name: X-Token, value: "${{ secrets.TOKEN }}"}}}}
`

// eachFlow outputs what it sees of every event.
const eachFlow = `on: [github, twilio, mailgun, any]
output: {data: "${{ event.data }}", raw: "${{ len(event.raw) }}"}
steps:
  - uses: log
    with: {message: seen}
`

const ruleFlow = `on: [github, any]
when: event.data?.action != 'closed'
steps:
  - uses: log
    with: {message: open}
`

const readableEnv = `GITHUB=github-secret-0123456789
TWILIO=twilio-secret-0123456789
MAILGUN=mailgun-secret-0123456789
TOKEN=token-0123456789abcdef
`

func startReadable(t *testing.T) *lively {
	t.Helper()
	x := &lively{project: newProject(t, map[string]string{"hookloom.yaml": readableConfig, ".env": readableEnv,
		"workflows/each.yaml": eachFlow, "workflows/rule.yaml": ruleFlow})}
	x.begin(t)
	t.Cleanup(func() { x.stop() })
	return x
}

// deliverRaw sends a body and returns the status and the event's id.
func (x *lively) deliverRaw(t *testing.T, trigger string, header map[string]string, body []byte) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, x.hooksURL()+"/hooks/"+trigger, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct{ Event string }
	_ = json.NewDecoder(resp.Body).Decode(&answer) // a response that is not JSON names no event, which the caller checks
	return resp.StatusCode, answer.Event
}

// github signs a body as GitHub does, with an id of its own.
func githubHeaders(body []byte, id int, contentType string) map[string]string {
	mac := hmac.New(sha256.New, []byte("github-secret-0123456789"))
	mac.Write(body)
	return map[string]string{"Content-Type": contentType, "X-GitHub-Event": "push",
		"X-GitHub-Delivery":   fmt.Sprintf("00000000-0000-4000-8000-%012d", id),
		"X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil))}
}

// seen returns what the workflow each saw of an event, and the event.
func (x *lively) seenOf(t *testing.T, event string) (data string, raw int, d engine.EventDetail) {
	t.Helper()
	x.settled(t)
	if _, b := x.call(t, "GET", "/api/v1/events/"+event, ""); json.Unmarshal(b, &d) != nil {
		t.Fatalf("%s", b)
	}
	for _, r := range d.RunItems {
		if r.Workflow != "each" {
			continue
		}
		_, b := x.call(t, "GET", "/api/v1/runs/"+r.ID, "")
		var run struct {
			Output struct {
				Data json.RawMessage
				Raw  int
			}
		}
		if err := json.Unmarshal(b, &run); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		return string(run.Output.Data), run.Output.Raw, d
	}
	t.Fatalf("%s: no run of each: %+v", event, d)
	return "", 0, d
}

func pack(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func wide(text string) []byte {
	b := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(text)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return b
}

// TestBodiesOfRealSendersAreRead uses bodies that public reports name as refused or garbled by a
// receiver.
func TestBodiesOfRealSendersAreRead(t *testing.T) {
	x := startReadable(t)
	form := "application/x-www-form-urlencoded"
	multi := strings.ReplaceAll(
		"--b\nContent-Disposition: form-data; name=\"charsets\"\n\n{\"text\":\"iso-8859-1\",\"to\":\"UTF-8\"}\n--b\n"+
			"Content-Disposition: form-data; name=\"text\"\n\nH\xe9llo\n"+
			"--b\nContent-Disposition: form-data; name=\"to\"\n\nJ\u00f8\n--b\nContent-Disposition: form-data; name=\"own\"\n"+
			"Content-Type: text/plain; charset=windows-1252\n\n\x80 5\n"+
			"--b\nContent-Disposition: form-data; name=\"none\"\n\n\xe9\n--b\nContent-Disposition: form-data; name=\"to\"\n\nAl\n--b--\n",
		"\n", "\r\n")
	for i, c := range []struct{ name, kind, body, want string }{
		{"half of a surrogate pair", "application/json", `{"a":"cut \ud83d"}`, `{"a":"cut ` + "\ufffd" + `"}`},
		{"both halves the wrong way round", "application/json", `["\ude00\ud83dx"]`, "[\"\ufffd\ufffdx\"]"},
		{"a byte order mark before JSON", "application/json", "\ufeff{\"a\":1}", `{"a":1}`},
		{"a byte order mark before a form", form, "\ufeffa=1&n=2", `{"a":"1","n":"2"}`},
		{"a semicolon in a form", form, "text=a;b&c=d", `{"c":"d","text":"a;b"}`},
		{"a bare percent sign in a form", form, "pct=100%&b=%zz&c=%4", `{"b":"%zz","c":"%4","pct":"100%"}`},
		{"a plus sign in a form", form, "a=b+c%2B", `{"a":"b c+"}`},
		{"a form that is not UTF-8", form, "a=H%E8&b", `{"a":"H` + "\ufffd" + `","b":""}`},
		{"a form with a declared charset", form + "; charset=iso-8859-1", "name=H%E8llo", `{"name":"Hèllo"}`},
		{"a form with the field _charset_", form, "_charset_=windows-1252&p=%80", `{"_charset_":"windows-1252","p":"€"}`},
		{"PayPal's field charset", form, "charset=windows-1252&name=Jos%E9", `{"charset":"windows-1252","name":"José"}`},
		{"a field charset of a form that is UTF-8", form, "charset=windows-1252&name=Jos%C3%A9", `{"charset":"windows-1252","name":"José"}`},
		{"JSON in UTF-16 by its mark", "application/json", string(wide(`{"a":"é"}`)), `{"a":"é"}`},
		{"JSON in UTF-16 by declaration", "application/json; charset=utf-16", string(wide(`{"a":"é"}`)[2:]), `{"a":"é"}`},
		{"JSON that is declared as UTF-16 and is not", "application/json; charset=utf-16", `{"a":"é"}`, `{"a":"é"}`},
		{"JSON in a declared charset", "application/json; charset=ISO-8859-1", "{\"a\":\"\xe9\"}", `{"a":"é"}`},
		{"JSON in an unknown charset", "application/json; charset=utf8mb4", `{"b":"é"}`, `{"b":"é"}`},
		{"JSON of blanks alone", "application/json", " \r\n", `null`},
		{"gzip that nothing declares", "application/json", string(pack(t, `{"a":1}`)), `{"a":1}`},
		{"multipart text in other charsets", "multipart/form-data; boundary=b", multi,
			`{"charsets":"{\"text\":\"iso-8859-1\",\"to\":\"UTF-8\"}","none":"` + "\ufffd" + `","own":"€ 5","text":"Héllo","to":["Jø","Al"]}`},
		{"text in a declared charset", "text/plain; charset=iso-8859-1", "\xe9", `"é"`},
	} {
		body := []byte(c.body)
		status, id := x.deliverRaw(t, "any", map[string]string{"Content-Type": c.kind, "X-Token": "token-0123456789abcdef",
			"X-Case": strconv.Itoa(i)}, body)
		if status != http.StatusAccepted {
			t.Errorf("%s: %d", c.name, status)
			continue
		}
		data, _, d := x.seenOf(t, id)
		if data != c.want || d.Unreadable() {
			t.Errorf("%s: event.data is %s, want %s (flag %q)", c.name, data, c.want, d.Flag)
		}
	}
}

// TestVerifiedDeliveryIsStoredThoughUnreadable checks that such a delivery is stored: otherwise
// the provider would retry it forever, or give up.
func TestVerifiedDeliveryIsStoredThoughUnreadable(t *testing.T) {
	x := startReadable(t)
	var ids []string
	for i, c := range []struct{ name, kind, body, flag string }{
		{"no JSON", "application/json", `{"action":`, "the document is incomplete"},
		{"a key twice", "application/json", `{"a":1,"a":2}`, `duplicate key "a"`},
		{"a number out of range", "application/json", `{"a":1e400}`, "number out of range"},
		{"too deep", "application/json", strings.Repeat("[", 100) + strings.Repeat("]", 100), "nested deeper than 64"},
		{"too many values", "application/json", "[" + strings.Repeat("1,", 200_001) + "1]", "more than 200000 values"},
		{"a byte that is not UTF-8", "application/json", "{\"a\":\"\xe9\"}", "text is not UTF-8"},
		{"gzip that broke off", "application/json", string(pack(t, `{"a":"`+strings.Repeat("xyz", 99)+`"}`)[:20]), "the gzip body is incomplete"},
		{"multipart that broke off", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition", "reading the form"},
		{"text that is not UTF-8", "text/plain", "\xe9", "no other charset is declared"},
	} {
		// The preset parses a github body as JSON, so other types use the token.
		trigger, header := "github", githubHeaders([]byte(c.body), i, c.kind)
		if c.kind != "application/json" {
			trigger, header = "any", map[string]string{"Content-Type": c.kind, "X-Token": "token-0123456789abcdef"}
		}
		status, id := x.deliverRaw(t, trigger, header, []byte(c.body))
		if status != http.StatusAccepted {
			t.Errorf("%s: %d", c.name, status)
			continue
		}
		ids = append(ids, id)
		data, raw, d := x.seenOf(t, id)
		if data != "null" || raw != len(c.body) || !strings.HasPrefix(d.Flag, "body not readable: ") || !strings.Contains(d.Flag, c.flag) {
			t.Errorf("%s: data %s, %d bytes of %d, flag %q", c.name, data, raw, len(c.body), d.Flag)
		}
		for _, w := range d.Decisions {
			if w.Workflow == "rule" && (w.Outcome != "rule_failed" || !strings.Contains(w.Reason, "needs event.data: body not readable: ")) {
				t.Errorf("%s: the rule that reads data is %s: %s", c.name, w.Outcome, w.Reason)
			}
		}
	}
	if status, _ := x.deliverRaw(t, "github", map[string]string{"Content-Type": "application/json"},
		[]byte("{")); status != http.StatusUnauthorized {
		t.Errorf("what proves nothing: %d", status)
	}
	x.seemsUnreadable(t, ids)
}

// seemsUnreadable looks for the events in the lists, replays one, and reads the view.
func (x *lively) seemsUnreadable(t *testing.T, ids []string) {
	t.Helper()
	_, b := x.call(t, "GET", "/api/v1/events?status=unreadable&limit=100", "")
	var list struct{ Items []engine.EventItem }
	if err := json.Unmarshal(b, &list); err != nil || len(list.Items) != len(ids) {
		t.Errorf("%d of %d in the list: %s", len(list.Items), len(ids), b)
	}
	if _, page := x.call(t, "GET", "/events?status=unreadable", ""); strings.Count(string(page), ">not readable<") != len(ids) {
		t.Errorf("%d are marked in the console", strings.Count(string(page), ">not readable<"))
	}
	out, err := x.run("events", "--status", "unreadable")
	if err != nil || strings.Count(out, "(unreadable)") != len(ids) {
		t.Errorf("%v %s", err, out)
	}
	_, _, d := x.seenOf(t, ids[0])
	for _, r := range d.RunItems {
		if status, b := x.call(t, "POST", "/api/v1/runs/"+r.ID+"/replay", `{}`); status/100 != 2 {
			t.Errorf("replay: %d %s", status, b)
		}
	}
	x.settled(t)
	if onServer(x.db) {
		return // what follows reads the file
	}
	db, err := sql.Open("sqlite3", x.db)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var rows, whole int
	if err := db.QueryRow(`SELECT count(*), coalesce(sum(json_valid(body)), 0) FROM events_view`).Scan(&rows, &whole); err != nil ||
		rows != whole || rows < len(ids) {
		t.Errorf("%d of %d bodies in events_view are JSON text: %v", whole, rows, err)
	}
}

// TestMailgunRoutesAreVerifiedByTheirFields is for routes, which forward mail with attachments as
// multipart/form-data, signed by fields of it.
func TestMailgunRoutesAreVerifiedByTheirFields(t *testing.T) {
	x := startReadable(t)
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte("mailgun-secret-0123456789"))
	mac.Write([]byte(stamp + "tok-1"))
	for _, c := range []struct {
		signature string
		status    int
	}{{strings.Repeat("0", 64), 401}, {hex.EncodeToString(mac.Sum(nil)), 200}} {
		body := ""
		for _, f := range [][2]string{{"timestamp", stamp}, {"token", "tok-1"}, {"signature", c.signature}, {"subject", "Hi"}} {
			body += "--b\r\nContent-Disposition: form-data; name=\"" + f[0] + "\"\r\n\r\n" + f[1] + "\r\n"
		}
		body += "--b\r\nContent-Disposition: form-data; name=\"attachment-1\"; filename=\"a.bin\"\r\n\r\n\xff\xfe\r\n--b--\r\n"
		status, id := x.deliverRaw(t, "mailgun", map[string]string{"Content-Type": "multipart/form-data; boundary=b"}, []byte(body))
		if status != c.status {
			t.Errorf("%.8s: %d, want %d", c.signature, status, c.status)
		}
		if status != 200 {
			continue
		}
		if data, _, _ := x.seenOf(t, id); !strings.Contains(data, `"subject":"Hi"`) || !strings.Contains(data, `"filename":"a.bin"`) {
			t.Errorf("event.data is %s", data)
		}
	}
}

// TestTwilioFormIsParsedLikeItsLibrary is for fields parsed leniently: a semicolon and a bare
// percent sign are literal.
func TestTwilioFormIsParsedLikeItsLibrary(t *testing.T) {
	x := startReadable(t)
	mac := hmac.New(sha1.New, []byte("twilio-secret-0123456789"))
	mac.Write([]byte("https://hooks.example.com/hooks/twilio" + "Body100% a;b" + "MessageSidSM1"))
	header := map[string]string{"Content-Type": "application/x-www-form-urlencoded",
		"X-Twilio-Signature": base64.StdEncoding.EncodeToString(mac.Sum(nil))}
	if status, _ := x.deliverRaw(t, "twilio", header, []byte("MessageSid=SM1&Body=100%+a;b")); status/100 != 2 {
		t.Fatalf("%d", status)
	}
	if data, _, _ := x.seenOf(t, x.first(t, "events")); data != `{"Body":"100% a;b","MessageSid":"SM1"}` {
		t.Errorf("event.data is %s", data)
	}
}

// TestQueryIsParsedLikeAForm is for parameters with a semicolon, which net/url drops.
func TestQueryIsParsedLikeAForm(t *testing.T) {
	x := startReadable(t)
	_, id := x.deliverRaw(t, "any?a=1;2&pct=100%&b=x+y", map[string]string{"Content-Type": "application/json",
		"X-Token": "token-0123456789abcdef"}, []byte(`{}`))
	_, _, d := x.seenOf(t, id)
	if d.Query["a"] != "1;2" || d.Query["pct"] != "100%" || d.Query["b"] != "x y" {
		t.Errorf("the query is %v", d.Query)
	}
}
