// Package email implements email/send: it sends one message to an SMTP server, over TLS, through
// the egress guard. A message is built from parsed parts, so no data can add a header, and its
// Message-ID is derived from the step, so a repeated attempt is the same message.
//
// It must not know HTTP or other actions.
package email

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/egress"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
	"github.com/wneessen/go-mail"
)

// smtpConnector declares the connections of email/send.
var smtpConnector = &workflows.Connector{Name: "smtp", Description: "an SMTP server that sends mail", Fields: []workflows.ConnectionField{
	{Name: "host", Type: "string", Required: true, Description: "the server's name, such as smtp.example.com"},
	{Name: "port", Type: "integer", Description: "587 by default, 465 with tls: implicit, 25 with tls: none"},
	{Name: "tls", Type: "string", Default: "starttls", Options: []any{"starttls", "implicit", "none"},
		Description: "starttls: the server must offer it; implicit: TLS from the first byte; none: a password goes only to this machine"},
	{Name: "user", Type: "string", Description: "the user name; without it there is no login"},
	{Name: "password", Type: "string", Secret: true, Description: "its password"},
	{Name: "from", Type: "string", Description: "the default sender"},
	{Name: "ca", Type: "string", Description: "CA certificates in PEM, instead of the system's"},
}}

// SendSpec describes email/send.
var SendSpec = workflows.ActionSpec{Name: "email/send", Help: "sends a mail through an SMTP server", SideEffects: true,
	Connection: smtpConnector, Timeout: time.Minute,
	Retry:   &workflows.Retry{Max: 5, Delay: 30 * time.Second, Factor: 2, MaxDelay: 15 * time.Minute, Jitter: true},
	Example: map[string]any{"message_id": "<hl_example@example.com>", "recipients": []any{"ada@example.com"}, "response": "2.0.0 OK"},
	Inputs: []workflows.ActionInput{
		{Name: "to", Type: "any", Help: "an address, or a list: ada@example.com, or Ada <ada@example.com>"},
		{Name: "cc", Type: "any", Help: "as to"},
		{Name: "bcc", Type: "any", Help: "blind copies, written like to; hidden from the other recipients"},
		{Name: "subject", Type: "string", Required: true, Help: "one line"},
		{Name: "text", Type: "string", Help: "the message as plain text"},
		{Name: "html", Type: "string", Fill: workflows.FillHTML, Help: "the message as HTML; values inserted with ${{ }} are escaped"},
		{Name: "from", Type: "string", Help: "the sender; that of the connection by default"},
		{Name: "reply_to", Type: "string", Help: "the address for replies"},
		{Name: "attachments", Type: "list", Fill: workflows.FillParts,
			Help: "each {file: PATH} of a step with save: true, {text: ...} or {raw: BASE64}; with filename and type"},
		{Name: "headers", Type: "object", Help: "further headers: X-..., List-..., In-Reply-To, References, Auto-Submitted, Importance"},
	},
	Outputs: []workflows.ActionOutput{{Name: "message_id", Type: "string", Help: "the Message-ID, the same for every attempt"},
		{Name: "recipients", Type: "list", Help: "the addresses that the server accepted"},
		{Name: "response", Type: "string", Help: "the server's response"}},
	Usage: `- id: confirm
  uses: email/send
  with:
    from: Shop <orders@example.com>
    to: ${{ event.data.email }}
    subject: Your order ${{ event.data.order }}
    text: Thank you. We have received your order ${{ event.data.order }}.
    html: <p>Thank you. We have received your order <b>${{ event.data.order }}</b>.</p>
`}

// Send executes email/send.
type Send struct {
	// Client is a client of the guard that checks the mail server's address.
	Client *http.Client
}

// server is a connection with its values.
type server struct {
	host, mode, user, password, from string
	port                             int
	roots                            *x509.CertPool
}

