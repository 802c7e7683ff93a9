package email_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/hookloom/hookloom/actions/email"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/egress"
	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

const password = "correct horse battery"

// mailbox is a real SMTP server that keeps the messages it receives.
type mailbox struct {
	mu       sync.Mutex
	from     string
	to       []string
	messages [][]byte
	refuse   *smtp.SMTPError // its reply at the end of the message
	addr     string
	ca       string
}

func (b *mailbox) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{b: b}, nil }

type session struct {
	b      *mailbox
	logged bool
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, given string) error {
		if user != "ada" || given != password {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "no such login " + given}
		}
		s.logged = true
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if !s.logged {
		return smtp.ErrAuthRequired
	}
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.from, s.b.to = from, nil
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "nobody@") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.to = append(s.b.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	m, err := io.ReadAll(r)
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.b.refuse != nil {
		return s.b.refuse
	}
	s.b.messages = append(s.b.messages, m)
	return err
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// serve starts a server with a certificate for 127.0.0.1.
func serve(t *testing.T, implicit bool) *mailbox {
	t.Helper()
	with := httptest.NewTLSServer(nil) // for its certificate
	defer with.Close()
	b := &mailbox{ca: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: with.Certificate().Raw}))}
	s := smtp.NewServer(b)
	s.TLSConfig = with.TLS.Clone()
	s.TLSConfig.NextProtos = nil
	s.ErrorLog = discard{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.addr = l.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if implicit {
			_ = s.Serve(tlsListener(l, s.TLSConfig))
		} else {
			_ = s.Serve(l)
		}
	}()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return b
}

type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}

// send makes one attempt over a connection to an address.
func send(t *testing.T, ctx context.Context, addr, ca, settings string, with map[string]any) (any, error) {
	t.Helper()
	return email.Send{Client: guarded(t)}.Do(ctx, attempt(t, addr, ca, settings, with))
}

