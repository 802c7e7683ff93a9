//go:build unix

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// prism starts npm's @stoplight/prism-cli with a vendor's document of shared/openapi: a server that
// refuses each request that the document does not allow. The test is skipped if either is missing.
func prism(t *testing.T, document string) string {
	t.Helper()
	modules := nodeModules(t, filepath.Join("@stoplight", "prism-cli"))
	var text []byte
	for _, dir := range []string{"../../../shared/openapi", "/work/shared/openapi"} {
		if b, err := os.ReadFile(filepath.Join(dir, document)); err == nil {
			text = b
			break
		}
	}
	var doc any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Skipf("SKIPPED: shared/openapi has no %s", document)
	}
	text, err := json.Marshal(withoutNullExamples(doc))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), document)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	addr := freeAddr(t)
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(modules, "@stoplight", "prism-cli", "dist", "index.js")
	c := exec.Command("node", program, "mock", "--errors", "-h", host, "-p", port, file)
	if err := c.Start(); err != nil {
		t.Skipf("SKIPPED: node cannot be started: %v", err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	for range 600 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			_ = conn.Close()
			return "http://" + addr
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("prism does not listen")
	return ""
}

// withoutNullExamples removes example: null, which is everywhere in HubSpot's documents, and which
// Prism would use as the response.
func withoutNullExamples(v any) any {
	switch x := v.(type) {
	case map[string]any:
		if e, there := x["example"]; there && e == nil {
			delete(x, "example")
		}
		for k, e := range x {
			x[k] = withoutNullExamples(e)
		}
	case []any:
		for i, e := range x {
			x[i] = withoutNullExamples(e)
		}
	}
	return v
}

// postOffice is a real SMTP server that requires a login and keeps what it receives.
type postOffice struct {
	mu       sync.Mutex
	messages []string
}

const mailPassword = "mail-password-0123456789"

// NewSession implements smtp.Backend.
func (o *postOffice) NewSession(*smtp.Conn) (smtp.Session, error) {
	return &postSession{office: o}, nil
}

type postSession struct {
	office *postOffice
	to     []string
	login  bool
}

func (s *postSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *postSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if s.login = user == "shop" && password == mailPassword; !s.login {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

func (s *postSession) Mail(string, *smtp.MailOptions) error {
	if !s.login {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (s *postSession) Rcpt(to string, _ *smtp.RcptOptions) error { s.to = append(s.to, to); return nil }

func (s *postSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	s.office.mu.Lock()
	defer s.office.mu.Unlock()
	s.office.messages = append(s.office.messages, strings.Join(s.to, ",")+"\n"+string(b))
	return err
}

func (s *postSession) Reset()        { s.to = nil }
func (s *postSession) Logout() error { return nil }

func (o *postOffice) serve(t *testing.T) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := smtp.NewServer(o)
	s.AllowInsecureAuth = true // the password is sent only to this machine
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// shownExample is the example of an action, as hookloom actions NAME prints it for a workflow.
func shownExample(t *testing.T, bin, action string) string {
	t.Helper()
	out, err := exec.Command(bin, "actions", action).Output()
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := strings.Cut(string(out), "\nExample:\n")
	if !found {
		t.Fatalf("hookloom actions %s shows no example:\n%s", action, out)
	}
	return example
}

// TestANewcomerConnectsACRMAndAMailServer follows the help, with its own examples: init, the
// secrets, a sign-in at a real OAuth server, a contact changed at HubSpot (Prism, which validates
// each request against HubSpot's document), a mail through a real SMTP server.
func TestANewcomerConnectsACRMAndAMailServer(t *testing.T) {
	realProcess(t)
	s := newTokenServer(t)
	crm := prism(t, "hubspot-contacts-v3.json")
	office := &postOffice{}
	port := office.serve(t)

	dir := filepath.Join(t.TempDir(), "shop")
	if out, err := exec.Command(buildBinary(t), "init", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	config := fmt.Sprintf(`triggers:
  hello:
    webhook: {provider: generic, secret: "${{ secrets.HELLO_SECRET }}"}
egress: {allow: [127.0.0.1]}
connections:
  hubspot:
    base_url: %s
    auth:
      oauth2:
        grant: authorization_code
        authorize_url: %[2]s/authorize
        token_url: %[2]s/token
        client_id: ${{ secrets.HUBSPOT_ID }}
        client_secret: ${{ secrets.HUBSPOT_SECRET }}
        scopes: [crm.objects.contacts.write]
  smtp: {host: 127.0.0.1, port: %s, tls: none, user: shop, password: "${{ secrets.SMTP_PASSWORD }}"}
`, crm, s.URL, port)
	p := newProjectIn(t, dir, map[string]string{"hookloom.yaml": config,
		"workflows/hello.yaml": "on: hello\nsteps:\n" + shownExample(t, buildBinary(t), "hubspot/contacts.update") +
			shownExample(t, buildBinary(t), "email/send")})
	secrets := map[string]string{"HUBSPOT_ID": "hubspot-app-0123456789", "HUBSPOT_SECRET": "hubspot-secret-0123456789",
		"SMTP_PASSWORD": mailPassword}
	for name, value := range secrets {
		c := exec.Command(p.bin, "secrets", "set", name, "--dir", dir)
		c.Stdin = strings.NewReader(value)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	out, err := exec.Command(p.bin, "validate", dir).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "0 errors, 0 warnings") {
		t.Fatalf("%v\n%s", err, out)
	}
	server := p.start(t)
	signsIn(t, p, "hubspot")
	body := filepath.Join(dir, "order.json")
	if err := os.WriteFile(body, []byte(`{"email": "ada@example.com", "order": "A-7"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := p.run("send", "hello", "--body", body); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.idle(t)
	if status, problem := p.lastRun(t, "hello"); status != "succeeded" {
		t.Fatalf("%s: %s", status, problem)
	}
	office.mu.Lock()
	if len(office.messages) != 1 || !strings.HasPrefix(office.messages[0], "ada@example.com\n") ||
		!strings.Contains(office.messages[0], "Subject: Your order A-7") {
		t.Errorf("the mails: %q", office.messages)
	}
	office.mu.Unlock()
	if out, err := p.run("backup", filepath.Join(dir, "copy.db")); err != nil && !onServer(p.db) {
		t.Errorf("%v\n%s", err, out)
	}
	server.stop(t)
	checkNoPlainSecret(t, dir, append(s.secret, secrets["HUBSPOT_SECRET"], mailPassword), server.log.String())
}

// signsIn connects a connection, and requests the URL that the command prints, like a browser.
func signsIn(t *testing.T, p *project, connection string) {
	t.Helper()
	c := launch(t, p.bin, "connect", connection, "--dir", p.dir, "--db", p.db)
	for range 1000 {
		if u := signIn.FindString(c.log.String()); u != "" {
			resp, err := http.Get(u)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if code := c.end(t, 20*time.Second); code != exitOK {
		t.Fatalf("hookloom connect ended with %d\n%s", code, c.log.String())
	}
}

// TestTheDocumentedUploadReachesSlack runs the three steps of docs/connectors.md against a fake
// that behaves as Slack documents
// (https://docs.slack.dev/reference/methods/files.getUploadURLExternal/,
// https://docs.slack.dev/reference/methods/files.completeUploadExternal/): the file is shared only
// if as many bytes were received as announced.
func TestTheDocumentedUploadReachesSlack(t *testing.T) {
	realProcess(t)
	report := []byte("%PDF-1.7\x00\xff\x00 of May")
	var mu sync.Mutex
	var uploaded []byte
	shared, announced := "", ""
	mux := http.NewServeMux()
	slack := httptest.NewServer(mux)
	t.Cleanup(slack.Close)
	mux.HandleFunc("GET /may.pdf", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/pdf")
		_, _ = w.Write(report)
	})
	answer := func(w http.ResponseWriter, v map[string]any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("POST /api/files.getUploadURLExternal", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		announced = r.FormValue("filename") + " " + r.FormValue("length")
		answer(w, map[string]any{"ok": true, "upload_url": slack.URL + "/upload/v1/ABC123", "file_id": "F123ABC456"})
	})
	mux.HandleFunc("POST /upload/v1/ABC123", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		uploaded = b
		fmt.Fprintf(w, "OK - %d", len(b))
	})
	mux.HandleFunc("POST /api/files.completeUploadExternal", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body) // what is missing shows below
		mu.Lock()
		defer mu.Unlock()
		shared = r.Header.Get("Authorization") + " " + string(b)
		answer(w, map[string]any{"ok": len(uploaded) > 0, "error": "file_not_found", "files": []any{map[string]any{"id": "F123ABC456"}}})
	})

	page, err := os.ReadFile("../../docs/connectors.md")
	if err != nil {
		t.Fatal(err)
	}
	_, flow, found := strings.Cut(string(page), "# workflows/report.yaml\n")
	flow, _, _ = strings.Cut(flow, "```")
	if !found {
		t.Fatal("docs/connectors.md has no workflows/report.yaml")
	}
	p := newProject(t, map[string]string{
		"hookloom.yaml": "egress: {allow: [127.0.0.1]}\nconnections:\n  slack: {base_url: " + slack.URL +
			"/api, token: \"${{ secrets.SLACK_TOKEN }}\"}\n",
		".env":                  "SLACK_TOKEN=xoxb-0123456789\n",
		"workflows/report.yaml": strings.ReplaceAll(flow, "https://reports.example.com", slack.URL)})
	server := p.start(t)
	if out, err := p.run("send", "report", "--input", "channel=C024BE91L"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.idle(t)
	if status, problem := p.lastRun(t, "report"); status != "succeeded" {
		t.Errorf("%s: %s", status, problem)
	}
	mu.Lock()
	defer mu.Unlock()
	if !bytes.Equal(uploaded, report) || announced != fmt.Sprintf("may.pdf %d", len(report)) {
		t.Errorf("announced %q, uploaded %q", announced, uploaded)
	}
	if !strings.HasPrefix(shared, "Bearer xoxb-0123456789 ") || !strings.Contains(shared, `"channel_id":"C024BE91L"`) {
		t.Errorf("shared by %s", shared)
	}
	server.stop(t)
}