// serverOf reads the connection that a step names.
func serverOf(in engine.Input) (*server, error) {
	name := value.Shown(in.With["connection"])
	if name == "" {
		name = smtpConnector.Name
	}
	f, err := in.ConnectionFields(name, smtpConnector)
	if err != nil {
		return nil, err
	}
	s := &server{host: value.Shown(f["host"]), mode: value.Shown(f["tls"]), user: value.Shown(f["user"]),
		password: value.Shown(f["password"]), from: value.Shown(f["from"])}
	s.port = map[string]int{"starttls": 587, "implicit": 465, "none": 25}[s.mode]
	if s.port == 0 {
		return nil, plan.Permanent("invalid_connection", "connection %s: tls is starttls, implicit or none", name)
	}
	if p := value.Shown(f["port"]); p != "" {
		if s.port, err = strconv.Atoi(p); err != nil || s.port < 1 || s.port > 65535 {
			return nil, plan.Permanent("invalid_connection", "connection %s: port is a number up to 65535", name)
		}
	}
	if strings.ContainsAny(s.host, ":/ ") || s.host == "" {
		return nil, plan.Permanent("invalid_connection", "connection %s: host must be a name without scheme or port; set port: separately", name)
	}
	if ca := value.Shown(f["ca"]); ca != "" {
		if s.roots = x509.NewCertPool(); !s.roots.AppendCertsFromPEM([]byte(ca)) {
			return nil, plan.Permanent("invalid_connection", "connection %s: ca holds no certificate in PEM", name)
		}
	}
	if s.mode == "none" && s.user != "" && !loopback(s.host) {
		return nil, plan.Permanent("invalid_connection", "connection %s: the password would be sent in the clear; set tls: starttls or implicit",
			name)
	}
	return s, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Destination implements engine.Destined.
func (Send) Destination(in engine.Input) string {
	s, err := serverOf(in)
	if err != nil {
		return ""
	}
	return engine.DestinationOf("smtp://"+net.JoinHostPort(s.host, strconv.Itoa(s.port)), "")
}

// Do implements engine.Action.
func (a Send) Do(ctx context.Context, in engine.Input) (any, error) {
	s, err := serverOf(in)
	if err != nil {
		return nil, err
	}
	m, err := message(in, s.from)
	if err != nil {
		return nil, err
	}
	to, err := m.GetRecipients()
	if err != nil {
		return nil, plan.Permanent("invalid_input", "recipients: %v", err)
	}
	if err := s.send(ctx, a.Client, m); err != nil {
		return nil, err
	}
	recipients := make([]any, len(to))
	for i, r := range to {
		recipients[i] = strings.Trim(r, "<>")
	}
	return map[string]any{"message_id": m.GetMessageID(), "recipients": recipients, "response": s.scrub(clean(m.ServerResponse()))}, nil
}

// send sends a message to the server. All its waits end with ctx.
func (s *server) send(ctx context.Context, guarded *http.Client, m *mail.Msg) error {
	client, release, err := s.client(ctx, guarded, helo(m))
	if err != nil {
		return err
	}
	defer release()
	if err := client.DialAndSendWithContext(ctx, m); err != nil && !m.IsDelivered() {
		return s.explain(ctx, err)
	}
	return nil
}

// Test implements engine.ConnectionTest: it connects, logs in and disconnects.
func (a Send) Test(ctx context.Context, in engine.Input) (string, error) {
	s, err := serverOf(in)
	if err != nil {
		return "", err
	}
	client, release, err := s.client(ctx, a.Client, "localhost")
	if err != nil {
		return "", err
	}
	defer release()
	if err := client.DialWithContext(ctx); err != nil {
		return "", s.explain(ctx, err)
	}
	if err := client.Close(); err != nil {
		return "", s.explain(ctx, err)
	}
	if s.user == "" {
		return "the mail server answered", nil
	}
	return "the mail server accepted the login", nil
}

// client returns a client of the server; its connection ends with ctx. The caller must call release
// after its last use.
func (s *server) client(ctx context.Context, guarded *http.Client, helo string) (_ *mail.Client, release func(), err error) {
	dial, err := egress.DialOf(guarded)
	if err != nil {
		return nil, nil, plan.Permanent("unsupported", "%v", err)
	}
	config := &tls.Config{ServerName: s.host, MinVersion: tls.VersionTLS12, RootCAs: s.roots}
	var stop func() bool
	var conn net.Conn
	release = func() {
		if conn != nil {
			stop()
			_ = conn.Close()
		}
	}
	options := []mail.Option{mail.WithPort(s.port), mail.WithTimeout(10 * time.Minute), mail.WithTLSConfig(config), mail.WithHELO(helo),
		mail.WithDialContextFunc(func(_ context.Context, network, address string) (net.Conn, error) {
			var err error
			if conn, err = dial(ctx, network, address); err != nil {
				return nil, err
			}
			conn = &boundedConn{Conn: conn, left: maxAnswers}
			own := conn
			stop = context.AfterFunc(ctx, func() { _ = own.Close() })
			if s.mode != "implicit" {
				return conn, nil
			}
			t := tls.Client(conn, config)
			return t, t.HandshakeContext(ctx)
		})}
	switch s.mode {
	case "starttls":
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	case "implicit": // the connection is encrypted already, which go-mail detects
		options = append(options, mail.WithTLSPolicy(mail.TLSOpportunistic))
	case "none":
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	}
	if s.user != "" {
		method := mail.SMTPAuthAutoDiscover
		if s.mode == "none" { // only for loopback addresses
			method = mail.SMTPAuthPlain
		}
		options = append(options, mail.WithSMTPAuth(method), mail.WithUsername(s.user), mail.WithPassword(s.password))
	}
	client, err := mail.NewClient(s.host, options...)
	if err != nil {
		return nil, nil, plan.Permanent("invalid_connection", "the SMTP client: %v", err)
	}
	return client, release, nil
}

// maxAnswers is the maximum number of bytes that a server may send in total, including its
// certificates. The client reads lines of any length into memory.
const maxAnswers = 1 << 20

// boundedConn limits the bytes read from a connection.
type boundedConn struct {
	net.Conn
	left int
}

// Read implements net.Conn.
func (c *boundedConn) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, fmt.Errorf("the server sent more than %d bytes of responses", maxAnswers)
	}
	n, err := c.Conn.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

