package email

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"mime"
	netmail "net/mail"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows/value"
	"github.com/wneessen/go-mail"
)

const (
	// maxRecipients is the maximum number of addresses of one message.
	maxRecipients = 100
	// maxAttached is the maximum total size of the attachments in bytes; most servers accept
	// messages of 25 to 35 MB, and base64 adds a third.
	maxAttached = 18 << 20
)

// message builds the message of a step.
func message(in engine.Input, from string) (*mail.Msg, error) {
	m := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if s := value.Shown(in.With["from"]); s != "" {
		from = s
	}
	if from == "" {
		return nil, plan.Permanent("invalid_input", "from is missing: write it in the step, or in the connection")
	}
	sender, err := addresses("from", from)
	if err != nil {
		return nil, err
	}
	if len(sender) != 1 {
		return nil, plan.Permanent("invalid_input", "from must be one address")
	}
	m.FromMailAddress(sender[0])
	if err := recipients(m, in.With); err != nil {
		return nil, err
	}
	replyTo, err := addresses("reply_to", in.With["reply_to"])
	if err != nil {
		return nil, err
	}
	if len(replyTo) > 0 {
		m.ReplyToMailAddress(replyTo...)
	}
	subject := value.Shown(in.With["subject"])
	if err := oneLine("subject", subject); err != nil {
		return nil, err
	}
	m.Subject(subject)
	m.SetMessageIDWithValue(messageID(in.Key, sender[0].Address))
	m.SetDateWithValue(in.Now)
	if err := extraHeaders(m, in.With["headers"]); err != nil {
		return nil, err
	}
	plain, html := value.Shown(in.With["text"]), value.Shown(in.With["html"])
	switch {
	case plain != "":
		m.SetBodyString(mail.TypeTextPlain, plain)
		if html != "" {
			m.AddAlternativeString(mail.TypeTextHTML, html)
		}
	case html != "":
		m.SetBodyString(mail.TypeTextHTML, html)
	default:
		return nil, plan.Permanent("invalid_input", "the message is empty: write text:, html:, or both")
	}
	return m, attach(m, in)
}

func recipients(m *mail.Msg, with map[string]any) error {
	n := 0
	for _, kind := range []struct {
		name string
		set  func(...*netmail.Address)
	}{{"to", m.ToMailAddress}, {"cc", m.CcMailAddress}, {"bcc", m.BccMailAddress}} {
		list, err := addresses(kind.name, with[kind.name])
		if err != nil {
			return err
		}
		if len(list) > 0 {
			kind.set(list...)
		}
		n += len(list)
	}
	switch {
	case n == 0:
		return plan.Permanent("invalid_input", "the mail has no recipients: to, cc and bcc are empty")
	case n > maxRecipients:
		return plan.Permanent("invalid_input", "%d recipients are too many for one mail: at most %d; loop with foreach:", n, maxRecipients)
	}
	return nil
}

// addresses parses one address or a list of them. Each list entry is one address, so that data
// cannot add a second one with a comma.
func addresses(what string, v any) ([]*netmail.Address, error) {
	if v == nil || v == "" {
		return nil, nil
	}
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	var out []*netmail.Address
	for _, x := range list {
		s := value.Shown(x)
		if err := oneLine(what, s); err != nil {
			return nil, err
		}
		a, err := netmail.ParseAddress(s)
		if err != nil {
			return nil, plan.Permanent("invalid_input", "%s: %q is not a mail address; write ada@example.com, or Ada <ada@example.com>, "+
				"and several as a list", what, clean(s))
		}
		if err := oneLine(what, a.Name); err != nil { // a name may be encoded
			return nil, err
		}
		if err := oneLine(what, a.Address); err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// oneLine returns an error for text that would end a header line.
func oneLine(what, s string) error {
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\t' || r == '\u2028' || r == '\u2029' }) {
		return plan.Permanent("invalid_input", "%s holds a line break or another control character, which a mail header cannot carry", what)
	}
	return nil
}

// messageID derives the id from the step's idempotency key, so that servers and readers recognize a
// repeated attempt as the same message.
func messageID(key, sender string) string {
	_, domain, _ := strings.Cut(sender, "@")
	if strings.ContainsFunc(key, func(r rune) bool {
		return !(r == '_' || r == '-' || r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)))
	}) {
		sum := sha256.Sum256([]byte(key))
		key = hex.EncodeToString(sum[:16])
	}
	return key + "@" + domain
}

// settable are the headers that a step may set, besides those that begin with x- or list-. All
// others identify sender, recipients or content type.
var settable = []string{"In-Reply-To", "References", "Auto-Submitted", "Importance", "Precedence", "Organization", "Comments", "Keywords"}