// guarded returns a client that may connect to this machine.
func guarded(t *testing.T) *http.Client {
	t.Helper()
	g, err := egress.NewGuard([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	return g.Client()
}

// attempt returns the input of an attempt over a connection to an address.
func attempt(t *testing.T, addr, ca, settings string, with map[string]any) engine.Input {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := fmt.Sprintf("connections:\n  smtp:\n    host: %s\n    port: %s\n    %s\n    ca: |\n      %s\n", host, port, settings,
		strings.ReplaceAll(strings.TrimSpace(ca), "\n", "\n      "))
	if err := os.WriteFile(filepath.Join(dir, "hookloom.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	spec := email.SendSpec
	all := workflows.NewActions(map[string]*workflows.ActionSpec{spec.Name: &spec}, nil)
	p, mistakes := workflows.Load(dir, workflows.Catalog{Actions: all}, nil)
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	kept := files.New(dir, 1<<20)
	if w, err := kept.Create("run_1", "report.pdf", 1<<20); err == nil {
		_, _ = w.Write([]byte("%PDF"))
		_, _ = w.Commit()
	}
	return engine.Input{Spec: &spec, With: with, Key: "hl_key", Run: 1, Path: "a", Attempt: 1,
		Now: time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC), Connections: p.Connections, Files: kept,
		Secret: func(n string) (string, bool) { return password, n == "SMTP_PASSWORD" }}
}

// TestConnectionTestLogsIn checks that the test reports whether the login works and sends
// nothing.
func TestConnectionTestLogsIn(t *testing.T) {
	b := serve(t, false)
	with := map[string]any{"connection": "smtp"}
	detail, err := email.Send{Client: guarded(t)}.Test(t.Context(), attempt(t, b.addr, b.ca, login, with))
	if err != nil || detail != "the mail server accepted the login" {
		t.Errorf("%q, %v", detail, err)
	}
	wrong := attempt(t, b.addr, b.ca, login, with)
	wrong.Secret = func(string) (string, bool) { return "another-password-1", true }
	detail, err = email.Send{Client: guarded(t)}.Test(t.Context(), wrong)
	if err == nil || strings.Contains(err.Error(), "another-password-1") {
		t.Errorf("a wrong password: %q, %v", detail, err)
	}
	if len(b.messages) != 0 {
		t.Errorf("%d mails were sent", len(b.messages))
	}
}

const login = "user: ada\n    password: ${{ secrets.SMTP_PASSWORD }}\n    from: Shop <shop@example.com>"

func TestMailArrivesAsWritten(t *testing.T) {
	for _, mode := range []string{"starttls", "implicit"} {
		b := serve(t, mode == "implicit")
		out, err := send(t, t.Context(), b.addr, b.ca, "tls: "+mode+"\n    "+login, map[string]any{
			"to": []any{"Ada <ada@example.com>", "bob@example.com"}, "cc": "eve@example.com", "bcc": "log@example.com",
			"reply_to": "help@example.com", "subject": "Größe: 1 < 2", "text": "plain\n.\nend", "html": "<b>bold</b>",
			"headers": map[string]any{"X-Order": "A-1", "List-Unsubscribe": "<https://example.com/u>"},
			"attachments": []any{map[string]any{"file": "files/run_1/report.pdf"},
				map[string]any{"text": "a,b", "filename": "ä.csv", "type": "text/csv"}}})
		if err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		o := out.(map[string]any)
		if o["message_id"] != "<hl_key@example.com>" || fmt.Sprint(o["recipients"]) !=
			"[ada@example.com bob@example.com eve@example.com log@example.com]" {
			t.Errorf("%s: output %v", mode, o)
		}
		if b.from != "shop@example.com" || fmt.Sprint(b.to) != fmt.Sprint(o["recipients"]) || len(b.messages) != 1 {
			t.Fatalf("%s: envelope %s %v", mode, b.from, b.to)
		}
		m, err := netmail.ReadMessage(bytes.NewReader(b.messages[0]))
		if err != nil {
			t.Fatal(err)
		}
		subject, _ := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		for name, want := range map[string]string{"Message-Id": "<hl_key@example.com>", "Date": "Fri, 01 May 2026 10:00:00 +0000",
			"X-Order": "A-1", "List-Unsubscribe": "<https://example.com/u>", "Bcc": "", "Reply-To": "<help@example.com>"} {
			if got := m.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", mode, name, got, want)
			}
		}
		if subject != "Größe: 1 < 2" || strings.Contains(string(b.messages[0]), "log@example.com") {
			t.Errorf("%s: subject %q\n%s", mode, subject, b.messages[0])
		}
		if got := parts(t, m.Header.Get("Content-Type"), m.Body); got != "text/plain text/html application/pdf(report.pdf) text/csv(ä.csv)" {
			t.Errorf("%s: parts %s\n%s", mode, got, b.messages[0])
		}
	}
}

// parts lists the leaf parts of a message.
func parts(t *testing.T, contentType string, body io.Reader) string {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(media, "multipart/") {
		return media
	}
	var out []string
	for r := multipart.NewReader(body, params["boundary"]); ; {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return strings.Join(out, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		s := parts(t, p.Header.Get("Content-Type"), p)
		if f := p.FileName(); f != "" {
			f, _ = new(mime.WordDecoder).DecodeHeader(f)
			s += "(" + f + ")"
		}
		out = append(out, s)
	}
}

// TestDataCannotAddAHeaderOrARecipient checks that inserted text stays within its header.
func TestDataCannotAddAHeaderOrARecipient(t *testing.T) {
	b := serve(t, false)
	good := map[string]any{"to": "ada@example.com", "subject": "s", "text": "t"}
	for name, bad := range map[string]map[string]any{
		"subject":         {"subject": "s\r\nBcc: eve@example.com"},
		"subject by LF":   {"subject": "s\nBcc: eve@example.com"},
		"to":              {"to": "ada@example.com\r\nBcc: eve@example.com"},
		"two in one":      {"to": "ada@example.com, eve@example.com"},
		"name":            {"to": "\"a\r\nBcc: eve@example.com\" <ada@example.com>"},
		"encoded name":    {"to": "=?utf-8?q?a=0D=0ABcc:_eve@example.com?= <ada@example.com>"},
		"from":            {"from": "a@example.com\r\nBcc: eve@example.com"},
		"reply_to":        {"reply_to": "a@example.com\nX: y"},
		"header":          {"headers": map[string]any{"X-A": "b\r\nBcc: eve@example.com"}},
		"header name":     {"headers": map[string]any{"X-A: b\r\nBcc": "eve@example.com"}},
		"reserved header": {"headers": map[string]any{"Bcc": "eve@example.com"}},
		"file name":       {"attachments": []any{map[string]any{"text": "x", "filename": "a\r\nX: y"}}},
		"file type":       {"attachments": []any{map[string]any{"text": "x", "filename": "a", "type": "text/plain\r\nX: y"}}},
		"file elsewhere":  {"attachments": []any{"/etc/passwd"}},
		"nobody":          {"to": ""},
		"nothing":         {"text": ""},
	} {
		with := map[string]any{}
		for k, v := range good {
			with[k] = v
		}
		for k, v := range bad {
			with[k] = v
		}
		_, err := send(t, t.Context(), b.addr, b.ca, login, with)
		var e *plan.Error
		if !errors.As(err, &e) || e.Retryable || len(b.messages) > 0 {
			t.Errorf("%s: %v, %q", name, err, b.messages)
		}
	}
	if _, err := send(t, t.Context(), b.addr, b.ca, login, good); err != nil {
		t.Error(err)
	}
}

func TestSMTPRefusalsAreDistinguished(t *testing.T) {
	b := serve(t, false)
	with := map[string]any{"to": "ada@example.com", "subject": "s", "text": "t"}
	for _, c := range []struct {
		name, settings string
		with           map[string]any
		refuse         *smtp.SMTPError
		code           string
		retryable      bool
	}{
		{"greylisting", login, with, &smtp.SMTPError{Code: 451, Message: "later"}, "smtp", true},
		{"spam", login, with, &smtp.SMTPError{Code: 554, Message: "spam"}, "smtp", false},
		{"no such user", login, map[string]any{"to": "nobody@example.com", "subject": "s", "text": "t"}, nil, "smtp", false},
		{"wrong password", strings.Replace(login, "ada", "bob", 1), with, nil, "no_credential", false},
		{"no login", "from: a@example.com", with, nil, "smtp", false},
		{"no TLS at that port", "tls: implicit\n    " + login, with, nil, "network", true},
	} {
		b.mu.Lock()
		b.refuse = c.refuse
		b.mu.Unlock()
		ca := b.ca
		_, err := send(t, t.Context(), b.addr, ca, c.settings, c.with)
		var e *plan.Error
		if !errors.As(err, &e) || e.Code != c.code || e.Retryable != c.retryable {
			t.Errorf("%s: %v %+v", c.name, err, e)
		}
		if err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("%s: the password is in %v", c.name, err)
		}
	}
	other := httptest.NewUnstartedServer(nil)
	defer other.Close()
	if _, err := send(t, t.Context(), b.addr, otherCA, login, with); err == nil || !strings.Contains(err.Error(), "not trusted") {
		t.Errorf("a certificate of another authority: %v", err)
	}
}

// TestAHostileServerEndsTheAttempt checks that the attempt ends in time whatever the server does,
// and says whether the mail may have been sent.
func TestAHostileServerEndsTheAttempt(t *testing.T) {
	until := func(c net.Conn, word string) *bufio.Reader {
		r := bufio.NewReader(c)
		for {
			line, err := r.ReadString('\n')
			if err != nil || strings.HasPrefix(line, word) {
				return r
			}
			fmt.Fprint(c, "250 OK\r\n")
		}
	}
	for name, c := range map[string]struct {
		serve      func(net.Conn)
		unanswered bool
		code       string
	}{
		"silent":      {func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, false, "network"},
		"closes":      {func(c net.Conn) {}, false, "network"},
		"speaks HTTP": {func(c net.Conn) { fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }, false, "network"},
		"endless banner": {func(c net.Conn) {
			for chunk := bytes.Repeat([]byte("x"), 64<<10); ; {
				if _, err := c.Write(chunk); err != nil {
					return
				}
			}
		}, false, "network"},
		"endless lines": {func(c net.Conn) {
			for {
				if _, err := fmt.Fprint(c, "220-x\r\n"); err != nil {
					return
				}
			}
		}, false, "network"},
		"closes before the message": {func(c net.Conn) { fmt.Fprint(c, "220 hi\r\n"); until(c, "DATA") }, false, "network"},
		"closes after the message": {func(c net.Conn) {
			fmt.Fprint(c, "220 hi\r\n")
			r := until(c, "DATA")
			fmt.Fprint(c, "354 go\r\n")
			for {
				if line, err := r.ReadString('\n'); err != nil || line == ".\r\n" {
					return
				}
			}
		}, true, "smtp"},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			if conn, err := l.Accept(); err == nil {
				c.serve(conn)
				conn.Close()
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		began := time.Now()
		_, err = send(t, ctx, l.Addr().String(), otherCA, "tls: none\n    from: a@example.com",
			map[string]any{"to": "ada@example.com", "subject": "s", "text": "t"})
		cancel()
		l.Close()
		<-done
		var e *plan.Error
		if !errors.As(err, &e) || e.Code != c.code || !e.Retryable || errors.Is(err, engine.ErrUnanswered) != c.unanswered ||
			time.Since(began) > 3*time.Second || len(e.Message) > 700 {
			t.Errorf("%s: %v %+v after %s", name, err, e, time.Since(began))
		}
	}
	_, err := send(t, t.Context(), "10.255.255.1:25", otherCA, "tls: none\n    from: a@example.com",
		map[string]any{"to": "ada@example.com", "subject": "s", "text": "t"})
	var e *plan.Error
	if !errors.As(err, &e) || e.Code != "address_not_allowed" {
		t.Errorf("a private address: %v", err)
	}
}