// helo returns the name that the client announces: the domain of the sender, to keep the machine's
// name private.
func helo(m *mail.Msg) string {
	for _, a := range m.GetFrom() {
		if _, domain, ok := strings.Cut(a.Address, "@"); ok {
			return domain
		}
	}
	return "localhost"
}

// explain converts an error to the one that the step records. A 4yz reply is transient (RFC 5321,
// 4.2.1).
func (s *server) explain(ctx context.Context, err error) error {
	if errors.Is(err, egress.ErrRefused) {
		return &plan.Error{Message: err.Error(), Code: "address_not_allowed"}
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return plan.Permanent("tls", "the certificate of %s is not trusted: %v (ca: of the connection names a private authority)", s.host,
			certificate.Err)
	}
	status := code(err)
	message := s.scrub(clean(err.Error()))
	did := "rejected the mail"
	if status == 0 {
		did = "did not take the mail"
	}
	e := &plan.Error{Message: fmt.Sprintf("%s %s: %s", s.host, did, message), Code: "smtp",
		Retryable: status == 0 || status >= 400 && status < 500}
	if status != 0 {
		e.Details = map[string]any{"smtp_code": status}
	}
	var send *mail.SendError
	unsent := !errors.As(err, &send)
	switch {
	case status == 535 || status == 534 || status == 530:
		e.Code, e.Retryable = "no_credential", false
		e.Message = fmt.Sprintf("%s refused the login: %s; check user and password of the connection", s.host, message)
	case unsent && status == 0 && strings.Contains(err.Error(), "STARTTLS"):
		e.Code, e.Retryable = "tls", false
		e.Message += "; the connection's tls: implicit is for port 465, tls: none for a server without TLS"
	case unsent && status == 0 && strings.Contains(err.Error(), "AUTH"):
		e.Code, e.Retryable = "no_credential", false
	case status == 0 && (unsent || send.Reason != mail.ErrSMTPDataClose):
		e.Code = "network" // nothing was delivered: a message ends with its final dot
	case status == 0:
		return errors.Join(e, engine.ErrUnanswered)
	}
	return e
}

// scrub removes the login from a server's reply, in the encodings in which it was sent.
func (s *server) scrub(message string) string {
	if s.password == "" {
		return message
	}
	encode := base64.StdEncoding.EncodeToString
	return strings.NewReplacer(encode([]byte("\x00"+s.user+"\x00"+s.password)), workflows.Mask, encode([]byte(s.password)), workflows.Mask,
		s.password, workflows.Mask).Replace(message)
}

// code returns the reply code of an SMTP error, 0 if the server did not reply.
func code(err error) int {
	var send *mail.SendError
	if errors.As(err, &send) && send.ErrorCode() != 0 {
		return send.ErrorCode()
	}
	for _, part := range strings.Split(err.Error(), ": ") {
		if len(part) > 4 && (part[3] == ' ' || part[3] == '-') {
			if n, err := strconv.Atoi(part[:3]); err == nil && n >= 400 && n < 600 {
				return n
			}
		}
	}
	return 0
}

// clean makes a server's reply safe to show: one line, limited length.
func clean(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\ufffd")), " ")
	return value.CutText(s, 500)
}