func extraHeaders(m *mail.Msg, v any) error {
	headers, ok := v.(map[string]any)
	if !ok && v != nil {
		return plan.Permanent("invalid_input", "headers is a map of names to texts")
	}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		known := slices.ContainsFunc(settable, func(s string) bool { return strings.EqualFold(s, name) })
		lower := strings.ToLower(name)
		if !known && !strings.HasPrefix(lower, "x-") && !strings.HasPrefix(lower, "list-") ||
			strings.Trim(lower, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return plan.Permanent("invalid_input", "headers: %q cannot be set here; X-..., List-... and %s can", clean(name),
				strings.Join(settable, ", "))
		}
		s := value.Shown(headers[name])
		if err := oneLine("header "+name, s); err != nil {
			return err
		}
		m.SetGenHeader(mail.Header(name), s)
	}
	return nil
}

func attach(m *mail.Msg, in engine.Input) error {
	list, ok := in.With["attachments"].([]any)
	if !ok && in.With["attachments"] != nil {
		return plan.Permanent("invalid_input", "attachments is a list: [{file: PATH}]")
	}
	total := 0
	for i, x := range list {
		what := fmt.Sprintf("attachments[%d]", i)
		part, ok := x.(map[string]any)
		if !ok {
			part = map[string]any{"file": x}
		}
		content, name, media, err := attachment(in, what, part)
		if err != nil {
			return err
		}
		if total += len(content); total > maxAttached {
			return plan.Permanent("too_large", "the attachments are larger than %d MiB together, which mail servers refuse; send a link",
				maxAttached>>20)
		}
		if err := m.AttachReader(name, bytes.NewReader(content), mail.WithFileContentType(mail.ContentType(media))); err != nil {
			return plan.Permanent("invalid_input", "%s: %v", what, err)
		}
	}
	return nil
}

// attachment returns the bytes, the name and the type of an attachment.
func attachment(in engine.Input, what string, part map[string]any) (content []byte, name, media string, err error) {
	n := 0
	for k := range part {
		switch k {
		case "file", "text", "raw":
			n++
		case "filename", "type":
		default:
			return nil, "", "", plan.Permanent("invalid_input", "%s has no key %q; known are file, text, raw, filename, type", what, clean(k))
		}
	}
	if n != 1 {
		return nil, "", "", plan.Permanent("invalid_input", "%s needs one of file (a path), text and raw (base64)", what)
	}
	name, media = value.Shown(part["filename"]), value.Shown(part["type"])
	if part["file"] != nil {
		var p, known string
		if content, p, known, err = fileContent(in, what, part["file"]); err != nil {
			return nil, "", "", err
		}
		if name == "" {
			name = path.Base(p)
		}
		if media == "" {
			media = known
		}
	} else if part["raw"] != nil {
		if content, err = base64.StdEncoding.DecodeString(value.Shown(part["raw"])); err != nil {
			return nil, "", "", plan.Permanent("invalid_input", "%s: raw is not valid base64", what)
		}
	} else {
		content = []byte(value.Shown(part["text"]))
	}
	if name == "" {
		return nil, "", "", plan.Permanent("invalid_input", "%s needs filename:", what)
	}
	if err := oneLine(what+": filename", name); err != nil {
		return nil, "", "", err
	}
	name = strings.NewReplacer("/", "_", `\`, "_", `"`, "'").Replace(name)
	if media == "" {
		media = mime.TypeByExtension(path.Ext(name))
	}
	if media == "" {
		media = "application/octet-stream"
	}
	if _, _, err := mime.ParseMediaType(media); err != nil || oneLine("", media) != nil {
		return nil, "", "", plan.Permanent("invalid_input", "%s: type %q is not a media type", what, clean(media))
	}
	return content, name, media, nil
}

// fileContent reads a file that a step saved.
func fileContent(in engine.Input, what string, v any) (content []byte, name, media string, err error) {
	name, ok := v.(string)
	if m, isMap := v.(map[string]any); isMap {
		name, ok = m["path"].(string)
		media = value.Shown(m["content_type"])
	}
	if !ok {
		return nil, "", "", plan.Permanent("invalid_input", "%s: file is a path, such as ${{ steps.report.output.path }} of a step with "+
			"save: true", what)
	}
	f, size, err := in.Files.Open(name)
	if err != nil {
		return nil, "", "", plan.Permanent("no_file", "%s: %q cannot be read: %v", what, clean(name), err)
	}
	defer f.Close()
	if size > maxAttached {
		return nil, "", "", plan.Permanent("too_large", "%s is larger than %d MiB, which mail servers refuse; send a link", what, maxAttached>>20)
	}
	content, err = io.ReadAll(io.LimitReader(f, maxAttached+1))
	if err != nil {
		return nil, "", "", fmt.Errorf("%s: %w", what, err)
	}
	return content, name, media, nil
}
